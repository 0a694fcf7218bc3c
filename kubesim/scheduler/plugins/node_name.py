"""NodeName: a Pod that names its node runs there or nowhere.

Upstream: plugins/nodename/node_name.go.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from kubesim.scheduler.contract import NODE_ADD, SKIP, UNRESOLVABLE, ClusterEvent, Hint, Plugin, Prepared, Rejection, Skip
from kubesim.scheduler.pod_facts import PodInfo

REJECTION = Rejection(UNRESOLVABLE, ("node(s) didn't match the requested node name",))


class NodeName(Plugin):
    """See the module. The state is the wanted name."""

    name = "NodeName"
    extends = frozenset({"preFilter", "filter"})

    def signature(self, pod: PodInfo) -> Hashable:
        return pod.node_name

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        return Prepared(pod.node_name) if pod.node_name else SKIP

    def filter(self, state: str, rows: Any) -> Any:
        return (self.table.index(rows) != self.table.find(state)).astype(np.int64)

    def filter_row(self, state: str, row: int) -> int:
        return int(self.table.names[row] != state)

    def rejection(self, state: Any, code: int) -> Rejection:
        return REJECTION

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return {NODE_ADD: lambda pod, old, new: not pod.node_name or new["metadata"]["name"] == pod.node_name}


PLUGIN = NodeName
