"""Why a Pod is, or would be, where: for every node the rejecting plugin and its reasons, or every plugin's points.

Made from the arrays of one cycle, out of band: nothing about it is kept, written or counted. A bound Pod is taken off its node for the
moment, so that it is seen as the scheduler would see it now if it came anew.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from kubesim.scheduler.contract import Rejection
from kubesim.scheduler.cycle import SignatureState
from kubesim.scheduler.pod_facts import PodInfo

TOP_DEFAULT = 5


class Explanation:
    """One Pod against all nodes. ``bound_to`` is where it is, "" for a pending Pod."""

    def __init__(self, pod: PodInfo, state: SignatureState, bound_to: str) -> None:
        self.pod = pod.key
        self.bound_to = bound_to
        self._table = state.table
        self._diagnosis = state.diagnosis()
        self._names = list(state.table.names)
        self._rows = list(state.table.node_rows())
        self._feasible = self._diagnosis.feasible_rows()
        self._points = {plugin: points_N[self._feasible] for plugin, points_N in state.scores().items()}
        self._totals = np.zeros(len(self._feasible), np.int64)
        for points in self._points.values():
            self._totals = self._totals + points
        self.message = "" if len(self._feasible) else self._diagnosis.message("")

    # ---- all nodes -----------------------------------------------------------------------------------------------------------

    @property
    def plugins(self) -> list[str]:
        """The plugins that scored, in order."""
        return list(self._points)

    @property
    def feasible_count(self) -> int:
        """How many nodes can take the Pod."""
        return len(self._feasible)

    def best(self) -> list[str]:
        """The nodes with the highest total."""
        if not len(self._feasible):
            return []
        return [self._name(row) for row in self._feasible[self._totals == self._totals.max()].tolist()]

    def top(self, count: int = TOP_DEFAULT) -> list[tuple[str, int, dict[str, int]]]:
        """(node, total, plugin -> points) of the best nodes, equals in the table's order."""
        order = np.argsort(-self._totals, kind="stable")[:count].tolist()
        return [(self._name(int(self._feasible[place])), int(self._totals[place]), self._points_at(place)) for place in order]

    def rejected(self) -> Iterator[tuple[str, str, Rejection]]:
        """(node, plugin, rejection) of every node that cannot take the Pod."""
        verdicts = list(zip(self._diagnosis.filter_N.tolist(), self._diagnosis.code_N.tolist()))
        meanings: dict[tuple[int, int], tuple[str, Rejection] | None] = {}
        for row in self._rows:
            verdict = verdicts[row]
            if verdict not in meanings:
                meanings[verdict] = self._diagnosis.rejection(row)
            found = meanings[verdict]
            if found is not None:
                yield self._name(row), *found

    def rejections(self) -> list[tuple[str, Rejection, int]]:
        """(plugin, rejection, how many nodes), the most frequent first."""
        counts: dict[tuple[str, Rejection], int] = {}
        for _, plugin, rejection in self.rejected():
            counts[plugin, rejection] = counts.get((plugin, rejection), 0) + 1
        return [(*found, count) for found, count in sorted(counts.items(), key=lambda item: -item[1])]

    def as_dict(self) -> dict[str, Any]:
        """``rejected`` node -> (plugin, rejection), ``scores`` node -> plugin -> points, ``totals``, ``best``."""
        names = [self._name(row) for row in self._feasible.tolist()]
        columns = zip(*[points.tolist() for points in self._points.values()]) if self._points else [()] * len(names)
        return {
            "rejected": {name: (plugin, rejection) for name, plugin, rejection in self.rejected()},
            "scores": {name: dict(zip(self._points, points)) for name, points in zip(names, columns)},
            "totals": dict(zip(names, self._totals.tolist())),
            "best": self.best(),
        }

    # ---- one node ------------------------------------------------------------------------------------------------------------

    def node(self, name: str) -> tuple[str, Rejection] | tuple[int, dict[str, int]]:
        """(plugin, rejection), or (total, plugin -> points). Raises ValueError for a node that does not exist."""
        row = self._table.find(name)
        if row < 0:
            raise ValueError(f"there is no node {name!r}; expected one of {self._table.node_count} nodes")
        found = self._diagnosis.rejection(row)
        if found is not None:
            return found
        place = int(np.searchsorted(self._feasible, row))
        return int(self._totals[place]), self._points_at(place)

    def why(self, name: str, other: str) -> str:
        """Why a node and not another one, in a sentence."""
        mine, theirs = self.node(name), self.node(other)
        if isinstance(mine[0], str):
            return f"{name} is rejected by {_told(mine)}" + (f", and {other} by {_told(theirs)}" if isinstance(theirs[0], str) else "")
        if isinstance(theirs[0], str):
            return f"{other} is rejected by {_told(theirs)}; {name} fits, with {mine[0]} points"
        by_plugin = {plugin: mine[1][plugin] - theirs[1][plugin] for plugin in self._points}
        differences = [f"{plugin} {points:+}" for plugin, points in by_plugin.items() if points]
        if mine[0] == theirs[0]:
            details = f" ({', '.join(differences)})" if differences else ""
            return f"{name} and {other} have {mine[0]} points each{details}: a draw decides"
        order = "beats" if mine[0] > theirs[0] else "loses to"
        return f"{name} {order} {other}, {mine[0]} points to {theirs[0]}: {', '.join(differences)}"

    def _points_at(self, place: int) -> dict[str, int]:
        return {plugin: int(points[place]) for plugin, points in self._points.items()}

    def _name(self, row: int) -> str:
        return self._names[row] or ""


def _told(found: Any) -> str:
    plugin, rejection = found
    return f"{plugin}: {', '.join(rejection.reasons)}"
