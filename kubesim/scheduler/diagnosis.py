"""Why a Pod fits nowhere: per node the first plugin that rejected it and its reasons, and upstream's one-line summary.

Made on demand, from arrays: nothing is kept about a Pod that was placed, and nothing is written into objects.

Dimension key: N rows. Upstream: pkg/scheduler/framework/types.go (Diagnosis, FitError).
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kubesim.scheduler.contract import UNRESOLVABLE, Plugin, Rejection

if TYPE_CHECKING:
    from kubesim.scheduler.node_table import NodeTable

NOTHING_CLOSED: Mapping[int, tuple[int, int]] = {}
FITS, OUTSIDE, GONE = -1, -2, -3  # in place of a filter's index: passed, not among the PreFilter's names, not a node
PRE_FILTER_RESULT = "PreFilterResult"
NO_NODES = "no nodes available to schedule pods"


class Diagnosis:
    """The outcome of all filters on all nodes. ``filter_N`` (int16) is the index of the rejecting filter, or FITS, OUTSIDE, GONE."""

    __slots__ = (
        "_counts",
        "_filters",
        "_messages",
        "_names_plugins",
        "_plugins",
        "_resolvable",
        "_table",
        "code_N",
        "filter_N",
        "memo",
        "pre_filter",
    )

    def __init__(
        self,
        table: "NodeTable",
        filters: list[tuple[Plugin, Any]],
        allowed_N: Any,
        names_plugins: tuple[str, ...],
        pre_filter: tuple[str, Rejection] | None,
        closed: Mapping[int, tuple[int, int]] = NOTHING_CLOSED,
    ) -> None:
        self.memo: dict[Any, Any] = {}  # what PostFilter plugins worked out from it, for the next Pod of the same signature
        self._counts: dict[tuple[int, int], int] | None = None  # (filter, code) -> rows, in this order
        self._messages: dict[str, str] = {}
        self._plugins: tuple[str, ...] | None = None
        self._resolvable: Any = None
        self._table = table
        self._filters = filters
        self._names_plugins = names_plugins  # the plugins whose PreFilter restricted the names
        self.pre_filter = pre_filter  # (plugin, rejection) when no filter ran at all
        self.filter_N = np.full(table.row_count, GONE, np.int16)
        self.code_N = np.zeros(table.row_count, np.int64)
        alive_N = table.alive_N[: table.row_count].astype(bool)
        self.filter_N[alive_N] = OUTSIDE
        if pre_filter is None:
            for row, (index, code) in closed.items():  # nominated Pods count as being there
                self.filter_N[row], self.code_N[row] = index, code
            open_N = alive_N & allowed_N
            open_N[list(closed)] = False
            self._run(open_N)

    def _run(self, open_N: Any) -> None:
        """Ask the filters in order about the rows that every earlier one let pass."""
        rows = np.flatnonzero(open_N)
        for index, (plugin, state) in enumerate(self._filters):
            if not len(rows):
                return
            codes = plugin.filter(state, rows)
            rejected = codes != 0
            if rejected.any():
                self.filter_N[rows[rejected]] = index
                self.code_N[rows[rejected]] = codes[rejected]
                rows = rows[~rejected]
        self.filter_N[rows] = FITS

    def changed(self, verdicts: Mapping[int, tuple[int, int]]) -> "Diagnosis":
        """The diagnosis after some rows' verdicts, (filter or FITS, code), became others. O(verdicts) when none did, else O(N) copies;
        nobody is asked."""
        counts = self._count()
        after = Diagnosis.__new__(Diagnosis)
        after.memo = {}
        after._table, after._filters = self._table, self._filters
        after._names_plugins, after.pre_filter = self._names_plugins, self.pre_filter
        verdicts = {row: verdict for row, verdict in verdicts.items() if verdict != (self.filter_N[row], self.code_N[row])}
        if not verdicts:
            after._messages, after._plugins, after._resolvable, after._counts = self._messages, self._plugins, self._resolvable, counts
            after.filter_N, after.code_N = self.filter_N, self.code_N
            return after
        after._messages, after._plugins, after._resolvable = {}, None, None
        after.filter_N, after.code_N = self.filter_N.copy(), self.code_N.copy()
        moved = dict(counts)
        for row, (index, code) in verdicts.items():
            before = (int(self.filter_N[row]), int(self.code_N[row]))
            after.filter_N[row], after.code_N[row] = index, code
            if before in moved:
                moved[before] -= 1
            if index != FITS:
                moved[(index, code)] = moved.get((index, code), 0) + 1
        after._counts = {key: moved[key] for key in sorted(moved) if moved[key]}
        return after

    def _count(self) -> dict[tuple[int, int], int]:
        """How many rows each (filter, code) has; O(N) the first time."""
        if self._counts is None:
            self._counts = {}
            for index in (OUTSIDE, *range(len(self._filters))):
                codes, counts = np.unique(self.code_N[self.filter_N == index], return_counts=True)
                self._counts.update({(index, code): count for code, count in zip(codes.tolist(), counts.tolist())})
        return self._counts

    @property
    def unschedulable_plugins(self) -> tuple[str, ...]:
        """Who rejected the Pod, or a node, by name."""
        if self._plugins is None:
            names = dict.fromkeys(self._names_plugins)
            if self.pre_filter is not None:
                names[self.pre_filter[0]] = None
            else:
                names.update(dict.fromkeys(self._filters[index][0].name for index, _ in self._count() if index >= 0))
            self._plugins = tuple(sorted(names))
        return self._plugins

    def rejection(self, row: int) -> tuple[str, Rejection] | None:
        """(plugin, rejection) of a node, None when it fits. O(1)."""
        index = int(self.filter_N[row])
        if index == FITS:
            return None
        if self.pre_filter is not None:
            return self.pre_filter
        if index == OUTSIDE:
            return PRE_FILTER_RESULT, outside(self._names_plugins)
        return self._filters[index][0].name, self._meaning(index, int(self.code_N[row]))

    def counted(self) -> list[tuple[Rejection, int]]:
        """(rejection, how many rows) of every different verdict. O(verdicts) after the first time."""
        if self.pre_filter is not None:
            return [(self.pre_filter[1], int((self.filter_N != GONE).sum()))]
        return [(self._meaning(index, code), count) for (index, code), count in self._count().items()]

    def resolvable_rows(self) -> Any:
        """The rows that were rejected for something that removing Pods may cure, ascending. O(N) the first time."""
        if self._resolvable is None:
            self._resolvable = self._find_resolvable()
        return self._resolvable

    def _find_resolvable(self) -> Any:
        if self.pre_filter is not None:
            return np.flatnonzero(self.filter_N != GONE) if self.pre_filter[1].is_resolvable else np.zeros(0, np.int64)
        found_N = np.zeros(len(self.filter_N), bool)
        for index, code in self._count():
            if self._meaning(index, code).is_resolvable:
                found_N |= (self.filter_N == index) & (self.code_N == code)
        return np.flatnonzero(found_N)

    def _meaning(self, index: int, code: int) -> Rejection:
        if index == OUTSIDE:
            return outside(self._names_plugins)
        plugin, state = self._filters[index]
        return plugin.rejection(state, code)

    def feasible_rows(self) -> Any:
        """The rows that passed, ascending."""
        return np.flatnonzero(self.filter_N == FITS)

    def message(self, post_filter_message: str) -> str:
        """Upstream's text of the FailedScheduling event and the PodScheduled condition."""
        message = self._messages.get(post_filter_message)
        if message is None:
            message = self._messages[post_filter_message] = self._message(post_filter_message)
        return message

    def _message(self, post_filter_message: str) -> str:
        if not self._table.node_count:
            return NO_NODES
        if self.pre_filter is not None:
            return fit_message(self._table.node_count, ", ".join(self.pre_filter[1].reasons), {}, post_filter_message)
        return fit_message(self._table.node_count, "", histogram_of(self.counted()), post_filter_message)


def outside(plugins: tuple[str, ...]) -> Rejection:
    """The rejection of a node whose name a PreFilter left out."""
    return Rejection(UNRESOLVABLE, (f"node(s) didn't satisfy plugin(s) [{' '.join(plugins)}]",))


def histogram_of(counted: Iterable[tuple[Rejection, int]]) -> dict[str, int]:
    """Sum counts per reason."""
    histogram: dict[str, int] = {}
    for rejection, count in counted:
        for reason in rejection.reasons:
            histogram[reason] = histogram.get(reason, 0) + count
    return histogram


def fit_message(node_count: int, pre_filter_message: str, histogram: Mapping[str, int], post_filter_message: str) -> str:
    """``0/N nodes are available: ...``; the counted reasons are sorted as strings, as upstream does."""
    message = f"0/{node_count} nodes are available:"
    if pre_filter_message:
        message += f" {pre_filter_message}."
    elif histogram:
        message += f" {', '.join(sorted(f'{count} {reason}' for reason, count in histogram.items()))}."
    if post_filter_message:
        message += f" {post_filter_message}"
    return message
