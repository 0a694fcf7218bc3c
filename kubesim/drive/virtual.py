"""The virtual driver: jump to the next deadline, at once, until there is a reason to stop.

It runs a kernel as fast as the machine can. While it runs, the collector of reference cycles is kept from scanning the whole heap again and
again, and Ctrl-C waits for the end of the present event, so that no component is left half way through one; a second Ctrl-C
interrupts at once.
"""

import gc
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from kubesim._core.agenda import TIME_NS_MAX
from kubesim.kernel.loop import Kernel

QUIET = "quiet"  # nothing is left to do
DEADLINE = "deadline"  # the time asked for has come
PREDICATE = "predicate"  # the condition asked for holds
STOPPED = "stopped"  # somebody called kernel.stop()

BATCH_EVENTS = 8192  # events between two calls of progress()
# Young objects are looked at every 100,000 net allocations, survivors every 20th time. A full scan then waits for 20 million, and for a
# quarter of the heap (CPython's own rule): the cost per object stays constant however large the heap is.
GC_THRESHOLDS = (100_000, 20, 10)


def run(
    kernel: Kernel,
    until_ns: int | None = None,
    predicate: Callable[[], bool] | None = None,
    progress: Callable[[], object] | None = None,
) -> str:
    """Run until nothing is left, ``until_ns`` (a time), or ``predicate()`` holds; return QUIET, DEADLINE, PREDICATE or STOPPED.

    ``predicate`` is asked at the start and after each instant in which something happened, never in the middle of one; asked that
    often, it must be cheap. ``kernel.stop()`` inside an event is the way without a predicate. ``progress()`` is called about every
    BATCH_EVENTS events. With ``until_ns`` the clock ends there, also when the agenda was empty before. Raises ValueError if
    ``until_ns`` is past, and KeyboardInterrupt between two events on Ctrl-C; the kernel can be run on then.
    """
    if until_ns is not None and until_ns < kernel.now_ns:
        raise ValueError(f"until_ns is {until_ns}; expected at least the present time, {kernel.now_ns}")
    with steady_collector(), interruptible(kernel) as interrupted:
        reason = _run(kernel, until_ns, predicate, progress)
        if interrupted():
            raise KeyboardInterrupt
    return reason


def _run(kernel: Kernel, until_ns: int | None, predicate: Callable[[], bool] | None, progress: Callable[[], object] | None) -> str:
    limit_ns = TIME_NS_MAX if until_ns is None else until_ns
    kernel.stopped()  # a stop() from before this run has stopped nothing
    next_progress = kernel.dispatched_count + BATCH_EVENTS
    while True:
        if predicate is not None and predicate():
            return PREDICATE
        deadline_ns = kernel.next_time()
        if deadline_ns < 0 or deadline_ns > limit_ns:
            if until_ns is None:
                return QUIET
            kernel.run_due(until_ns)
            return DEADLINE
        if predicate is None:
            kernel.drain(limit_ns, next_progress - kernel.dispatched_count)
        else:
            kernel.drain(deadline_ns)
        if kernel.stopped():
            return STOPPED
        if kernel.dispatched_count >= next_progress:
            next_progress = kernel.dispatched_count + BATCH_EVENTS
            if progress is not None:
                progress()


@contextmanager
def steady_collector() -> Iterator[None]:
    """Keep the collector of cycles from scanning a large heap over and over; everything is as before at the end, also on an exception.

    What exists at the start is set aside (``gc.freeze``) and young objects are looked at less often. Does nothing to a collector that is
    switched off, and leaves alone what somebody else has frozen.
    """
    thresholds = gc.get_threshold()
    if not gc.isenabled() or thresholds[0] == 0:
        yield
        return
    freezes = gc.get_freeze_count() == 0
    if freezes:
        gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if freezes:
            gc.unfreeze()


@contextmanager
def interruptible(kernel: Kernel) -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C into ``kernel.stop()``; gives a function that says whether it was pressed. A second Ctrl-C interrupts at once.

    Only where Python's own handler is in place, in the main thread: any other handler is somebody's decision.
    """
    pressed = False

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        kernel.stop()

    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield lambda: pressed
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
