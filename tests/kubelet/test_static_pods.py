"""Static Pods and their mirrors, ephemeral containers, graceful shutdown of a node."""

from typing import Any

import pytest

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Request
from kubesim.kernel.time import SECOND
from kubesim.kubelet.models.contract import Image
from kubesim.kubelet.shutdown import CRITICAL_PRIORITY, group_of, periods_of
from tests.kubelet.world import World, container, pod

IMAGES = {"*": Image(0)}
STATIC = {"metadata": {"name": "proxy", "labels": {"tier": "node"}}, "spec": {"containers": [container("main")]}}


def conditions(world: World) -> dict[str, Any]:
    return {each["type"]: each for each in world.get("node-0", "nodes")["status"]["conditions"]}


def test_a_static_pod_has_a_mirror() -> None:
    world = World(images=IMAGES)
    world.kubelets.add_static_pod("node-0", STATIC)
    world.run(5)
    mirror = world.get("proxy-node-0")
    annotations = mirror["metadata"]["annotations"]
    assert annotations["kubernetes.io/config.mirror"] == annotations["kubernetes.io/config.hash"]
    assert annotations["kubernetes.io/config.source"] == "file"
    assert mirror["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Node", "name": "node-0", "uid": world.get("node-0", "nodes")["metadata"]["uid"], "controller": True}
    ]
    assert mirror["spec"]["nodeName"] == "node-0"
    assert {"operator": "Exists", "effect": "NoExecute"} in mirror["spec"]["tolerations"]
    assert mirror["status"]["phase"] == "Running" and world.conditions("proxy-node-0")["Ready"] == "True"


def test_a_mirror_that_is_deleted_comes_back_and_its_containers_never_notice() -> None:
    world = World(images=IMAGES)
    world.kubelets.add_static_pod("node-0", STATIC)
    world.run(5)
    before = world.get("proxy-node-0")
    for options in ({}, {"gracePeriodSeconds": 0}):
        world.delete("proxy-node-0", **options)
        world.run(5)
    after = world.get("proxy-node-0")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert "deletionTimestamp" not in after["metadata"]
    for field in ("state", "restartCount", "containerID"):
        assert after["status"]["containerStatuses"][0][field] == before["status"]["containerStatuses"][0][field]
    assert world.converge()


def test_a_static_pod_runs_without_an_apiserver() -> None:
    world = World(images=IMAGES)
    world.run(1)
    world.kubelets.disconnect("node-0")
    world.kubelets.add_static_pod("node-0", STATIC)
    world.run(60)
    assert not world.has("proxy-node-0")
    world.kubelets.reconnect("node-0")
    world.run(1)
    started = world.status("proxy-node-0")["containerStatuses"][0]["state"]["running"]["startedAt"]
    assert started < "2026-01-01T00:00:05Z"


def test_a_static_pod_survives_its_node() -> None:
    world = World(images=IMAGES)
    world.kubelets.add_static_pod("node-0", STATIC)
    world.run(5)
    world.kubelets.fail("node-0")
    world.run(5)
    world.delete("proxy-node-0", gracePeriodSeconds=0)
    world.run(5)
    world.kubelets.restore("node-0")
    world.run(30)
    assert world.status("proxy-node-0")["phase"] == "Running"
    assert world.status("proxy-node-0")["containerStatuses"][0]["restartCount"] == 1


def test_a_static_pod_goes_with_its_file() -> None:
    world = World(images=IMAGES)
    agent = world.kubelets.node("node-0")
    agent.add_static(STATIC)
    with pytest.raises(ValueError, match="has it already"):
        agent.add_static(STATIC)
    world.run(5)
    agent.remove_static("proxy")
    world.run(5)
    assert not world.has("proxy-node-0") and not agent.workers and not agent.mirrors
    with pytest.raises(ValueError, match="has none of this name"):
        agent.remove_static("proxy")


