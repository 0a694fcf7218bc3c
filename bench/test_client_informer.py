"""Benchmarks of the client side: events through an informer with indexes, keys through a work queue, events through a recorder."""

from typing import Any

from kubesim.apiserver.requests import Object, Request, WatchEvent
from kubesim.client.events import EventRecorder
from kubesim.client.informer import Informer
from kubesim.client.workqueue import WorkQueue
from kubesim.kernel import EPOCH_NS, Kernel


class Sink:
    """A door that takes requests and does nothing with them."""

    def __init__(self) -> None:
        self.user = "bench"
        self.now_ns = EPOCH_NS
        self.count = 0

    def send(self, request: Request, done: Any = None) -> None:
        self.count += 1

    def subscribe(self, *_: Any, **__: Any) -> None:
        raise AssertionError("not used")

    def stand(self, *_: Any) -> Any:
        raise AssertionError("not used")


def make_pod(index: int, revision: int, node: str) -> Object:
    metadata = {"name": f"web-{index}", "namespace": "default", "uid": f"u{index}", "resourceVersion": str(revision)}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {"nodeName": node} if node else {}, "status": {}}


def node_of(obj: Object) -> tuple[str, ...]:
    node = obj["spec"].get("nodeName")
    return (node,) if node else ()


def test_informer_events(benchmark, scale) -> None:
    count = scale(300, 50_000)
    events = [WatchEvent("ADDED", make_pod(index, index + 1, ""), None, index + 1) for index in range(count)]
    events += [WatchEvent("MODIFIED", make_pod(index, count + index, f"n{index % 100}"), None, count + index) for index in range(count)]

    def run() -> Informer:
        informer = Informer(None, "pods")
        informer.add_index("node", node_of)
        for start in range(0, len(events), 500):
            informer.on_events(events[start : start + 500])
        return informer

    informer = benchmark(run)
    assert len(informer.objects) == count and len(informer.indexed("node", "n7")) == count // 100
    benchmark.extra_info.update(room="client", operation="informer with an index: events applied", count=2 * count, unit="events")


def test_work_queue(benchmark, scale) -> None:
    count = scale(300, 50_000)
    keys = [f"default/web-{index}" for index in range(count)]

    def run() -> int:
        queue, done = WorkQueue(Kernel()), 0
        for key in keys:
            queue.add(key)
            queue.add(key)
        while len(queue):
            queue.done(queue.get())
            done += 1
        return done

    assert benchmark(run) == count
    benchmark.extra_info.update(room="client", operation="work queue: add twice, get, done", count=count, unit="keys")


def test_event_recorder(benchmark, scale) -> None:
    count = scale(300, 20_000)
    pods = [make_pod(index, 1, "n1") for index in range(count // 4)]

    def run() -> int:
        sink = Sink()
        recorder = EventRecorder(sink, "kubelet", "n1")
        for pod in pods:
            for reason in ("Pulling", "Pulled", "Created", "Started"):
                recorder.event(pod, "Normal", reason, "what happened to container app", "spec.containers{app}")
        return sink.count

    assert benchmark(run) == count // 4 * 4
    benchmark.extra_info.update(room="client", operation="event recorder: correlated and built", count=count // 4 * 4, unit="events")
