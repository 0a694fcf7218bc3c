"""NetworkPolicies, as a table: who may speak to whom, and what the refusal says."""

from typing import Any

import pytest

from kubesim.network.policy import Peer, check

NAMESPACES = {name: {"metadata": {"name": name, "labels": {"team": name}}} for name in ("a", "b")}


def pod(namespace: str, name: str, ip: str, **labels: str) -> Peer:
    """A Pod with a port 8080 called http, on node "one"."""
    ports = [{"name": "http", "containerPort": 8080}]
    body = {"metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": {"containers": [{"name": "c", "ports": ports}]}}
    return Peer(ip, body, "one")


def policy(name: str = "p", namespace: str = "a", **spec: Any) -> dict[str, Any]:
    """A NetworkPolicy for all Pods of a namespace, unless told otherwise."""
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"podSelector": {}, **spec}}


WEB, DB = pod("a", "web", "10.0.0.1", app="web"), pod("a", "db", "10.0.0.2", app="db")
ALIEN, OUTSIDE, OWN_NODE = pod("b", "alien", "10.0.1.1", app="web"), Peer("203.0.113.9"), Peer("172.16.0.1", None, "one")
FROM_WEB = {"podSelector": {"matchLabels": {"app": "web"}}}
FROM_B = {"namespaceSelector": {"matchLabels": {"team": "b"}}}
BLOCK = {"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.128/25"]}}
TABLE: list[tuple[str, list[Any], Peer, Peer, int, str, bool]] = [
    ("no policy", [], ALIEN, DB, 80, "TCP", True),
    ("a policy of another namespace", [policy(namespace="b")], WEB, DB, 80, "TCP", True),
    ("deny all in", [policy(policyTypes=["Ingress"])], WEB, DB, 80, "TCP", False),
    ("to itself always", [policy(policyTypes=["Ingress", "Egress"])], DB, DB, 80, "TCP", True),
    ("from its own node always", [policy(policyTypes=["Ingress"])], OWN_NODE, DB, 80, "TCP", True),
    ("from another node not", [policy(policyTypes=["Ingress"])], Peer("172.16.0.2", None, "two"), DB, 80, "TCP", False),
    ("an empty rule is everybody", [policy(ingress=[{}])], ALIEN, DB, 80, "TCP", True),
    ("a selected peer", [policy(ingress=[{"from": [FROM_WEB]}])], WEB, DB, 80, "TCP", True),
    ("a Pod selector is about its own namespace", [policy(ingress=[{"from": [FROM_WEB]}])], ALIEN, DB, 80, "TCP", False),
    ("a namespace selector", [policy(ingress=[{"from": [FROM_B]}])], ALIEN, DB, 80, "TCP", True),
    ("both selectors of one peer must hold", [policy(ingress=[{"from": [{**FROM_B, "podSelector": {"matchLabels": {"app": "db"}}}]}])],
     ALIEN, DB, 80, "TCP", False),
    ("an address block", [policy(ingress=[{"from": [BLOCK]}])], OUTSIDE, DB, 80, "TCP", True),
    ("its exception", [policy(ingress=[{"from": [BLOCK]}])], Peer("203.0.113.200"), DB, 80, "TCP", False),
    ("a port", [policy(ingress=[{"ports": [{"port": 80}]}])], WEB, DB, 80, "TCP", True),
    ("another protocol", [policy(ingress=[{"ports": [{"port": 80}]}])], WEB, DB, 80, "UDP", False),
    ("a range of ports", [policy(ingress=[{"ports": [{"port": 80, "endPort": 90}]}])], WEB, DB, 90, "TCP", True),
    ("a named port", [policy(ingress=[{"ports": [{"port": "http"}]}])], WEB, DB, 8080, "TCP", True),
    ("a named port, another number", [policy(ingress=[{"ports": [{"port": "http"}]}])], WEB, DB, 80, "TCP", False),
    ("egress by default only when there are rules", [policy(ingress=[{}])], DB, OUTSIDE, 443, "TCP", True),
    ("egress denied", [policy(policyTypes=["Egress"])], WEB, DB, 80, "TCP", False),
    ("egress let out", [policy(egress=[{"to": [FROM_WEB]}], policyTypes=["Egress"])], DB, WEB, 80, "TCP", True),
    ("one of several is enough", [policy("p", ingress=[{"ports": [{"port": 1}]}]), policy("q", ingress=[{}])], WEB, DB, 80, "TCP", True),
]


@pytest.mark.parametrize(("name", "policies", "source", "destination", "port", "protocol", "allowed"), TABLE, ids=[row[0] for row in TABLE])
def test_check(name: str, policies: list[Any], source: Peer, destination: Peer, port: int, protocol: str, allowed: bool) -> None:
    assert allowed == check(policies, NAMESPACES, source, destination, port, protocol).allowed


def test_a_refusal_names_direction_pod_and_policies() -> None:
    both = [policy("x", policyTypes=["Ingress"]), policy("b", policyTypes=["Ingress"])]
    assert check(both, NAMESPACES, WEB, DB, 80).why == "ingress to a/db is not allowed by NetworkPolicies b, x"
