"""Webhooks over real HTTP on loopback: what a hook does, and what the client of the apiserver hears of it."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from kubesim.apiserver.outside import Question, Reply
from kubesim.kernel.time import MILLISECOND

Object = dict[str, Any]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
MAPS = "/api/v1/namespaces/default/configmaps"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> tuple[Path, bytes, bytes]:
    """A directory with a server's certificate and key, the authority that signed it, and one that did not."""
    from kubesim.server.apiserver import certificates

    authority, other = certificates.make_authority(), certificates.make_authority("another")
    server = certificates.make_server(authority, ["127.0.0.1", "hook.default.svc"])
    directory = tmp_path_factory.mktemp("hook")
    (directory / "tls.crt").write_bytes(server.certificate)
    (directory / "tls.key").write_bytes(server.key)
    return directory, authority.certificate, other.certificate


async def read_request(reader: asyncio.StreamReader) -> tuple[str, Object]:
    """The request line and the body of one request."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(int(line.partition(":")[2]) for line in head.splitlines() if line.lower().startswith("content-length:"))
    return head.splitlines()[0], orjson.loads(await reader.readexactly(length))


def answering(make: Callable[[Object], bytes], status: str = "200 OK", seen: list[str] | None = None) -> Handler:
    """A hook that answers with ``make(review)``."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, review = await read_request(reader)
        if seen is not None:
            seen.append(line)
        body = make(review)
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    return handle


def labelled(review: Object) -> bytes:
    """Allow, and add a label."""
    patch = orjson.dumps([{"op": "add", "path": "/metadata/labels", "value": {"seen": "yes"}}])
    response = {"uid": review["request"]["uid"], "allowed": True, "patchType": "JSONPatch", "patch": b64encode(patch).decode(),
                "warnings": ["labelled"]}  # fmt: skip
    return orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})


async def dropping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hang up after the request."""
    await read_request(reader)
    writer.close()


async def babbling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say something that is no HTTP."""
    await read_request(reader)
    writer.write(b"220 smtp.example ready\r\n\r\n")
    writer.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await reader.read()
    writer.close()


def with_hooks(door) -> None:
    """Let a door ask its hooks over HTTP."""
    from kubesim.server.apiserver.hooks import HttpHooks

    door.server.outside = HttpHooks(door.server, lambda: None)


