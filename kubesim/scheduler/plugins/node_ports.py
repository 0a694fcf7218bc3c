"""NodePorts: a host port is given out once per node, address and protocol.

Upstream: plugins/nodeports/node_ports.go, framework.HostPortInfo.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from kubesim.scheduler.contract import (
    ASSIGNED_POD_DELETE,
    NODE_ADD,
    SKIP,
    UNSCHEDULABLE,
    ClusterEvent,
    Hint,
    Object,
    Plugin,
    Prepared,
    Rejection,
    Scope,
    Skip,
    always,
)
from kubesim.scheduler.node_columns import collides
from kubesim.scheduler.pod_facts import PodInfo, PortKey, host_ports

REJECTION = Rejection(UNSCHEDULABLE, ("node(s) didn't have free ports for the requested pod ports",))
Ports = tuple[PortKey, ...]


class NodePorts(Plugin):
    """See the module. The state is the Pod's ports."""

    name = "NodePorts"
    extends = frozenset({"preFilter", "filter"})
    filter_scope = Scope.ROW

    def signature(self, pod: PodInfo) -> Hashable:
        return pod.facts.host_ports

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        return Prepared(pod.facts.host_ports) if pod.facts.host_ports else SKIP

    def filter(self, state: Ports, rows: Any) -> Any:
        if rows is not None:
            return np.array([self.table.ports.collides(row, state) for row in rows.tolist()], np.int64)
        codes = np.zeros(self.table.row_count, np.int64)
        codes[list(self.table.ports.conflicts(state))] = 1
        return codes

    def filter_row(self, state: Ports, row: int) -> int:
        taken = [port for info in self.table.pods[row].values() for port in info.facts.host_ports]
        return int(any(collide(port, other) for port in state for other in taken))

    def rejection(self, state: Any, code: int) -> Rejection:
        return REJECTION

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return {ASSIGNED_POD_DELETE: _frees_a_port, NODE_ADD: always}


def collide(one: PortKey, other: PortKey) -> bool:
    """Whether two Pods with these ports cannot share a node."""
    return one[1:] == other[1:] and collides(one[0], {other[0]: 1})


def _frees_a_port(pod: PodInfo, old: Object, new: None) -> bool:
    """The Pod that went held a port that this one wants."""
    freed = host_ports(old["spec"])
    return any(collide(port, other) for port in pod.facts.host_ports for other in freed)


PLUGIN = NodePorts
