"""What every driver has around a run: the reasons to stop, a steady collector of cycles, and a Ctrl-C that tears no event."""

import gc
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from kubesim.kernel.loop import Kernel

QUIET = "quiet"  # nothing is left to do
DEADLINE = "deadline"  # the time asked for has come
PREDICATE = "predicate"  # the condition asked for holds
STOPPED = "stopped"  # somebody called kernel.stop()

# The rooms make no cycles on their way, so a young collection looks at what nearly all stays: one per 100,000 net allocations finds the
# few cycles (exceptions hold their frames) in time and costs a fifth of one per 10,000, which took 6 % of a run. The next older generation
# waits for 5 million of its survivors, and a full scan for ten times that and a quarter of the heap (CPython's own rule): the
# cost per object stays the same however large the heap is.
GC_THRESHOLDS = (100_000, 50, 10)


@contextmanager
def session(kernel: Kernel) -> Iterator[None]:
    """Run a kernel inside: collector steady, Ctrl-C held back to the end of the present event and raised then."""
    with steady_collector(), interruptible(kernel) as interrupted:
        kernel.stopped()  # a stop() from before this run has stopped nothing
        yield
        if interrupted():
            raise KeyboardInterrupt


@contextmanager
def steady_collector() -> Iterator[None]:
    """Keep the collector of cycles from scanning a large heap over and over; everything is as before at the end, also on an exception.

    What exists at the start is set aside (``gc.freeze``) and young objects are looked at less often. Does nothing to a collector that
    is switched off, and leaves alone what somebody else has frozen.
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
        if freezes:
            gc.freeze()  # with unfreeze(), what is new joins the oldest generation without the scan that the old thresholds would begin
        gc.set_threshold(*thresholds)
        if freezes:
            gc.unfreeze()


@contextmanager
def interruptible(kernel: Kernel) -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C inside an event into ``kernel.stop()``; gives a function that says whether that happened.

    Between events, and the second time, Ctrl-C interrupts at once. Only where Python's own handler is in place, in the main
    thread: any other handler is somebody's decision.
    """
    pressed = False

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed or not kernel.is_running:
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
