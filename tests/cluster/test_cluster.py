"""The Cluster object: time, objects, nodes, what can be seen."""

import pytest

from kubesim import ApiError, Cluster, NotConverged
from kubesim.kernel.time import SECOND
from kubesim.testing.builders import deployment, node, pod, rolling, service
from kubesim.testing.invariants import broken
from kubesim.testing.scripts import set_image


def phases(cluster: Cluster) -> dict[str, int]:
    return cluster.summary()["pods"]["phases"]


def test_time_stands_still_between_calls() -> None:
    cluster = Cluster(nodes=2)
    cluster.apply(deployment("web", 3))
    assert cluster.now == "2026-01-01T00:00:00Z"
    assert phases(cluster) == {}
    cluster.run_for("90s")
    assert cluster.now == "2026-01-01T00:01:30Z"
    assert cluster.run_for(SECOND).virtual_seconds == 91
    assert phases(cluster) == {"Running": 3}


def test_run_until_a_text_or_a_function() -> None:
    cluster = Cluster(nodes=2)
    cluster.apply([deployment("web", 3), service("web")])
    cluster.run_until("Deployment web available")
    assert cluster.get("Deployment", "web")["status"]["availableReplicas"] == 3
    first = cluster.list("Pod")[0]["metadata"]["name"]
    cluster.delete("Pod", first)
    cluster.run_until(f"Pod default/{first} deleted", timeout="1m")
    cluster.run_until(lambda c: len(c.list("Pod")) == 3)
    cluster.run_until("Node node-1 ready")
    assert cluster.run_until_converged().converged


def test_what_is_not_reached_says_what_waits() -> None:
    cluster = Cluster(nodes=[node("small", cpu="1")])
    cluster.apply(deployment("web", 3, cpu="600m"))
    with pytest.raises(NotConverged) as caught:
        cluster.run_until("Deployment web available", timeout="5m")
    assert str(caught.value).startswith("Deployment web available was not reached within 5m0s of virtual time\n")
    assert "2 Pods of Deployment default/web wait for a node: 0/1 nodes are available: 1 Insufficient cpu." in str(caught.value)
    assert cluster.virtual_seconds == 300
    with pytest.raises(NotConverged, match="convergence was not reached within 1ms"):
        cluster.scale("Deployment", "web", 1)
        cluster.run_until_converged("1ms")


def test_convergence_waits_for_everything_that_could_change_an_object() -> None:
    cluster = Cluster(nodes=2)
    assert cluster.run_until_converged().converged
    cluster.apply(deployment("slow", 1, minReadySeconds=3600, progressDeadlineSeconds=7200))
    cluster.run_until_converged("2h")
    assert cluster.get("Deployment", "slow")["status"]["availableReplicas"] == 1
    assert cluster.virtual_seconds > 3600


def test_objects_are_plain_and_shared() -> None:
    cluster = Cluster(nodes=1)
    (stored,) = cluster.apply(pod("one", labels={"tier": "a"}))
    assert type(stored) is dict
    assert cluster.get("Pod", "one") is stored
    assert cluster.list("pods", label_selector="tier=a") == [stored]
    assert cluster.list("pods", "default", "tier=b") == []
    with pytest.raises(ApiError, match='pods "two" not found'):
        cluster.get("Pod", "two")
    with pytest.raises(ApiError):
        cluster.scale("Deployment", "web", 3)


def test_debug_catches_a_writer() -> None:
    cluster = Cluster(nodes=1, debug=True)
    (stored,) = cluster.apply(pod("one"))
    with pytest.raises(TypeError):
        stored["spec"]["nodeName"] = "somewhere"


def test_delete_is_graceful_and_takes_what_is_owned() -> None:
    cluster = Cluster(nodes=2)
    cluster.apply(deployment("web", 2))
    cluster.run_until_converged()
    cluster.delete("Deployment", "web")
    cluster.run_until_converged()
    assert [cluster.list(kind) for kind in ("Deployment", "ReplicaSet", "Pod")] == [[], [], []]