def test_a_mirror_without_its_static_pod_is_deleted() -> None:
    world = World(images=IMAGES)
    annotations = {"kubernetes.io/config.mirror": "x", "kubernetes.io/config.hash": "x"}
    owner = {"apiVersion": "v1", "kind": "Node", "name": "node-0", "uid": world.get("node-0", "nodes")["metadata"]["uid"]}
    stray = pod("stray", annotations=annotations, nodeName="node-0")
    stray["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    world.create(stray)
    world.run(1)
    assert not world.has("stray")


@pytest.mark.parametrize(("bad", "message"), [({}, "metadata.name: missing"), ({"metadata": {"name": "a"}}, "spec.containers: missing")])
def test_a_static_pod_that_is_none(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        World().kubelets.add_static_pod("node-0", bad)


def debug(world: World, name: str, **fields: Any) -> None:
    body = {"spec": {"ephemeralContainers": [{"name": name, "image": "registry.example/debug:1", **fields}]}}
    world.send(Request("patch", "pods", "default", "web", body, "ephemeralcontainers", {"patchType": "strategic"}))


def test_an_ephemeral_container_runs_beside_the_others() -> None:
    world = World(images=IMAGES)
    world.place(pod())
    world.run(5)
    before = world.status()
    debug(world, "debugger")
    world.run(2)
    status = world.status()
    (shown,) = status["ephemeralContainerStatuses"]
    assert (shown["name"], shown["ready"], "running" in shown["state"]) == ("debugger", False, True)
    assert status["containerStatuses"] == before["containerStatuses"] and world.conditions()["Ready"] == "True"
    assert ("Normal", "Started", "Container started") in world.events()
    world.run(30)
    ended = world.status()["ephemeralContainerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
    debug(world, "again")
    world.run(2)
    assert [each["name"] for each in world.status()["ephemeralContainerStatuses"]] == ["again", "debugger"]  # by name
    assert world.status()["phase"] == "Running" and world.converge()
    assert [each["restartCount"] for each in world.status()["ephemeralContainerStatuses"]] == [0, 0]


def test_an_ephemeral_container_starts_while_the_pod_is_not_initialized() -> None:
    """computePodActions: ephemeral containers may start before the init containers are done."""
    world = World(images=IMAGES)
    annotations = {"kubesim.dev/run-for.first": "1h"}
    world.place(pod(annotations=annotations, initContainers=[container("first")]))
    world.run(5)
    debug(world, "debugger")
    world.run(2)
    status = world.status()
    assert "running" in status["ephemeralContainerStatuses"][0]["state"] and status["phase"] == "Pending"
    assert [each["name"] for each in status["initContainerStatuses"]] == ["first"]


def test_an_ephemeral_container_keeps_no_pod_alive() -> None:
    world = World(images=IMAGES)
    annotations = {"kubesim.dev/run-for.app": "10s", "kubesim.dev/run-for.debugger": "1h"}
    world.place(pod(annotations=annotations, restartPolicy="Never"))
    world.run(5)
    debug(world, "debugger")
    world.run(20)
    assert world.status()["phase"] == "Succeeded"


@pytest.mark.parametrize(
    ("rule", "periods", "priority", "group"),
    [
        ("migrateConfig: critical Pods last", periods_of(30, 10), CRITICAL_PRIORITY, 1),
        ("what is above the highest belongs to it", periods_of(30, 10), CRITICAL_PRIORITY + 1000, 1),
        ("all others first", periods_of(30, 10), 1000, 0),
        ("below the lowest belongs to the lowest", periods_of(30, 10), -5, 0),
        ("between two: the lower one", ((0, 1), (100, 1), (1000, 1)), 500, 1),
    ],
)
def test_groups_of_a_shutdown(rule: str, periods: Any, priority: int, group: int) -> None:
    assert group_of(periods, priority) == group, rule


def test_a_graceful_shutdown() -> None:
    world = World(images=IMAGES, shutdown_grace_ns=30 * SECOND, shutdown_critical_grace_ns=10 * SECOND)
    world.place(pod("quick", terminationGracePeriodSeconds=60))
    world.place(pod("stubborn", annotations={"kubesim.dev/stop-delay": "never"}, terminationGracePeriodSeconds=60))
    world.place(pod("critical", priorityClassName="system-node-critical"))
    world.run(5)
    world.kubelets.shut_down("node-0")
    world.run(1)
    assert (conditions(world)["Ready"]["status"], conditions(world)["Ready"]["message"]) == ("False", "node is shutting down")
    quick = world.status("quick")
    message = "Pod was terminated in response to imminent node shutdown."
    assert (quick["phase"], quick["reason"], quick["message"]) == ("Failed", "Terminated", message)
    assert next(each["reason"] for each in quick["conditions"] if each["type"] == "DisruptionTarget") == "TerminationByKubelet"
    assert world.status("critical")["phase"] == world.status("stubborn")["phase"] == "Running"
    world.place(pod("late"))
    world.run(5)
    late = world.status("late")
    assert (late["reason"], late["message"]) == ("NodeShutdown", "Pod was rejected: Pod was rejected as the node is shutting down.")
    world.run(15)  # 21 s: the first group has had its 20 s
    assert world.status("stubborn")["reason"] == world.status("critical")["reason"] == "Terminated"
    assert not world.kubelets.node("node-0").alive
    world.kubelets.restore("node-0")
    world.run(5)
    assert conditions(world)["Ready"]["status"] == "True"


def test_without_a_grace_period_the_power_is_cut() -> None:
    world = World(images=IMAGES)
    world.place(pod())
    world.run(5)
    world.kubelets.shut_down("node-0")
    assert not world.kubelets.node("node-0").alive and world.status()["phase"] == "Running"
    with pytest.raises(ValueError, match="shutdown_grace_ns"):
        World(shutdown_grace_ns=1, shutdown_critical_grace_ns=2)
    with pytest.raises(ApiError):
        world.get("nothing")
