"""What a node does with one flow: pass it on to a backend, refuse it, or drop it. Pure but for the state that a mode keeps.

Upstream: the chains of pkg/proxy/iptables/proxier.go: KUBE-SVC (cluster policy), KUBE-SVL (local policy), KUBE-EXT (external traffic with
its short circuit for traffic from inside), KUBE-FW (source ranges).
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from kubesim.proxy.endpoint import Endpoint
from kubesim.proxy.modes.contract import Balancer
from kubesim.proxy.table import CLUSTER_IP, LOAD_BALANCER, Rule, Table

ACCEPT, REJECT, DROP, PASS = "accept", "reject", "drop", "pass"


class Flow(NamedTuple):
    """A new connection, as it arrives at a node's rules. ``is_inside``: it comes from a Pod or from the node itself."""

    source_ip: str
    ip: str
    protocol: str
    port: int
    is_inside: bool


@dataclass(frozen=True, slots=True)
class Route:
    """``verdict``: accept (with ``backend``), reject (the client is told), drop (it waits), pass (no Service; as addressed)."""

    verdict: str
    backend: Endpoint | None = None
    rule: Rule | None = None
    why: str = ""


def route(table: Table, flow: Flow, balancer: Balancer, now_ns: int, draw: Callable[[int], int]) -> Route:
    """Decide about a flow; ``draw(n)`` is a random number below n. O(endpoints of the Service) at most."""
    rule = table.find(flow.ip, flow.protocol, flow.port)
    if rule is None:
        return Route(PASS)
    port = rule.port
    if rule.kind == LOAD_BALANCER and port.source_ranges and not _within(flow.source_ip, port.source_ranges):
        return Route(DROP, None, rule, f"{port.name} does not let {flow.source_ip} in (loadBalancerSourceRanges)")
    is_local = rule.is_local and not (rule.kind != CLUSTER_IP and flow.is_inside)
    endpoints = rule.usable.local if is_local else rule.usable.cluster
    if endpoints:
        return Route(ACCEPT, balancer.choose(port, endpoints, flow.source_ip, now_ns, draw), rule)
    if rule.usable.has_any:
        return Route(DROP, None, rule, f"{port.name} has no local endpoints")
    return Route(REJECT, None, rule, f"{port.name} has no endpoints")


def _within(source_ip: str, ranges: tuple[str, ...]) -> bool:
    address = ip_address(source_ip)
    return any(address in ip_network(each, strict=False) for each in ranges)
