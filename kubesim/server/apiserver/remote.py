"""``--etcd-servers``: an apiserver whose store is an etcd elsewhere, which it may share with other apiservers.

The server has a copy of etcd (``apiserver/replica.py``) that is filled once and follows a watch; a verb's reads are answered by it, its
writes are compare-and-put transactions at the quorum (``apiserver/task.py``). A read of a client waits until the copy has what is
acknowledged by now; those that come while one asks etcd share the next question. Objects are JSON under upstream's keys, their versions
are etcd's revisions, and each start takes a revision of its own, from which its uids are drawn: no two servers give out the same.

Upstream: apiserver/pkg/storage/etcd3 and storage/cacher.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import orjson

from kubesim._core.revision_store import KeyValue, record_of
from kubesim.api.errors import ApiError
from kubesim.apiserver.outside import Suspended
from kubesim.apiserver.replica import Replica
from kubesim.apiserver.requests import Object, Request
from kubesim.apiserver.selection import compile_selection
from kubesim.apiserver.server import ApiServer
from kubesim.apiserver.standing import STANDING
from kubesim.apiserver.task import Hops, Task
from kubesim.apiserver.watch_cache import OnReady, Watch
from kubesim.etcd.errors import OUT_OF_RANGE, EtcdError
from kubesim.kernel.loop import Kernel
from kubesim.server.etcd.client import RemoteEtcd

KV, LEASE = "/etcdserverpb.KV/", "/etcdserverpb.Lease/"
STARTS_KEY = b"/kubesim/starts"  # every start of a server puts it, for the revision
ALL = {"key": b"\0", "range_end": b"\0"}
AHEAD_SECONDS_MAX = 3.0  # how long a version is waited for that the copy does not have yet
ATTEMPTS_MAX = 60
AGAIN_SECONDS = 0.5
OPTIONS = orjson.OPT_NON_STR_KEYS
Done = Callable[[Any, Exception | None], object]


class Head(NamedTuple):
    """The answer to a question for etcd's present revision."""

    revision: int


