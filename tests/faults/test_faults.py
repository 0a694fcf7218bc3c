"""Each kind of fault: what it does, and that its end undoes it; scenario files and what is wrong with them."""

from pathlib import Path
from typing import Any

import pytest

from kubesim.cli.main import main
from kubesim.cluster.cluster import Cluster
from kubesim.faults.registry import all_kinds
from kubesim.faults.scenario import ScenarioError
from kubesim.kernel.time import SECOND
from kubesim.kubelet.config import KubeletConfig

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "registry.example/web:1", imagePullPolicy: IfNotPresent}]}
"""


def cluster(nodes: int = 3, **options: Any) -> Cluster:
    made = Cluster(nodes=nodes, **options)
    made.apply(DEPLOYMENT)
    made.run_until_converged()
    return made


def is_ready(made: Cluster, name: str) -> str:
    return next(str(each["status"]) for each in made.get("Node", name)["status"]["conditions"] if each["type"] == "Ready")


def condition(made: Cluster, name: str, type_: str) -> str:
    return next(str(each["status"]) for each in made.get("Node", name)["status"]["conditions"] if each["type"] == type_)


def available(made: Cluster) -> int:
    return int(made.get("Deployment", "web")["status"].get("availableReplicas", 0))


def restarts(made: Cluster) -> int:
    return sum(each["restartCount"] for pod in made.list("Pod") for each in pod["status"].get("containerStatuses", ()))


def reasons(made: Cluster) -> set[str]:
    return {event["reason"] for event in made.list("Event")}


def test_every_kind_is_tested_here() -> None:
    text = Path(__file__).read_text()
    assert [name for name in all_kinds() if f'"{name}"' not in text] == []


@pytest.mark.parametrize("kind", ["fail-node", "partition", "lose-lease"])
def test_a_node_that_is_not_heard_of(kind: str) -> None:
    made = cluster()
    field = "nodes" if kind == "partition" else "node"
    shown: set[str] = set()
    made.apiserver.audit.append(lambda *_: shown.add(is_ready(made, "node-1")))
    made.inject(kind, at="10s", duration="3m", **{field: "node-1"})
    made.run_for("5s")
    assert is_ready(made, "node-1") == "True"
    made.run_for("65s")
    assert kind == "lose-lease" or is_ready(made, "node-1") == "Unknown"
    assert "Unknown" in shown  # a kubelet that lives contradicts within 10 s
    made.run_until_converged()
    assert is_ready(made, "node-1") == "True" and available(made) == 3
    assert [(entry.kind, entry.what) for entry in made.faults.log] == [(kind, "begins"), (kind, "ends")]
    assert made.faults.counts() == {kind: 1}


def test_a_partition_cuts_the_links_between_pods() -> None:
    made = cluster()
    pods = sorted((pod["spec"]["nodeName"], pod["metadata"]["name"]) for pod in made.list("Pod"))
    (_, one), (_, other) = pods[0], pods[-1]
    number = made.partition(pods[0][0])
    assert not made.can_connect(one, other, 80)
    made.faults.end(number)
    assert made.can_connect(one, other, 80)


def test_shutdown_and_flapping() -> None:
    made = cluster(kubelet=KubeletConfig(shutdown_grace_ns=20 * SECOND))
    made.inject("shutdown-node", node="node-1", duration="2m")
    made.inject("flap-node", node="node-2", duration="5m", down="1m", up="30s")
    made.run_until_converged()
    assert "NodeShutdown" in reasons(made) and "Rebooted" in reasons(made)
    assert available(made) == 3 and is_ready(made, "node-1") == is_ready(made, "node-2") == "True"


@pytest.mark.parametrize(("kind", "type_"), [("disk-pressure", "DiskPressure"), ("memory-pressure", "MemoryPressure")])
def test_pressure(kind: str, type_: str) -> None:
    made = cluster()
    made.inject(kind, node="node-2", fill="100%", duration="1m")
    made.run_for("30s")
    assert condition(made, "node-2", type_) == "True"
    taints = [taint["key"] for taint in made.get("Node", "node-2")["spec"].get("taints", ())]
    assert f"node.kubernetes.io/{kind}" in taints
    made.run_until_converged()
    assert condition(made, "node-2", type_) == "False" and available(made) == 3
    assert "Evicted" in reasons(made)


def test_slow_disk_and_slow_link() -> None:
    made = cluster()
    made.inject("slow-disk", node="node-2", factor=2, duration="1s")
    number = made.slow_disk("node-1", 100)
    made.scale("Deployment", "web", 6)
    made.run_until_converged()
    slow = {pod["spec"]["nodeName"]: pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] for pod in made.list("Pod")}
    assert max(slow, key=lambda name: slow[name]) == "node-1"
    made.faults.end(number)
    made.inject("slow-link", duration="1m", **{"from": "node-1", "to": "node-2"}, latency="2s")
    made.run_for("1s")
    assert made.network.links.latency_ns("node-1", "node-2") == 2 * SECOND
    made.run_for("1m")
    assert made.network.links.latency_ns("node-1", "node-2") < SECOND


@pytest.mark.parametrize("component", ["kube-controller-manager", "kube-scheduler", "kube-apiserver", "etcd"])
@pytest.mark.parametrize("kind", ["crash", "pause"])
def test_a_component_that_is_away(kind: str, component: str) -> None:
    made = cluster()
    made.inject(kind, component=component, duration="1m")
    made.run_for("1s")
    made.scale("Deployment", "web", 5)
    made.run_for("50s")
    assert available(made) == 3
    made.run_until_converged()
    assert available(made) == 5 and len(made.list("Pod")) == 5


@pytest.mark.parametrize("kind", ["crash", "pause"])
def test_a_kubelet_that_is_away(kind: str) -> None:
    made = cluster()
    made.inject(kind, component="kubelet", node="node-1", duration="2m")
    made.run_for("1m30s")
    assert is_ready(made, "node-1") == "Unknown" and restarts(made) == 0
    made.run_until_converged()
    assert is_ready(made, "node-1") == "True" and restarts(made) == 0
    made.inject(kind, component="kubelet")
    with pytest.raises(ValueError, match="node: missing: expected the node whose kubelet is meant"):
        made.run_for("1s")


def test_masters() -> None:
    made = Cluster(nodes=3, control_planes=3)
    made.apply(DEPLOYMENT)
    made.inject("crash", at="2s", duration="30s", component="kube-controller-manager")
    made.inject("crash", at="40s", duration="20s", component="etcd", host="master-1")
    made.inject("pause", at="70s", duration="5s", component="kube-apiserver", host="master-2")
    made.inject("slow-etcd-disk", at="80s", duration="10s", host="master-3", latency="20ms")
    made.inject("kill-pods", at="95s", selector="app=web")
    made.run_for("100s")
    made.run_until_converged()
    assert available(made) == 3 and len(made.faults.log) == 9


def test_images_that_cannot_be_pulled() -> None:
    made = cluster()
    made.inject("image-pull-error", image="registry.example/new:*", duration="5m", error="no space left on device")
    made.run_for("1s")
    containers = [{"name": "main", "image": "registry.example/new:1"}]
    made.patch("Deployment", "web", {"spec": {"template": {"spec": {"containers": containers}}}})
    made.run_for("1m")
    waiting = [each["state"].get("waiting", {}).get("reason") for pod in made.list("Pod") for each in pod["status"]["containerStatuses"]]
    assert "ImagePullBackOff" in waiting
    made.run_until_converged()
    assert made.get("Deployment", "web")["status"]["updatedReplicas"] == 3


def test_containers_that_end() -> None:
    made = cluster()
    made.inject("oom", selector="app=web", container="main")
    made.run_for("5s")
    ended = [pod["status"]["containerStatuses"][0]["lastState"]["terminated"] for pod in made.list("Pod")]
    assert [(each["exitCode"], each["reason"]) for each in ended] == [(137, "OOMKilled")] * 3
    made.inject("crash-loop", selector="app=web", duration="3m", after="2s", code=3)
    made.run_for("1m")
    assert restarts(made) >= 9
    made.run_until_converged()
    assert available(made) == 3
    assert {pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] for pod in made.list("Pod")} == {3}


def test_pods_that_are_deleted_are_drawn_by_the_seed() -> None:
    def left(seed: int) -> set[str]:
        made = cluster()
        made.inject("kill-pods", selector="app=web", count=2, seed=seed)
        before = {pod["metadata"]["name"] for pod in made.list("Pod")}
        made.run_until_converged()
        assert available(made) == 3
        return before & {pod["metadata"]["name"] for pod in made.list("Pod")}

    assert left(1) == left(1)
    assert len({tuple(left(seed)) for seed in range(8)}) > 1


SCENARIO = """apiVersion: kubesim.dev/v1alpha1
kind: FaultScenario
seed: 3
faults:
- fault: fail-node
  at: 10s
  duration: 3m
  node: node-2
