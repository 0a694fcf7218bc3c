"""What a request costs in process: the verbs of a Pod's life, Events, and one change fanned out to many watchers."""

from collections.abc import Callable
from typing import Any

import pytest

from kubesim.apiserver.requests import Request, bind, create, delete, get, update
from kubesim.apiserver.server import ApiServer
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel

Object = dict[str, Any]
OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f", "uid": "u", "controller": True, "blockOwnerDeletion": True}
TEMPLATE_METADATA = {
    "generateName": "web-5d4f-",
    "labels": {"app": "web", "pod-template-hash": "5d4f"},
    "ownerReferences": [OWNER],
}
TEMPLATE_SPEC = {"containers": [{"name": "app", "image": "app:1", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]}


def fresh_server() -> ApiServer:
    kernel = Kernel(seed=1)
    return ApiServer(kernel, LocalEtcd(kernel))


def pod_requests(count: int) -> list[Request]:
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": TEMPLATE_METADATA, "spec": TEMPLATE_SPEC}
    return [create("pods", "default", obj) for _ in range(count)]


def with_pods(count: int, bound: bool) -> tuple[ApiServer, list[Object]]:
    server = fresh_server()
    pods = [server.call(request) for request in pod_requests(count)]
    if bound:
        for pod in pods:
            server.call(bind("default", pod["metadata"]["name"], pod["metadata"]["uid"], "node-1"))
        pods = [server.get("pods", "default", pod["metadata"]["name"]) for pod in pods]
    return server, pods


def call_all(server: ApiServer, requests: list[Request]) -> int:
    call = server.call
    for request in requests:
        call(request)
    return server.store.revision


def creates(count: int) -> tuple[ApiServer, list[Request]]:
    return fresh_server(), pod_requests(count)


def gets(count: int) -> tuple[ApiServer, list[Request]]:
    server, pods = with_pods(count, bound=False)
    return server, [get("pods", "default", pod["metadata"]["name"]) for pod in pods]


def bindings(count: int) -> tuple[ApiServer, list[Request]]:
    server, pods = with_pods(count, bound=False)
    return server, [bind("default", pod["metadata"]["name"], pod["metadata"]["uid"], "node-1") for pod in pods]


def status_updates(count: int) -> tuple[ApiServer, list[Request]]:
    server, pods = with_pods(count, bound=True)
    return server, [update("pods", {**pod, "status": {**pod["status"], "phase": "Running"}}, "status") for pod in pods]


def deletes(count: int) -> tuple[ApiServer, list[Request]]:
    server, pods = with_pods(count, bound=True)
    return server, [delete("pods", "default", pod["metadata"]["name"], gracePeriodSeconds=0) for pod in pods]


def events(count: int) -> tuple[ApiServer, list[Request]]:
    regarding = {"kind": "Pod", "namespace": "default", "name": "p"}
    obj = {"apiVersion": "v1", "kind": "Event", "involvedObject": regarding, "reason": "Scheduled", "type": "Normal", "count": 1}
    return fresh_server(), [create("events", "default", {**obj, "metadata": {"name": f"p.{index}"}}) for index in range(count)]


OPERATIONS: dict[str, tuple[Callable[[int], tuple[ApiServer, list[Request]]], str, int]] = {  # writes per request
    "get a Pod": (gets, "gets", 0),
    "create a Pod of a template": (creates, "Pods", 1),
    "bind a Pod": (bindings, "bindings", 1),
    "update a Pod's status": (status_updates, "updates", 1),
    "delete a bound Pod at once": (deletes, "deletes", 2),
    "create an Event": (events, "Events", 1),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_verbs(benchmark, scale, operation: str) -> None:
    prepare, unit, writes = OPERATIONS[operation]
    count = scale(50, 20_000)
    heads: list[int] = []

    def set_up() -> tuple[tuple, dict]:
        server, requests = prepare(count)
        heads.append(server.store.revision)
        return (server, requests), {}

    head = benchmark.pedantic(call_all, setup=set_up, rounds=3)
    benchmark.extra_info.update(room="apiserver", operation=operation, count=count, unit=unit)
    assert head == heads[-1] + writes * count


@pytest.mark.parametrize("distinct", [1, 10])
def test_one_change_to_many_watchers(benchmark, scale, distinct: int) -> None:
    """One write, one pass over the log, and every watcher has taken its event; ``distinct`` selectors among the watchers."""
    count = scale(20, 1_000)
    server, pods = with_pods(1, bound=False)
    selectors = [f"app in (web,x{index})" if index else "" for index in range(distinct)]
    watches = [server.watch("pods", label_selector=selectors[index % distinct], on_ready=_nothing) for index in range(count)]
    name = pods[0]["metadata"]["name"]

    def set_up() -> tuple[tuple, dict]:
        old = server.get("pods", "default", name)
        status = {**old["status"], "message": str(server.store.revision)}
        server.call(update("pods", {**old, "status": status}, "status"))
        return (), {}

    def deliver() -> int:
        server.kernel.run_due(server.kernel.now_ns)
        return sum(len(watch.take()) for watch in watches)

    taken = benchmark.pedantic(deliver, setup=set_up, rounds=20)
    operation = f"a change to {count} watchers, {distinct} selectors"
    benchmark.extra_info.update(room="apiserver", operation=operation, count=count, unit="events")
    assert taken == count


def _nothing() -> None:
    """A watcher that is woken and takes later."""
