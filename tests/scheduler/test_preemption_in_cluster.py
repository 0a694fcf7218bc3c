"""Preemption in the whole cluster: the victim is told and deleted, the preemptor nominated and then bound."""

from typing import Any

from kubesim import Cluster

Object = dict[str, Any]
NODE: Object = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "only"},
    "status": {"capacity": {"cpu": "2", "memory": "8Gi", "pods": "110"}, "allocatable": {"cpu": "2", "memory": "8Gi", "pods": "110"}},
}


def pod(name: str, cpu: str, priority_class: str) -> Object:
    container = {"name": "main", "image": "app:1", "resources": {"requests": {"cpu": cpu}}}
    spec = {"containers": [container], "priorityClassName": priority_class}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def priority_class(name: str, value: int) -> Object:
    return {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value}


def test_a_more_important_pod_takes_the_place_of_a_lesser_one() -> None:
    with Cluster(nodes=[NODE]) as cluster:
        cluster.apply([priority_class("low", 1), priority_class("high", 1000), pod("lesser", "1500m", "low")])
        cluster.run_until_converged()
        cluster.apply([pod("greater", "1500m", "high")])
        cluster.run_until(lambda _: "deletionTimestamp" in cluster.get("Pod", "lesser")["metadata"])
        lesser = cluster.get("Pod", "lesser")
        told = next(c for c in lesser["status"]["conditions"] if c["type"] == "DisruptionTarget")
        assert told["reason"] == "PreemptionByScheduler"
        assert told["message"] == "default-scheduler: preempting to accommodate a higher priority pod"
        assert cluster.get("Pod", "greater")["status"]["nominatedNodeName"] == "only"
        cluster.run_until_converged()
        assert cluster.get("Pod", "greater")["spec"]["nodeName"] == "only"
        assert [p["metadata"]["name"] for p in cluster.list("Pod")] == ["greater"]
        reasons = [event["reason"] for event in cluster.list("Event")]
        assert "Preempted" in reasons and "Scheduled" in reasons


def test_the_cluster_explains_a_pending_pod() -> None:
    with Cluster(nodes=[NODE]) as cluster:
        cluster.apply([priority_class("low", 1), pod("large", "3", "low")])
        cluster.run_until_converged()
        plugin, rejection = cluster.explain("large")["rejected"]["only"]
        assert (plugin, rejection.reasons) == ("NodeResourcesFit", ("Insufficient cpu",))
