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
        "_filters",
        "_groups",
        "_histogram",
        "_names_plugins",
        "_table",
        "code_N",
        "filter_N",
        "memo",
        "pre_filter",
        "unschedulable_plugins",
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
        self._groups: list[tuple[Rejection, Any]] | None = None
        self._histogram: dict[str, int] | None = None
        self._table = table
        self._filters = filters
        self._names_plugins = names_plugins  # the plugins whose PreFilter restricted the names
        self.pre_filter = pre_filter  # (plugin, rejection) when no filter ran at all
        self.filter_N = np.full(table.row_count, GONE, np.int16)
        self.code_N = np.zeros(table.row_count, np.int64)
        alive_N = table.alive_N[: table.row_count].astype(bool)
        self.filter_N[alive_N] = OUTSIDE
        plugins = dict.fromkeys(names_plugins)
        if pre_filter is not None:
            plugins[pre_filter[0]] = None
        else:
            self._close(closed, plugins)
            open_N = alive_N & allowed_N
            open_N[list(closed)] = False
            self._run(open_N, plugins)
        self.unschedulable_plugins = tuple(sorted(plugins))

    def _close(self, closed: Mapping[int, tuple[int, int]], plugins: dict[str, None]) -> None:
        """What filters say when Pods nominated to a node count as being there."""
        for row, (index, code) in closed.items():
            self.filter_N[row], self.code_N[row] = index, code
            plugins[self._filters[index][0].name] = None

    def _run(self, open_N: Any, plugins: dict[str, None]) -> None:
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
                plugins[plugin.name] = None
                rows = rows[~rejected]
        self.filter_N[rows] = FITS

    def rejection(self, row: int) -> tuple[str, Rejection] | None:
        """(plugin, rejection) of a node, None when it fits. O(1)."""
        index = int(self.filter_N[row])
        if index == FITS:
            return None
        if self.pre_filter is not None:
            return self.pre_filter
        if index == OUTSIDE:
            return PRE_FILTER_RESULT, outside(self._names_plugins)
        plugin, state = self._filters[index]
        return plugin.name, plugin.rejection(state, int(self.code_N[row]))

    def groups(self) -> list[tuple[Rejection, Any]]:
        """(rejection, rows) of every different rejection; O(N) and not per node, the first time."""
        if self._groups is None:
            self._groups = self._find_groups()
        return self._groups

    def _find_groups(self) -> list[tuple[Rejection, Any]]:
        found: list[tuple[Rejection, Any]] = []
        if self.pre_filter is not None:
            return [(self.pre_filter[1], np.flatnonzero(self.filter_N != GONE))]
        outside_rows = np.flatnonzero(self.filter_N == OUTSIDE)
        if len(outside_rows):
            found.append((outside(self._names_plugins), outside_rows))
        for index, (plugin, state) in enumerate(self._filters):
            rows = np.flatnonzero(self.filter_N == index)
            for code in np.unique(self.code_N[rows]) if len(rows) else ():
                found.append((plugin.rejection(state, int(code)), rows[self.code_N[rows] == code]))
        return found

    def feasible_rows(self) -> Any:
        """The rows that passed, ascending."""
        return np.flatnonzero(self.filter_N == FITS)

    def message(self, post_filter_message: str) -> str:
        """Upstream's text of the FailedScheduling event and the PodScheduled condition."""
        if not self._table.node_count:
            return NO_NODES
        if self.pre_filter is not None:
            return fit_message(self._table.node_count, ", ".join(self.pre_filter[1].reasons), {}, post_filter_message)
        return fit_message(self._table.node_count, "", self.histogram(), post_filter_message)

    def histogram(self) -> dict[str, int]:
        """How many nodes gave each reason."""
        if self._histogram is None:
            self._histogram = histogram_of((rejection, len(rows)) for rejection, rows in self.groups())
        return self._histogram


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
