"""One request being worked on by a server whose store is elsewhere: reads are answered by its copy, writes by the quorum.

A request that is refused before it has written is tried once more on a copy that has caught up: a copy that lags costs time, never truth.
"""

from collections.abc import Callable, Generator
from typing import Any, Protocol

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Request
from kubesim.apiserver.server import ApiServer
from kubesim.etcd.errors import EtcdError
from kubesim.etcd.requests import READS

Hops = tuple[str, ...]


class Host(Protocol):
    """What a task needs of the process that it runs in."""

    epoch: int  # grows when the process begins anew: what was under way is forgotten
    etcd: Any

    def when_fresh(self, function: Callable[[Exception | None], object]) -> None:
        """Call ``function(None)`` once the copy has what is acknowledged by now, or with the error."""

    def enter(self, function: Callable[..., object], *arguments: Any) -> None:
        """Do something that comes from elsewhere, when the process can."""

    def told(self, hops: Hops) -> None:
        """A step of a request that came by ``hops`` follows."""


class Task:
    """One request being worked on: the verb's generator, its reads answered by the copy, its writes by the quorum."""

    __slots__ = ("attempt", "done", "epoch", "hops", "process", "request", "server", "verb", "wrote")

    def __init__(self, process: Host, server: ApiServer, request: Request, done: Callable[[Any], object], hops: Hops) -> None:
        self.process = process
        self.server = server
        self.request = request
        self.done = done
        self.hops = hops
        self.epoch = process.epoch
        self.attempt = 0
        self.wrote = False
        self.verb: Generator[Any, Any, Any]

    def begin(self) -> None:
        """Start: a read when the copy is fresh, a write at once."""
        if self.request.verb in ("get", "list"):
            self.attempt = 1
            self.process.when_fresh(self._fresh)
        else:
            self._run()

    def _fresh(self, error: Exception | None) -> None:
        if error is not None:
            self._fail(error)
        else:
            self._run()

    def _run(self) -> None:
        self.verb = self.server.handle(self.request)
        self._step(None, None)

    def _step(self, answer: Any, error: Exception | None) -> None:
        process = self.process
        execute = self.server.etcd.execute
        if self.hops:
            process.told(self.hops)
        try:
            while True:
                asked = self.verb.send(answer) if error is None else self.verb.throw(error)
                answer, error = None, None
                if asked[0] == "ask":
                    self.server.outside.ask_later(asked[1], self._told)
                    return
                if asked[0] not in READS:
                    process.etcd.submit(asked, self._answered)
                    return
                try:
                    answer = execute(asked)
                except EtcdError as refused:
                    error = refused
        except StopIteration as stop:
            self.done(stop.value)
        except (ApiError, EtcdError) as failure:
            self._fail(failure)

    def _answered(self, answer: Any, error: Exception | None) -> None:
        if self.epoch == self.process.epoch:
            self.process.enter(self._go_on, answer, error)

    def _told(self, reply: Any) -> None:
        """A webhook has answered."""
        if self.epoch == self.process.epoch:
            self.process.enter(self._advise, reply)

    def _advise(self, reply: Any) -> None:
        if self.epoch == self.process.epoch:
            self._step(reply, None)

    def _go_on(self, answer: Any, error: Exception | None) -> None:
        if self.epoch == self.process.epoch:
            self.wrote = self.wrote or bool(answer)
            self._step(answer, error)

    def _fail(self, failure: Exception) -> None:
        if isinstance(failure, EtcdError):
            self.done(ApiError(504, "Timeout", str(failure)))
        elif self.attempt or self.wrote:
            self.done(failure)
        else:  # refused on what the copy had: is it so by now?
            self.attempt = 1
            self.process.when_fresh(self._fresh)
