"""Webhooks over HTTP: the answers from outside that ``kubesim serve`` gives its apiserver.

One connection per question, HTTP/1.1 by h11. A Service is dialled where its traffic would end up: the address in its annotation
``kubesim.dev/address`` (a simulated Pod listens nowhere), the external name of one that has one, else an endpoint. What goes wrong is
told in Go's words, for it becomes part of the client's message.

Upstream: apiserver/pkg/util/webhook/client.go, kube-aggregator/pkg/apiserver/resolvers.go, net/http.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import h11
import orjson

from kubesim.apiserver.outside import DEADLINE, Done, Question, Reply
from kubesim.apiserver.server import ApiServer
from kubesim.kernel.time import SECOND

Object = dict[str, Any]
ADDRESS = "kubesim.dev/address"
REPLY_BYTES_MAX = 3 * 1024 * 1024
READ_BYTES = 65_536
X509 = "tls: failed to verify certificate: x509"
UNTRUSTED = frozenset((18, 19, 20, 21))  # OpenSSL's verify codes: self-signed, or no way to an authority that is trusted
EXPIRED, NOT_YET, OTHER_NAME, OTHER_ADDRESS = 10, 9, 62, 64


class Unresolved(Exception):
    """A Service that leads nowhere."""


class Exchange(NamedTuple):
    """A request to somebody outside. ``server_name`` is whose certificate is expected."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    address: tuple[str, int]
    server_name: str
    context: ssl.SSLContext | None


class Received(NamedTuple):
    """A whole answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class HttpHooks:
    """Asks over HTTP. ``wake`` brings the kernel's time up to date before an answer is taken in."""

    def __init__(self, server: ApiServer, wake: Callable[[], object]) -> None:
        self._server = server
        self._wake = wake
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, question: Question) -> None:
        """Nothing is answered at once."""

    def ask_later(self, question: Question, done: Done) -> None:
        """Post the question; ``done`` gets the answer within its timeout."""
        task = asyncio.get_running_loop().create_task(self._post(question, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post(self, question: Question, done: Done) -> None:
        try:
            received = await asyncio.wait_for(self._exchange(question), question.timeout_ns / SECOND)
            reply = Reply(received.status, received.body)
        except TimeoutError:
            reply = Reply(failure=DEADLINE)
        except (OSError, ssl.SSLError, h11.ProtocolError, Unresolved, ValueError) as error:
            reply = Reply(failure=go_words(error, question.url))
        self._wake()
        done(reply)

    async def _exchange(self, question: Question) -> Received:
        parts = urlsplit(question.url)
        host = parts.hostname or ""
        address = (host, parts.port or (80 if parts.scheme == "http" else 443))
        if question.service is not None:
            address = resolved(self._server, *question.service)
        headers = {"Content-Type": "application/json", "Accept": "application/json, */*", "User-Agent": "kube-apiserver-admission"}
        context = trusting(question.authority) if parts.scheme == "https" else None
        body = orjson.dumps(question.body)
        return await exchange(Exchange("POST", question.url, headers, body, address, host, context))


def trusting(authority: bytes, insecure: bool = False) -> ssl.SSLContext:
    """TLS that trusts the given authorities (PEM), or those of the system. Raises ValueError."""
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif authority:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=authority.decode())
        except ssl.SSLError:
            raise ValueError("unable to load root certificates: unable to parse bytes as PEM block") from None
    return context


def resolved(server: ApiServer, namespace: str, name: str, port: int) -> tuple[str, int]:
    """Where a Service's port is. Raises Unresolved."""
    service = server.peek("services", namespace, name)
    if service is None:
        raise Unresolved(f'service "{name}" not found')
    spec, given = service["spec"], (service["metadata"].get("annotations") or {}).get(ADDRESS, "")
    if given:
        host, _, number = given.rpartition(":")
        return host or given, int(number) if host and number.isdecimal() else port
    if spec.get("type") == "ExternalName":
        return spec["externalName"], port
    wanted = next((each for each in spec.get("ports") or () if each["port"] == port), None)
    if wanted is None:
        raise Unresolved(f'no service port {port} found for service "{name}"')
    for piece in server.peek_all("endpointslices.discovery.k8s.io", namespace):
        if (piece["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != name:
            continue
        numbers = [each["port"] for each in piece.get("ports") or () if each.get("name", "") == wanted.get("name", "")]
        ready = [each for each in piece.get("endpoints") or () if (each.get("conditions") or {}).get("ready") is not False]
        if numbers and ready:
            return ready[0]["addresses"][0], numbers[0]
    raise Unresolved(f"dial tcp {spec.get('clusterIP', '')}:{port}: connect: connection refused")


async def exchange(asked: Exchange) -> Received:
    """Send a request on a connection of its own and read the whole answer. Raises OSError, h11.ProtocolError, ValueError."""
    host, port = asked.address
    reader, writer = await asyncio.open_connection(
        host, port, ssl=asked.context, server_hostname=asked.server_name if asked.context is not None else None
    )
    try:
        connection = h11.Connection(h11.CLIENT)
        parts = urlsplit(asked.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = [("Host", parts.netloc), *asked.headers.items(), ("Content-Length", str(len(asked.body))), ("Connection", "close")]
        request = h11.Request(method=asked.method, target=target, headers=headers)
        writer.write((connection.send(request) or b"") + (connection.send(h11.Data(asked.body)) or b""))
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        return await _received(connection, reader)
    finally:
        writer.close()


async def _received(connection: h11.Connection, reader: asyncio.StreamReader) -> Received:
    status, headers, body, size = 0, [], [], 0
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(READ_BYTES))
        elif isinstance(event, h11.Response):
            status, headers = event.status_code, [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers]
        elif isinstance(event, h11.Data):
            size += len(event.data)
            if size > REPLY_BYTES_MAX:
                raise ValueError(f"the reply is longer than {REPLY_BYTES_MAX} bytes")
            body.append(bytes(event.data))
        elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
            return Received(status, headers, b"".join(body))


def go_words(error: Exception, url: str) -> str:
    """How Go words a connection that failed."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in UNTRUSTED:
            return f"{X509}: certificate signed by unknown authority"
        if error.verify_code in (EXPIRED, NOT_YET):
            return f"{X509}: certificate has expired or is not yet valid"
        if error.verify_code in (OTHER_NAME, OTHER_ADDRESS):
            return f"{X509}: certificate is not valid for any names, but wanted to match {host}"
        return f"{X509}: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        if "WRONG_VERSION_NUMBER" in str(error) or "RECORD_LAYER_FAILURE" in str(error):
            return "http: server gave HTTP response to HTTPS client"
        return "remote error: tls: handshake failure"
    if isinstance(error, socket.gaierror):
        return f"dial tcp: lookup {host}: no such host"
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {host}:{port}: connect: connection refused"
    if isinstance(error, ConnectionResetError):
        return "read: connection reset by peer"
    if isinstance(error, h11.ProtocolError):
        text = str(error)
        if "connection" in text.lower() or "without sending complete" in text:
            return "EOF"
        return f"net/http: HTTP/1.x transport connection broken: {text}"
    if isinstance(error, OSError):
        return f"dial tcp {host}:{port}: connect: {(error.strerror or str(error)).lower()}"
    return str(error)
