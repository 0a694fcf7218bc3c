"""The controllers of kube-controller-manager: one file each, found by name, run by ``runner.ControllerManager``.

A module (or package) of this folder that exports a factory ``CONTROLLER`` is a controller. ``all_controllers`` makes one of each.
"""

import importlib
import pkgutil

from kubesim.controllers.contract import Controller


def all_controllers(for_clients: bool = False) -> list[Controller]:
    """Make every controller of this folder, in the order of their module names. Raises ValueError when two have one name.

    ``for_clients``: with those that only write what clients outside can see.
    """
    controllers: list[Controller] = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
        factory = getattr(importlib.import_module(f"{__name__}.{module.name}"), "CONTROLLER", None)
        if factory is not None and (for_clients or not getattr(factory, "is_for_clients", False)):
            controllers.append(factory())
    names = [controller.name for controller in controllers]
    if len(set(names)) < len(names):
        raise ValueError(f"two controllers have one name: {names}")
    return controllers
