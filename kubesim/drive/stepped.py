"""The stepped driver: the kernel lives in somebody else's event loop, and its time stands until somebody moves it.

What is due now runs as soon as it can; nothing later does before ``advance``. So a back-off of an hour costs no time, and a test decides
what has happened when it looks.
"""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable

from kubesim.kernel.loop import Kernel

SLICE_EVENTS = 2_000  # between two turns of the loop


async def run_ahead(kernel: Kernel, end_ns: int, until: Callable[[], bool] | None, is_watched: Callable[[], bool]) -> bool:
    """Run a kernel to ``end_ns`` without waiting, or until ``until`` holds, which is asked after each instant; whether it did.

    The loop turns again and again meanwhile; while somebody watches, after each instant, so that what happened is told in the order
    of time. Somebody else may run the kernel in these turns, even beyond the end.
    """
    kernel.run_due(kernel.now_ns)
    while until is None or not until():
        next_ns = kernel.next_time()
        if not 0 <= next_ns <= end_ns:
            kernel.run_due(max(end_ns, kernel.now_ns))
            return until is not None and until()
        if until is not None or is_watched():
            kernel.drain(next_ns)
        else:
            kernel.drain(end_ns, SLICE_EVENTS)
        await asyncio.sleep(0)
    return True


class Stepped:
    """Runs a kernel on an event loop. ``is_watched`` says whether somebody is to be told of each instant before the next one begins."""

    def __init__(self, kernel: Kernel, loop: AbstractEventLoop, is_watched: Callable[[], bool] = bool) -> None:
        self.kernel = kernel
        self.is_watched = is_watched
        self._loop = loop
        self._is_pumping = False
        self._is_stopped = False

    def now_ns(self) -> int:
        """The time that the kernel should have: the one that it has."""
        return self.kernel.now_ns

    def wake(self) -> None:
        """See to it that what comes of this call at the present instant runs before the loop waits again."""
        if not self._is_pumping:
            self._is_pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._is_pumping = False
        kernel = self.kernel
        if not self._is_stopped and kernel.run_due(kernel.now_ns, SLICE_EVENTS) >= SLICE_EVENTS:
            self.wake()

    async def advance(self, duration_ns: int, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass, at once; whether ``until`` held, which is asked after each instant and ends it earlier."""
        return await run_ahead(self.kernel, self.kernel.now_ns + duration_ns, until, self.is_watched)

    def stop(self) -> None:
        """Run nothing any more."""
        self._is_stopped = True
