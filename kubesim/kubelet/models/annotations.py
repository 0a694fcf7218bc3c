"""Behaviour by annotation: what a Pod's ``kubesim.dev/...`` annotations ask of its containers.

======================  ==============================================================================================
annotation              meaning (a duration is Go's notation: 90s, 5m, 1h30m; a plain number is seconds)
======================  ==============================================================================================
run-for                 the container ends by itself after this time
exit-code               its exit code; "1,1,0" by restart, the last one stays
ready-after             it becomes ready this long after its start, or "never"
live-for                its liveness probe fails from then on
start-delay             added to the time that its start takes
stop-delay              time from TERM to its end, or "never": it has to be killed
stop-exit-code          its exit code after TERM
writes                  "PATH PERIOD TEXT": it adds a line to a file ("%d" in it is the number of the line)
tails                   "PATH": its log is what others write to that file
======================  ==============================================================================================

``NAME.CONTAINER`` (``kubesim.dev/run-for.app``) is for one container, ``NAME`` for all. What cannot be understood is left out and named
in ``problems``.
"""

from collections.abc import Callable
from typing import Any

from kubesim.kernel.time import SECOND, parse_duration
from kubesim.kubelet.doors.volumes import NEVER_NS
from kubesim.kubelet.models.contract import ContainerBehaviour, PodBehaviour, Writes

PREFIX = "kubesim.dev/"
PLAIN = PodBehaviour(ContainerBehaviour(), {})
PLAIN.is_plain = True


def parse_span(text: str) -> int:
    """A duration that is not negative; a plain number is seconds. Raises ValueError."""
    span_ns = int(float(text) * SECOND) if text.replace(".", "", 1).isdigit() else parse_duration(text)
    if span_ns < 0:
        raise ValueError(f"duration {text!r} is negative")
    return span_ns


def parse_codes(text: str) -> tuple[int, ...]:
    """Exit codes 0 to 255, separated by commas. Raises ValueError."""
    codes = tuple(int(part) for part in text.split(","))
    for code in codes:
        if not 0 <= code <= 255:
            raise ValueError(f"exit code {code} is not in 0 to 255")
    return codes


def _parse_writes(text: str) -> tuple[Writes, ...]:
    path, period, line = text.split(" ", 2)
    period_ns = parse_span(period)
    if not path.startswith("/") or not period_ns:
        raise ValueError("expected an absolute PATH, a PERIOD above zero and a TEXT")
    return (Writes(path, period_ns, line),)


def _never_or_span(never: Any) -> Callable[[str], Any]:
    return lambda text: never if text == "never" else parse_span(text)


SETTINGS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "run-for": ("run_for_ns", parse_span),
    "exit-code": ("exit_codes", parse_codes),
    "ready-after": ("ready_after_ns", _never_or_span(None)),
    "live-for": ("live_for_ns", parse_span),
    "start-delay": ("start_delay_ns", parse_span),
    "stop-delay": ("stop_delay_ns", _never_or_span(NEVER_NS)),
    "stop-exit-code": ("stop_exit_code", lambda text: parse_codes(text)[0]),
    "writes": ("writes", _parse_writes),
    "tails": ("tails", lambda text: (text,)),
}


def behaviour_of(annotations: dict[str, str] | None) -> PodBehaviour:
    """The behaviour that a Pod's annotations ask for; PLAIN when there are none of ours."""
    if not annotations:
        return PLAIN
    ours = sorted((key[len(PREFIX) :], text) for key, text in annotations.items() if key.startswith(PREFIX))
    found = [(name, text) for name, text in ours if name.partition(".")[0] in SETTINGS]
    if not found:
        return PLAIN
    default = ContainerBehaviour()
    problems: list[str] = []
    for name, text in found:
        if "." not in name:
            _set(default, name, text, problems)
    by_container: dict[str, ContainerBehaviour] = {}
    for name, text in found:
        setting, dot, container = name.partition(".")
        if dot:
            _set(by_container.setdefault(container, _copy(default)), setting, text, problems)
    return PodBehaviour(default, by_container, tuple(problems))


def _copy(behaviour: ContainerBehaviour) -> ContainerBehaviour:
    copy = ContainerBehaviour()
    for name in ContainerBehaviour.__slots__:
        setattr(copy, name, getattr(behaviour, name))
    return copy


def _set(behaviour: ContainerBehaviour, setting: str, text: str, problems: list[str]) -> None:
    field, parse = SETTINGS[setting]
    try:
        setattr(behaviour, field, parse(text))
    except ValueError as error:
        problems.append(f"annotation {PREFIX}{setting}: {text!r} is not understood: {error}")
