"""The two tables of CEL's functions, filled by the modules beside this one: plain functions, and methods with their receiver first.

A function takes evaluated values; a type that it does not have is a TypeError or a CelError "no such overload".
"""

from collections.abc import Callable
from typing import Any

from kubesim.api.cel.errors import CelError

FUNCTIONS: dict[str, Callable[..., Any]] = {}
METHODS: dict[str, Callable[..., Any]] = {}
NO_OVERLOAD = "no such overload"


def need(is_fine: bool) -> None:
    """Raise CelError when arguments are of other types than a function has."""
    if not is_fine:
        raise CelError(NO_OVERLOAD)


def function(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function under its names."""

    def enter(entered: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS.update(dict.fromkeys(names, entered))
        return entered

    return enter


def method(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a method under its names."""

    def enter(entered: Callable[..., Any]) -> Callable[..., Any]:
        METHODS.update(dict.fromkeys(names, entered))
        return entered

    return enter
