"""The kernel on an event loop: its time is the wall clock's, its events run when they are due.

Whatever comes from outside calls ``wake()`` first, so that the kernel's time is now. What all sockets had in one turn of the loop is worked
on together at its end: ``work`` (the member, once for all requests), the kernel's due events, then ``flush`` (the connections, one write
each). The time never goes back: it begins at the wall clock and goes on with the monotonic one.
"""

import time
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable

from kubesim.kernel.loop import Kernel

SECOND_NS = 1_000_000_000


class Clock:
    """Runs a kernel on an event loop, from now on."""

    def __init__(self, loop: AbstractEventLoop, seed: int) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self.kernel = Kernel(seed, self.now_ns())
        self.work: list[Callable[[], object]] = []
        self.flush: list[Callable[[], object]] = []
        self._loop = loop
        self._timer: TimerHandle | None = None
        self._timer_ns = 0
        self._is_pumping = False

    def now_ns(self) -> int:
        """Return the time."""
        return time.monotonic_ns() + self._offset_ns

    def wake(self) -> None:
        """Bring the kernel's time up to date, and see to it that the turn has an end."""
        self.kernel.run_due(self.now_ns())
        self.soon()

    def soon(self) -> None:
        """See to it that the turn has an end before the loop waits again."""
        if not self._is_pumping:
            self._is_pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._is_pumping = False
        self._run()

    def _run(self) -> None:
        kernel = self.kernel
        for work in self.work:
            work()
        kernel.run_due(self.now_ns())
        for flush in self.flush:
            flush()
        next_ns = kernel.next_time()
        if self._timer is not None:
            if self._timer_ns == next_ns:
                return
            self._timer.cancel()
            self._timer = None
        if next_ns >= 0:
            self._timer_ns = next_ns
            self._timer = self._loop.call_later(max(next_ns - self.now_ns(), 0) / SECOND_NS, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._run()

    def stop(self) -> None:
        """Run nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
