"""EndpointSlices: on the real apiserver as recorded, and the packing plan against its promises."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import DEPLOYMENTS, SLICES, World, deployment, pod

from kubesim.apiserver.requests import Object
from kubesim.controllers.deployment import DeploymentController
from kubesim.controllers.endpoint_plan import ENDPOINTS_MAX, plan
from kubesim.controllers.endpoint_slice import EndpointSliceController, ports_value
from kubesim.controllers.replicaset import ReplicaSetController
from kubesim.controllers.service_endpoints import Endpoint, Family, PortsKey, pod_key_of


def make_world(**options: Any) -> World:
    world = World([DeploymentController(), ReplicaSetController(), EndpointSliceController()], **options)
    world.create("serviceaccounts", {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default", "namespace": "default"}})
    return world


def service(name: str, *, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    metadata: Object = {"name": name, "namespace": "default"}
    if labels:
        metadata["labels"] = labels
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": metadata,
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}], **spec},
    }


def only_slice(world: World) -> Object:
    (slice_,) = world.all(SLICES)
    return slice_


def ready_by_pod(slice_: Object) -> dict[str, bool]:
    return {endpoint["targetRef"]["name"]: endpoint["conditions"]["ready"] for endpoint in slice_["endpoints"] or ()}


def test_a_service_without_pods_has_one_empty_slice() -> None:
    world = make_world()
    obj = world.create("services", service("web"))
    world.run()
    slice_ = only_slice(world)
    metadata = slice_["metadata"]
    assert metadata["name"].startswith("web-") and metadata["generateName"] == "web-"
    labels = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io", "kubernetes.io/service-name": "web"}
    assert metadata["labels"] == labels
    assert metadata["annotations"] == {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"}
    owner = {"apiVersion": "v1", "kind": "Service", "name": "web", "uid": obj["metadata"]["uid"]}
    assert metadata["ownerReferences"] == [{**owner, "controller": True, "blockOwnerDeletion": True}]
    assert (slice_["addressType"], slice_["endpoints"], slice_["ports"]) == ("IPv4", None, None)


def test_endpoints_follow_the_pods_as_recorded() -> None:
    world = make_world()
    ports = [{"name": "a", "port": 80, "targetPort": 8080}, {"name": "b", "port": 81, "protocol": "UDP"}]
    world.create("services", service("web", ports=ports))
    world.run()
    name = only_slice(world)["metadata"]["name"]
    world.create(DEPLOYMENTS, deployment("web", 3))
    world.run_until_quiet()
    slice_ = only_slice(world)
    assert slice_["metadata"]["name"] == name, "the empty slice is written over"
    expected_ports = [{"name": "a", "protocol": "TCP", "port": 8080}, {"name": "b", "protocol": "UDP", "port": 81}]
    assert slice_["ports"] == expected_ports
    one = world.all("pods")[0]
    endpoint = next(found for found in slice_["endpoints"] if found["targetRef"]["name"] == one["metadata"]["name"])
    node = one["spec"]["nodeName"]
    assert endpoint == {
        "addresses": [one["status"]["podIP"]],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "targetRef": {"kind": "Pod", "namespace": "default", "name": one["metadata"]["name"], "uid": one["metadata"]["uid"]},
        "nodeName": node,
        "zone": "z1" if node == "node-1" else "z0",
    }
    world.kubelet.set_ready("default", one["metadata"]["name"], False)
    world.run_until_quiet()
    assert ready_by_pod(only_slice(world))[one["metadata"]["name"]] is False
    world.merge("services", "web", {"spec": {"publishNotReadyAddresses": True}})
    world.run_until_quiet()
    assert all(ready_by_pod(only_slice(world)).values())
    world.merge("services", "web", {"spec": {"selector": {"app": "none"}}})
    world.run_until_quiet()
    assert (only_slice(world)["endpoints"], only_slice(world)["ports"]) == (None, None)


def test_a_dying_pod_serves_until_it_is_gone() -> None:
    world = make_world()
    world.kubelet.stop_ns = 10_000_000_000
    world.create("services", service("web"))
    world.create(DEPLOYMENTS, deployment("web", 2))
    world.run_until_quiet()
    world.merge(DEPLOYMENTS, "web", {"spec": {"replicas": 1}})
    world.run(2)
    conditions = sorted((found["conditions"] for found in only_slice(world)["endpoints"]), key=lambda found: found["ready"])
    assert conditions == [
        {"ready": False, "serving": True, "terminating": True},
        {"ready": True, "serving": True, "terminating": False},
    ]
    world.run(12)
    assert len(only_slice(world)["endpoints"]) == 1
    assert "annotations" not in only_slice(world)["metadata"], "no change of readiness triggered the last write"


def test_a_port_by_name_is_looked_up_in_the_pod_and_a_missing_one_left_out() -> None:
    world = make_world()
    ports = [{"name": "w", "port": 80, "targetPort": "web"}, {"name": "missing", "port": 81, "targetPort": "nope"}]
    world.create("services", service("web", ports=ports))
    obj = deployment("web", 1)
    obj["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"name": "web", "containerPort": 8081}]
    world.create(DEPLOYMENTS, obj)
    world.run_until_quiet()
    assert only_slice(world)["ports"] == [{"name": "w", "protocol": "TCP", "port": 8081}]


@pytest.mark.parametrize(
    "spec", [{"selector": None}, {"type": "ExternalName", "externalName": "a.b", "ports": None}], ids=["no selector", "ExternalName"]
)
def test_services_that_have_no_endpoints(spec: Object) -> None:
    world = make_world()
    world.create("services", service("web", **spec))
    world.create("pods", pod("web-1", {"app": "web"}))
    world.run()
    assert world.all(SLICES) == []


def test_a_headless_service_marks_its_slices_and_names_pods_with_its_subdomain() -> None:
    world = make_world()
    world.create("services", service("db", clusterIP="None", labels={"team": "blue"}))
    world.create("pods", pod("db-0", {"app": "db"}, hostname="db-0", subdomain="db"))
    world.run()
    slice_ = only_slice(world)
    assert slice_["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    assert slice_["metadata"]["labels"]["team"] == "blue"
    assert slice_["endpoints"][0]["hostname"] == "db-0"


def test_labels_of_the_service_reach_its_slices() -> None:
    world = make_world()
    world.create("services", service("web"))
    world.run()
    world.merge("services", "web", {"metadata": {"labels": {"team": "blue"}}})
    world.run()
    assert only_slice(world)["metadata"]["labels"]["team"] == "blue"


def test_a_pod_on_a_node_that_is_not_there_waits_for_it() -> None:
    world = make_world()
    world.create("services", service("web"))
    world.create("pods", pod("web-1", {"app": "web"}, nodeName="node-9"))
    world.run()
    assert only_slice(world)["endpoints"] is None
    labels = {"topology.kubernetes.io/zone": "z9"}
    world.create("nodes", {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "node-9", "labels": labels}})
    world.run()
    assert only_slice(world)["endpoints"][0]["zone"] == "z9"


def test_many_endpoints_are_packed_into_slices_of_100_and_quiet_means_quiet() -> None:
    world = make_world(nodes=5)
    world.create("services", service("web"))
    world.create(DEPLOYMENTS, deployment("web", 250))
    world.run_until_quiet()
    sizes = sorted(len(slice_["endpoints"]) for slice_ in world.all(SLICES))
    assert sum(sizes) == 250 and max(sizes) <= ENDPOINTS_MAX and len(sizes) == 3
    names = [endpoint["targetRef"]["name"] for slice_ in world.all(SLICES) for endpoint in slice_["endpoints"]]
    assert sorted(names) == sorted(found["metadata"]["name"] for found in world.all("pods"))
    revision = world.server.store.revision
    world.run(600)
    assert world.server.store.revision == revision


# -- the plan --

HTTP: PortsKey = (("", "TCP", 80, ""),)
GRPC: PortsKey = (("", "TCP", 81, ""),)


def endpoint(name: str, ready: bool, ports: PortsKey) -> Endpoint:
    target = {"kind": "Pod", "namespace": "ns", "name": name, "uid": f"uid-{name}"}
    return Endpoint(ports, {"addresses": ["10.0.0.1"], "conditions": {"ready": ready}, "targetRef": target})


def apply_plan(family: Family, counter: list[int]) -> None:
    """Do to the family's slices what the requests of a plan would do."""
    found = plan(family)
    for key in found.delete:
        family.show(key, None)
    writes = list(found.update)
    for ports, endpoints in found.create:
        counter[0] += 1
        writes.append((f"ns/slice-{counter[0]}", ports, endpoints))
    for key, ports, endpoints in writes:
        family.show(key, {"addressType": "IPv4", "ports": ports_value(ports), "endpoints": endpoints or None})


