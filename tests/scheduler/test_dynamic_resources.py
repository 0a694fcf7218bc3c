"""Resource claims: which devices a node gives, in which order, why not; reservations in a cluster."""

from typing import Any

import pytest

from kubesim.apiserver.requests import create, get, patch
from kubesim.scheduler import SchedulingEngine
from kubesim.scheduler.profile import FIRST, SchedulerConfig
from tests.scheduler.builders import node, pod
from tests.scheduler.test_scheduler import World

Object = dict[str, Any]
DRIVER = "gpu.example.com"
CLASS: Object = {"metadata": {"name": "gpu"}, "spec": {"selectors": [{"cel": {"expression": f'device.driver == "{DRIVER}"'}}]}}


def device(name: str, memory: str = "40Gi", model: str = "a100", numa: int = 0, **more: Any) -> Object:
    attributes = {"model": {"string": model}, "numa": {"int": numa}, "version": {"version": "1.2.3"}, "fast": {"bool": model == "h100"}}
    return {"name": name, "attributes": attributes, "capacity": {"memory": {"value": memory}}, **more}


def slice_of(node_name: str, *devices: Object, **spec: Any) -> Object:
    pool = {"name": node_name or "shared", "generation": 1, "resourceSliceCount": 1, **spec.pop("pool", {})}
    where = {"nodeName": node_name} if node_name else {}
    name = spec.pop("name", f"slice-{pool['name']}")
    return {"metadata": {"name": name}, "spec": {"driver": DRIVER, "pool": pool, "devices": list(devices), **where, **spec}}


def request(name: str = "r", *expressions: str, **more: Any) -> Object:
    exactly = {"deviceClassName": "gpu", "selectors": [{"cel": {"expression": text}} for text in expressions], **more}
    return {"name": name, "exactly": exactly}


def claim(name: str, *requests: Object, **devices: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"c-{name}"},
        "spec": {"devices": {"requests": list(requests), **devices}},
    }


def user(name: str, *claims: str) -> Object:
    return pod(name, resourceClaims=[{"name": each, "resourceClaimName": each} for each in claims])


def engine_with(*objects: Object, nodes: int = 2) -> SchedulingEngine:
    engine = SchedulingEngine(SchedulerConfig(tie_break=FIRST))
    for index in range(1, nodes + 1):
        engine.add_node(node(f"n{index}"))
    engine.set_object("deviceclasses", CLASS)
    for obj in objects:
        spec = obj["spec"]
        engine.set_object("resourceslices" if "driver" in spec else "deviceclasses" if "selectors" in spec else "resourceclaims", obj)
    return engine


def devices_of(engine: SchedulingEngine, name: str) -> list[str]:
    found = engine.objects.get("resourceclaims", f"default/{name}")
    assert found is not None
    results = found.get("status", {}).get("allocation", {"devices": {"results": []}})["devices"]["results"]
    return [f"{result['request']}={result['device']}" for result in results]


A, B, C = device("a"), device("b", "80Gi", "h100", 1), device("c", "80Gi", "h100", 0)
ALLOCATIONS = {
    "the first device": ([request()], {}, ["r=a"]),
    "a selector over attributes": ([request("r", f'device.attributes["{DRIVER}"].model == "h100"')], {}, ["r=b"]),
    "a selector over capacity": ([request("r", f'device.capacity["{DRIVER}"].memory.compareTo(quantity("64Gi")) >= 0')], {}, ["r=b"]),
    "a version and a domain that is not there": (
        [request("r", f'device.attributes["{DRIVER}"].version.isGreaterThan(semver("1.2.0")) && !has(device.attributes["x.y"].z)')],
        {},
        ["r=a"],
    ),
    "two of a request": ([request("r", count=2)], {}, ["r=a", "r=b"]),
    "two requests": ([request("r"), request("s")], {}, ["r=a", "s=b"]),
    "all": ([request("r", allocationMode="All")], {}, ["r=a", "r=b", "r=c"]),
    "devices of one value": ([request("r", count=2)], {"constraints": [{"matchAttribute": f"{DRIVER}/numa"}]}, ["r=a", "r=c"]),
    "devices of different values": (
        [request("r", f'device.attributes["{DRIVER}"].fast', count=2)],
        {"constraints": [{"distinctAttribute": f"{DRIVER}/numa"}]},
        ["r=b", "r=c"],
    ),
    "a constraint on some requests": (
        [request("r"), request("s"), request("t")],
        {"constraints": [{"matchAttribute": f"{DRIVER}/model", "requests": ["r", "t"]}]},
        ["r=b", "s=a", "t=c"],
    ),
    "the first that is available": (
        [
            {
                "name": "r",
                "firstAvailable": [
                    {"name": "many", "deviceClassName": "gpu", "count": 4},
                    {"name": "big", "deviceClassName": "gpu", "count": 2},
                ],
            }
        ],
        {},
        ["r/big=a", "r/big=b"],
    ),
    "more than there are": ([request("r", count=4)], {}, []),
    "no device has the attribute": ([request("r", count=1)], {"constraints": [{"matchAttribute": "x.y/z"}]}, []),
}