def test_a_node_that_dies_loses_its_pods_and_comes_back() -> None:
    cluster = Cluster(nodes=3)
    cluster.apply(deployment("web", 6))
    cluster.run_until_converged()
    cluster.fail_node("node-1")
    cluster.run_until("Deployment web available", timeout="1s")  # nobody knows yet
    cluster.run_for("60s")
    (ready,) = [each for each in cluster.get("Node", "node-1")["status"]["conditions"] if each["type"] == "Ready"]
    assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
    cluster.run_for("6m")
    alive = [each for each in cluster.list("Pod") if "deletionTimestamp" not in each["metadata"]]
    assert len(alive) == 6 and all(each["spec"]["nodeName"] != "node-1" for each in alive)
    cluster.restore_node("node-1")
    cluster.run_until_converged()
    assert broken(cluster.objects) == []
    assert len(cluster.list("Pod")) == 6
    assert "taints" not in cluster.get("Node", "node-1")["spec"]
    with pytest.raises(ValueError, match="there is no node called 'node-9'; expected one of the 3 nodes"):
        cluster.fail_node("node-9")


def test_the_timeline_of_an_object() -> None:
    cluster = Cluster(nodes=1)
    cluster.apply(deployment("web", 1, strategy=rolling(1, 0)))
    cluster.run_until_converged()
    entries = cluster.timeline("Deployment", "web", "default")
    assert (entries[0].component, entries[0].operation, entries[0].time_ns) == ("kubectl", "create", cluster.start_ns)
    assert {entry.component for entry in entries[1:]} == {"deployment-controller"}
    assert [entry.revision for entry in entries] == sorted({entry.revision for entry in entries})
    (name,) = [each["metadata"]["name"] for each in cluster.list("Pod")]
    operations = [entry.operation for entry in cluster.timeline("Pod", name)]
    assert operations[:2] == ["create", "create binding"] and "update status" in operations
    assert len(cluster.timeline()) == cluster.summary()["write_count"]
    assert len(Cluster(nodes=2, timeline_entries_max=3).timeline()) == 3


def test_the_summary_adds_up() -> None:
    cluster = Cluster(nodes=3)
    cluster.apply([deployment("web", 5, cpu="1"), service("web"), pod("alone", cpu="1")])
    cluster.run_until_converged()
    summary = cluster.summary()
    assert summary["pods"] == {
        "count": 6,
        "phases": {"Running": 6},
        "placements": {"nodes_used": 3, "pods_per_node_min": 2, "pods_per_node_max": 2, "pods_per_node_mean": 2.0},
    }
    assert summary["deployments"] == [{"namespace": "default", "name": "web", "replicas": 5, "available": 5}]
    assert {"namespace": "default", "name": "web", "endpoints": 5} in summary["services"]
    assert summary["latencies"]["create_to_running"]["count"] == 6
    assert summary["write_count"] == sum(sum(row.values()) for row in summary["writes"].values())
    assert summary["digest"] == cluster.digest and summary["converged"]


def test_a_context_manager_ends_the_run() -> None:
    with Cluster(nodes=1) as cluster:
        cluster.apply(pod("one"))
    with pytest.raises(RuntimeError, match="is closed"):
        cluster.run_for("1s")
    assert cluster.get("Pod", "one")["kind"] == "Pod"


def test_an_update_rolls_through() -> None:
    cluster = Cluster(nodes=3)
    cluster.apply(deployment("web", 4))
    cluster.run_until_converged()
    set_image(cluster, "Deployment", "web", "docker.io/library/redis:7.4")
    cluster.run_until("Deployment web complete", timeout="10m")
    cluster.run_until_converged()
    assert {each["spec"]["containers"][0]["image"] for each in cluster.list("Pod")} == {"docker.io/library/redis:7.4"}
    assert sorted(each["spec"]["replicas"] for each in cluster.list("ReplicaSet")) == [0, 4]
