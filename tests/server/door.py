"""The application without a socket: a kernel at rest behind it, and a client that speaks ASGI. No clock runs."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from kubesim.apiserver.server import ApiServer
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel
from kubesim.server.apiserver.app import App
from kubesim.server.apiserver.issuer import Issuer
from kubesim.server.apiserver.pages import Pages
from kubesim.server.apiserver.policy import policy_requests
from kubesim.server.apiserver.rbac import Rbac
from kubesim.server.apiserver.reviews import Reviews
from kubesim.server.apiserver.routes import Routes
from kubesim.server.apiserver.users import Authenticator, User, authenticated

ADMIN = authenticated(User("admin", ("system:masters",), "uid-admin"))
ALICE = authenticated(User("alice", ("dev",), "uid-alice"))


class Reply(NamedTuple):
    """An answer as a client sees it."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)

    @property
    def content_type(self) -> str:
        """The Content-Type."""
        return self.headers["content-type"][0]


class Door:
    """An apiserver behind its application."""

    def __init__(self) -> None:
        self.kernel = Kernel(seed=5)
        self.server = ApiServer(self.kernel, LocalEtcd(self.kernel), track_fields=True, debug=True)
        for request in policy_requests():
            self.server.call(request)
        authorizer = Rbac(self.server)
        issuer = Issuer(self.server, "https://kubernetes.default.svc")
        routes = Routes()
        authenticator = Authenticator({"admin-token": ADMIN, "alice-token": ALICE}, issuer.user_of)
        self.app = App(self.server, lambda: self.kernel.run_due(self.kernel.now_ns), routes, authenticator, authorizer)
        self.app.pages = Pages(routes, self.app.encoder, "192.0.2.1:6443", lambda: False, self.app.metrics, None, issuer)
        self.app.reviews = Reviews(self.server, self.app.encoder, authenticator, authorizer, issuer)

    def ask(self, method: str, path: str, body: Any = None, user: str | None = "admin", headers: Mapping[str, str] | None = None) -> Reply:
        """Send a request and return the answer; ``body`` is JSON, or bytes as they are."""
        raw = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        given = {"accept": "application/json", **({"content-type": "application/json"} if body is not None else {}), **(headers or {})}
        if raw:
            given["content-length"] = str(len(raw))
        if user is not None:
            given["authorization"] = f"Bearer {user}-token"
        return asyncio.run(self._ask(method, path, raw, given))

    def watch(self, path: str, accept: str = "application/json") -> Reply:
        """Open a watch and go away when its first bytes have come."""
        return asyncio.run(self._ask("GET", path, b"", {"accept": accept, "authorization": "Bearer admin-token"}, leaves=True))

    async def _ask(self, method: str, path: str, raw: bytes, headers: Mapping[str, str], leaves: bool = False) -> Reply:
        where, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": where,
            "raw_path": where.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        sent: list[Any] = []
        asked = leaves
        has_answer = asyncio.Event()

        async def receive() -> Any:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": raw, "more_body": False}
            await (has_answer.wait() if leaves else asyncio.Event().wait())
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            if message["type"] == "http.response.body":
                has_answer.set()

        await self.app(scope, receive, send)
        found: dict[str, list[str]] = {}
        for name, value in sent[0]["headers"]:
            found.setdefault(name.decode(), []).append(value.decode())
        return Reply(sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:]))
