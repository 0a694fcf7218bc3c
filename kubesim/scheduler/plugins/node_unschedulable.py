"""NodeUnschedulable: a cordoned node takes only Pods that tolerate the taint of that name.

Upstream: plugins/nodeunschedulable/node_unschedulable.go.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from kubesim.scheduler.contract import (
    NODE_ADD,
    NODE_TAINT,
    POD_TOLERATION,
    SKIP,
    UNRESOLVABLE,
    ClusterEvent,
    Hint,
    Object,
    Plugin,
    Prepared,
    Rejection,
    Skip,
)
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.toleration import UNSCHEDULABLE_TAINT, tolerated

REJECTION = Rejection(UNRESOLVABLE, ("node(s) were unschedulable",))


def _tolerates(pod: PodInfo) -> bool:
    return tolerated(UNSCHEDULABLE_TAINT, pod.facts.spec.get("tolerations") or ())


class NodeUnschedulable(Plugin):
    """See the module. Without a toleration the codes are the table's own column."""

    name = "NodeUnschedulable"
    extends = frozenset({"preFilter", "filter"})

    def signature(self, pod: PodInfo) -> Hashable:
        return _tolerates(pod)

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        return SKIP if _tolerates(pod) else Prepared(None)

    def filter(self, state: Any, rows: Any) -> Any:
        return self.table.take(self.table.unschedulable_N, rows).astype(np.int64)

    def filter_row(self, state: Any, row: int) -> int:
        node = self.table.nodes[row]
        return int(node is not None and bool((node.get("spec") or {}).get("unschedulable")))

    def rejection(self, state: Any, code: int) -> Rejection:
        return REJECTION

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return {NODE_ADD: _is_open, NODE_TAINT: _is_open, POD_TOLERATION: lambda pod, old, new: _tolerates(pod)}


def _is_open(pod: PodInfo, old: Object | None, new: Object) -> bool:
    """The node takes the Pod now and did not before."""
    was_closed = old is None or bool((old.get("spec") or {}).get("unschedulable"))
    return was_closed and (not (new.get("spec") or {}).get("unschedulable") or _tolerates(pod))


PLUGIN = NodeUnschedulable
