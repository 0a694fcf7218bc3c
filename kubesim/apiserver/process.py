"""An apiserver as a process on the simulated network: connections of clients on one side, a client of etcd on the other.

Its copy of etcd (``replica``) is filled once and then follows a watch. A write is tried on what the copy has, and its compare-and-put is
decided by the quorum; when it is refused, and nothing was written yet, it is tried once more on a copy that has come to etcd's present
revision: so a copy that lags makes a request slower and never wrong. A get or list waits for that revision first (upstream: consistent
reads from the cache). A watch that is ahead of the copy waits, too.

``messages``: see ``client/network_link.py``. Upstream: apiserver/pkg/storage/etcd3/store.go (GuaranteedUpdate), cacher.go
(ConsistentListFromCache, waitUntilFreshAndBlock).
"""

from collections.abc import Callable
from typing import Any

from kubesim._core.revision_store import Change
from kubesim.api.errors import ApiError
from kubesim.apiserver.bootstrap import bootstrap_requests
from kubesim.apiserver.replica import Replica
from kubesim.apiserver.requests import Request
from kubesim.apiserver.server import ApiServer
from kubesim.apiserver.task import Hops, Task
from kubesim.apiserver.watch_cache import Watch
from kubesim.etcd.client import EtcdClient
from kubesim.etcd.client import Watch as EtcdWatch
from kubesim.kernel.loop import Kernel
from kubesim.kernel.network import Network
from kubesim.kernel.time import MILLISECOND, SECOND
from kubesim.kernel.wake import Wakeup

ALL = (b"\0", b"\0")  # from the first key on
FRESH_NS_MAX = 3 * SECOND  # how long a watch that is ahead is waited for
START_AGAIN_NS = 500 * MILLISECOND
Key = tuple[str, Any]  # (the host that a message came from, the connection)