@pytest.mark.parametrize(("requests", "more", "expected"), ALLOCATIONS.values(), ids=ALLOCATIONS)
def test_what_a_claim_gets(requests: list[Object], more: Object, expected: list[str]) -> None:
    engine = engine_with(slice_of("n2", A, B, C), claim("c", *requests, **more))
    decision = engine.schedule(user("p", "c"))
    assert devices_of(engine, "c") == expected
    assert decision.node_name == ("n2" if expected else "")
    if expected:
        allocation = engine.objects.get("resourceclaims", "default/c")["status"]["allocation"]
        assert allocation["nodeSelector"]["nodeSelectorTerms"][0]["matchFields"][0]["values"] == ["n2"]
    else:
        assert decision.message.startswith("0/2 nodes are available: 2 cannot allocate all claims. still not schedulable, preemption: ")


def test_devices_are_given_once_and_admins_may_look_at_all() -> None:
    claims = [claim("c1", request()), claim("c2", request()), claim("admin", request("r", adminAccess=True, allocationMode="All"))]
    engine = engine_with(slice_of("n1", A), *claims)
    assert engine.schedule(user("p1", "c1")).node_name == "n1"
    refused = engine.schedule(user("p2", "c2"))
    assert refused.unschedulable_plugins == ("DynamicResources",)
    assert engine.schedule(user("p3", "admin")).node_name == "n1"
    assert devices_of(engine, "admin") == ["r=a"]
    assert engine.schedule(user("p4", "c1")).node_name == "n1", "a claim may be shared, where its device is"


def shared(name: str, memory: str = "40Gi", **policy: Any) -> Object:
    capacity = {"memory": {"value": memory, **({"requestPolicy": policy} if policy else {})}}
    return {"name": name, "allowMultipleAllocations": True, "capacity": capacity}


def asks(amount: str) -> Object:
    return request("r", capacity={"requests": {"memory": amount}})


STEPS: Object = {"default": "1Gi", "validRange": {"min": "2Gi", "step": "3Gi", "max": "11Gi"}}
SIZES: Object = {"default": "1Gi", "validValues": ["1Gi", "4Gi", "16Gi"]}
SHARES: dict[str, tuple[Object, list[Object], list[str | None]]] = {
    "as asked, until it is used up": (shared("a"), [asks("16Gi"), asks("16Gi"), asks("16Gi"), asks("8Gi")], ["16Gi", "16Gi", None, "8Gi"]),
    "all of it without a request": (shared("a"), [request(), request()], ["40Gi", None]),
    "the policy's default": (shared("a", **SIZES), [request()], ["1Gi"]),
    "the next valid value": (shared("a", **SIZES), [asks("2Gi"), asks("5Gi"), asks("17Gi")], ["4Gi", "16Gi", None]),
    "the next step": (shared("a", **STEPS), [asks("1Gi"), asks("3Gi"), asks("5Gi"), asks("12Gi")], ["2Gi", "5Gi", "5Gi", None]),
    "a capacity that it does not have": (shared("a"), [request("r", capacity={"requests": {"cores": "1"}})], [None]),
    "more than a device has that is not shared": (device("a"), [asks("41Gi")], [None]),
}


