from collections.abc import Callable
from typing import Any

class Event:
    key: str
    def __init__(self, type_: str, obj: dict[str, Any], old: dict[str, Any] | None, revision: int) -> None: ...
    @property
    def type(self) -> str: ...
    @property
    def obj(self) -> dict[str, Any]: ...
    @property
    def old(self) -> dict[str, Any] | None: ...
    @property
    def revision(self) -> int: ...

def changed_parts(old: dict[str, Any] | None, new: dict[str, Any] | None, parts: tuple[tuple[str, ...], ...]) -> int: ...
def deliver(
    cache: Any, objects: dict[str, dict[str, Any]], events: list[Event], start: int, key_of: Callable[[dict[str, Any]], str]
) -> int: ...
def distribute(
    changes: list[Any],
    by_type: dict[tuple[str, str], Any],
    type_fields: tuple[str, str],
    selections_of: dict[Any, Any],
    event_of: Callable[[Any, Any, Any], Event | None],
    on_unstamped: Callable[[Any], object],
    noted: dict[Any, Callable[[Any], object]],
    woken: dict[Any, None],
) -> None: ...
