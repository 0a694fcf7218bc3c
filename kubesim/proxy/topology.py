"""Which endpoints of a Service port a node may use: readiness, topology hints, traffic policies, and the last resort of terminating ones.

Upstream: pkg/proxy/topology.go (CategorizeEndpoints, topologyModeFromHints).
"""

from collections.abc import Sequence
from typing import NamedTuple

from kubesim.proxy.endpoint import Endpoint
from kubesim.proxy.service_port import ServicePort

ZONE_LABEL = "topology.kubernetes.io/zone"
NONE, SAME_ZONE, SAME_NODE = "", "PreferSameZone", "PreferSameNode"


class Usable(NamedTuple):
    """``cluster`` for traffic that may leave the node, ``local`` for traffic that may not; ``has_any``: somewhere there is one."""

    cluster: tuple[Endpoint, ...]
    local: tuple[Endpoint, ...]
    has_any: bool


def categorize(endpoints: Sequence[Endpoint], port: ServicePort, node: str, zone: str) -> Usable:
    """Sort the endpoints of ``port`` as seen from ``node`` in ``zone``. O(endpoints)."""
    cluster: tuple[Endpoint, ...] = ()
    local: tuple[Endpoint, ...] = ()
    has_any = False
    if port.uses_cluster_endpoints:
        cluster = _cluster_endpoints(endpoints, node, zone)
        has_any = bool(cluster)
    if port.uses_local_endpoints:
        has_any = has_any or any(each.ready or (each.serving and each.terminating) for each in endpoints)
        here = [each for each in endpoints if each.node == node]
        local = tuple(each for each in here if each.ready) or tuple(each for each in here if each.serving and each.terminating)
    return Usable(cluster, local, has_any)


def _cluster_endpoints(endpoints: Sequence[Endpoint], node: str, zone: str) -> tuple[Endpoint, ...]:
    ready = [each for each in endpoints if each.ready]
    mode = topology_mode(ready, node, zone)
    if mode == SAME_NODE:
        ready = [each for each in ready if node in each.node_hints]
    elif mode == SAME_ZONE:
        ready = [each for each in ready if zone in each.zone_hints]
    # With nothing ready anywhere, terminating endpoints that still serve are better than none; hints do not count then.
    return tuple(ready) or tuple(each for each in endpoints if each.serving and each.terminating)


def topology_mode(ready: Sequence[Endpoint], node: str, zone: str) -> str:
    """How far hints restrict a node: only when every ready endpoint has hints and at least one is meant for this node or zone."""
    if ready and all(each.node_hints for each in ready) and any(node in each.node_hints for each in ready):
        return SAME_NODE
    if zone and ready and all(each.zone_hints for each in ready) and any(zone in each.zone_hints for each in ready):
        return SAME_ZONE
    return NONE