@pytest.mark.parametrize("name", SHARES)
def test_capacity_is_consumed(name: str) -> None:
    found, requests, expected = SHARES[name]
    claims = [claim(f"c{index}", body) for index, body in enumerate(requests)]
    engine = engine_with(slice_of("n1", found), *claims)
    for index, amount in enumerate(expected):
        assert bool(engine.schedule(user(f"p{index}", f"c{index}")).node_name) == (amount is not None), index
        if amount is not None:
            obj = engine.objects.get("resourceclaims", f"default/c{index}")
            assert obj is not None
            result = obj["status"]["allocation"]["devices"]["results"][0]
            assert (result["consumedCapacity"], len(result["shareID"])) == ({"memory": amount}, 36)


def test_counters_are_shared_by_the_partitions_of_a_device() -> None:
    def part(name: str, memory: str) -> Object:
        return device(name, consumesCounters=[{"counterSet": "gpu-0", "counters": {"memory": {"value": memory}}}])

    counters = [{"name": "gpu-0", "counters": {"memory": {"value": "40Gi"}}}]
    parts = slice_of("n1", part("whole", "40Gi"), part("left", "20Gi"), part("right", "20Gi"), pool={"resourceSliceCount": 2})
    shared = slice_of("n1", name="counters", sharedCounters=counters, pool={"resourceSliceCount": 2})
    claims = [claim(name, request("r", f'device.capacity["{DRIVER}"].memory.compareTo(quantity("1Gi")) > 0')) for name in ("x", "y", "z")]
    engine = engine_with(parts, shared, *claims, claim("two", request("r", count=2)), nodes=1)
    assert engine.schedule(user("p", "two")).node_name == "n1"
    assert devices_of(engine, "two") == ["r=left", "r=right"], "the whole one leaves nothing for a second"
    assert engine.schedule(user("q", "x")).node_name == ""


def test_taints_of_devices_have_to_be_tolerated() -> None:
    tainted = device("t", taints=[{"key": "broken", "effect": "NoSchedule"}])
    tolerant = claim("tolerant", request("r", tolerations=[{"key": "broken", "operator": "Exists"}]))
    engine = engine_with(slice_of("n1", tainted), claim("plain", request()), tolerant)
    assert engine.schedule(user("p", "plain")).node_name == ""
    assert engine.schedule(user("q", "tolerant")).node_name == "n1"


def test_an_earlier_sub_request_is_worth_more() -> None:
    subs = [
        {
            "name": "best",
            "deviceClassName": "gpu",
            "selectors": [{"cel": {"expression": f'device.attributes["{DRIVER}"].model == "h100"'}}],
        },
        {"name": "any", "deviceClassName": "gpu"},
    ]
    engine = engine_with(slice_of("n1", A), slice_of("n2", B), claim("c", {"name": "r", "firstAvailable": subs}))
    assert engine.explain(user("p", "c"))["scores"]["n2"]["DynamicResources"] == 200
    assert engine.explain(user("p", "c"))["scores"]["n1"]["DynamicResources"] == 2 * (100 * 7 // 8)
    assert engine.schedule(user("p", "c")).node_name == "n2"


PROBLEMS = {
    "no claim": (user("p", "none"), [], 'resourceclaim "none" not found'),
    "a claim that is not made yet": (
        pod("p", resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "t"}]),
        [],
        'pod "default/p": ResourceClaim not created yet',
    ),
    "no class": (user("p", "c"), [claim("c", request("r", deviceClassName="none"))], "request r: device class none does not exist"),
    "an expression that means nothing": (
        user("p", "c"),
        [claim("c", request("r", "devise.driver"))],
        "2 claim default/c: selector #0: CEL compile error: compilation failed: ERROR: <input>:1:1: undeclared reference to 'devise'",
    ),
    "an attribute that is not there": (
        user("p", "c"),
        [claim("c", request("r", f'device.attributes["{DRIVER}"].nothing == 1'))],
        f"claim default/c: selector #0 on device {DRIVER}/shared/a: CEL runtime error: no such key: nothing",
    ),
    "all of a pool that is not complete": (
        user("p", "c"),
        [
            claim("c", request("r", allocationMode="All")),
            slice_of("", A, allNodes=True, name="half", pool={"name": "half", "resourceSliceCount": 2}),
        ],
        f"claim default/c, request r: asks for all devices, but resource pool {DRIVER}/half is currently being updated",
    ),
}


