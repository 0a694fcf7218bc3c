"""The apiserver over HTTPS, one process on one core: GET, create, LIST, watches, start. The load is in this process, on the other core."""

import os
import selectors
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

pytest.importorskip("uvicorn", reason="kubesim[server] is not installed")

from bench.http_load import Server, exchange, request, run

PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"
CONNECTIONS = 8
SPEC = {"containers": [{"name": "main", "image": "nginx:1.27", "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}}]}


def pod(name: str) -> bytes:
    return orjson.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}}, "spec": SPEC})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("server"), "--nodes", "0", "--components", "apiserver")
    account = orjson.dumps({"metadata": {"name": "default"}})  # which a controller makes where there is one
    with found.connect() as connection:
        assert exchange(connection, request("POST", "/api/v1/namespaces/default/serviceaccounts", account))[0] == 201
    yield found
    found.stop()


def note(benchmark: Any, server: Server, before: float, **info: Any) -> None:
    """The row of the table, and what the server itself used."""
    benchmark.extra_info.update(room="server", server_cpu_seconds=round(server.cpu_seconds() - before, 2), **info)


def test_create_pods(benchmark: Any, server: Server, scale: Any) -> None:
    count = scale(50, 5_000)
    connections = [server.connect() for _ in range(CONNECTIONS)]
    requests = [request("POST", PODS, pod(f"pod-{number:05d}")) for number in range(count)]
    before = server.cpu_seconds()
    statuses = benchmark.pedantic(run, (connections, requests), rounds=1, iterations=1)
    assert statuses == {201: count}
    note(benchmark, server, before, operation="create of a Pod over HTTPS, 8 connections", count=count, unit="Pods", floor=1_500)
    for connection in connections:
        connection.close()


def test_get_a_pod(benchmark: Any, server: Server, scale: Any) -> None:
    count, stored = scale(50, 20_000), scale(50, 5_000)
    connections = [server.connect() for _ in range(CONNECTIONS)]
    requests = [request("GET", f"{PODS}/pod-{number % stored:05d}") for number in range(count)]
    before = server.cpu_seconds()
    statuses = benchmark.pedantic(run, (connections, requests), rounds=1, iterations=1)
    assert statuses == {200: count}
    note(benchmark, server, before, operation="GET of a Pod over HTTPS, 8 connections", count=count, unit="requests", floor=3_000)
    for connection in connections:
        connection.close()


def test_list_pods(benchmark: Any, server: Server, scale: Any) -> None:
    stored = scale(50, 5_000)
    connection = server.connect()
    before = server.cpu_seconds()
    status, body = benchmark.pedantic(exchange, (connection, request("GET", PODS)), rounds=5, iterations=1)
    assert status == 200
    assert len(orjson.loads(body)["items"]) == stored
    note(benchmark, server, before, operation=f"LIST of {stored:,} Pods over HTTPS", count=1, unit="lists", floor=6.7)
    connection.close()


def test_a_thousand_watches(benchmark: Any, server: Server, scale: Any) -> None:
    """Each change is for one of the watches; its time is from before the write to its event."""
    watches, changes, per_second = scale(10, 1_000), scale(20, 5_000), 500
    writer = server.connect()
    selector = selectors.DefaultSelector()
    streams = []
    for number in range(watches):
        assert exchange(writer, request("POST", MAPS, orjson.dumps({"metadata": {"name": f"map-{number}"}})))[0] == 201
        stream = server.connect()
        stream.sendall(request("GET", f"{MAPS}?watch=true&fieldSelector=metadata.name%3Dmap-{number}"))
        while b'"ADDED"' not in stream.recv(65536):
            pass
        stream.setblocking(False)
        selector.register(stream, selectors.EVENT_READ, number)
        streams.append(stream)
    sent: dict[int, float] = {}
    late: list[float] = []

    def deliver(until: float) -> None:
        while (left := until - time.perf_counter()) > 0 and len(late) < changes:
            for key, _ in selector.select(left):
                if b'"MODIFIED"' in key.fileobj.recv(65536):  # type: ignore[union-attr]
                    late.append(time.perf_counter() - sent[key.data])

    def change() -> None:
        start = time.perf_counter()
        for number in range(changes):
            deliver(start + number / per_second)
            body = orjson.dumps({"metadata": {"annotations": {"n": str(number)}}})
            data = request("PATCH", f"{MAPS}/map-{number % watches}", body).replace(
                b"application/json\r\nContent-L", b"application/merge-patch+json\r\nContent-L"
            )
            sent[number % watches] = time.perf_counter()
            assert exchange(writer, data)[0] == 200
        deliver(time.perf_counter() + 10)

    before = server.cpu_seconds()
    benchmark.pedantic(change, rounds=1, iterations=1)
    assert len(late) == changes
    p99 = sorted(late)[len(late) * 99 // 100]
    operation = f"{watches:,} open watches, 500 changes a second: p99 of a change's way to its watch {p99 * 1000:.0f} ms"
    note(benchmark, server, before, operation=operation, count=changes, unit="changes", floor="p99 at most 100 ms")
    for connection in (*streams, writer):
        connection.close()


def test_start_with_100_nodes(benchmark: Any, tmp_path: Path, scale: Any) -> None:
    nodes = scale(2, 100)

    def start() -> Server:
        found = Server(tmp_path, "--nodes", str(nodes))
        with found.connect() as connection:
            status, body = exchange(connection, request("GET", "/api/v1/nodes"))
        assert (status, len(orjson.loads(body)["items"])) == (200, nodes)
        return found

    before = time.perf_counter()
    found = benchmark.pedantic(start, rounds=1, iterations=1)
    operation = f"kubesim serve --nodes {nodes} until the nodes are listed"
    benchmark.extra_info.update(room="server", operation=operation, seconds=time.perf_counter() - before, floor="at most 2 s")
    assert os.getpid() != found.process.pid
    found.stop()
