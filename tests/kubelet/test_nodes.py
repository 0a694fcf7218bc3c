"""Nodes: registration, failure and return, partition, removal, admission as the last guard."""

from typing import Any

import pytest

from kubesim.apiserver.requests import update
from kubesim.kubelet.models.contract import Image
from tests.kubelet.world import World, container, pod

IMAGES = {"*": Image(0)}


def test_a_node_registers() -> None:
    world = World()
    node = world.get("node-0", "nodes")
    assert node["spec"]["podCIDR"] == "10.244.0.0/24"
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "node-0"
    assert node["status"]["capacity"] == {"cpu": "4", "ephemeral-storage": "100Gi", "memory": "16Gi", "pods": "110"}
    assert [(each["type"], each["status"]) for each in node["status"]["conditions"]] == [
        ("MemoryPressure", "False"),
        ("DiskPressure", "False"),
        ("PIDPressure", "False"),
        ("Ready", "True"),
    ]
    assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.36.2"
    world.run(25)
    lease = world.get("node-0", "leases.coordination.k8s.io")
    assert lease["spec"]["renewTime"] == "2026-01-01T00:00:20.000000Z"
    assert lease["metadata"]["ownerReferences"][0]["uid"] == node["metadata"]["uid"]


def test_a_kubelet_takes_over_an_existing_node() -> None:
    world = World(0)
    made = world.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "known", "labels": {"mine": "1"}}}, "nodes")
    world.kubelets.add_node({"metadata": {"name": "known"}, "status": {"capacity": {"cpu": "2", "memory": "1Gi", "pods": "3"}}})
    node = world.get("known", "nodes")
    assert node["metadata"]["uid"] == made["metadata"]["uid"]
    assert node["metadata"]["labels"]["mine"] == "1" and node["metadata"]["labels"]["kubernetes.io/os"] == "linux"
    assert node["status"]["capacity"]["cpu"] == "2"
    assert node["spec"]["podCIDR"] == "10.244.0.0/24"


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({}, "node: metadata.name: missing: expected the name of the node"),
        ({"metadata": {"name": "node-0"}}, "node: metadata.name: 'node-0': this node is here already"),
        ({"metadata": {"name": "x"}, "spec": {"podCIDR": "10.0.0.0"}}, "podCIDR: '10.0.0.0': expected an IPv4 range"),
    ],
)
def test_a_node_that_cannot_be(node: dict[str, Any], message: str) -> None:
    world = World()
    with pytest.raises(ValueError, match=message):
        world.kubelets.add_node(node)
    with pytest.raises(ValueError, match="node 'nobody' does not exist"):
        world.kubelets.fail("nobody")


