"""The guest driver: the kernel lives in somebody else's event loop, at the wall clock's pace or a number of times faster.

Whatever comes from outside calls ``wake()`` first, so that the kernel's time is now; what it sets off runs in the same turn of the loop. A
kernel that has more to do than the time allows works in slices of ``SLICE_EVENTS``, so that requests are answered in between, and
its time lags behind until it has caught up; it never goes back.
"""

import time
from asyncio import AbstractEventLoop, Handle
from collections.abc import Callable

from kubesim.drive.stepped import SLICE_EVENTS, run_ahead
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import SECOND


class Guest:
    """Runs a kernel on an event loop from now on, ``factor`` virtual seconds per second of ``clock_ns``."""

    def __init__(
        self, kernel: Kernel, loop: AbstractEventLoop, factor: float = 1.0, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        if not 0 < factor < float("inf"):
            raise ValueError(f"factor is {factor}; expected a finite number above 0: virtual seconds per real second")
        self.kernel = kernel
        self.is_watched: Callable[[], bool] = bool  # whether somebody is to be told of each instant of ``advance``
        self.factor = factor
        self._loop = loop
        self._clock_ns = clock_ns
        self._clock_start_ns = clock_ns()
        self._start_ns = kernel.now_ns
        self._timer: Handle | None = None
        self._timer_ns = -1
        self._is_pumping = False
        self._is_stopped = False

    def now_ns(self) -> int:
        """The time that the kernel should have."""
        elapsed_ns = self._clock_ns() - self._clock_start_ns
        return self._start_ns + (elapsed_ns if self.factor == 1.0 else int(elapsed_ns * self.factor))

    def wake(self) -> None:
        """Bring the kernel's time up to date, and see to it that what comes of this call runs before the loop waits again."""
        self.kernel.run_due(self.now_ns(), SLICE_EVENTS)
        if not self._is_pumping:
            self._is_pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._is_pumping = False
        if self._is_stopped:
            return
        kernel = self.kernel
        now_ns = self.now_ns()
        if kernel.run_due(now_ns, SLICE_EVENTS) >= SLICE_EVENTS:
            self._is_pumping = True
            self._loop.call_soon(self._pump)
            return
        next_ns = kernel.next_time()
        if self._timer is not None:
            if self._timer_ns == next_ns:
                return
            self._timer.cancel()
            self._timer = None
        if next_ns >= 0:
            self._timer_ns = next_ns
            self._timer = self._loop.call_later(max(next_ns - now_ns, 0) / SECOND / self.factor, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._pump()

    async def advance(self, duration_ns: int, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass at once, beside what passes by itself; whether ``until`` held, which ends it earlier."""
        held = await run_ahead(self.kernel, self.now_ns() + duration_ns, until, self.is_watched)
        self._start_ns += max(self.kernel.now_ns - self.now_ns(), 0)
        self.wake()
        return held

    def stop(self) -> None:
        """Run nothing any more."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
