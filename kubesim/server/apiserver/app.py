"""The ASGI application: authenticate, impersonate, authorize, find the handler, answer in the form that was asked for.

Upstream: apiserver/pkg/server/config.go (DefaultBuildHandlerChain) and endpoints/installer.go.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from kubesim.api.errors import ApiError, too_large
from kubesim.apiserver.outside import Suspended
from kubesim.apiserver.registry import no_such_resource
from kubesim.apiserver.server import ApiServer
from kubesim.server.apiserver import media
from kubesim.server.apiserver.answers import Answer, Broken, text
from kubesim.server.apiserver.audit import Audit
from kubesim.server.apiserver.bodies import BODY_BYTES_MAX
from kubesim.server.apiserver.call import Call
from kubesim.server.apiserver.containers import Containers
from kubesim.server.apiserver.control import PREFIX as CONTROL_PREFIX
from kubesim.server.apiserver.control import Control
from kubesim.server.apiserver.custom_routes import Converted, no_watch
from kubesim.server.apiserver.encoding import Encoder
from kubesim.server.apiserver.faults import Faults, too_old
from kubesim.server.apiserver.journal import Journal
from kubesim.server.apiserver.metrics import metrics_text
from kubesim.server.apiserver.operations import Operations
from kubesim.server.apiserver.pages import Pages
from kubesim.server.apiserver.rbac import AlwaysAllow, Attributes, Rbac, forbidden_message
from kubesim.server.apiserver.remote import Remote
from kubesim.server.apiserver.reviews import Reviews
from kubesim.server.apiserver.routes import Routes
from kubesim.server.apiserver.streams import PROTOCOLS, SUBRESOURCES, Feed, Streams, no_forwarding
from kubesim.server.apiserver.users import Authenticator, User, impersonated
from kubesim.server.apiserver.watching import BOOKMARK_SECONDS, TIMEOUT_SECONDS_MIN, EventEncoder, Stream

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

STREAMED = tuple(f"{each};stream=watch" for each in (media.JSON, media.PROTOBUF))
READS = ("GET", "HEAD")
TOO_LARGE_SECONDS = 3.0  # how long a version that does not exist yet is waited for
DEPRECATED = {  # kinds whose every use is answered with a warning
    ("", "v1", "componentstatuses"): "v1 ComponentStatus is deprecated in v1.19+",
    ("", "v1", "endpoints"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}


class App:
    """The server's door. ``wake`` brings the kernel's time up to date before anything is asked of it."""

    def __init__(
        self, server: ApiServer, wake: Callable[[], object], routes: Routes, authenticator: Authenticator, authorizer: Rbac | AlwaysAllow
    ) -> None:
        self.server = server
        self.wake = wake
        self.routes = routes
        self.authenticator = authenticator
        self.authorizer = authorizer
        self.pages: Pages
        self.reviews: Reviews
        self.channels = Streams(Containers(server, None), wake, lambda: self.is_stopping)
        self.encoder = Encoder(server.registry.by_type)
        self.operations = Operations(server, self.encoder, authorizer)
        self.request_counts: dict[tuple[str, str, int], int] = {}
        self.answered_count = 0
        self.streams: dict[Stream, None] = {}
        self.journal: Journal | None = None
        self.remote: Remote | None = None  # of a store that is elsewhere
        self.faults: Faults | None = None
        self.control: Control | None = None
        self.audit: Audit | None = None
        self.is_stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        call = self._call_of(scope)
        outcome: Answer | Stream | Feed | Broken
        try:
            call.body = await self._read_body(call, receive)
            self.wake()
            if self.control is not None and call.path.startswith(CONTROL_PREFIX):
                self.admit(call)
                outcome = await self.control.answer(call)
            elif self.faults is not None and self.faults.is_armed and call.target.is_resource:
                outcome = await self._handle_with_faults(call, scope)
            else:
                outcome = await self._handle(call)
            if self.journal is not None and call.method not in READS:
                await self.journal.durable(self.server.store.revision)
        except ApiError as error:
            outcome = self.refusal(call, error)
        except OSError as error:
            outcome = self.refusal(call, ApiError(500, "InternalError", f"Internal error occurred: cannot write the log: {error.strerror}"))
        except Exception as error:
            traceback.print_exception(error)
            outcome = self.refusal(call, ApiError(500, "InternalError", f"Internal error occurred: {error}"))
        if isinstance(outcome, Broken):
            outcome.abort()
        elif isinstance(outcome, Answer):
            self._audit_answer(call, outcome.status, outcome.body)
            await self._send(call, outcome, send)
        else:
            self._audit_start(call)
            try:
                await (self._stream(call, outcome, receive, send) if isinstance(outcome, Stream) else self._feed(call, outcome, send))
            finally:
                self._audit_answer(call, 200)

    def _audit_start(self, call: Call) -> None:
        if self.audit is not None and call.audit is not None:
            self.audit.started(call, call.audit)

    def _audit_answer(self, call: Call, status: int, body: bytes = b"") -> None:
        if self.audit is not None:
            self.audit.complete(call, call.audit or self.audit.received(call), status, body)

    async def _handled(self, call: Call) -> Answer | Stream | Feed:
        """Handle a call, again from its beginning after every answer of a webhook or of an etcd elsewhere. Raises ApiError."""
        if self.remote is not None and call.method in READS and call.target.is_resource:
            await self.remote.fresh(call.query.get("resourceVersion", ""))
            self.wake()
        while True:
            try:
                return self.handle(call)
            except Suspended as pause:
                answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
                pause.then(answered.set_result)
                call.again(await answered)
                self.wake()

    def _call_of(self, scope: Scope) -> Call:
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        raw_path = scope.get("raw_path") or scope["path"].encode()
        path = raw_path.decode("latin-1").partition("?")[0]
        method = scope.get("kubesim.method") or scope.get("method", "GET")
        call = Call(method, path, scope["query_string"].decode("latin-1"), headers, scope.get("kubesim.certificate"))
        client = scope.get("client")
        call.client = client[0] if client else ""
        return call

    async def _read_body(self, call: Call, receive: Receive) -> bytes:
        length = call.headers.get("content-length", "")
        if not length and "transfer-encoding" not in call.headers:
            return b""
        if length.isdecimal() and int(length) > BODY_BYTES_MAX:
            raise too_large(f"limit is {BODY_BYTES_MAX}")
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b"".join(parts)
            part = message.get("body", b"")
            size += len(part)
            if size > BODY_BYTES_MAX:
                raise too_large(f"limit is {BODY_BYTES_MAX}")
            parts.append(part)
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    # -- the chain --

    async def _handle(self, call: Call) -> Answer | Stream | Feed:
        """Answer a call; one about a version that does not exist yet waits for it. Raises ApiError."""
        try:
            return await self._handled(call)
        except ApiError as error:
            # Nothing else that is 504 may be done again: a write whose outcome nobody knows may have happened.
            if error.code != 504 or call.method not in READS or not error.details.get("causes"):
                raise
        await asyncio.sleep(TOO_LARGE_SECONDS)
        self.wake()
        call.forget()
        return await self._handled(call)

    async def _handle_with_faults(self, call: Call, scope: Scope) -> Answer | Stream | Feed | Broken:
        """Answer a call on a server with faults: what hits it happens first. Raises ApiError."""
        assert self.faults is not None
        self.admit(call)
        hit = self.faults.hit(call, call.user.name)
        if hit is None:
            return await self._handle(call)
        if hit.delay_ns:
            await self._pass(hit.delay_ns)
        if hit.breaks_before:
            return Broken(scope.get("kubesim.abort"))
        if hit.error is not None:
            raise hit.error
        call.read_at = hit.read_at
        outcome = await self._handle(call)
        if hit.is_expired and isinstance(outcome, Stream):
            outcome.expire(too_old())
        return Broken(scope.get("kubesim.abort")) if hit.breaks_after else outcome

    async def _pass(self, delay_ns: int) -> None:
        """Wait until so much of the cluster's time has passed."""
        passed = asyncio.Event()
        self.server.kernel.after(delay_ns, passed.set)
        self.wake()
        await passed.wait()

    def admit(self, call: Call) -> None:
        """Find out who calls and whether they may. Raises ApiError."""
        call.user = call.authenticated = self.authenticator.authenticate(call.headers.get("authorization", ""), call.certificate, call.warn)
        self._impersonate(call)
        if self.audit is not None and call.audit is None:
            call.audit = self.audit.received(call)
        self._authorize(call)

    def handle(self, call: Call) -> Answer | Stream | Feed:
        """Answer a call whose body has been read. Raises ApiError."""
        self.admit(call)
        target = call.target
        if not target.is_resource:
            answer = self.pages.answer(call)
            if answer is None:
                return self._nothing_at(call)
            return answer
        if not self.routes.has_group(target.group):
            return self._nothing_at(call)
        if "." in target.group and self.routes.is_page(target):
            return text("404 page not found\n", 404)
        call.route = self.routes.resolve(target, call.method)
        if not media.passes_first_gate(call.headers.get("accept", "")) and target.subresource != "log":
            raise media.not_acceptable_gate()
        form = media.negotiate(call.headers.get("accept", ""))
        if form is None:
            raise media.not_acceptable()
        call.form = form
        deprecation = call.route.row.get("deprecation") or DEPRECATED.get((target.group, target.version, target.resource))
        if deprecation is not None:
            call.warn(deprecation)
        answer = self.reviews.answer(call)
        if answer is not None:
            return answer
        if target.resource == "componentstatuses" and not target.group:
            return self.operations.component_statuses(call)
        if target.verb == "watch" and not target.subresource:
            return self._watch(call)
        if target.subresource in SUBRESOURCES:
            if target.subresource == "log":
                return self.channels.log(call)
            raise self.channels.refuse(call)
        return self.operations.execute(call)

    def _nothing_at(self, call: Call) -> Answer:
        """404: a Status below what is served, a plain page elsewhere."""
        parts = call.path.strip("/").split("/")
        if parts[0] == "api" or (parts[0] == "apis" and len(parts) > 1 and self.routes.has_group(parts[1])):
            raise no_such_resource()
        return text("404 page not found\n", 404)

    def _impersonate(self, call: Call) -> None:
        wanted = impersonated(call.header_list)
        if wanted is None:
            return
        self.authorize_impersonation(call, wanted)
        call.user = wanted

    def authorize_impersonation(self, call: Call, wanted: User) -> None:
        """Raise 403 unless the user may act as another."""
        asked = [Attributes("impersonate", resource="users", name=wanted.name)]
        if wanted.name.startswith("system:serviceaccount:") and wanted.name.count(":") == 3:
            _, _, namespace, name = wanted.name.split(":")
            asked = [Attributes("impersonate", resource="serviceaccounts", namespace=namespace, name=name)]
        for group in [value for key, value in call.header_list if key == "impersonate-group"]:
            asked.append(Attributes("impersonate", resource="groups", name=group))
        if wanted.uid:
            asked.append(Attributes("impersonate", group="authentication.k8s.io", resource="uids", name=wanted.uid))
        for key, values in wanted.extra.items():
            asked.extend(
                Attributes("impersonate", group="authentication.k8s.io", resource="userextras", subresource=key, name=value)
                for value in values
            )
        if all(self.authorizer.decide(call.user, each).allowed for each in asked):
            return
        target = call.target
        what = self._attributes(call)
        verb = f"impersonate-on:user-info:{what.verb}"
        raise self._forbidden(call, what._replace(verb=verb, name=target.name), "")

    def _attributes(self, call: Call) -> Attributes:
        target = call.target
        if not target.is_resource:
            return Attributes(call.method.lower(), False, path=unquote(call.path))
        verb = target.verb or call.method.lower()
        return Attributes(verb, True, target.group, target.resource, target.subresource, target.namespace, target.name)

    def _authorize(self, call: Call) -> None:
        asked = self._attributes(call)
        decision = self.authorizer.decide(call.user, asked)
        call.decision = decision.allowed, decision.reason
        if not decision.allowed:
            raise self._forbidden(call, asked, decision.reason)

    def _forbidden(self, call: Call, asked: Attributes, reason: str) -> ApiError:
        message = forbidden_message(call.user, asked, reason)
        if not asked.is_resource:
            return ApiError(403, "Forbidden", f"forbidden: {message}", {})
        resource = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
        details: dict[str, Any] = {"name": asked.name} if asked.name else {}
        if asked.group:
            details["group"] = asked.group
        details["kind"] = asked.resource
        head = f'{resource} "{asked.name}" is forbidden' if asked.name else f"{resource} is forbidden"
        return ApiError(403, "Forbidden", f"{head}: {message}", details)

    # -- answers --

    def refusal(self, call: Call, error: ApiError) -> Answer:
        """An error as an answer, in the client's encoding."""
        form = media.negotiate(call.headers.get("accept", "")) or media.DEFAULT
        status = error.status
        token = getattr(error, "continue_token", "")
        if token:
            status["metadata"] = {"continue": token}
        headers = []
        retry = error.details.get("retryAfterSeconds")
        if retry:
            headers.append(("Retry-After", str(retry)))
        return Answer(error.code, self.encoder.any(status, form.media), form.media, headers)

    @property
    def is_telling(self) -> bool:
        """Whether a watch has events that its client has not been sent yet."""
        return any(stream.is_ready for stream in self.streams)

    def metrics(self) -> str:
        """The metrics as Prometheus reads them."""
        return metrics_text(self.server, self.request_counts, len(self.streams))

    async def _send(self, call: Call, answer: Answer, send: Send) -> None:
        key = (call.target.verb, call.target.resource, answer.status)
        self.request_counts[key] = self.request_counts.get(key, 0) + 1
        self.answered_count += 1
        headers = [(b"cache-control", b"no-cache, private")]
        if answer.status != 204:
            headers += [(b"content-type", answer.content_type.encode()), (b"content-length", b"%d" % len(answer.body))]
        for name, value in (*call.warning_headers(), *answer.headers):
            headers.append((name.lower().encode("latin-1"), value.encode("utf-8")))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if call.method == "HEAD" else answer.body})

    async def _feed(self, call: Call, feed: Feed, send: Send) -> None:
        headers = [(b"content-type", feed.content_type.encode()), (b"cache-control", b"no-cache, private")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for data in feed.chunks:
            if data:
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve exec and attach; what is refused is refused before the upgrade, with a Status."""
        call = self._call_of(scope)
        await receive()
        protocol = next((each for each in PROTOCOLS if each in scope["subprotocols"]), "")
        try:
            self.wake()
            self.admit(call)
            if call.target.subresource not in ("exec", "attach"):
                raise no_forwarding()
            call.route = self.routes.resolve(call.target, call.method)
            self.channels.check(call)
            if not protocol:
                raise ApiError(403, "Forbidden", f"no protocol is known among {scope['subprotocols']}; expected one of {PROTOCOLS}")
        except ApiError as error:
            answer = self.refusal(call, error)
            self._audit_answer(call, answer.status, answer.body)
            headers = [(b"content-type", answer.content_type.encode()), (b"content-length", b"%d" % len(answer.body))]
            await send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": answer.body})
            return
        self._audit_start(call)
        await send({"type": "websocket.accept", "subprotocol": protocol})
        await self.channels.serve(call, scope["query_string"].decode("latin-1"), receive, send)
        self._audit_answer(call, 101)

    # -- watches --

    def _watch(self, call: Call) -> Stream:
        resource, view = self.operations.resource_of(call)
        if isinstance(view, Converted):
            raise no_watch()
        form = call.form
        if form.media == media.YAML:
            raise media.not_acceptable(STREAMED)
        include = call.query.get("includeObject", "")
        encode = EventEncoder(self.encoder, resource.kind, form, include, view, lambda: self.server.kernel.now_ns)
        options = dict(call.query)
        if call.target.name and "fieldSelector" not in options:
            options["fieldSelector"] = f"metadata.name={call.target.name}"
        elif view is not None:
            options["fieldSelector"] = view.field_selector(options.get("fieldSelector", ""))
        stream = Stream(self.server, resource, call.target.namespace if resource.namespaced else "", options, encode)
        if self.faults is not None:
            stream.meet(self.faults.on_watch(call, call.user.name))
        return stream

    async def _stream(self, call: Call, stream: Stream, receive: Receive, send: Send) -> None:
        content_type = call.form.media if call.form.media == media.JSON else f"{call.form.media};stream=watch"
        headers = [(b"content-type", content_type.encode()), (b"cache-control", b"no-cache, private")]
        for name, value in call.warning_headers():
            headers.append((name.lower().encode("latin-1"), value.encode("utf-8")))
        loop = asyncio.get_running_loop()
        timeout_text = call.query.get("timeoutSeconds", "")
        timeout = float(timeout_text) if timeout_text.isdecimal() and int(timeout_text) else float(TIMEOUT_SECONDS_MIN)
        deadline = loop.time() + timeout
        gone = loop.create_task(self._until_gone(receive, stream))
        self.streams[stream] = None
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            next_bookmark = loop.time() + BOOKMARK_SECONDS
            await send({"type": "http.response.body", "body": stream.take(), "more_body": True})
            while not stream.is_over and not gone.done() and not self.is_stopping:
                now = loop.time()
                if now >= deadline:
                    break
                if await stream.wait(min(deadline, next_bookmark) - now):
                    data = stream.take()
                elif loop.time() >= next_bookmark:
                    next_bookmark = loop.time() + BOOKMARK_SECONDS
                    data = stream.bookmark()
                else:
                    continue
                if data and not gone.done():
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            if not gone.done():
                await send({"type": "http.response.body", "body": b""})
        finally:
            self.streams.pop(stream, None)
            stream.close()
            gone.cancel()

    async def _until_gone(self, receive: Receive, stream: Stream) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        stream.wake()

    def stop(self) -> None:
        """End all streams; what is asked from now on is still answered."""
        self.is_stopping = True
        for stream in list(self.streams):
            stream.wake()


__all__ = ["App"]
