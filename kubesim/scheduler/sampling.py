"""Looking at some of the nodes only, as kube-scheduler does above 100 of them: which ones, and who is best among these.

A search begins where the last one ended, in an order that alternates between zones, and stops when enough feasible nodes are found. Without
a configuration every node is looked at (the sample is there for speed, which the node table has anyway); a KubeSchedulerConfiguration means
upstream's percentage, adaptive unless it says otherwise.

Dimension key: N rows of the table, A allowed nodes in the order of the search. Upstream: pkg/scheduler/schedule_one.go
(findNodesThatPassFilters, numFeasibleNodesToFind), backend/cache/node_tree.go.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kubesim.scheduler.cycle import SignatureState
from kubesim.scheduler.node_table import NodeTable
from kubesim.scheduler.pod_facts import PodInfo

ALL = 100
WANTED_MIN = 100  # feasible nodes; also: with fewer nodes all are looked at
ADAPTIVE_START, ADAPTIVE_STEP, ADAPTIVE_MIN = 50, 125, 5
ZONE_LABELS = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
REGION_LABELS = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
CLOSED = (0, 0)  # what a row outside the sample is closed with: nobody asks why


def wanted_count(node_count: int, percentage: int) -> int:
    """How many feasible nodes are enough.

    All below 100 nodes; else nodes * percentage / 100, at least 100; percentage 0 is 50 - nodes / 125, at least 5.
    """
    if node_count < WANTED_MIN:
        return node_count
    if percentage == 0:
        percentage = max(ADAPTIVE_START - node_count // ADAPTIVE_STEP, ADAPTIVE_MIN)
    return min(max(node_count * percentage // 100, WANTED_MIN), node_count)


class NodeOrder:
    """The order of the search: a node of each zone in turn, zones by their first node, nodes of a zone by their arrival."""

    def __init__(self) -> None:
        self._zones: dict[tuple[str, str], dict[str, None]] = {}
        self._zone_of: dict[str, tuple[str, str]] = {}
        self._names: list[str] | None = None

    def set(self, name: str, labels: Mapping[str, str]) -> None:
        """A node came, or its labels changed; one that changes its zone goes to the end of the new one."""
        zone = _first(labels, REGION_LABELS), _first(labels, ZONE_LABELS)
        if self._zone_of.get(name) == zone:
            return
        self.remove(name)
        self._zone_of[name] = zone
        self._zones.setdefault(zone, {})[name] = None
        self._names = None

    def remove(self, name: str) -> None:
        """A node went away; unknown ones are ignored."""
        zone = self._zone_of.pop(name, None)
        if zone is not None:
            del self._zones[zone][name]
            if not self._zones[zone]:
                del self._zones[zone]
            self._names = None

    def names(self) -> list[str]:
        """All names in order; O(nodes) after a change."""
        if self._names is None:
            zones = [list(zone) for zone in self._zones.values()]
            longest = max(map(len, zones), default=0)
            self._names = [zone[index] for index in range(longest) for zone in zones if index < len(zone)]
        return self._names


def _first(labels: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((labels[key] for key in keys if key in labels), "")


class Sampler:
    """Chooses among a sample; remembers where the next search begins."""

    def __init__(self, table: NodeTable) -> None:
        self.order = NodeOrder()
        self.next_start = 0
        self._table = table
        self._rows: tuple[list[str], Any] = ([], np.zeros(0, np.int64))

    def choose(self, state: SignatureState, pod: PodInfo, percentage: int, below: Callable[[int], int] | None) -> int:
        """The best row of the sample, -1 when no node can take the Pod. O(N), and a cycle's more where scores depend on each other."""
        rows_A = self._allowed_rows(state)
        if not len(rows_A):
            return state.choose(below)
        wanted = 1 if not state.framework.score else wanted_count(len(rows_A), percentage)
        totals_N = np.empty(self._table.row_count, np.int64)
        state.ranking.read(totals_N)
        start = self.next_start % len(rows_A)
        rows_A = np.concatenate((rows_A[start:], rows_A[:start]))
        found = np.flatnonzero(totals_N[rows_A] >= 0)
        looked_at = len(rows_A) if len(found) < wanted else int(found[wanted - 1]) + 1
        self.next_start = (start + looked_at) % len(rows_A)
        sample = rows_A[found[:wanted]]
        if len(sample) == len(found):
            return state.choose(below)
        if state.framework.score and not state.scores_stand_alone:
            kept = np.zeros(self._table.row_count, bool)
            kept[sample] = True
            closed = {**state.closed, **dict.fromkeys(np.flatnonzero(~kept).tolist(), CLOSED)}
            return SignatureState(state.framework, pod, closed).choose(below)
        best = np.sort(sample[totals_N[sample] == totals_N[sample].max()])
        return int(best[below(len(best)) if below is not None and len(best) > 1 else 0])

    def _allowed_rows(self, state: SignatureState) -> Any:
        names = self.order.names()
        if self._rows[0] is not names:
            rows = np.array([self._table.find(name) for name in names], np.int64)
            self._rows = (names, rows[rows >= 0])
        rows_A = self._rows[1]
        return rows_A if state.node_names is None else rows_A[state.allowed_N()[rows_A]]
