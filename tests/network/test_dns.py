"""Names as CoreDNS answers them."""

import pytest

from kubesim.network.dns import NameNotFound, Zone


def service(namespace: str, name: str, **spec: object) -> dict:
    """A Service."""
    return {"metadata": {"namespace": namespace, "name": name}, "spec": spec}


def endpoint(ip: str, ready: bool = True, hostname: str = "") -> dict:
    """An endpoint."""
    return {"addresses": [ip], "conditions": {"ready": ready}, **({"hostname": hostname} if hostname else {})}


SERVICES = {
    "a/web": service("a", "web", clusterIP="10.96.0.1"),
    "b/web": service("b", "web", clusterIP="10.96.0.2"),
    "a/db": service("a", "db", clusterIP="None"),
    "a/early": service("a", "early", clusterIP="None", publishNotReadyAddresses=True),
    "a/far": service("a", "far", type="ExternalName", externalName="db.example.com"),
    "a/alias": service("a", "alias", type="ExternalName", externalName="web.b.svc.cluster.local"),
    "a/loop": service("a", "loop", type="ExternalName", externalName="loop.a.svc.cluster.local"),
}
ENDPOINTS = [endpoint("10.244.0.5", hostname="db-0"), endpoint("10.244.0.6", hostname="db-1"), endpoint("10.244.0.7", ready=False)]
SLICES = [
    {"metadata": {"namespace": "a", "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4", "endpoints": ENDPOINTS}
    for name in ("db", "early")
]
ZONE = Zone(SERVICES, SLICES)
TABLE = [
    ("web", "a", ("10.96.0.1",)),
    ("web", "b", ("10.96.0.2",)),
    ("web.b", "a", ("10.96.0.2",)),
    ("web.b.svc", "a", ("10.96.0.2",)),
    ("web.b.svc.cluster.local", "a", ("10.96.0.2",)),
    ("web.b.svc.cluster.local.", "a", ("10.96.0.2",)),
    ("db", "a", ("10.244.0.5", "10.244.0.6")),
    ("db-1.db", "a", ("10.244.0.6",)),
    ("db-1.db.a.svc.cluster.local", "b", ("10.244.0.6",)),
    ("early", "a", ("10.244.0.5", "10.244.0.6", "10.244.0.7")),
    ("10-244-0-7.early", "a", ("10.244.0.7",)),
    ("alias", "a", ("10.96.0.2",)),
    ("10-244-0-9.a.pod.cluster.local", "a", ("10.244.0.9",)),
]


@pytest.mark.parametrize(("name", "namespace", "addresses"), TABLE, ids=[f"{name} from {namespace}" for name, namespace, _ in TABLE])
def test_resolve(name: str, namespace: str, addresses: tuple[str, ...]) -> None:
    assert addresses == ZONE.resolve(name, namespace).addresses


def test_a_name_outside_is_an_alias() -> None:
    assert ZONE.resolve("far", "a").cname == "db.example.com"


@pytest.mark.parametrize("name", ["nobody", "db", "db-9.db.a", "loop.a", "x.web.a", "example.com", "db-0.web.a.svc.cluster.local"])
def test_no_such_name(name: str) -> None:
    with pytest.raises(NameNotFound, match=f"name: {name!r}: no such host"):
        ZONE.resolve(name, "b")
