"""The parts by which a state's rows are grouped (``_core/groups``): counts per domain of a topology key, and fixed numbers per row.

A plugin asks for the number of a part and gives it to the filters and scores that look at it; equal parts are made once.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from kubesim._core.groups import Fixed, Part, Tally

if TYPE_CHECKING:
    from kubesim.scheduler.node_table import NodeTable
    from kubesim.scheduler.pod_index import Carrier, Counter

PRESENCE_CAP = 1


class Domains:
    """The parts of one signature's state. Arrays have ``capacity`` rows."""

    def __init__(self, table: "NodeTable") -> None:
        self.parts: list[Part] = []
        self.has_tallies = False
        self._table = table
        self._numbers: dict[Any, int] = {}
        self._kept: list[Any] = []  # what the keys of _numbers name by id

    def fixed(self, values_N: Any) -> int:
        """The part of a number per row; whoever changes one asks about the row again."""
        self.parts.append(Fixed(values_N))
        return len(self.parts) - 1

    def tally(self, key: str, counted: "Counter | Carrier | None", counted_N: Any = None, is_presence: bool = False) -> int:
        """The part of Pods per value of a topology key, -1 for rows without it.

        ``counted_N`` (bool): the rows whose Pods count; None: all that have the key. ``is_presence``: whether there are any is all that
        matters. O(N) the first time.
        """
        ids_N = self._table.label_column(key).ids_N
        counts_N = self._all_that_have(ids_N) if counted_N is None else self._padded(counted_N)
        number = (key, id(counted), counts_N.tobytes(), is_presence)
        if number not in self._numbers:
            is_single = bool(np.bincount(ids_N)[1:].max(initial=0) <= 1)
            self._make(number, ids_N, counted, counts_N, is_single, *((PRESENCE_CAP,) if is_presence else ()))
        return self._numbers[number]

    def own_rows(self, key: str, counted: "Counter | Carrier | None") -> int:
        """The part of each row's own Pods, -1 for rows without the topology key."""
        number = (key, id(counted), "own")
        if number not in self._numbers:
            ids_N = self._table.label_column(key).ids_N
            each_N = np.where(ids_N != 0, np.arange(1, len(ids_N) + 1, dtype=np.int32), 0).astype(np.int32)
            self._make(number, each_N, counted, self._all_that_have(ids_N), True)
        return self._numbers[number]

    def _make(self, number: Any, ids_N: Any, counted: "Counter | Carrier | None", counts_N: Any, is_single: bool, *cap: int) -> None:
        count_N = np.zeros(len(ids_N), np.int64) if counted is None else counted.count_N
        self._numbers[number] = len(self.parts)
        self._kept.append(counted)
        self.parts.append(Tally(ids_N, count_N, counts_N, is_single, *cap))
        self.has_tallies = True

    def _all_that_have(self, ids_N: Any) -> Any:
        return (ids_N != 0).astype(np.uint8)

    def _padded(self, counted_N: Any) -> Any:
        padded_N = np.zeros(self._table.capacity, np.uint8)
        padded_N[: len(counted_N)] = counted_N
        return padded_N