@pytest.mark.parametrize(("obj", "objects", "message"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_is_wrong_is_said_in_upstreams_words(obj: Object, objects: list[Object], message: str) -> None:
    engine = engine_with(slice_of("", A, allNodes=True), *objects)
    decision = engine.schedule(obj)
    assert decision.node_name == ""
    assert message in decision.message


def test_in_a_cluster_the_claim_is_written_before_the_pod_is_bound() -> None:
    world = World()
    world.add_node("n1")
    api = {"apiVersion": "resource.k8s.io/v1"}
    slice_ = slice_of("n1", A)
    made = claim("c", request())
    del made["metadata"]["uid"]
    world.call(create("deviceclasses.resource.k8s.io", "", {**api, "kind": "DeviceClass", **CLASS}))
    world.call(create("resourceslices.resource.k8s.io", "", {**api, "kind": "ResourceSlice", **slice_}))
    consumer = user("a", "c")
    del consumer["metadata"]["uid"], consumer["status"]
    world.call(create("pods", "default", consumer))
    world.scheduler.start()
    world.run()
    assert world.condition("a")["message"].startswith('0/1 nodes are available: resourceclaim "c" not found.')
    world.call(create("resourceclaims.resource.k8s.io", "default", {**api, "kind": "ResourceClaim", **made}))
    world.run(2_000_000_000)
    assert world.node_of("a") == "n1"
    found = world.call(get("resourceclaims.resource.k8s.io", "default", "c"))
    assert found["status"]["allocation"]["devices"]["results"] == [{"request": "r", "driver": DRIVER, "pool": "n1", "device": "a"}]
    assert found["status"]["reservedFor"] == [{"resource": "pods", "name": "a", "uid": world.pod("a")["metadata"]["uid"]}]
    assert found["metadata"]["finalizers"] == ["resource.kubernetes.io/delete-protection"]
    binding = world.writes.index("create pods/binding")
    assert world.writes[:binding].count("update resourceclaims.resource.k8s.io/status") == 1
    world.check()


def test_a_claim_on_the_wrong_node_is_given_back() -> None:
    world = World()
    world.add_node("n1", unschedulable=True)
    world.add_node("n2")
    api = {"apiVersion": "resource.k8s.io/v1"}
    made = claim("c", request())
    del made["metadata"]["uid"]
    world.call(create("deviceclasses.resource.k8s.io", "", {**api, "kind": "DeviceClass", **CLASS}))
    world.call(create("resourceclaims.resource.k8s.io", "default", {**api, "kind": "ResourceClaim", **made}))
    field = {"key": "metadata.name", "operator": "In", "values": ["n1"]}
    result = {"request": "r", "driver": DRIVER, "pool": "n1", "device": "a"}
    allocation = {"devices": {"results": [result]}, "nodeSelector": {"nodeSelectorTerms": [{"matchFields": [field]}]}}
    world.call(patch("resourceclaims.resource.k8s.io", "default", "c", {"status": {"allocation": allocation}}, "merge", "status"))
    consumer = user("a", "c")
    del consumer["metadata"]["uid"], consumer["status"]
    world.call(create("pods", "default", consumer))
    world.scheduler.start()
    world.run(2_000_000)
    assert "deallocation of ResourceClaim completed" in world.events()[0][2]
    assert "allocation" not in world.call(get("resourceclaims.resource.k8s.io", "default", "c")).get("status", {})
