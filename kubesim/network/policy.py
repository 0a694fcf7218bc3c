"""NetworkPolicies: may this peer speak to that one on this port?

A Pod that no policy selects for a direction is open in it; one that is selected is open only to what some policy lists. Both ends have to
agree. A Pod always reaches itself, and its own node always reaches it (or no kubelet could probe). Pods on the host's network are no
Pods to a policy: they count as the addresses of their nodes.

Upstream: networking/v1 NetworkPolicy as its API documentation defines it; there is no reference implementation in Kubernetes itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from kubesim.api import selectors

INGRESS, EGRESS = "Ingress", "Egress"
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Peer:
    """One end of a connection: an address, and the Pod that has it (None: something outside, or on a node's own network)."""

    ip: str
    pod: Object | None = None
    node: str = ""

    @property
    def namespace(self) -> str:
        """The Pod's namespace; empty for what is no Pod."""
        return self.pod["metadata"]["namespace"] if self.pod is not None else ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a connection is let through, and if not, by which direction and policies it is not."""

    allowed: bool
    why: str = ""


ALLOWED = Verdict(True)


def check(
    policies: Iterable[Object], namespaces: Mapping[str, Object], source: Peer, destination: Peer, port: int, protocol: str = "TCP"
) -> Verdict:
    """Ask all policies about a connection. ``namespaces`` by name, for their labels. O(policies · rules).

    >>> deny = {"metadata": {"name": "deny", "namespace": "a"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}
    >>> pod = {"metadata": {"name": "web", "namespace": "a"}, "spec": {"containers": []}}
    >>> check([deny], {}, Peer("10.0.0.9"), Peer("10.0.0.2", pod), 80).why
    'ingress to a/web is not allowed by NetworkPolicy deny'
    """
    if source.ip == destination.ip and source.pod is not None:
        return ALLOWED
    policies = list(policies)
    if source.pod is not None:
        verdict = _direction(policies, namespaces, EGRESS, source, destination, destination, port, protocol)
        if not verdict.allowed:
            return verdict
    if destination.pod is not None and not (source.pod is None and source.node and source.node == destination.node):
        return _direction(policies, namespaces, INGRESS, destination, source, destination, port, protocol)
    return ALLOWED


def _direction(
    policies: Sequence[Object],
    namespaces: Mapping[str, Object],
    direction: str,
    subject: Peer,
    other: Peer,
    listener: Peer,
    port: int,
    protocol: str,
) -> Verdict:
    selecting = [policy for policy in policies if _selects(policy, direction, subject)]
    if not selecting:
        return ALLOWED
    rules_field, peers_field = ("ingress", "from") if direction == INGRESS else ("egress", "to")
    for policy in selecting:
        for rule in policy["spec"].get(rules_field) or ():
            if _port_matches(rule.get("ports"), listener, port, protocol) and _peer_matches(
                rule.get(peers_field), policy["metadata"]["namespace"], namespaces, other
            ):
                return ALLOWED
    assert subject.pod is not None
    metadata = subject.pod["metadata"]
    way = "ingress to" if direction == INGRESS else "egress from"
    names = ", ".join(sorted(policy["metadata"]["name"] for policy in selecting))
    plural = "ies" if len(selecting) > 1 else "y"
    return Verdict(False, f"{way} {metadata['namespace']}/{metadata['name']} is not allowed by NetworkPolic{plural} {names}")


def _selects(policy: Object, direction: str, subject: Peer) -> bool:
    assert subject.pod is not None
    metadata, spec = subject.pod["metadata"], policy["spec"]
    if policy["metadata"]["namespace"] != metadata["namespace"]:
        return False
    types = spec.get("policyTypes") or ([INGRESS, EGRESS] if spec.get("egress") else [INGRESS])
    return direction in types and selectors.from_object(spec.get("podSelector") or {}).matches(metadata.get("labels") or {})


def _port_matches(ports: Sequence[Object] | None, listener: Peer, port: int, protocol: str) -> bool:
    """No list of ports is every port; a named port is looked up in the Pod that listens."""
    if not ports:
        return True
    for each in ports:
        if (each.get("protocol") or "TCP") != protocol:
            continue
        wanted = each.get("port")
        if wanted is None:
            return True
        if isinstance(wanted, str):
            if port in _named_ports(listener.pod, wanted, protocol):
                return True
        elif wanted <= port <= each.get("endPort", wanted):
            return True
    return False


def _named_ports(pod: Object | None, name: str, protocol: str) -> list[int]:
    if pod is None:
        return []
    return [
        each["containerPort"]
        for container in pod["spec"].get("containers") or ()
        for each in container.get("ports") or ()
        if each.get("name") == name and (each.get("protocol") or "TCP") == protocol
    ]


def _peer_matches(peers: Sequence[Object] | None, namespace: str, namespaces: Mapping[str, Object], other: Peer) -> bool:
    """No list of peers is everybody."""
    if not peers:
        return True
    for each in peers:
        block = each.get("ipBlock")
        if block is not None:
            if _in_block(block, other.ip):
                return True
            continue
        if other.pod is None:
            continue
        if "namespaceSelector" in each:
            labels = ((namespaces.get(other.namespace) or {}).get("metadata") or {}).get("labels") or {}
            if not selectors.from_object(each["namespaceSelector"]).matches(labels):
                continue
        elif other.namespace != namespace:
            continue
        if "podSelector" not in each or selectors.from_object(each["podSelector"]).matches(other.pod["metadata"].get("labels") or {}):
            return True
    return False


def _in_block(block: Object, ip: str) -> bool:
    address = ip_address(ip)
    if address not in ip_network(block["cidr"], strict=False):
        return False
    return not any(address in ip_network(each, strict=False) for each in block.get("except") or ())