CHANGES = st.lists(
    st.tuples(st.integers(0, 260), st.sampled_from(["ready", "not ready", "gone"]), st.sampled_from([HTTP, HTTP, GRPC])), max_size=40
)


@settings(max_examples=60, deadline=None)
@given(first=st.integers(0, 230), rounds=st.lists(CHANGES, max_size=5))
def test_after_every_plan_each_pod_is_shown_once(first: int, rounds: list[list[tuple[int, str, PortsKey]]]) -> None:
    family, counter = Family("IPv4"), [0]
    for number in range(first):
        family.want(f"ns/p{number}", endpoint(f"p{number}", True, HTTP))
    for changes in [[], *rounds]:
        for number, what, ports in changes:
            family.want(f"ns/p{number}", None if what == "gone" else endpoint(f"p{number}", what == "ready", ports))
        apply_plan(family, counter)
        shown: dict[str, Endpoint] = {}
        for slice_ in family.slices.values():
            assert len(slice_["endpoints"] or ()) <= ENDPOINTS_MAX
            ports = tuple((found["name"], found["protocol"], found["port"], "") for found in slice_["ports"] or ())
            for value in slice_["endpoints"] or ():
                assert pod_key_of(value) not in shown
                shown[pod_key_of(value)] = Endpoint(ports, value)
        assert shown == family.desired
        assert not family.different and not family.odd
        assert family.slices, "one slice always stays"
        again = plan(family)
        assert (again.create, again.update, again.delete) == ([], [], [])