def value_of(data: bytes) -> Any:
    """The object in a value; what is none of ours stays as it is."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return data


def records_of(kvs: Iterable[dict[str, Any]]) -> list[KeyValue]:
    """The key-values of an answer as records of a store."""
    found: list[KeyValue] = []
    for kv in sorted(kvs, key=lambda kv: int(kv["mod_revision"])):
        revision = kv["mod_revision"]
        sub = found[-1].sub + 1 if found and found[-1].mod_revision == revision else 0
        value = value_of(kv.get("value", b""))
        found.append(record_of(kv["key"], value, kv["create_revision"], revision, kv["version"], kv.get("lease", 0), sub))
    return found


def changes_of(events: Iterable[dict[str, Any]]) -> list[KeyValue]:
    """The events of a watch as changes of a store."""
    found: list[KeyValue] = []
    for event in events:
        kv = event["kv"]
        revision = kv["mod_revision"]
        sub = found[-1].sub + 1 if found and found[-1].mod_revision == revision else 0
        if event.get("type") == "DELETE":
            found.append(record_of(kv["key"], None, 0, revision, 0, 0, sub))
        else:
            value = value_of(kv.get("value", b""))
            found.append(record_of(kv["key"], value, kv["create_revision"], revision, kv["version"], kv.get("lease", 0), sub))
    return found


class Remote:
    """The copy, and the way to etcd. ``wake`` brings the kernel's time up to date."""

    epoch = 0

    def __init__(self, client: RemoteEtcd) -> None:
        self.client = client
        self.etcd = self
        self.replica = Replica(lambda request: self.submit(request, lambda answer, error: None))
        self.identity = 0  # of this start: a revision that no other has
        self.wake: Callable[[], object] = lambda: None
        self.on_followed: Callable[[], object] = lambda: None
        self.on_behind: Callable[[], object] = lambda: None  # the place in etcd's history is compacted
        self._waiting: list[tuple[int, Callable[[], object]]] = []
        self._asking: list[Callable[[Exception | None], object]] = []
        self._is_asking = False
        self._tasks: set[asyncio.Task[Any]] = set()

    # -- the copy

    async def start(self) -> None:
        """Take a revision, fill the copy and follow. Raises EtcdError when etcd does not answer."""
        put = await self.client.call(KV + "Put", {"key": STARTS_KEY, "value": b""}, is_repeatable=True)
        self.identity = put["header"]["revision"]
        answer = await self.client.call(KV + "Range", ALL, is_repeatable=True)
        self.replica.fill(records_of(answer.get("kvs", ())), answer["header"]["revision"])
        self._keep(asyncio.get_running_loop().create_task(self._follow()))

    async def _follow(self) -> None:
        await self.client.watch(self.replica.store.revision + 1, self._take)
        self.on_behind()

    def _take(self, events: list[dict[str, Any]], revision: int) -> None:
        self.wake()
        self.replica.follow(changes_of(events))
        self.on_followed()
        if self._waiting:
            ready = [function for wanted, function in self._waiting if wanted <= revision]
            self._waiting = [(wanted, function) for wanted, function in self._waiting if wanted > revision]
            for function in ready:
                function()
        self.wake()

    def when_at(self, revision: int, function: Callable[[], object]) -> None:
        """Call ``function`` once the copy has come to ``revision``."""
        if self.replica.store.revision >= revision:
            function()
        else:
            self._waiting.append((revision, function))

    def when_fresh(self, function: Callable[[Exception | None], object]) -> None:
        """Call ``function(None)`` once the copy has what etcd has acknowledged by now, or with the error."""
        self._asking.append(function)
        if not self._is_asking:
            self._ask()

    def _ask(self) -> None:
        batch, self._asking = self._asking, []
        self._is_asking = True

        def done(answer: Any, error: Exception | None) -> None:
            self._is_asking = False
            for function in batch:
                if error is not None:
                    function(error)
                else:
                    self.when_at(answer.revision, partial(function, None))
            if self._asking:
                self._ask()

        self.submit(("head",), done)

    async def fresh(self, version: str) -> None:
        """Wait until the copy can answer a read: of now, or not older than ``version``. Raises ApiError when etcd does not answer."""
        if version == "0":
            return
        ready: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

        def settle(error: Exception | None = None) -> None:
            if not ready.done():
                ready.set_result(error)

        if version.isdecimal():
            self.when_at(int(version), settle)
            try:
                async with asyncio.timeout(AHEAD_SECONDS_MAX):
                    await ready
            except TimeoutError:
                return  # the verb says that it is too large
            finally:
                settle()
        else:
            self.when_fresh(settle)
            error = await ready
            if error is not None:
                raise ApiError(504, "Timeout", str(error), {})

    # -- what a task needs

    def enter(self, function: Callable[..., object], *arguments: Any) -> None:
        """Do something that comes from elsewhere."""
        self.wake()
        function(*arguments)
        self.wake()

    def told(self, hops: Hops) -> None:
        """Nobody asks which way a request came."""

    def submit(self, request: Any, done: Done) -> None:
        """Have etcd execute a request; ``done`` gets its answer or error."""

        async def execute() -> None:
            try:
                answer = await self._execute(request)
            except EtcdError as error:
                done(None, error)
                return
            done(answer, None)

        self._keep(asyncio.get_running_loop().create_task(execute()))

    def _keep(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _execute(self, request: Any) -> Any:
        what, call = request[0], self.client.call
        if what == "head":
            answer = await call(KV + "Range", {"key": STARTS_KEY, "count_only": True}, is_repeatable=True)
            return Head(answer["header"]["revision"])
        if what == "put_if":
            key, value, mod_revision, lease = (*request[1:], 0)[:4]
            put = {"request_put": {"key": key, "value": orjson.dumps(value, option=OPTIONS), "lease": lease}}
            return await self._if(key, mod_revision, put)
        if what == "delete_if":
            key, mod_revision = request[1:]
            return await self._if(key, mod_revision, {"request_delete_range": {"key": key}}) if mod_revision else 0
        if what == "grant":
            return (await call(LEASE + "LeaseGrant", {"TTL": request[1]}))["ID"]
        if what == "compact":
            try:
                await call(KV + "Compact", {"revision": request[1]})
            except EtcdError as error:
                if error.code != OUT_OF_RANGE:  # another server was faster
                    raise
            return None
        raise ValueError(f"{what!r} is no request of a verb")

    async def _if(self, key: bytes, mod_revision: int, operation: dict[str, Any]) -> int:
        """The revision of an operation on a key that is still at ``mod_revision`` (0: absent), or 0."""
        compare = {"result": "EQUAL", "target": "MOD", "key": key, "mod_revision": mod_revision}
        answer = await self.client.call(KV + "Txn", {"compare": [compare], "success": [operation]})
        return int(answer["header"]["revision"]) if answer.get("succeeded") else 0

    # -- the end

    def close(self) -> None:
        """Follow no longer."""
        for task in self._tasks:
            task.cancel()
        self.client.close()


class Waiting(Suspended):
    """A verb that waits for etcd."""

    def __init__(self) -> None:
        Exception.__init__(self, "the request waits for etcd")
        self.outcomes: list[Any] = []
        self._done: Callable[[Any], object] | None = None

    def settle(self, outcome: Any) -> None:
        """The verb is done."""
        if self._done is not None:
            self._done(outcome)
        else:
            self.outcomes.append(outcome)

    def then(self, done: Callable[[Any], object]) -> None:
        """Wait for the end of the verb; ``done`` gets the object of the request, or its ApiError."""
        if self.outcomes:
            done(self.outcomes[0])
        else:
            self._done = done


class RemoteServer(ApiServer):
    """An apiserver over a ``Remote``."""

    def __init__(self, kernel: Kernel, remote: Remote, **options: Any) -> None:
        self.remote = remote
        super().__init__(kernel, remote.replica, name=f"kube-apiserver-{remote.identity}", bootstrap=False, **options)
        remote.on_followed = self.followed

    def call(self, request: Request) -> Any:
        """Answer a read from the copy; a write waits for etcd. Raises ApiError, Suspended."""
        if request.verb in ("get", "list") and request.resource not in STANDING:
            return super().call(request)
        waiting = Waiting()
        Task(self.remote, self, request, waiting.settle, ()).begin()
        if not waiting.outcomes:
            raise waiting
        if isinstance(waiting.outcomes[0], ApiError):
            raise waiting.outcomes[0]
        return waiting.outcomes[0]

    def submit(self, request: Request, done: Callable[[Any], object]) -> None:
        """Execute a request; ``done`` gets the object or the ApiError, now or later."""
        Task(self.remote, self, request, done, ()).begin()

    async def settled(self, request: Request) -> Any:
        """Execute a request and wait for its end, again as long as etcd cannot tell. Returns the object or the ApiError."""
        for _ in range(ATTEMPTS_MAX):
            answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self.submit(request, answered.set_result)
            outcome = await answered
            if not isinstance(outcome, ApiError) or outcome.code < 500:
                break
            await asyncio.sleep(AGAIN_SECONDS)
        return outcome

    def watch_list(
        self, resource: str, *, namespace: str = "", label_selector: str = "", field_selector: str = "", on_ready: OnReady
    ) -> tuple[list[Object], int, Watch]:
        """The objects of a selection as the copy has them, the revision they are of, and a watch that goes on from there."""
        found = self.registry.resource(resource)
        matches = compile_selection(found, namespace, label_selector, field_selector)
        revision = self.store.revision
        items = [obj for obj in self.peek_all(resource, namespace) if matches is None or matches(obj)]
        selection = {"namespace": namespace, "label_selector": label_selector, "field_selector": field_selector}
        return items, revision, self.watch(resource, revision=revision, on_ready=on_ready, **selection)
