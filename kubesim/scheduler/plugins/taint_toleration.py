"""TaintToleration: NoSchedule and NoExecute taints reject, PreferNoSchedule taints cost score.

Nodes share few distinct sets of taints, so each set is judged once and looked up per row.

Upstream: plugins/tainttoleration/taint_toleration.go.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np

from kubesim.scheduler.contract import (
    NODE_ADD,
    NODE_TAINT,
    POD_TOLERATION,
    UNRESOLVABLE,
    ClusterEvent,
    Hint,
    Normalization,
    Object,
    Plugin,
    Prepared,
    Rejection,
    Skip,
    always,
)
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.toleration import (
    NO_EXECUTE,
    NO_SCHEDULE,
    PREFER_NO_SCHEDULE,
    Taint,
    Toleration,
    as_signature,
    first_untolerated,
    tolerated,
)

REJECTION = Rejection(UNRESOLVABLE, ("node(s) had untolerated taint(s)",))
REJECTING = (NO_SCHEDULE, NO_EXECUTE)


class Tolerations(NamedTuple):
    """A Pod's tolerations, and those that count for PreferNoSchedule (of that effect, or of any)."""

    every: tuple[Toleration, ...]
    preferring: tuple[Toleration, ...]

    def code(self, taints: tuple[Taint, ...]) -> int:
        """0 when nothing rejects."""
        return int(first_untolerated(taints, self.every, REJECTING) is not None)

    def intolerable_count(self, taints: tuple[Taint, ...]) -> int:
        """How many PreferNoSchedule taints are not tolerated."""
        return sum(taint[2] == PREFER_NO_SCHEDULE and not tolerated(taint, self.preferring) for taint in taints)


def _tolerations(pod: PodInfo) -> Tolerations:
    every = tuple(pod.facts.spec.get("tolerations") or ())
    return Tolerations(every, tuple(t for t in every if (t.get("effect") or PREFER_NO_SCHEDULE) == PREFER_NO_SCHEDULE))


def taints_of(node: Object) -> tuple[Taint, ...]:
    """A node's taints as the table keeps them."""
    taints = (node.get("spec") or {}).get("taints") or ()
    return tuple((taint["key"], taint.get("value") or "", taint["effect"]) for taint in taints)


class TaintToleration(Plugin):
    """See the module."""

    name = "TaintToleration"
    extends = frozenset({"preFilter", "filter", "preScore", "score"})
    normalization = Normalization.REVERSED

    def signature(self, pod: PodInfo) -> Hashable:
        return as_signature(pod.facts.spec.get("tolerations") or ())

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        return Prepared(_tolerations(pod))

    def filter(self, state: Tolerations, rows: Any) -> Any:
        return self._by_set(state.code, rows)

    def filter_row(self, state: Tolerations, row: int) -> int:
        node = self.table.nodes[row]
        return state.code(taints_of(node)) if node is not None else 0

    def rejection(self, state: Any, code: int) -> Rejection:
        return REJECTION

    def pre_score(self, pod: PodInfo, feasible_rows: Any) -> Tolerations:
        return _tolerations(pod)

    def score(self, state: Tolerations, rows: Any) -> Any:
        return self._by_set(state.intolerable_count, rows)

    def score_row(self, state: Tolerations, row: int) -> int:
        node = self.table.nodes[row]
        return state.intolerable_count(taints_of(node)) if node is not None else 0

    def _by_set(self, judge: Callable[[tuple[Taint, ...]], int], rows: Any) -> Any:
        sets = self.table.taint_sets
        judged = np.fromiter((judge(taints) for taints in sets), np.int64, len(sets))
        return judged[self.table.take(self.table.taint_set_N, rows)]

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return {NODE_ADD: _is_tolerated, NODE_TAINT: _is_tolerated, POD_TOLERATION: always}


def _is_tolerated(pod: PodInfo, old: Object | None, new: Object) -> bool:
    """The node is tolerated now and was not before."""
    tolerations = _tolerations(pod)
    if old is not None and not tolerations.code(taints_of(old)):
        return False
    return not tolerations.code(taints_of(new))


PLUGIN = TaintToleration
