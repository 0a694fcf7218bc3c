"""All kinds of faults by name, found in ``kinds/``."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from kubesim.faults import kinds
from kubesim.faults.contract import Kind


@cache
def all_kinds() -> dict[str, Kind]:
    """The kinds, sorted by name. Raises ValueError for a name that two have."""
    found: dict[str, Kind] = {}
    for module in sorted(each.name for each in iter_modules(kinds.__path__)):
        for kind in import_module(f"{kinds.__name__}.{module}").FAULTS:
            if kind.name in found:
                raise ValueError(f"two kinds of faults are called {kind.name!r}")
            found[kind.name] = kind
    return dict(sorted(found.items()))
