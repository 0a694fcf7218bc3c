"""The event recorders: what reaches the apiserver of what was said."""

from collections.abc import Callable
from typing import Any

import pytest

from kubesim.api.errors import ApiError, not_found
from kubesim.apiserver.requests import Object, Request
from kubesim.client.events import COMBINED, EventRecorder, SeriesRecorder
from kubesim.kernel import EPOCH_NS, MINUTE, SECOND

POD = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web-1", "namespace": "shop", "uid": "u1", "resourceVersion": "7"}}
NODE = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1", "uid": "u2"}}


class Wire:
    """The door of a component: notes every request and answers as told."""

    def __init__(self) -> None:
        self.user = "test"
        self.now_ns = EPOCH_NS
        self.sent: list[Request] = []
        self.answer: Callable[[Request], Object | ApiError] = lambda request: request.obj

    def send(self, request: Request, done: Callable[[Any], None] | None = None) -> None:
        self.sent.append(request)
        if done is not None:
            done(self.answer(request))

    def subscribe(self, *_: Any, **__: Any) -> None:
        raise AssertionError("a recorder does not watch")

    def stand(self, *_: Any) -> Any:
        raise AssertionError("a recorder has no lease")


def messages(wire: Wire) -> list[tuple[str, str, int]]:
    """(verb, message, count) of every request."""
    return [(request.verb, request.obj["message"], request.obj["count"]) for request in wire.sent]


def test_an_event_has_upstreams_shape() -> None:
    wire = Wire()
    EventRecorder(wire, "kubelet", "node-1").event(POD, "Normal", "Started", "Started container app", "spec.containers{app}")
    request = wire.sent[0]
    assert (request.verb, request.resource, request.namespace) == ("create", "events", "shop")
    name = request.obj["metadata"].pop("name")
    assert name == request.name
    assert name.startswith("web-1.") and int(name.partition(".")[2], 16) - EPOCH_NS < 1000
    assert request.obj == {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"namespace": "shop"},
        "involvedObject": {
            "kind": "Pod",
            "namespace": "shop",
            "name": "web-1",
            "uid": "u1",
            "apiVersion": "v1",
            "resourceVersion": "7",
            "fieldPath": "spec.containers{app}",
        },
        "reason": "Started",
        "message": "Started container app",
        "source": {"component": "kubelet", "host": "node-1"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
        "type": "Normal",
        "eventTime": None,
        "reportingComponent": "kubelet",
        "reportingInstance": "node-1",
    }


def test_an_event_about_a_cluster_scoped_object_goes_to_the_default_namespace() -> None:
    wire = Wire()
    EventRecorder(wire, "node-controller").event(NODE, "Normal", "NodeNotReady", "Node n1 status is now: NodeNotReady")
    assert wire.sent[0].namespace == "default"
    assert wire.sent[0].obj["source"] == {"component": "node-controller"}


def test_names_never_repeat_within_an_instant() -> None:
    wire = Wire()
    recorders = [EventRecorder(wire, "kubelet", "n1"), EventRecorder(wire, "replicaset-controller")]
    for recorder in recorders:
        for index in range(5):
            recorder.event(POD, "Normal", f"Reason{index}", "said")
    assert len({request.name for request in wire.sent}) == 10


def test_equal_events_are_counted_in_one_object() -> None:
    wire = Wire()
    recorder = EventRecorder(wire, "kubelet")
    for _ in range(3):
        recorder.event(POD, "Warning", "BackOff", "Back-off restarting failed container")
        wire.now_ns += 10 * SECOND
    assert [request.verb for request in wire.sent] == ["create", "patch", "patch"]
    assert len({request.name for request in wire.sent}) == 1
    assert wire.sent[2].obj == {
        "count": 3,
        "lastTimestamp": "2026-01-01T00:00:20Z",
        "message": "Back-off restarting failed container",
    }


def test_an_expired_event_is_created_again_with_its_count() -> None:
    wire = Wire()
    recorder = EventRecorder(wire, "kubelet")
    recorder.event(POD, "Warning", "BackOff", "again")
    wire.answer = lambda request: not_found("events", request.name)
    recorder.event(POD, "Warning", "BackOff", "again")
    assert [request.verb for request in wire.sent] == ["create", "patch", "create"]
    assert wire.sent[2].obj["count"] == 2


def test_the_tenth_similar_event_is_combined() -> None:
    wire = Wire()
    recorder = EventRecorder(wire, "replicaset-controller")
    for index in range(12):
        recorder.event(POD, "Normal", "SuccessfulCreate", f"Created pod: web-{index}")
    sent = messages(wire)
    assert sent[8] == ("create", "Created pod: web-8", 1)
    assert sent[9] == ("create", COMBINED + "Created pod: web-9", 1)
    assert sent[10:] == [("patch", COMBINED + "Created pod: web-10", 2), ("patch", COMBINED + "Created pod: web-11", 3)]


def test_similar_events_far_apart_are_not_combined() -> None:
    wire = Wire()
    recorder = EventRecorder(wire, "replicaset-controller")
    for index in range(12):
        recorder.event(POD, "Normal", "SuccessfulCreate", f"Created pod: web-{index}")
        wire.now_ns += 10 * MINUTE + 1
    assert not any(message.startswith(COMBINED) for _, message, _ in messages(wire))


@pytest.mark.parametrize(("wait_ns", "more"), [(0, 0), (300 * SECOND - 1, 0), (300 * SECOND, 1), (900 * SECOND, 3)])
def test_one_object_may_say_25_things_then_one_per_300_s(wait_ns: int, more: int) -> None:
    wire = Wire()
    recorder = EventRecorder(wire, "kubelet")
    for index in range(30):
        recorder.event(POD, "Normal", f"Reason{index}", "said")
    assert len(wire.sent) == 25
    recorder.event(NODE, "Normal", "Other", "another object has its own budget")
    assert len(wire.sent) == 26
    wire.now_ns += wait_ns
    for index in range(30, 40):
        recorder.event(POD, "Normal", f"Reason{index}", "said")
    assert len(wire.sent) == 26 + more


def test_a_series_event_has_the_new_shape_and_repeats_are_one_series() -> None:
    wire = Wire()
    recorder = SeriesRecorder(wire, "default-scheduler")
    for _ in range(3):
        recorder.event(POD, "Warning", "FailedScheduling", "0/1 nodes are available", "Scheduling")
        wire.now_ns += MINUTE
    wire.now_ns += 6 * MINUTE
    recorder.event(POD, "Warning", "FailedScheduling", "0/1 nodes are available", "Scheduling")
    first, series, again = wire.sent
    assert first.obj["eventTime"] == "2026-01-01T00:00:00.000000Z" and first.obj["action"] == "Scheduling"
    assert first.obj["source"] == {} and first.obj["firstTimestamp"] is None and "count" not in first.obj
    assert (series.verb, series.obj) == ("patch", {"series": {"count": 2, "lastObservedTime": "2026-01-01T00:01:00.000000Z"}})
    assert again.verb == "create" and again.name != first.name
