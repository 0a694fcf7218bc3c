"""Node IPAM: a node that comes without a range of Pod addresses gets one of its own.

Upstream: pkg/controller/nodeipam/ipam/range_allocator.go. Kubelets of this project bring their range along; nodes that a client creates do
not.
"""

from collections.abc import Mapping
from ipaddress import ip_network

from kubesim.apiserver.requests import patch
from kubesim.controllers.contract import DONE, Burst, ControllerBase, EventIntent, Mapper, Result, View, own_key

CLUSTER_CIDR, NODE_PREFIX = "10.128.0.0/9", 24  # apart from the ranges that kubelets bring along


class NodeIpamController(ControllerBase):
    """Reconciles Nodes by name."""

    name = "node-ipam-controller"
    component = "cidrAllocator"
    resource = "nodes"
    watches: Mapping[str, Mapper] = {"nodes": own_key}

    def __init__(self, cluster_cidr: str = CLUSTER_CIDR, node_prefix: int = NODE_PREFIX) -> None:
        self._cluster = ip_network(cluster_cidr)
        self._node_prefix = node_prefix
        self._given: dict[str, str] = {}  # node -> range

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Give the node the first free range."""
        node = view.get("nodes", key)
        if node is None:
            self._given.pop(key, None)
            return DONE
        spec = node.get("spec") or {}
        if spec.get("podCIDR"):
            return DONE
        range_ = self._given.get(key)
        if range_ is None:
            used = {(other.get("spec") or {}).get("podCIDR") for other in view.list("nodes")} | set(self._given.values())
            ranges = (str(each) for each in self._cluster.subnets(new_prefix=self._node_prefix))  # none is made before it is asked for
            range_ = next((each for each in ranges if each not in used), None)
        if range_ is None:
            return Result([EventIntent(node, "Normal", "CIDRNotAvailable", f"Node {key} status is now: CIDRNotAvailable")])
        self._given[key] = range_
        body = {"spec": {"podCIDR": range_, "podCIDRs": [range_]}}
        return Result([Burst([patch("nodes", "", key, body, "strategic")], expected=("NotFound",))])


CONTROLLER = NodeIpamController
