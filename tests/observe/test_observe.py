"""Metrics, timeline, waits, changes, flow and report: from writes and objects to figures and words."""

from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim import Cluster
from kubesim.apiserver.requests import Request
from kubesim.observe.changes import changes
from kubesim.observe.flow import PODS_MAX, STEPS_MAX
from kubesim.observe.metrics import Metrics, percentiles
from kubesim.observe.report import render
from kubesim.observe.timeline import Timeline
from kubesim.observe.waits import Wait, pod_reason, waits
from kubesim.testing.builders import deployment, pod, service


@given(st.lists(st.integers(0, 10**12), min_size=1))
def test_percentiles_are_observed_values(values: list[int]) -> None:
    found = percentiles(array("q", values))
    ordered = sorted(values)
    assert found["count"] == len(values)
    assert found["p50_seconds"] == ordered[(len(values) - 1) // 2] / 1e9
    assert found["p99_seconds"] == ordered[-(-99 * len(values) // 100) - 1] / 1e9
    assert found["max_seconds"] == ordered[-1] / 1e9
    assert type(found["p50_seconds"]) is float and not isinstance(found["p50_seconds"], np.floating)


def test_metrics_count_writes_and_time_pods() -> None:
    metrics = Metrics()
    made = {"metadata": {"uid": "u"}, "status": {"phase": "Pending"}}
    metrics.on_write(1_000, Request("create", "pods", "d", "a", user="rs"), made, 5)
    metrics.on_write(1_500, Request("create", "pods", "d", "a", subresource="binding", user="s"), made, 6)
    metrics.on_write(2_000, Request("update", "pods", "d", "a", subresource="status", user="k"), made, 7)
    running = {**made, "status": {"phase": "Running"}}
    for time_ns in (4_000, 9_000):  # the second status with phase Running is no second start
        metrics.on_write(time_ns, Request("update", "pods", "d", "a", subresource="status", user="k"), running, 8)
    metrics.on_write(9_500, Request("delete", "nodes", "", "n"), {"metadata": {"uid": "n"}}, 9)
    assert metrics.writes() == {"nodes": {"delete": 1}, "pods": {"create": 1, "create binding": 1, "update status": 3}}
    assert metrics.writes_by_component() == {"k": 3, "rs": 1, "s": 1, "unknown": 1}
    assert metrics.write_count == 6 and metrics.running_count == 1
    assert metrics.latencies()["create_to_running"]["max_seconds"] == 3_000 / 1e9
    assert metrics.latencies()["create_to_scheduled"]["p99_seconds"] == 500 / 1e9
    assert Metrics().latencies()["create_to_running"] == {"count": 0, "p50_seconds": None, "p99_seconds": None, "max_seconds": None}


def test_a_timeline_forgets_the_oldest() -> None:
    timeline = Timeline(2)
    for number in range(3):
        timeline.on_write(number, Request("create", "pods", "d", f"p{number}", user="me"), {"metadata": {}}, number + 10)
    assert [(entry.name, entry.revision) for entry in timeline.entries()] == [("p1", 11), ("p2", 12)]
    assert [entry.name for entry in timeline.entries("pods", "d", "p2")] == ["p2"]
    assert timeline.entries("nodes") == []
    assert str(timeline.entries()[0]).endswith("me: create pods/d/p1 (resourceVersion 11)")


SPEC = {"containers": [{"name": "c", "image": "x"}]}
BOUND = {**SPEC, "nodeName": "n"}
REASONS = [
    ({"spec": SPEC}, "the scheduler"),
    ({"spec": {**SPEC, "schedulingGates": [{"name": "g"}]}}, "its scheduling gates to be removed: g"),
    (
        {"spec": SPEC, "status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]}},
        "a node: 0/1 nodes are available",
    ),
    ({"spec": BOUND}, "its kubelet"),
    ({"spec": {**BOUND, "volumes": [{"name": "v", "cinder": {}}]}}, 'its volume "v": no node has a driver for cinder'),
    (
        {"spec": {**BOUND, "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}},
        'its volume "v": no node has a driver for persistentVolumeClaim "c"',
    ),
    ({"spec": {**BOUND, "volumes": [{"name": "v", "emptyDir": {}}]}}, "its kubelet"),
    (
        {
            "spec": BOUND,
            "status": {"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no"}}}]},
        },
        'its container "c": ImagePullBackOff (no)',
    ),
    (
        {"spec": BOUND, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False", "message": "unready"}]}},
        "its containers to be ready: unready",
    ),
    ({"spec": BOUND, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}, ""),
    ({"spec": BOUND, "status": {"phase": "Succeeded"}}, ""),
]


@pytest.mark.parametrize(("given_pod", "reason"), REASONS, ids=[reason for _, reason in REASONS])
def test_what_a_pod_waits_for(given_pod: dict, reason: str) -> None:
    assert pod_reason(given_pod) == reason


def test_a_driver_serves_its_volumes() -> None:
    assert pod_reason({"spec": {**BOUND, "volumes": [{"name": "v", "cinder": {}}]}}, drivers=["cinder"]) == "its kubelet"


def test_what_waits_for_what() -> None:
    objects = {
        "statefulsets.apps": [{"metadata": {"namespace": "d", "name": "s"}}],
        "persistentvolumeclaims": [
            {"metadata": {"namespace": "d", "name": "c"}, "spec": {"storageClassName": "fast"}, "status": {"phase": "Pending"}},
            {"metadata": {"namespace": "d", "name": "ok"}, "status": {"phase": "Bound"}},
        ],
        "pods": [owned_pod("p"), owned_pod("q")],
        "replicasets.apps": [{"metadata": {"namespace": "d", "name": "r", "ownerReferences": [owner("Deployment", "w")]}}],
        "deployments.apps": [{"metadata": {"namespace": "d", "name": "w"}, "spec": {"replicas": 2}}],
        "services": [{"metadata": {"namespace": "d", "name": "x"}, "spec": {"selector": {"a": "b"}, "type": "LoadBalancer"}}],
    }
    kinds = {"statefulsets.apps": "StatefulSet", "persistentvolumeclaims": "PersistentVolumeClaim", "deployments.apps": "Deployment"}
    assert [str(wait) for wait in waits(lambda resource: objects.get(resource, []), kinds, [])] == [
        "StatefulSet d/s waits for the statefulset-controller, which this version does not have: it makes no Pods",
        'PersistentVolumeClaim d/c waits for a PersistentVolume of class "fast" and for the persistentvolume-binder-controller, which this '
        "version does not have",
        "2 Pods of Deployment d/w wait for the scheduler",
        "Deployment d/w waits for 2 more of its 2 Pods to be available",
        "Service d/x waits for a ready Pod that matches its selector a=b",
        "Service d/x waits for an external address from the service-lb-controller, which this version does not have",
    ]
    assert waits(lambda resource: objects.get(resource, []), kinds, ["statefulset-controller"])[0].object.startswith("Persistent")
    assert Wait("Pod d/a", "x").as_dict() == {"object": "Pod d/a", "waits_for": "x", "count": 1}


def owned_pod(name: str) -> dict:
    return {"metadata": {"namespace": "d", "name": name, "ownerReferences": [owner("ReplicaSet", "r")]}, "spec": SPEC}


def owner(kind: str, name: str) -> dict:
    return {"kind": kind, "name": name, "uid": name, "controller": True}


CHANGES = [
    ({"status": {"phase": "Pending"}}, {"status": {"phase": "Running", "podIP": "10.0.0.1"}}, "phase Pending → Running, podIP 10.0.0.1"),
    ({"spec": {"replicas": 1, "paused": True}}, {"spec": {"replicas": 2}}, "spec.replicas 1 → 2, spec.paused True → removed"),
    ({"metadata": {"resourceVersion": "1"}}, {"metadata": {"resourceVersion": "2"}}, ""),
    (
        {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
        {"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Available", "status": "True"}]}},
        "Ready=True, Available=True",
    ),
    (
        {"status": {"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}]}},
        {"status": {"containerStatuses": [{"name": "c", "state": {"running": {}}, "ready": True}]}},
        "container c running, ready",
    ),
    ({}, {"metadata": {"labels": {"a": "b"}, "annotations": {"x": {"y": 1}}}}, "metadata.annotations {x}"),
    ({"status": {}}, {"status": {f"f{number}": number for number in range(12)}}, ", ".join(f"f{n} {n}" for n in range(8)) + ", and 4 more"),
]


@pytest.mark.parametrize(("old", "new", "text"), CHANGES)
def test_a_change_in_words(old: dict, new: dict, text: str) -> None:
    assert changes(old, new) == text


def test_a_flow_follows_the_first_deployment_and_a_few_of_its_pods() -> None:
    cluster = Cluster(nodes=3)
    flow = cluster.follow()
    cluster.apply([deployment("other", 5), deployment("web", 1), service("other"), pod("alone")])
    cluster.run_until_converged()
    assert (flow.namespace, flow.name, flow.pods_omitted) == ("default", "other", 5 - PODS_MAX)
    assert flow.omitted()[0] == "… and 3 more Pods the same way"
    assert not [step for step in flow.steps if "web" in step.object or "alone" in step.object]
    pods = {step.object for step in flow.steps if step.object.startswith("Pod ")}
    assert len(pods) == PODS_MAX
    written = [step.revision for step in flow.steps if "etcd" in step.component or step.text.startswith("event ")]
    assert written == sorted(set(written))
    assert any("EndpointSlice" in step.object for step in flow.steps)
    cluster.delete("Deployment", "other")
    cluster.run_until_converged()
    assert flow.steps[-1].time_ns > 0 and len(flow.steps) <= STEPS_MAX
    assert any(step.text == "delete: gone" and step.object == "Deployment default/other" for step in flow.steps)


@pytest.mark.parametrize("form", ["html", "md"])
def test_a_report_has_every_table_and_nothing_that_could_break_out(form: str) -> None:
    cluster = Cluster(nodes=1)
    flow = cluster.follow()
    cluster.apply([deployment("web", 2), service("web"), pod("late", nodeSelector={"a": "b"})])
    cluster.run_until_converged()
    summary = cluster.summary()
    summary["waits"].append({"object": "<script>", "waits_for": "a | b", "count": 3})
    text = render(summary, form, flow.steps)
    for heading in ("Run", "Latencies", "What waits for what", "Deployments", "Services", "Writes by component", "The path of a"):
        assert heading in text
    if form == "html":
        assert "<script>" not in text and "&lt;script&gt;" in text
    else:
        assert "a \\| b" in text
    with pytest.raises(ValueError, match="expected html or md"):
        render(summary, "pdf")
