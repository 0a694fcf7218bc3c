"""The plugins: one file each, found by name. What is enabled, in which order and with which weight stands in a profile."""

import importlib
import pkgutil
from functools import cache

from kubesim.scheduler.contract import Plugin


@cache
def registry() -> dict[str, type[Plugin]]:
    """Every plugin of this folder by upstream's name, in the sorted order of the files. Raises AssertionError on duplicates."""
    found: dict[str, type[Plugin]] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        plugin: type[Plugin] = importlib.import_module(f"{__name__}.{module.name}").PLUGIN
        assert plugin.name and plugin.name not in found, f"plugin {plugin.name!r} of {module.name} exists twice or has no name"
        found[plugin.name] = plugin
    return found
