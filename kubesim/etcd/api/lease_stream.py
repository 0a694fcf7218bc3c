"""One stream of keep-alives: a request, an answer, in order. Upstream: etcd ``server/etcdserver/api/v3rpc/lease.go`` (LeaseKeepAlive)."""

from collections import deque
from collections.abc import Callable
from typing import Any

from kubesim.etcd.api import lease
from kubesim.etcd.api.calls import Running, start
from kubesim.etcd.api.context import Call, Context
from kubesim.etcd.wire.codec import Fields


class LeaseStream:
    """Answers renewals one after the other; ``end(error)`` is called when one fails, or None when all that came are answered."""

    def __init__(self, context: Context, call: Call, send: Callable[[Fields], object], end: Callable[[Exception | None], object]) -> None:
        self._context = context
        self._call = call
        self._send = send
        self._end = end
        self._requests: deque[Fields] = deque()
        self._running: Running | None = None
        self._is_half_closed = False

    def receive(self, message: Fields) -> None:
        """Take a request."""
        self._requests.append(message)
        self._work()

    def half_close(self) -> None:
        """Take note that no more requests come."""
        self._is_half_closed = True
        self._work()

    def close(self) -> None:
        """End at once."""
        self._requests.clear()
        if self._running is not None:
            self._running.cancel()

    def _work(self) -> None:
        while self._running is None or self._running.is_over:
            if not self._requests:
                if self._is_half_closed:
                    self._is_half_closed = False
                    self._end(None)
                return
            self._running = start(lease.keep_alive(self._context, self._call, self._requests.popleft()), self._answered)

    def _answered(self, answer: Any, error: Exception | None) -> None:
        if error is not None:
            self._requests.clear()
            self._end(error)
            return
        self._send(answer)
        if self._running is not None:  # else it was answered at once, from inside ``_work``
            self._work()