class ApiProcess:
    """The apiserver on ``host``. ``make_server(replica, name)`` makes its inside."""

    def __init__(
        self,
        kernel: Kernel,
        network: Network,
        host: str,
        etcd: EtcdClient,
        make_server: Callable[[Replica, str], ApiServer],
        on_serve: Callable[[Hops], object] = lambda hops: None,
    ) -> None:
        self.kernel = kernel
        self.host = host
        self.etcd = etcd
        self.server: ApiServer | None = None  # None: not ready
        self.is_running = False
        self.request_count = 0
        self._network = network
        self._make_server = make_server
        self._on_serve = on_serve  # told, just before a step of a request, which hops it has come by
        self.epoch = 0
        self._replica: Replica
        self._feed: EtcdWatch | None = None
        self._watches: dict[Key, dict[int, _Stream]] = {}
        self._waiting: list[tuple[int, Callable[[], object]]] = []  # (revision, what to do when the copy has it)
        self._answers: dict[Key, list[tuple[Any, ...]]] = {}
        self._flush = Wakeup(kernel, self._send_answers)
        self._paused: list[tuple[str, tuple[Any, ...]]] | None = None
        network.add_host(host, self.receive)

    # -- life

    def start(self) -> None:
        """Start: it is ready when its copy is filled and what every cluster has is there."""
        if not self.is_running:
            self.is_running = True
            self._fill()

    def stop(self, power_lost: bool = False) -> None:
        """End at once; with the power nobody is told, else connections are reset."""
        self.is_running = False
        self.server = None
        self.epoch += 1
        if self._feed is not None:
            self._feed.cancel()
            self._feed = None
        watches, self._watches = self._watches, {}
        self._waiting, self._answers, self._paused = [], {}, None
        if not power_lost:
            for source, connection in watches:
                self._network.send(self.host, source, ("closed", connection))

    def pause(self) -> None:
        """Stop doing anything, as SIGSTOP does; what comes in waits."""
        if self.is_running and self._paused is None:
            self._paused = []

    def resume(self) -> None:
        """Go on with what has waited."""
        held, self._paused = self._paused or [], None
        for source, message in held:
            if source:
                self.receive(source, message)
            else:
                self.enter(*message)

    def enter(self, function: Callable[..., object], *arguments: Any) -> None:
        """Do something that comes from elsewhere: now, or when the process goes on; not after it has ended."""
        if self._paused is not None:
            self._paused.append(("", (function, *arguments)))
        else:
            function(*arguments)

    def _fill(self) -> None:
        epoch = self.epoch

        def done(answer: Any, error: Exception | None) -> None:
            if epoch == self.epoch:
                self.enter(self._filled, epoch, answer, error)

        self.etcd.submit(("range", *ALL), done)

    def _filled(self, epoch: int, answer: Any, error: Exception | None) -> None:
        if epoch != self.epoch:
            return
        if error is not None:
            self.kernel.after(START_AGAIN_NS, self._fill_again, epoch)
            return
        self._replica = Replica(lambda request: self.etcd.submit(request, lambda answer, error: None))
        if answer.kvs:
            self._replica.fill(answer.kvs, answer.revision)
        # A restarted process draws other names and uids than the one before.
        server = self._make_server(self._replica, self.host if epoch == 0 else f"{self.host}#{epoch}")
        server.submit = lambda request, done: Task(self, server, request, done, ()).begin()  # type: ignore[method-assign]
        server.custom_resources.start()
        server.has_quotas = bool(server.peek_all("resourcequotas"))
        self._feed = self.etcd.watch(*ALL, self._replica.store.revision + 1, self._follow(epoch), self._feed_ended(epoch))
        self._bootstrap(epoch, server, list(bootstrap_requests()))

    def _fill_again(self, epoch: int) -> None:
        if epoch == self.epoch:
            self._fill()

    def _bootstrap(self, epoch: int, server: ApiServer, left: list[Request]) -> None:
        """Create what every cluster has, one after the other; what is there stays."""
        if epoch != self.epoch:
            return
        if not left:
            self.server = server
            return

        def done(outcome: Any) -> None:
            if isinstance(outcome, ApiError) and outcome.code >= 500:
                self.kernel.after(START_AGAIN_NS, self._bootstrap, epoch, server, left)
            else:
                self._bootstrap(epoch, server, left[1:])

        Task(self, server, left[0], done, ()).begin()

    def _follow(self, epoch: int) -> Callable[[Any, int], object]:
        def follow(changes: list[Change], revision: int) -> None:
            if epoch == self.epoch:
                self.enter(self._take, epoch, changes)

        return follow

    def _take(self, epoch: int, changes: list[Change]) -> None:
        if epoch != self.epoch:
            return
        self._replica.follow(changes)
        if self.server is not None and changes:
            self.server.followed()
        self._wake()

    def _feed_ended(self, epoch: int) -> Callable[[Exception], object]:
        def ended(error: Exception) -> None:
            if epoch == self.epoch:  # its place in etcd's history is compacted: everything begins anew
                self.enter(self._restart)

        return ended

    def _restart(self) -> None:
        self.stop()
        self.start()

    # -- messages

    def receive(self, source: str, message: tuple[Any, ...]) -> None:
        """Take a message of a client or a balancer."""
        if self._paused is not None:
            self._paused.append((source, message))
            return
        kind = message[0]
        if kind == "health":
            self._check_health(source, message[1])
        elif kind == "close":
            self._hang_up((source, message[1]))
        elif kind == "c":
            key = (source, message[1])
            how, parts = message[2]
            if self.server is None:
                self._network.send(self.host, source, ("refused" if how == "open" else "closed", message[1]))
            elif how != "open" and key not in self._watches:
                self._network.send(self.host, source, ("closed", message[1]))
            else:
                self._watches.setdefault(key, {})
                for part in parts:
                    self._handle(key, part)

    def _handle(self, key: Key, part: tuple[Any, ...]) -> None:
        server = self.server
        if server is None:
            return  # it has ended with an earlier part of the same message
        if part[0] == "request":
            number = part[1]
            self.request_count += 1
            client = key[1][0] if isinstance(key[1], tuple) else key[0]
            hops = (client, key[0], self.host) if client != key[0] else (client, self.host)
            Task(self, server, part[2], lambda outcome: self.answer(key, ("answer", number, outcome)), hops).begin()
        elif part[0] == "watch":
            self._open_watch(key, *part[1:])
        else:
            self.answer(key, ("pong",))

    def answer(self, key: Key, part: tuple[Any, ...]) -> None:
        """Send a part to a client, with all others of this instant."""
        if key in self._watches:
            self._answers.setdefault(key, []).append(part)
            self._flush.set()

    def _send_answers(self) -> None:
        answers, self._answers = self._answers, {}
        for (source, connection), parts in answers.items():
            self._network.send(self.host, source, ("s", connection, parts))

    def _check_health(self, source: str, number: int) -> None:
        if self.server is None:
            self._network.send(self.host, source, ("healthy", number, False))
            return

        def done(answer: Any, error: Exception | None) -> None:
            self._network.send(self.host, source, ("healthy", number, error is None))

        self.etcd.submit(("get", b"health"), done)

    # -- freshness

    def when_at(self, revision: int, function: Callable[[], object]) -> None:
        """Call ``function`` once the copy has come to ``revision``."""
        if self._replica.store.revision >= revision:
            function()
        else:
            self._waiting.append((revision, function))

    def _wake(self) -> None:
        if self._waiting:
            revision = self._replica.store.revision
            ready = [function for wanted, function in self._waiting if wanted <= revision]
            self._waiting = [(wanted, function) for wanted, function in self._waiting if wanted > revision]
            for function in ready:
                function()

    def when_fresh(self, function: Callable[[Exception | None], object]) -> None:
        """Call ``function(None)`` once the copy has what etcd has acknowledged up to now; an error when no quorum can tell."""
        epoch = self.epoch

        def done(answer: Any, error: Exception | None) -> None:
            if epoch == self.epoch:
                self.enter(known, answer, error)

        def known(answer: Any, error: Exception | None) -> None:
            if error is not None:
                function(error)
            else:
                self.when_at(answer.revision, lambda: function(None))

        self.etcd.submit(("range", b"\0", None, 0, 1), done)

    # -- watches

    def _open_watch(self, key: Key, number: int, resource: str, selection: dict[str, str], revision: int | None) -> None:
        known = self._watches[key].pop(number, None)
        if known is not None:
            known.watch.cancel()
        if revision is None:
            self._list(key, number, resource, selection)
            return
        server = self.server
        waited = [False]

        def go() -> None:
            waited[0] = True
            if key in self._watches and self.server is server:
                self._watch(key, number, resource, selection, revision)

        self.when_at(revision, go)
        if not waited[0]:
            self.kernel.after(FRESH_NS_MAX, self._too_far, key, number, waited)

    def _too_far(self, key: Key, number: int, waited: list[bool]) -> None:
        if not waited[0]:
            waited[0] = True
            self.answer(key, ("watch_failed", number, ApiError(504, "Timeout", "Too large resource version")))

    def _list(self, key: Key, number: int, resource: str, selection: dict[str, str]) -> None:
        options = {"labelSelector": selection["label_selector"], "fieldSelector": selection["field_selector"]}
        request = Request("list", resource, selection["namespace"], options={name: text for name, text in options.items() if text})

        def listed(outcome: Any) -> None:
            if key not in self._watches:
                return
            if isinstance(outcome, ApiError):
                self.answer(key, ("watch_failed", number, outcome))
                return
            revision = int(outcome["metadata"]["resourceVersion"])
            self.answer(key, ("list", number, outcome["items"], revision))
            self._watch(key, number, resource, selection, revision)

        assert self.server is not None
        Task(self, self.server, request, listed, ()).begin()

    def _watch(self, key: Key, number: int, resource: str, selection: dict[str, str], revision: int) -> None:
        server = self.server
        if server is None:
            return
        stream = _Stream(self, key, number)
        try:
            stream.watch = server.watch(resource, revision=revision, on_ready=stream.ready, **selection)
        except ApiError as error:
            self.answer(key, ("watch_failed", number, error))
            return
        self._watches[key][number] = stream

    def _hang_up(self, key: Key) -> None:
        for stream in self._watches.pop(key, {}).values():
            stream.watch.cancel()
        self._answers.pop(key, None)

    @property
    def revision(self) -> int:
        """How far its copy has come."""
        return self._replica.store.revision

    def told(self, hops: Hops) -> None:
        """A step of a request that came by ``hops`` follows."""
        self._on_serve(hops)


class _Stream:
    """A watch that is being sent; what is written in one instant is one message."""

    __slots__ = ("count", "key", "number", "process", "wakeup", "watch")

    def __init__(self, process: ApiProcess, key: Key, number: int) -> None:
        self.process = process
        self.key = key
        self.number = number
        self.count = 0
        self.watch: Watch
        self.wakeup = Wakeup(process.kernel, self.send)

    def ready(self) -> None:
        """There is something to send."""
        self.wakeup.set()

    def send(self) -> None:
        """Send it."""
        process = self.process
        if process.server is None or process._watches.get(self.key, {}).get(self.number) is not self:
            return
        try:
            events = self.watch.take()
        except ApiError as error:
            del process._watches[self.key][self.number]
            process.answer(self.key, ("watch_failed", self.number, error))
            return
        self.count += 1
        process.answer(self.key, ("events", self.number, self.count, events, events[-1].revision if events else 0))
