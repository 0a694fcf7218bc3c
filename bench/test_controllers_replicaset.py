"""Benchmarks of the controllers: Pods of one large ReplicaSet from creation to ready, alone and behind a Service; mass deletion."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "controllers"))

from world import REPLICA_SETS, SLICES, World, replica_set

from kubesim.apiserver.requests import Object, WatchEvent
from kubesim.client.informer import Informer
from kubesim.controllers.endpoint_slice import EndpointSliceController
from kubesim.controllers.garbage_collector import GarbageCollector
from kubesim.controllers.owned_pods import OwnedPods
from kubesim.controllers.replicaset import ReplicaSetController
from kubesim.controllers.view import Caches

ACCOUNT = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default", "namespace": "default"}}


def make_pod(index: int, revision: int, ready: bool, shared: Object) -> Object:
    metadata = {"name": f"web-{index}", "namespace": "default", "uid": f"u{index}", "resourceVersion": str(revision), **shared}
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": str(ready)}]
    return {"kind": "Pod", "metadata": metadata, "spec": {}, "status": {"phase": "Running", "conditions": conditions}}


def test_counting_owned_pods(benchmark, scale) -> None:
    count = scale(200, 20_000)
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": True}
    shared: Object = {"labels": {"app": "web"}, "ownerReferences": [reference]}
    events = [WatchEvent("ADDED", make_pod(index, index + 1, False, shared), None, index + 1) for index in range(count)]
    events += [WatchEvent("MODIFIED", make_pod(index, count + index, True, shared), None, count + index) for index in range(count)]

    def run() -> OwnedPods:
        informer = Informer(None, "pods")
        owned = Caches(lambda _: informer).derived(OwnedPods)
        informer.on_events(events)
        return owned

    group = benchmark(run).group("rs")
    assert group is not None and (group.active, group.ready) == (count, count)
    benchmark.extra_info.update(room="controllers", operation="Pod events counted for one ReplicaSet", count=2 * count, unit="events")


def start_pods(replicas: int, service: bool) -> World:
    controllers = [ReplicaSetController(), *([EndpointSliceController()] if service else [])]
    world = World(controllers, nodes=10, debug=False)
    world.create("serviceaccounts", ACCOUNT)
    if service:
        spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
        world.create("services", {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "web", "namespace": "default"}, "spec": spec})
    world.kubelet.spread_ns = 200_000
    world.create(REPLICA_SETS, replica_set("web", replicas))
    world.run_until(lambda: world.get(REPLICA_SETS, "web")["status"].get("availableReplicas") == replicas, 600)
    return world


def test_a_large_replica_set_becomes_ready(benchmark, scale) -> None:
    """Apiserver, watches, controller, and a kubelet that only writes a status; Pods become ready one by one, 200 microseconds apart."""
    replicas = scale(50, 5_000)
    world = benchmark.pedantic(start_pods, args=(replicas, False), rounds=3)
    assert len(world.all("pods")) == replicas
    benchmark.extra_info.update(room="controllers", operation="one ReplicaSet: Pods created to ready", count=replicas, unit="pods")


def test_a_large_service_gets_its_endpoints(benchmark, scale) -> None:
    replicas = scale(50, 5_000)
    world = benchmark.pedantic(start_pods, args=(replicas, True), rounds=3)
    world.run(1)
    assert sum(len(found["endpoints"]) for found in world.all(SLICES)) == replicas
    benchmark.extra_info.update(room="controllers", operation="the same behind a Service", count=replicas, unit="pods")


def test_a_large_replica_set_is_collected(benchmark, scale) -> None:
    replicas = scale(50, 5_000)

    def prepare() -> tuple[tuple[World], dict[str, object]]:
        world = World([ReplicaSetController(), GarbageCollector()], nodes=10, debug=False)
        world.create("serviceaccounts", ACCOUNT)
        world.create(REPLICA_SETS, replica_set("web", replicas))
        world.run_until(lambda: world.get(REPLICA_SETS, "web")["status"].get("availableReplicas") == replicas, 600)
        return (world,), {}

    def collect(world: World) -> World:
        world.delete(REPLICA_SETS, "web", propagationPolicy="Background")
        world.run(2)
        return world

    result = []
    benchmark.pedantic(lambda world: result.append(collect(world)), setup=prepare, rounds=2)
    assert result[-1].all("pods") == []
    benchmark.extra_info.update(room="controllers", operation="Pods of a deleted ReplicaSet collected", count=replicas, unit="pods")
