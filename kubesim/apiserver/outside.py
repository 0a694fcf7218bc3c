"""What the apiserver asks of others: admission and conversion webhooks, by HTTP or as Python functions.

Below the drivers there are no sockets, so a verb that needs an answer from outside yields ``("ask", Question)``, as it yields requests for
etcd, and whoever drives it asks its ``Outside``: the HTTP door fills in a client, a cluster in process has ``Callables``, which are
answered in virtual time. An answer that takes time suspends the verb: ``ApiServer.call`` raises ``Suspended``, and who called goes on
with ``then``.

Upstream: apiserver/pkg/util/webhook (client.go, serviceresolver.go).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import orjson

from kubesim.api.errors import ApiError
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import SECOND

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
HANDLERS_MAX = 1024


class Question(NamedTuple):
    """A JSON document posted to a URL. ``service`` is (namespace, name, port) when the URL names a Service; ``authority`` is PEM."""

    url: str
    body: Object
    service: tuple[str, str, int] | None = None
    authority: bytes = b""
    timeout_ns: int = 10 * SECOND


class Reply(NamedTuple):
    """What came back: a status and bytes, or the ``failure`` of the connection in Go's words."""

    status: int = 200
    body: bytes = b""
    failure: str = ""


Done = Callable[[Reply], object]
DEADLINE = "context deadline exceeded"


class Outside(Protocol):
    """Who answers questions."""

    def ask(self, question: Question) -> Reply | None:
        """The answer if it is there at once, None when it takes time."""

    def ask_later(self, question: Question, done: Done) -> None:
        """Ask; ``done`` gets the answer, not before this returns."""


class Suspended(Exception):
    """A verb that waits for an answer from outside."""

    def __init__(self, server: "ApiServer", send: Callable[[Any], Any], question: Question) -> None:
        super().__init__(question.url)
        self._server = server
        self._send = send
        self._question = question

    def then(self, done: Callable[[Any], object]) -> None:
        """Wait for the answer and go on; ``done`` gets the object of the request, or its ApiError."""
        self._server.outside.ask_later(self._question, lambda reply: self._go_on(reply, done))

    def _go_on(self, reply: Reply, done: Callable[[Any], object]) -> None:
        try:
            outcome = self._server.go_on(self._send, reply)
        except Suspended as again:
            again.then(done)
            return
        except ApiError as error:
            outcome = error
        done(outcome)


class Handler(NamedTuple):
    """A function that answers for a URL or a Service, and how long it takes."""

    function: Callable[[Object], Any]
    latency_ns: int


class Callables:
    """Python functions as webhooks. A function gets the posted document and returns one; what it raises is a dropped connection."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._handlers: dict[str, Handler] = {}

    def register(self, where: str, function: Callable[[Object], Any], latency_ns: int = 0) -> None:
        """Answer for ``where``: the beginning of a URL, or ``namespace/name`` of a Service. ``latency_ns`` of 0 answers at once.

        A cluster of one master does not wait for an answer (its requests are answered in place): there a latency is only compared with
        the timeout of the webhook. Raises ValueError for a negative latency or too many functions.
        """
        if latency_ns < 0:
            raise ValueError(f"latency_ns is {latency_ns}; expected 0 or more")
        if len(self._handlers) >= HANDLERS_MAX:
            raise ValueError(f"there are {HANDLERS_MAX} functions already, which is the limit")
        self._handlers[where] = Handler(function, latency_ns)

    def forget(self, where: str) -> None:
        """Answer for ``where`` no longer."""
        self._handlers.pop(where, None)

    def _find(self, question: Question) -> Handler | None:
        if question.service is not None:
            return self._handlers.get("/".join(question.service[:2]))
        fitting = [where for where in self._handlers if question.url.startswith(where)]
        return self._handlers[max(fitting, key=len)] if fitting else None

    def ask(self, question: Question) -> Reply:
        """Answer in place."""
        handler = self._find(question)
        if handler is None:
            return Reply(failure=unreachable(question))
        if handler.latency_ns >= question.timeout_ns:
            return Reply(failure=DEADLINE)
        try:
            return Reply(body=orjson.dumps(handler.function(question.body)))
        except Exception as error:  # whatever the user's function does is an answer of the other side
            return Reply(failure=f"EOF ({type(error).__name__}: {error})")

    def ask_later(self, question: Question, done: Done) -> None:
        """Answer after the function's latency, or when the time is over."""
        handler = self._find(question)
        latency_ns = 0 if handler is None else min(handler.latency_ns, question.timeout_ns)
        self._kernel.after(latency_ns, lambda: done(self.ask(question)))


def unreachable(question: Question) -> str:
    """What Go says of a place where nobody listens."""
    if question.service is not None:
        return f'service "{question.service[1]}" not found'
    parts = urlsplit(question.url)
    host, port = parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)
    if host.replace(".", "").isdigit() or ":" in host:
        return f"dial tcp {f'[{host}]' if ':' in host else host}:{port}: connect: connection refused"
    return f"dial tcp: lookup {host}: no such host"