- fault: flap-node
  at: 6m
  duration: 3m
  node: node-1
"""


def changed(old: str, new: str) -> str:
    assert old in SCENARIO
    return SCENARIO.replace(old, new, 1)


WRONG = {
    "an unknown field": (
        changed("  node: node-2", "  nod: node-2"),
        ["document 1, line 8: faults[0].nod: \"node-2\": unknown field; expected fault, name, at, duration, seed, node",
         'document 1, line 5: faults[0].node: "missing": a fail-node needs it'],
    ),
    "a negative time": (
        changed("at: 10s", "at: -10s"),
        ['document 1, line 6: faults[0].at: "-10s": expected a duration that is not negative, such as "30s"'],
    ),
    "a node that does not exist": (
        changed("node: node-1", "node: node-99"),
        ['document 1, line 12: faults[1].node: "node-99": there is no such node; expected one of the 3 nodes of this cluster'],
    ),
    "an unknown fault": (changed("fault: flap-node", "fault: flap"), ['document 1, line 9: faults[1].fault: "flap": there is no such']),
    "a fault that would never end": (
        changed("  duration: 3m\n  node: node-1", "  node: node-1"),
        ['document 1, line 9: faults[1].duration: "missing": a flap-node needs one'],
    ),
    "another kind": (changed("FaultScenario", "Deployment"), ['document 1, line 2: kind: "Deployment": expected "FaultScenario"']),
    "an unknown field at the top": (changed("seed: 3", "seeds: 3"), ["document 1, line 3: seeds: unknown field; expected apiVersion"]),
    "a wrong seed": (changed("seed: 3", "seed: -1"), ["document 1, line 3: seed: -1: expected a number from 0 to 18446744073709551615"]),
    "no list": (SCENARIO.partition("- fault")[0] + "  fault: fail-node\n", ["a list of 1 to 100000 faults"]),
    "not YAML": ("a: [1\n", ["not YAML"]),
    "empty": ("", ["holds no faults; expected a FaultScenario"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_scenario_that_cannot_be(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, messages = WRONG[name]
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    assert main(["run", "--pods", "3", "--nodes", "3", "--faults", str(path)]) == 2
    told = capsys.readouterr().err
    for message in messages:
        assert message in told
    assert all(str(path) in line for line in told.splitlines())


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--pods", "3", "--faults", "/nowhere.yaml"]) == 2
    assert "/nowhere.yaml: cannot be read" in capsys.readouterr().err


def test_a_scenario_gives_the_same_run_again(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(SCENARIO)

    def run() -> str:
        made = cluster()
        made.inject_file(path)
        made.run_until_converged()
        assert made.faults.counts() == {"fail-node": 1, "flap-node": 1}
        return made.digest

    assert run() == run()


@pytest.mark.parametrize(
    ("kind", "parameters", "message"),
    [
        ("fail-node", {"node": "x"}, 'node: "x": there is no such node'),
        ("disk-pressure", {"node": "node-1", "fill": "120%"}, 'fill: "120%": expected a percentage'),
        ("crash", {"component": "cloud"}, 'component: "cloud": there is no such component; expected one of'),
        ("slow-etcd-disk", {"host": "master-1", "latency": "1s"}, "expected a cluster with control_planes above 1"),
        ("oom", {"selector": "a in ("}, "selector: "),
        ("lightning", {}, 'fault: "lightning": there is no such fault'),
        ("fail-node", {"node": "node-1", "at": "soon"}, 'at: "soon": expected a duration'),
    ],
)
def test_a_fault_from_python_that_cannot_be(kind: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        Cluster(nodes=1).inject(kind, **parameters)
    assert message in str(caught.value)
