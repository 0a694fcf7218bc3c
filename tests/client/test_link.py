"""The direct link on the real apiserver: requests in place, batches after the latency, re-lists, standing leases."""

from collections.abc import Sequence
from typing import Any

import pytest

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Object, WatchEvent, create, delete, get, update
from kubesim.apiserver.server import ApiServer
from kubesim.client.informer import Informer, InformerFactory
from kubesim.client.link import STANDING_ANNOTATION, DirectLink
from kubesim.drive import virtual
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel import MILLISECOND, SECOND, Kernel, format_micro_time

LEASES = "leases.coordination.k8s.io"


def config_map(name: str, **data: str) -> Object:
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, "namespace": "default"}, "data": data}


def make() -> tuple[Kernel, ApiServer, DirectLink]:
    kernel = Kernel()
    server = ApiServer(kernel, LocalEtcd(kernel), debug=True)
    return kernel, server, DirectLink(kernel, server, "tester")


def run(kernel: Kernel, duration_ns: int) -> None:
    virtual.run(kernel, until_ns=kernel.now_ns + duration_ns)


class Log:
    """A subscriber that writes down what it is told, and when."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.start_ns = kernel.now_ns
        self.lists: list[tuple[list[str], int]] = []
        self.batches: list[tuple[int, list[str]]] = []

    def on_list(self, items: Sequence[Object], revision: int) -> None:
        self.lists.append(([item["metadata"]["name"] for item in items], revision))

    def on_events(self, events: Sequence[WatchEvent]) -> None:
        names = [f"{event.type} {event.obj['metadata']['name']}" for event in events]
        self.batches.append((self.kernel.now_ns - self.start_ns, names))


def test_a_request_is_answered_in_place_with_the_object_or_the_error() -> None:
    _, server, link = make()
    users: list[str] = []
    server.audit.append(lambda _, request, __, ___: users.append(request.user))
    answers: list[Any] = []
    link.send(create("configmaps", "default", config_map("a")), answers.append)
    link.send(create("configmaps", "default", config_map("a")), answers.append)
    link.send(create("configmaps", "default", config_map("a")))
    assert answers[0]["metadata"]["uid"] and isinstance(answers[1], ApiError) and answers[1].reason == "AlreadyExists"
    assert users == ["tester"]


def test_what_is_written_until_a_batch_arrives_rides_along() -> None:
    kernel, server, link = make()
    log = Log(kernel)
    server.call(create("configmaps", "default", config_map("old")))
    link.subscribe("configmaps", log, namespace="default")
    assert [names for names, _ in log.lists] == [["old"]]
    for offset_ns, name in ((0, "a"), (0, "b"), (400_000, "c"), (5 * MILLISECOND, "d")):
        kernel.at(log.start_ns + offset_ns, server.call, create("configmaps", "default", config_map(name)))
    run(kernel, SECOND)
    assert log.batches == [(MILLISECOND, ["ADDED a", "ADDED b", "ADDED c"]), (6 * MILLISECOND, ["ADDED d"])]


def test_a_selection_hides_the_rest() -> None:
    kernel, server, link = make()
    log = Log(kernel)
    link.subscribe("configmaps", log, label_selector="app=web")
    chosen = config_map("chosen")
    chosen["metadata"]["labels"] = {"app": "web"}
    server.call(create("configmaps", "default", chosen))
    server.call(create("configmaps", "default", config_map("other")))
    run(kernel, SECOND)
    assert [names for _, names in log.batches] == [["ADDED chosen"]]


def test_informers_show_what_the_server_has_and_are_shared() -> None:
    kernel, server, link = make()
    factory = InformerFactory(link)
    informer = factory.informer("configmaps", namespace="default")
    assert factory.informer("configmaps", namespace="default") is informer and factory.informer("configmaps") is not informer
    factory.start()
    assert factory.synced
    first = server.call(create("configmaps", "default", config_map("a", x="1")))
    second = server.call(update("configmaps", {**first, "data": {"x": "2"}}))
    server.call(create("configmaps", "default", config_map("b")))
    server.call(delete("configmaps", "default", "b"))
    run(kernel, SECOND)
    assert informer.objects == {"default/a": second}
    assert informer.objects["default/a"] is server.get("configmaps", "default", "a"), "shared with the store, not copied"
    late = factory.informer("secrets")
    assert late.synced, "started at once"


def test_a_broken_watch_lists_again_and_delivers_the_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubesim.apiserver.watch_cache.EVENTS_MAX", 8)
    monkeypatch.setattr("kubesim.apiserver.watch_cache.TRIM_EVENTS_MIN", 8)
    kernel, server, _ = make()
    link = DirectLink(kernel, server, "slow", watch_latency_ns=SECOND)
    informer = Informer(link, "configmaps", namespace="default")
    seen: list[tuple[str, str]] = []
    informer.add_handler(lambda old, new: seen.append(((old or new)["metadata"]["name"], "gone" if new is None else "there")))
    informer.start()
    for index in range(30):
        kernel.after(index * MILLISECOND, server.call, create("configmaps", "default", config_map(f"c{index:02}")))
    kernel.after(40 * MILLISECOND, server.call, delete("configmaps", "default", "c07"))
    run(kernel, 5 * SECOND)
    assert sorted(informer.objects) == [f"default/c{index:02}" for index in range(30) if index != 7]
    assert len(seen) == 29, "the lost changes of c07 cancel out"
    server.call(create("configmaps", "default", config_map("after")))
    run(kernel, 2 * SECOND)
    assert "default/after" in informer.objects, "the new watch goes on"


def lease(kernel: Kernel) -> Object:
    metadata = {"name": "n1", "namespace": "kube-node-lease"}
    spec = {"holderIdentity": "n1", "leaseDurationSeconds": 40, "renewTime": format_micro_time(kernel.now_ns)}
    return {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": metadata, "spec": spec}


def renewed_s(kernel: Kernel, server: ApiServer, start_ns: int) -> float:
    text = server.get(LEASES, "kube-node-lease", "n1")["spec"]["renewTime"]
    return next(second for second in range(3600) if format_micro_time(start_ns + second * SECOND) == text)


@pytest.mark.parametrize("exists", [False, True])
def test_a_standing_lease_counts_as_renewed_whenever_somebody_looks(exists: bool) -> None:
    kernel, server, link = make()
    if exists:
        server.call(create(LEASES, "kube-node-lease", lease(kernel)))
        run(kernel, 3 * SECOND)
    start_ns = kernel.now_ns
    standing = link.stand(create(LEASES, "kube-node-lease", lease(kernel)), 10 * SECOND)
    before = kernel.dispatched_count
    run(kernel, 1005 * SECOND)
    assert kernel.dispatched_count - before <= 10
    assert renewed_s(kernel, server, start_ns) == 1000
    run(kernel, 28 * SECOND)
    standing.cancel()
    standing.cancel()
    run(kernel, 100 * SECOND)
    assert renewed_s(kernel, server, start_ns) == 1030
    assert STANDING_ANNOTATION not in (server.get(LEASES, "kube-node-lease", "n1")["metadata"].get("annotations") or {})


def test_a_lease_that_is_gone_is_made_again_and_cancel_forgives_its_absence() -> None:
    kernel, server, link = make()
    known = server.call(create(LEASES, "kube-node-lease", lease(kernel)))
    server.call(delete(LEASES, "kube-node-lease", "n1"))
    standing = link.stand(update(LEASES, known), 10 * SECOND)
    assert server.get(LEASES, "kube-node-lease", "n1")["metadata"]["annotations"] == {STANDING_ANNOTATION: "10s"}
    server.call(delete(LEASES, "kube-node-lease", "n1"))
    standing.cancel()
    with pytest.raises(ApiError):
        server.call(get(LEASES, "kube-node-lease", "n1"))


def test_impossible_parameters_are_refused() -> None:
    kernel, server, link = make()
    with pytest.raises(ValueError, match="watch_latency_ns: must not be negative, got -1"):
        DirectLink(kernel, server, "x", watch_latency_ns=-1)
    with pytest.raises(ValueError, match="period_ns: must be positive, got 0"):
        link.stand(create(LEASES, "kube-node-lease", lease(kernel)), 0)
