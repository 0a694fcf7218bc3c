"""Behaviour by annotation: what a Pod's ``kubesim.dev/SETTING`` annotations ask of its containers (models/settings.py has the table).

``SETTING.CONTAINER`` (``kubesim.dev/run-for.app``) is for one container, ``SETTING`` for all; ``usage-...`` without a container is the
usage of the Pod, and counts for its first ordinary container. What cannot be understood is left out and named in ``problems``.
"""

from collections.abc import Iterable

from kubesim.kubelet.models.contract import ContainerBehaviour, PodBehaviour
from kubesim.kubelet.models.settings import SETTINGS, apply_setting

PREFIX = "kubesim.dev/"
PLAIN = PodBehaviour(ContainerBehaviour(), {})
PLAIN.is_plain = True


def behaviour_of(annotations: dict[str, str] | None, first: str = "") -> PodBehaviour:
    """The behaviour that a Pod's annotations ask for; PLAIN when there are none of ours. ``first`` names its first ordinary container."""
    if not annotations:
        return PLAIN
    ours = sorted((key[len(PREFIX) :], text) for key, text in annotations.items() if key.startswith(PREFIX))
    found = [(f"{name}.{first}" if first and name.startswith("usage-") and "." not in name else name, text) for name, text in ours]
    found = [(name, text) for name, text in found if name.partition(".")[0] in SETTINGS]
    return behaviour_by(((*_split(name), text) for name, text in found), f"annotation {PREFIX}") if found else PLAIN


def _split(name: str) -> tuple[str, str]:
    setting, _, container = name.partition(".")
    return setting, container


def behaviour_by(settings: Iterable[tuple[str, str, str]], origin: str) -> PodBehaviour:
    """The behaviour of (setting, container or "", text), the general ones first; problems begin with ``origin``."""
    default = ContainerBehaviour()
    problems: list[str] = []
    by_container: dict[str, ContainerBehaviour] = {}
    for setting, container, text in sorted(settings, key=lambda each: bool(each[1])):
        behaviour = by_container.setdefault(container, default.copy()) if container else default
        try:
            apply_setting(behaviour, setting, text)
        except ValueError as error:
            problems.append(f"{origin}{setting}: {text!r} is not understood: {error}")
    return PodBehaviour(default, by_container, tuple(problems))
