"""What a ROW plugin without a kernel says of every row: kept as an array, and only changed rows are asked again.

One array serves every signature that the plugin cannot tell apart, so that a user's own plugin in Python is asked once about a changed
row and not once per signature; the chain reads it as it reads a kernel (``ArrayKernel``).

Dimension key: N rows of the node table.
"""

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from kubesim._core.placement import ArrayKernel
from kubesim.scheduler.contract import UNSIGNABLE
from kubesim.scheduler.node_table import NodeTable

ANSWERS_MAX = 256
ALL_ROWS_SHARE = 8  # more changed rows than one in this many: ask about all


class RowAnswers:
    """The answers of ``ask(rows)`` (None: all rows). ``refresh`` before the kernel is read; of use while the table's layout stays."""

    __slots__ = ("_ask", "_positions", "_table", "kernel", "layout", "values_N")

    def __init__(self, table: NodeTable, ask: Callable[[Any], Any]) -> None:
        self._table = table
        self._ask = ask
        self.layout = table.layout
        self.values_N = np.zeros(table.capacity, np.int64)
        self.kernel = ArrayKernel(table.rows, self.values_N)
        self._positions = (-1, -1)  # in the logs of nodes and Pods
        self.refresh()

    def refresh(self) -> None:
        """Ask about the rows that changed since the last time. O(these rows)."""
        table = self._table
        positions = (table.node_log.end, table.pod_log.end)
        if positions != self._positions:
            rows = table.changed_rows(*self._positions)
            self._positions = positions
            if rows is None or len(rows) * ALL_ROWS_SHARE > table.row_count:
                self.values_N[: table.row_count] = self._ask(None)
            else:
                index = np.array(rows, np.int64)
                self.values_N[index] = self._ask(index)


class SharedAnswers:
    """The answers of one framework's plugins; at most ``ANSWERS_MAX``, the oldest out first (who reads them keeps them)."""

    def __init__(self, table: NodeTable) -> None:
        self._table = table
        self._known: dict[tuple[str, Hashable], RowAnswers] = {}

    def get(self, name: str, signature: Hashable, ask: Callable[[Any], Any]) -> RowAnswers:
        """Those of a plugin's method, by the part of the Pod's signature that is the plugin's."""
        if signature is UNSIGNABLE:
            return RowAnswers(self._table, ask)
        found = self._known.get((name, signature))
        if found is None or found.layout != self._table.layout:
            found = self._known[name, signature] = RowAnswers(self._table, ask)
            if len(self._known) > ANSWERS_MAX:
                del self._known[next(iter(self._known))]
        else:
            found.refresh()
        return found