def test_two_pods_that_swap_their_ports_swap_their_slices() -> None:
    family, counter = Family("IPv4"), [0]
    for ports in ((HTTP, GRPC), (GRPC, HTTP)):
        for name, mine in zip(("a", "b"), ports, strict=True):
            family.want(f"ns/{name}", endpoint(name, True, mine))
        apply_plan(family, counter)
    assert not family.different and not family.odd and len(family.slices) == 2


def test_a_slice_that_shows_a_pod_twice_or_a_stranger_is_put_right() -> None:
    family = Family("IPv4")
    good = endpoint("a", True, HTTP)
    family.want("ns/a", good)
    stranger = {"addresses": ["10.9.9.9"], "conditions": {}}
    family.show("ns/s1", {"addressType": "IPv4", "ports": ports_value(HTTP), "endpoints": [good.value, stranger]})
    family.show("ns/s2", {"addressType": "IPv4", "ports": ports_value(HTTP), "endpoints": [dict(good.value)]})
    apply_plan(family, [0])
    assert [slice_["endpoints"] for slice_ in family.slices.values()] == [[good.value]]


def test_a_few_new_endpoints_go_into_the_fullest_slice_that_takes_them() -> None:
    family = Family("IPv4")
    for index, size in enumerate((98, 40, 90)):
        values = [endpoint(f"s{index}-{number}", True, HTTP) for number in range(size)]
        for value in values:
            family.want(pod_key_of(value.value), value)
        family.show(f"ns/s{index}", {"addressType": "IPv4", "ports": ports_value(HTTP), "endpoints": [value.value for value in values]})
    for number in range(5):
        family.want(f"ns/new{number}", endpoint(f"new{number}", True, HTTP))
    found = plan(family)
    assert [(key, len(endpoints)) for key, _, endpoints in found.update] == [("ns/s2", 95)]
    assert found.create == found.delete == []