def asked(door, handler: Handler, directory: Path, client: Callable[[int], Object], is_tls: bool = True) -> tuple[Any, Any]:
    """Serve ``handler`` as the hook of ``client(port)`` and create a ConfigMap: the answer, and the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "tls.crt", directory / "tls.key")

    async def run() -> tuple[Any, int]:
        server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=context if is_tls else None)
        port = server.sockets[0].getsockname()[1]
        hook = {"name": "a.b.example", "clientConfig": client(port), "rules": [RULE], "sideEffects": "None",
                "admissionReviewVersions": ["v1"]}  # fmt: skip
        headers = {"accept": "application/json", "content-type": "application/json", "authorization": "Bearer admin-token"}
        made = []
        for path, body in ((CONFIGURATIONS, {"metadata": {"name": "w"}, "webhooks": [hook]}), (MAPS, {"metadata": {"name": "x"}})):
            raw = orjson.dumps(body)
            made.append(await door._ask("POST", path, raw, {**headers, "content-length": str(len(raw))}))
        server.close()
        assert made[0].status == 201, made[0].body
        return made[1], port

    return asyncio.run(run())


def test_a_hook_is_posted_a_review_and_patches(door, pairs) -> None:
    directory, authority, _ = pairs
    with_hooks(door)
    seen: list[str] = []
    client = lambda port: {"url": f"https://127.0.0.1:{port}/hook?a=b", "caBundle": b64encode(authority).decode()}  # noqa: E731
    reply, _ = asked(door, answering(labelled, seen=seen), directory, client)
    assert (reply.status, reply.json["metadata"]["labels"]) == (201, {"seen": "yes"})
    assert reply.headers["warning"] == ['299 - "labelled"']
    assert seen == ["POST /hook?a=b&timeout=10s HTTP/1.1"]
    assert door.ask("GET", f"{MAPS}/x").json["metadata"]["labels"] == {"seen": "yes"}


def test_a_hook_behind_a_service(door, pairs) -> None:
    directory, authority, _ = pairs
    with_hooks(door)
    spec = {"type": "ExternalName", "externalName": "127.0.0.1"}
    door.ask("POST", "/api/v1/namespaces/default/services", {"metadata": {"name": "hook"}, "spec": spec})
    where = {"namespace": "default", "name": "hook", "path": "/x"}
    client = lambda port: {"service": {**where, "port": port}, "caBundle": b64encode(authority).decode()}  # noqa: E731
    reply, _ = asked(door, answering(labelled), directory, client)
    assert (reply.status, reply.json["metadata"]["labels"]) == (201, {"seen": "yes"})


@pytest.mark.parametrize(
    ("handler", "bundle", "scheme", "is_tls", "failure"),
    [
        (dropping, 1, "https", True, "EOF"),
        (babbling, 1, "https", True, "net/http: HTTP/1.x transport connection broken: "),
        (answering(labelled), 2, "https", True, "tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        (answering(labelled), 0, "https", True, "tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        (silent, 1, "https", False, "http: server gave HTTP response to HTTPS client"),
    ],
)  # fmt: skip
def test_a_hook_that_cannot_be_talked_to(door, pairs, handler: Handler, bundle: int, scheme: str, is_tls: bool, failure: str) -> None:
    with_hooks(door)
    ca = {"caBundle": b64encode(pairs[bundle]).decode()} if bundle else {}
    handler = answering(labelled) if handler is silent else handler
    if not is_tls:
        handler = plain
    reply, port = asked(door, handler, pairs[0], lambda port: {"url": f"{scheme}://127.0.0.1:{port}/x", **ca}, is_tls)
    head = f'Internal error occurred: failed calling webhook "a.b.example": failed to call webhook: Post "{scheme}://127.0.0.1:{port}/x'
    assert (reply.status, reply.json["message"].startswith(f'{head}?timeout=10s": {failure}')) == (500, True), reply.json["message"]


async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An HTTP server that a TLS client talks to."""
    await reader.read(1)
    writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
    writer.close()


def test_time_is_over(door) -> None:
    from kubesim.server.apiserver.hooks import HttpHooks

    async def run() -> Reply:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        HttpHooks(door.server, lambda: None).ask_later(
            Question(f"http://127.0.0.1:{port}/", {}, timeout_ns=20 * MILLISECOND), answered.set_result
        )
        reply = await answered
        server.close()
        return reply

    assert asyncio.run(run()) == Reply(failure="context deadline exceeded")


@pytest.mark.parametrize(
    ("service", "failure"),
    [
        (None, 'service "hook" not found'),
        ({"ports": [{"port": 80}]}, 'no service port 443 found for service "hook"'),
        ({"clusterIP": "10.96.7.7", "ports": [{"port": 443}]}, "dial tcp 10.96.7.7:443: connect: connection refused"),
    ],
)
def test_a_service_that_leads_nowhere(door, service: Object | None, failure: str) -> None:
    with_hooks(door)
    if service is not None:
        door.ask("POST", "/api/v1/namespaces/default/services", {"metadata": {"name": "hook"}, "spec": service})
    hook = {"name": "a.b.example", "clientConfig": {"service": {"namespace": "default", "name": "hook"}}, "rules": [RULE],
            "sideEffects": "None", "admissionReviewVersions": ["v1"]}  # fmt: skip
    door.ask("POST", CONFIGURATIONS, {"metadata": {"name": "w"}, "webhooks": [hook]})
    message = door.ask("POST", MAPS, {"metadata": {"name": "x"}}).json["message"]
    assert message.endswith(f'failed to call webhook: Post "https://hook.default.svc:443/?timeout=10s": {failure}')
