"""Which endpoints a node may use: upstream's cases of CategorizeEndpoints, as a table."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.proxy.endpoint import Endpoint
from kubesim.proxy.service_port import ServicePort
from kubesim.proxy.topology import categorize

NODE, ZONE = "here", "zone-a"


def endpoint(number: int, **changes: Any) -> Endpoint:
    """An endpoint 10.0.0.NUMBER:80, ready, elsewhere, without hints."""
    plain = Endpoint(f"10.0.0.{number}", 80, "there", True, True, False, (), ())
    return plain._replace(**changes)


def port(**changes: Any) -> ServicePort:
    """A ClusterIP port of Service a/web."""
    return ServicePort("a", "web", "", "TCP", 80, "10.96.0.10", **changes)


GOING = {"ready": False, "serving": True, "terminating": True}
UNREADY = {"ready": False, "serving": False}
TABLE = [
    ("none at all", port(), [], [], [], False),
    ("all ready ones", port(), [endpoint(1), endpoint(2, **UNREADY)], [1], [], True),
    ("terminating ones as the last resort", port(), [endpoint(1, **GOING), endpoint(2, **UNREADY)], [1], [], True),
    ("a ready one beats terminating ones", port(), [endpoint(1, **GOING), endpoint(2)], [2], [], True),
    ("zone hints", port(), [endpoint(1, zone_hints=("zone-a",)), endpoint(2, zone_hints=("zone-b",))], [1], [], True),
    ("one without a hint: hints do not count", port(), [endpoint(1, zone_hints=("zone-a",)), endpoint(2)], [1, 2], [], True),
    ("no hint for this zone", port(), [endpoint(1, zone_hints=("zone-b",)), endpoint(2, zone_hints=("zone-c",))], [1, 2], [], True),
    (
        "node hints go before zone hints",
        port(),
        [endpoint(1, zone_hints=("zone-a",), node_hints=("here",)), endpoint(2, zone_hints=("zone-a",), node_hints=("there",))],
        [1],
        [],
        True,
    ),
    ("internal Local", port(internal_local=True), [endpoint(1, node=NODE), endpoint(2)], [], [1], True),
    ("internal Local, none here", port(internal_local=True), [endpoint(2)], [], [], True),
    ("internal Local, a terminating one here", port(internal_local=True), [endpoint(1, node=NODE, **GOING), endpoint(2)], [], [1], True),
    ("internal Local, nobody anywhere", port(internal_local=True), [endpoint(1, node=NODE, **UNREADY)], [], [], False),
    ("external Local uses both", port(node_port=30000, external_local=True), [endpoint(1, node=NODE), endpoint(2)], [1, 2], [1], True),
    ("external Local without a way in", port(external_local=True), [endpoint(1, node=NODE), endpoint(2)], [1, 2], [], True),
    ("both Local, not external", port(internal_local=True, external_local=True), [endpoint(1, node=NODE)], [], [1], True),
]


@pytest.mark.parametrize(("name", "of", "endpoints", "cluster", "local", "has_any"), TABLE, ids=[row[0] for row in TABLE])
def test_categorize(name: str, of: ServicePort, endpoints: list[Endpoint], cluster: list[int], local: list[int], has_any: bool) -> None:
    usable = categorize(endpoints, of, NODE, ZONE)
    assert [f"10.0.0.{number}" for number in cluster] == [each.ip for each in usable.cluster]
    assert [f"10.0.0.{number}" for number in local] == [each.ip for each in usable.local]
    assert has_any == usable.has_any


ENDPOINTS = st.builds(
    endpoint,
    st.integers(1, 250),
    node=st.sampled_from([NODE, "there"]),
    ready=st.booleans(),
    serving=st.booleans(),
    terminating=st.booleans(),
    zone_hints=st.sampled_from([(), ("zone-a",), ("zone-b",)]),
    node_hints=st.sampled_from([(), (NODE,), ("there",)]),
)


@given(st.lists(ENDPOINTS, max_size=6, unique_by=lambda each: each.ip), st.booleans(), st.booleans(), st.sampled_from([0, 30000]))
def test_what_always_holds(endpoints: list[Endpoint], internal_local: bool, external_local: bool, node_port: int) -> None:
    usable = categorize(endpoints, port(internal_local=internal_local, external_local=external_local, node_port=node_port), NODE, ZONE)
    assert all(each.node == NODE for each in usable.local)
    assert all(each.ready or (each.serving and each.terminating) for each in (*usable.cluster, *usable.local))
    assert not (any(each.ready for each in endpoints) and any(not each.ready for each in usable.cluster))
    if not internal_local and any(each.ready for each in endpoints):
        assert usable.cluster and usable.has_any
