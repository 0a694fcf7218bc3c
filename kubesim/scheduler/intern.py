"""Values as small integers, in the order they were first seen.

Tables hold the integer; whatever is true of a value is worked out once per value and looked up per row.
"""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

V = TypeVar("V", bound=Hashable)


class Interner(Generic[V]):
    """A growing, ordered set: value -> index, index -> value.

    >>> names = Interner(["a"])
    >>> names.intern("b"), names.intern("a"), names.find("c"), list(names)
    (1, 0, -1, ['a', 'b'])
    """

    __slots__ = ("_index_of", "_values")

    def __init__(self, values: list[V] | tuple[V, ...] = ()) -> None:
        self._values: list[V] = []
        self._index_of: dict[V, int] = {}
        for value in values:
            self.intern(value)

    def intern(self, value: V) -> int:
        """The value's index, a new one if it has none. O(1)."""
        index = self._index_of.get(value)
        if index is None:
            index = self._index_of[value] = len(self._values)
            self._values.append(value)
        return index

    def find(self, value: V) -> int:
        """The value's index, -1 if it has none."""
        return self._index_of.get(value, -1)

    def __getitem__(self, index: int) -> V:
        return self._values[index]

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[V]:
        return iter(self._values)
