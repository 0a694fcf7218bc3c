"""The plain twin of the compiled ``IdentityMemo``."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class IdentityMemo(Generic[Value]):
    """Call ``function(obj)`` once per object; a second call with the same object gives the same result again.

    The argument must never change afterwards (see the contract on sent objects in ARCHITECTURE.md). O(1); at most ``size_max``
    entries are kept.
    """

    __slots__ = ("_entries", "_function", "_size_max")

    def __init__(self, function: Callable[[Any], Value], size_max: int = 4096) -> None:
        if size_max < 1:
            raise ValueError(f"size_max: {size_max}: expected at least 1")
        self._function = function
        self._size_max = size_max
        self._entries: dict[int, tuple[Any, Value]] = {}

    def __call__(self, obj: Any) -> Value:
        entry = self._entries.get(id(obj))
        if entry is not None:
            return entry[1]
        value = self._function(obj)
        self.remember(obj, value)
        return value

    def remember(self, obj: Any, value: Value) -> None:
        """Set the result for ``obj`` from outside, for instance that a default of a default is itself."""
        entries = self._entries
        if id(obj) not in entries and len(entries) >= self._size_max:
            del entries[next(iter(entries))]
        entries[id(obj)] = (obj, value)

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
