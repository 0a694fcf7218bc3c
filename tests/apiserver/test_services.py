"""Service addresses and node ports: given out once, kept, given back."""

from ipaddress import ip_address, ip_network

import pytest

from kubesim.apiserver.allocators import PORT_MAX, PORT_MIN, PORTS_KEY
from kubesim.apiserver.requests import create, delete, get, list_, patch, update
from tests.apiserver.builders import changed, service


def addresses(api) -> list[str]:
    return [item["metadata"]["name"] for item in api(list_("ipaddresses.networking.k8s.io"))["items"]]


def ports(api) -> dict:
    found = api.server.store.get(PORTS_KEY)
    return {} if found is None else found.value["ports"]


def test_a_service_gets_one_address_for_its_life(api) -> None:
    made = api(create("services", "default", service()))
    spec = made["spec"]
    assert ip_address(spec["clusterIP"]) in ip_network("10.96.0.0/12")
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    assert sorted(addresses(api)) == sorted(["10.96.0.1", spec["clusterIP"]])
    address = api(get("ipaddresses.networking.k8s.io", "", spec["clusterIP"]))
    assert address["spec"]["parentRef"] == {"resource": "services", "namespace": "default", "name": "s"}
    assert address["metadata"]["resourceVersion"] == str(api.revision() - 1)
    kept = api(update("services", {**service(), "metadata": {"name": "s", "namespace": "default", "labels": {"a": "b"}}}))
    assert kept["spec"] == spec
    api(delete("services", "default", "s"))
    assert addresses(api) == ["10.96.0.1"]


def test_addresses_are_never_given_twice(api) -> None:
    given = [api(create("services", "default", service(f"s{index}")))["spec"]["clusterIP"] for index in range(300)]
    assert len({*given, "10.96.0.1"}) == 301


def test_a_small_range_is_used_up_to_the_last_address(api) -> None:
    small = type(api)(service_cidr="10.96.0.0/27")
    given = {small(create("services", "default", service(f"s{index}")))["spec"]["clusterIP"] for index in range(29)}
    assert len(given) == 29
    code, message = small.outcome(create("services", "default", service("more")))
    assert (code, message.partition("spec.clusterIPs: ")[2]) == (422, "Invalid value: []: failed to allocate a serviceIP: range is full")
    freed = small(delete("services", "default", "s7"))["spec"]["clusterIP"]
    assert small(create("services", "default", service("more")))["spec"]["clusterIP"] == freed


REFUSED = [
    ({"clusterIP": "10.96.0.1"}, 'Invalid value: ["10.96.0.1"]: failed to allocate IP 10.96.0.1: provided IP is already allocated'),
    ({"clusterIP": "192.0.2.1"}, "failed to allocate IP 192.0.2.1: the provided network does not match the current range"),
    (
        {"type": "NodePort", "ports": [{"port": 80, "nodePort": 322}]},
        "spec.ports[0].nodePort: Invalid value: 322: provided port is not in the valid range. The range of valid ports is 30000-32767",
    ),
    (
        {"type": "NodePort", "ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b", "nodePort": 30080}]},
        "spec.ports[1].nodePort: Invalid value: 30080: provided port is already allocated",
    ),
    ({"ipFamilyPolicy": "RequireDualStack"}, 'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for'),
    ({"ipFamilies": ["IPv6"]}, 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'),
]


@pytest.mark.parametrize(("spec", "message"), REFUSED)
def test_refusals_keep_nothing(api, spec, message) -> None:
    api(create("services", "default", service("first", type="NodePort", ports=[{"port": 80, "nodePort": 30080}])))
    before = (addresses(api), ports(api))
    code, text = api.outcome(create("services", "default", service(**spec)))
    assert code == 422
    assert message in text
    assert (addresses(api), ports(api)) == before


def test_a_failed_create_keeps_nothing(api) -> None:
    api(create("services", "default", service(type="NodePort")))
    before = (addresses(api), ports(api))
    assert api.outcome(create("services", "default", service(type="NodePort")))[0] == 409
    assert (addresses(api), ports(api)) == before
    assert api.outcome(create("services", "default", service("dry", type="NodePort"), dryRun=True)) == (200, "")
    assert (addresses(api), ports(api)) == before


def test_node_ports(api) -> None:
    made = api(create("services", "default", service(type="NodePort", ports=[{"port": 80, "name": "a"}, {"port": 81, "name": "b"}])))
    given = [entry["nodePort"] for entry in made["spec"]["ports"]]
    assert len(set(given)) == 2
    assert all(PORT_MIN <= port <= PORT_MAX for port in given)
    assert ports(api) == dict.fromkeys(given, "default/s")
    three = [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}, {"port": 82, "name": "c"}]
    grown = api(patch("services", "default", "s", {"spec": {"ports": three}}))
    assert [entry["nodePort"] for entry in grown["spec"]["ports"]][:2] == given
    assert len(ports(api)) == 3
    shrunk = api(patch("services", "default", "s", {"spec": {"ports": three[1:2]}}))
    assert [entry["nodePort"] for entry in shrunk["spec"]["ports"]] == given[1:]
    assert list(ports(api)) == given[1:]
    api(delete("services", "default", "s"))
    assert ports(api) == {}


def test_all_node_ports_can_be_had_and_no_more(api) -> None:
    count = PORT_MAX - PORT_MIN + 1
    for start in range(0, count, 692):
        wanted = [{"port": 1 + index, "name": f"p{index}"} for index in range(692)]
        api(create("services", "default", service(f"s{start}", type="NodePort", ports=wanted)))
    assert sorted(ports(api)) == list(range(PORT_MIN, PORT_MAX + 1))
    code, message = api.outcome(create("services", "default", service("more", type="NodePort")))
    assert (code, message.rpartition(": ")[2]) == (422, "range is full")


def test_types_change(api) -> None:
    made = api(create("services", "default", service(type="NodePort")))
    plain = api(update("services", changed(made, spec={**made["spec"], "type": "ClusterIP"})))
    assert "nodePort" not in plain["spec"]["ports"][0]
    assert ports(api) == {}
    assert plain["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    outside = api(update("services", changed(plain, spec={**plain["spec"], "type": "ExternalName", "externalName": "x.example"})))
    assert "clusterIP" not in outside["spec"]
    assert addresses(api) == ["10.96.0.1"]
    back = api(update("services", changed(outside, spec={**outside["spec"], "type": "ClusterIP"})))
    assert back["spec"]["clusterIP"] in addresses(api)
    assert "externalName" not in back["spec"]


def test_headless_services_take_no_address(api) -> None:
    made = api(create("services", "default", service(clusterIP="None")))
    assert (made["spec"]["clusterIP"], made["spec"]["clusterIPs"]) == ("None", ["None"])
    assert addresses(api) == ["10.96.0.1"]
