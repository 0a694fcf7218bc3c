"""Nodes that fall silent: health, taints, eviction, and the Pods of nodes that are gone."""

from typing import Any

import pytest
from world import REPLICA_SETS, World, pod, replica_set

from kubesim.apiserver.requests import Object, create, get, update
from kubesim.controllers import all_controllers
from kubesim.controllers.node_lifecycle import GRACE_NS, Zones, silence_deadline_ns
from kubesim.controllers.pod_gc import PodGarbageCollector
from kubesim.controllers.taint_eviction import tolerated_seconds
from kubesim.kernel import EPOCH_NS, SECOND, format_micro_time, format_time

LEASES = "leases.coordination.k8s.io"
NO_EXECUTE = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}


def make_world(nodes: int = 3, heartbeats: bool = True, **options: Any) -> World:
    world = World(all_controllers(), nodes=nodes, **options)
    for index in range(nodes if heartbeats else 0):
        set_ready(world, f"node-{index}", "True")
    world.run()
    return world


def set_ready(world: World, name: str, status: str) -> None:
    node, now = world.get("nodes", name, ""), format_time(world.kernel.now_ns)
    condition = {"type": "Ready", "status": status, "lastHeartbeatTime": now, "lastTransitionTime": now, "reason": "KubeletReady"}
    world.user.send(update("nodes", {**node, "status": {**node["status"], "conditions": [condition]}}, "status"))


def lease(world: World, name: str) -> Object:
    metadata = {"name": name, "namespace": "kube-node-lease"}
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": format_micro_time(world.kernel.now_ns)}
    return {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": metadata, "spec": spec}


def stand(world: World, name: str) -> Any:
    return world.user.stand(create(LEASES, "kube-node-lease", lease(world, name)), 10 * SECOND)


def taints(world: World, name: str) -> list[tuple[str, str]]:
    return [(taint["key"].partition("/")[2], taint["effect"]) for taint in world.get("nodes", name, "")["spec"].get("taints") or ()]


def ready(world: World, name: str) -> tuple[str, str]:
    conditions = world.get("nodes", name, "")["status"]["conditions"]
    found = next(condition for condition in conditions if condition["type"] == "Ready")
    return found["status"], found["reason"]


def test_a_node_that_becomes_ready_loses_the_taint_it_was_born_with() -> None:
    world = make_world(heartbeats=False)
    world.create("nodes", {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "new"}})
    set_ready(world, "new", "False")
    world.run()
    assert taints(world, "new")[0] == ("not-ready", "NoSchedule")
    set_ready(world, "new", "True")
    world.run()
    assert taints(world, "new") == []


def test_a_cordoned_node_is_tainted_and_untainted() -> None:
    world = make_world()
    world.merge("nodes", "node-0", {"spec": {"unschedulable": True}}, "")
    world.run()
    assert taints(world, "node-0") == [("unschedulable", "NoSchedule")]
    world.merge("nodes", "node-0", {"spec": {"unschedulable": None}}, "")
    world.run()
    assert taints(world, "node-0") == []