def test_a_pod_waits_for_its_node() -> None:
    world = World(0)
    world.place(pod(), "late")
    world.run(5)
    world.kubelets.add_node({"metadata": {"name": "late"}})
    world.run(5)
    assert world.status()["phase"] == "Running"


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        (
            {"containers": [container(resources={"requests": {"cpu": "3"}})]},
            "OutOfcpu",
            "Node didn't have enough resource: cpu, requested: 3000, used: 1500, capacity: 4000",
        ),
        (
            {"containers": [container(resources={"requests": {"memory": "16Gi"}})]},
            "OutOfmemory",
            "Node didn't have enough resource: memory, requested: 17179869184, used: 1048576, capacity: 17179869184",
        ),
        (
            {"containers": [container(resources={"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}})]},
            "OutOfexample.com/gpu",
            "Node didn't have enough resource: example.com/gpu, requested: 1, used: 0, capacity: 0",
        ),
        (
            {"nodeSelector": {"disk": "ssd"}},
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        ),
        (
            {"containers": [container(ports=[{"containerPort": 80, "hostPort": 80, "hostIP": "127.0.0.1"}])]},
            "NodePorts",
            "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
        ),
    ],
    ids=["cpu", "memory", "extended", "selector", "ports"],
)
def test_a_node_refuses(spec: dict[str, Any], reason: str, message: str) -> None:
    world = World(images=IMAGES)
    first = container(resources={"requests": {"cpu": "1500m", "memory": "1Mi"}}, ports=[{"containerPort": 80, "hostPort": 80}])
    world.place(pod("first", containers=[first]))
    world.place(pod(**spec))
    world.run(5)
    status = world.status()
    assert (status["phase"], status["reason"], status["message"]) == ("Failed", reason, f"Pod was rejected: {message}")
    assert world.events() == [("Warning", reason, message)]
    assert world.status("first")["phase"] == "Running"
    # What the first one held is free when it has gone.
    world.delete("first")
    world.run(5)
    if reason in ("OutOfcpu", "OutOfmemory", "NodePorts"):
        world.place(pod("again", **spec))
        world.run(5)
        assert world.status("again")["phase"] == "Running"


def test_a_node_takes_no_more_pods_than_it_may() -> None:
    world = World(images=IMAGES, node={"status": {"capacity": {"cpu": "4", "memory": "1Gi", "pods": "2"}}})
    for name in ("a", "b", "c"):
        world.place(pod(name))
    world.run(5)
    assert [world.status(name)["phase"] for name in ("a", "b", "c")] == ["Running", "Running", "Failed"]
    assert world.status("c")["reason"] == "OutOfpods"



@pytest.mark.parametrize(
    ("terms", "fits"),
    [
        ([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}], True),
        ([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["c"]}]}], False),
        ([{"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["7"]}]}], True),
        ([{"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}], False),
        ([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-0"]}]}], True),
        ([{"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["node-0"]}]}], False),
        ([{}, {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}], True),
        ([{}], False),
    ],
)
def test_required_node_affinity(terms: list[Any], fits: bool) -> None:
    world = World(0, images=IMAGES)
    world.kubelets.add_node({"metadata": {"name": "node-0", "labels": {"zone": "a", "cores": "8"}}})
    required = {"nodeSelectorTerms": terms}
    world.place(pod(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}))
    world.run(5)
    assert world.status()["phase"] == ("Running" if fits else "Failed")


def test_a_label_changed_later_counts() -> None:
    world = World(images=IMAGES)
    node = world.get("node-0", "nodes")
    labels = {**node["metadata"]["labels"], "disk": "ssd"}
    world.send(update("nodes", {**node, "metadata": {**node["metadata"], "labels": labels}}))
    world.run(1)
    world.place(pod(nodeSelector={"disk": "ssd"}))
    world.run(5)
    assert world.status()["phase"] == "Running"




def test_a_failed_node_is_silent_and_comes_back() -> None:
    world = World(images=IMAGES)
    world.place(pod())
    world.place(pod("job", restartPolicy="Never", annotations={"kubesim.dev/run-for": "1h"}))
    world.place(pod("doomed"))
    world.run(10)
    address = world.status()["podIP"]
    world.kubelets.fail("node-0")
    writes = len(world.writes)
    world.delete("doomed")
    world.place(pod("new"))
    world.run(600)
    assert [verb for _, verb, _, _ in world.writes[writes:]] == ["delete", "create", "create"], "nothing comes from the node"
    lease = world.get("node-0", "leases.coordination.k8s.io")
    assert lease["spec"]["renewTime"] == "2026-01-01T00:00:10.000000Z"
    world.kubelets.restore("node-0")
    world.run(30)
    assert not world.has("doomed")
    (app,) = world.status()["containerStatuses"]
    assert (app["restartCount"], app["lastState"]["terminated"]["exitCode"], list(app["state"])) == (1, 255, ["running"])
    assert world.status()["phase"] == world.status("new")["phase"] == "Running"
    assert world.status("job")["phase"] == "Failed"
    assert ("Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.") in world.events()
    in_use = world.kubelets.nodes["node-0"].network.in_use
    assert len(in_use) == 2 and world.status()["podIP"] in in_use.values() and address
    lease = world.get("node-0", "leases.coordination.k8s.io")
    assert lease["spec"]["renewTime"] > "2026-01-01T00:10:00"


def test_an_init_container_runs_again_after_a_reboot() -> None:
    world = World(images=IMAGES)
    world.place(pod(initContainers=[container("first")]))
    world.run(10)
    world.kubelets.fail("node-0")
    world.run(10)
    world.kubelets.restore("node-0")
    world.run(10)
    status = world.status()
    assert status["initContainerStatuses"][0]["restartCount"] == 1
    assert status["containerStatuses"][0]["restartCount"] == 1 and status["phase"] == "Running"
    assert world.phases() == ["Pending", "Running"]


def test_a_partitioned_node_runs_on() -> None:
    world = World(images=IMAGES)
    world.place(pod(annotations={"kubesim.dev/run-for": "60s"}, restartPolicy="Never"))
    world.place(pod("doomed"))
    world.run(10)
    world.kubelets.disconnect("node-0")
    writes = len(world.writes)
    world.delete("doomed")
    world.run(100)
    assert [verb for _, verb, _, _ in world.writes[writes:]] == ["delete"]
    agent = world.kubelets.nodes["node-0"]
    assert len(agent.workers) == 2, "the doomed Pod runs on: nobody has told its kubelet"
    world.kubelets.reconnect("node-0")
    world.run(5)
    assert world.status()["phase"] == "Succeeded"
    assert world.status()["containerStatuses"][0]["state"]["terminated"]["finishedAt"] == "2026-01-01T00:01:00Z"
    assert not world.has("doomed")


def test_a_pod_deleted_by_force_is_stopped_on_its_node() -> None:
    world = World(images=IMAGES)
    world.place(pod(annotations={"kubesim.dev/stop-delay": "10s"}))
    world.run(5)
    world.delete(gracePeriodSeconds=0)
    world.run(1)
    agent = world.kubelets.nodes["node-0"]
    assert not world.has() and agent.resources.pods_used == 1
    world.run(10)
    assert agent.resources.pods_used == 0 and not agent.workers and not agent.network.in_use


def test_a_namesake_is_another_pod() -> None:
    world = World(images=IMAGES)
    world.place(pod(annotations={"kubesim.dev/stop-delay": "10s"}))
    world.run(5)
    world.delete(gracePeriodSeconds=0)
    world.place(pod())
    world.run(1)
    assert world.status()["phase"] == "Running"
    assert world.kubelets.nodes["node-0"].resources.pods_used == 2
    world.run(20)
    assert world.kubelets.nodes["node-0"].resources.pods_used == 1


def test_a_removed_node_is_gone() -> None:
    world = World(2, images=IMAGES)
    world.place(pod(), "node-1")
    world.run(5)
    world.kubelets.remove("node-1")
    world.run(5)
    assert [obj["metadata"]["name"] for obj in world.server.peek_all("nodes")] == ["node-0"]
    assert world.status()["phase"] == "Running", "nobody is left who could say otherwise"


def test_a_conflicting_write_is_repeated() -> None:
    world = World(images=IMAGES)
    world.place(pod())
    world.run(5)
    worker = world.kubelets.worker("default", "web")
    current = world.get()
    labelled = {**current, "metadata": {**current["metadata"], "labels": {"a": "b"}}}
    world.send_update(labelled)
    worker.handle((11, "Evicted", "now", 0, ""))  # before the informer shows the label
    world.run(5)
    assert world.get()["metadata"]["labels"] == {"a": "b"}
    assert world.status()["phase"] == "Failed"


def test_the_addresses_of_a_node_run_out() -> None:
    world = World(0, images=IMAGES)
    world.kubelets.add_node({"metadata": {"name": "node-0"}, "spec": {"podCIDR": "10.1.0.0/29"}})
    for index in range(6):
        world.place(pod(f"p{index}"))
    world.run(5)
    assert [world.status(f"p{index}")["phase"] for index in range(6)] == ["Running"] * 5 + ["Pending"]
    ((_, reason, message),) = world.events("p5")[:1]
    assert reason == "FailedCreatePodSandBox"
    assert message.endswith("failed to allocate for range 0: no IP addresses available in range set: 10.1.0.1-10.1.0.6")
    world.delete("p0")
    world.run(30)
    assert world.status("p5")["phase"] == "Running"


def test_host_network_needs_no_address() -> None:
    world = World(images=IMAGES)
    world.place(pod(hostNetwork=True))
    world.run(5)
    assert world.status()["podIP"] == world.status()["hostIP"]
    assert world.kubelets.nodes["node-0"].network.in_use == {}
