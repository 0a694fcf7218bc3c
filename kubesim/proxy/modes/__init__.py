"""The modes of kube-proxy: how each chooses an endpoint, and what its dump of rules looks like. One file a mode, found by its ``MODE``."""

from importlib import import_module
from pkgutil import iter_modules

from kubesim.proxy.modes.contract import Mode


def all_modes() -> dict[str, Mode]:
    """The modes by name, sorted. Raises ValueError when two files claim one name."""
    modes: dict[str, Mode] = {}
    for info in sorted(iter_modules(__path__), key=lambda each: each.name):
        mode = getattr(import_module(f"{__name__}.{info.name}"), "MODE", None)
        if mode is None:
            continue
        if mode.name in modes:
            raise ValueError(f"proxy mode {mode.name!r} is defined twice")
        modes[mode.name] = mode
    return modes


def mode_named(name: str) -> Mode:
    """The mode of this name. Raises ValueError that lists what there is."""
    modes = all_modes()
    if name not in modes:
        raise ValueError(f"proxy mode: {name!r}: expected one of {', '.join(modes)}")
    return modes[name]