def test_a_silent_node_becomes_unknown_and_its_pods_are_evicted_after_300_s() -> None:
    world = make_world()
    for index in (1, 2):
        stand(world, f"node-{index}")
    world.create(REPLICA_SETS, replica_set("web", 3))
    world.run(2)
    name = next(found["metadata"]["name"] for found in world.all("pods") if found["spec"]["nodeName"] == "node-0")
    world.run_until(lambda: ready(world, "node-0")[0] == "Unknown", 70)
    silent_s = (world.kernel.now_ns - EPOCH_NS) / SECOND
    assert silent_s == 60, "heard at 0 s, seen at the look at 5 s, missed at the first look more than 50 s later"
    world.run(1)
    assert ready(world, "node-0") == ("Unknown", "NodeStatusUnknown")
    assert taints(world, "node-0") == [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")]
    conditions = {found["type"]: found["status"] for found in world.get("pods", name)["status"]["conditions"]}
    assert conditions["Ready"] == "False"
    assert "Node node-0 status is now: NodeNotReady" in world.events("NodeNotReady")
    world.run(290)
    assert not world.get("pods", name)["metadata"].get("deletionTimestamp")
    world.run(15)
    gone = world.find("pods", name)
    assert gone is None or gone["metadata"]["deletionTimestamp"]
    assert f"Marking for deletion Pod default/{name}" in world.events("TaintManagerEviction")
    assert [ready(world, f"node-{index}")[0] for index in (1, 2)] == ["True", "True"], "standing leases are fresh"


def test_a_node_that_comes_back_in_time_keeps_its_pods() -> None:
    world = make_world()
    for index in (1, 2):
        stand(world, f"node-{index}")
    world.create(REPLICA_SETS, replica_set("web", 3))
    world.run(100)
    assert ready(world, "node-0")[0] == "Unknown"
    set_ready(world, "node-0", "True")
    stand(world, "node-0")
    world.run(400)
    assert taints(world, "node-0") == []
    assert len(world.all("pods")) == 3
    assert any(message.startswith("Cancelling deletion of Pod default/web-") for message in world.events("TaintManagerEviction"))


def test_idle_nodes_with_standing_leases_cost_nothing_and_a_dead_one_is_noticed_as_with_real_renewals() -> None:
    standing, real = make_world(), make_world()
    leases = [stand(standing, f"node-{index}") for index in range(3)]
    for index in range(3):
        real.call(create(LEASES, "kube-node-lease", lease(real, f"node-{index}")))
    start_ns = standing.kernel.now_ns
    before = standing.kernel.dispatched_count
    for _ in range(60):
        standing.run(10)
        real.run(10)
        for index in range(3):
            known = real.call(get(LEASES, "kube-node-lease", f"node-{index}"))
            real.call(update(LEASES, {**known, "spec": lease(real, f"node-{index}")["spec"]}))
    assert standing.kernel.dispatched_count - before < 20
    leases[0].cancel()
    noticed = []
    for world in (standing, real):
        if world is real:  # the other two go on
            for index in (1, 2):
                known = real.call(get(LEASES, "kube-node-lease", f"node-{index}"))
                metadata = {**known["metadata"], "annotations": {"kubesim.dev/standing-renewal": "10s"}}
                real.call(update(LEASES, {**known, "metadata": metadata}))
        world.run_until(lambda: ready(world, "node-0")[0] == "Unknown", 90)  # noqa: B023
        noticed.append(world.kernel.now_ns - start_ns)
    assert noticed[0] == noticed[1]


@pytest.mark.parametrize(
    ("heartbeat_s", "renew_s", "deadline_s"),
    [(0, None, 55), (1, None, 55), (5, None, 60), (0, 12, 65), (30, 12, 85)],
)
def test_the_deadline_of_silence(heartbeat_s: int, renew_s: int | None, deadline_s: int) -> None:
    time = format_time(EPOCH_NS + heartbeat_s * SECOND)
    conditions = [{"type": "Ready", "status": "True", "lastHeartbeatTime": time}]
    node = {"metadata": {"name": "n", "creationTimestamp": format_time(EPOCH_NS)}, "status": {"conditions": conditions}}
    heard = None
    if renew_s is not None:
        heard = {"metadata": {"name": "n"}, "spec": {"renewTime": format_micro_time(EPOCH_NS + renew_s * SECOND)}}
    deadline = silence_deadline_ns(node, heard)
    assert deadline is not None and (deadline - EPOCH_NS) // SECOND == deadline_s + 5
    assert GRACE_NS == 50 * SECOND


def test_a_zone_is_emptied_one_node_per_10_s_and_not_at_all_when_everything_is_down() -> None:
    zones = Zones()
    node: Object = {"metadata": {"labels": {"topology.kubernetes.io/zone": "a"}}}
    for index in range(10):
        zones.note(f"n{index}", node, ready=index >= 2)
    assert zones.wait_ns("n0", 0) is None
    assert zones.wait_ns("n1", 3 * SECOND) == 7 * SECOND
    assert zones.wait_ns("n1", 10 * SECOND) is None
    for index in range(6):
        zones.note(f"n{index}", node, ready=False)
    assert zones.wait_ns("n2", 60 * SECOND) == 5 * SECOND, "60 % of a small zone: none goes, ask again at the next look"
    for index in range(10):
        zones.note(f"n{index}", node, ready=False)
    assert zones.wait_ns("n3", 120 * SECOND) == 5 * SECOND, "every zone is down: the network is to blame, not the nodes"


@pytest.mark.parametrize(
    ("tolerations", "seconds"),
    [
        ([], 0),
        ([{"operator": "Exists"}], None),
        ([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}], 300),
        ([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": -5}], 0),
        ([{"key": "node.kubernetes.io/unreachable", "value": "x"}], 0),
        ([{"key": "node.kubernetes.io/unreachable"}], None),
        ([{"key": "other", "operator": "Exists"}], 0),
        ([{"operator": "Exists", "effect": "NoSchedule"}], 0),
    ],
)
def test_tolerated_seconds(tolerations: list[Object], seconds: int | None) -> None:
    assert tolerated_seconds(pod("p", {}, tolerations=tolerations), [NO_EXECUTE]) == seconds


def test_the_shortest_toleration_counts_and_every_taint_must_be_tolerated() -> None:
    other = {"key": "other", "effect": "NoExecute"}
    both = [{"operator": "Exists", "key": "other", "tolerationSeconds": 7}, {"operator": "Exists", "tolerationSeconds": 60}]
    assert tolerated_seconds(pod("p", {}, tolerations=both), [NO_EXECUTE, other]) == 7
    assert tolerated_seconds(pod("p", {}, tolerations=both[:1]), [NO_EXECUTE, other]) == 0


def test_pods_of_a_vanished_node_are_failed_and_deleted_after_the_quarantine() -> None:
    world = World([PodGarbageCollector()])
    world.create("serviceaccounts", {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default", "namespace": "default"}})
    world.create("pods", pod("p", {}, nodeName="node-0"))
    world.create("pods", pod("q", {}, nodeName="node-1"))
    world.run(1)
    phases: list[str] = []
    world.server.audit.append(lambda _, request, obj, __: phases.append((obj.get("status") or {}).get("phase", "")))
    world.delete("nodes", "node-0", "")
    world.run(40)
    assert world.find("pods", "p") is not None
    world.run(25)
    assert world.find("pods", "p") is None and world.find("pods", "q") is not None
    assert "Failed" in phases


def test_a_node_that_is_back_before_the_quarantine_ends_keeps_its_pods() -> None:
    world = World([PodGarbageCollector()])
    world.create("serviceaccounts", {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default", "namespace": "default"}})
    world.create("pods", pod("p", {}, nodeName="node-0"))
    world.run(1)
    world.delete("nodes", "node-0", "")
    world.run(30)
    world.create("nodes", {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "node-0"}})
    world.run(100)
    assert world.find("pods", "p") is not None
