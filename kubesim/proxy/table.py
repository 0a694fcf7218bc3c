"""The compiled rules of one node: (address, protocol, port) -> what to do. Pure: objects in, table out.

Upstream: the shape that all modes of pkg/proxy share (syncProxyRules); ``modes/`` renders it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kubesim.proxy.endpoint import Endpoint, Key
from kubesim.proxy.service_port import ServicePort
from kubesim.proxy.topology import Usable, categorize

CLUSTER_IP, EXTERNAL_IP, LOAD_BALANCER, NODE_PORT = "cluster IP", "external IP", "loadbalancer IP", "nodePort"
Place = tuple[str, str, int]  # address ("" for every address of the node), protocol, port


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to traffic for one place."""

    port: ServicePort
    kind: str
    usable: Usable

    @property
    def is_local(self) -> bool:
        """Whether traffic from outside (or, for a cluster IP, all traffic) must stay on the node."""
        return self.port.internal_local if self.kind == CLUSTER_IP else self.port.external_local


@dataclass(frozen=True, slots=True)
class Table:
    """All rules of a node, in the order of the Services' names and ports."""

    node: str
    zone: str
    node_ips: tuple[str, ...]
    rules: Mapping[Place, Rule] = field(default_factory=dict)

    def find(self, ip: str, protocol: str, port: int) -> Rule | None:
        """The rule for a destination; None when it is no Service's. A node's own addresses are asked for node ports. O(1)."""
        rule = self.rules.get((ip, protocol, port))
        if rule is None and ip in self.node_ips:
            rule = self.rules.get(("", protocol, port))
        return rule


def compile_table(
    node: str, zone: str, node_ips: Iterable[str], ports: Iterable[ServicePort], endpoints: Mapping[Key, tuple[Endpoint, ...]]
) -> Table:
    """Make the table of ``node``. Who comes first keeps a place that two Services claim. O(ports + endpoints)."""
    rules: dict[Place, Rule] = {}
    for port in sorted(ports, key=lambda each: (each.namespace, each.service, each.port_name, each.protocol)):
        usable = categorize(endpoints.get(port.key, ()), port, node, zone)
        for kind, ip, number in _places(port):
            rules.setdefault((ip, port.protocol, number), Rule(port, kind, usable))
    return Table(node, zone, tuple(node_ips), rules)


def _places(port: ServicePort) -> Iterable[tuple[str, str, int]]:
    yield CLUSTER_IP, port.cluster_ip, port.port
    for ip in port.external_ips:
        yield EXTERNAL_IP, ip, port.port
    for ip in port.load_balancer_ips:
        yield LOAD_BALANCER, ip, port.port
    if port.node_port:
        yield NODE_PORT, "", port.node_port
