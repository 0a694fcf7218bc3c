"""The virtual driver: jump to the next deadline, at once, until there is a reason to stop. As fast as the machine can."""

from collections.abc import Callable

from kubesim._core.agenda import TIME_NS_MAX
from kubesim.drive.session import DEADLINE, PREDICATE, QUIET, STOPPED, session
from kubesim.kernel.loop import Kernel

__all__ = ["BATCH_EVENTS", "DEADLINE", "PREDICATE", "QUIET", "STOPPED", "run"]

BATCH_EVENTS = 8192  # events between two calls of progress()


def run(
    kernel: Kernel,
    until_ns: int | None = None,
    predicate: Callable[[], bool] | None = None,
    progress: Callable[[], object] | None = None,
    *,
    until_quiet: bool = False,
) -> str:
    """Run until nothing is left, ``until_ns`` (a time), or ``predicate()`` holds; return QUIET, DEADLINE, PREDICATE or STOPPED.

    ``until_quiet`` also stops (QUIET) at the end of an instant that leaves only standing events: the cheap way to converge.

    ``predicate`` is asked at the start and after each instant in which something happened, never in the middle of one; asked that
    often, it must be cheap. ``kernel.stop()`` inside an event is the way without a predicate. ``progress()`` is called about every
    BATCH_EVENTS events. With ``until_ns`` the clock ends there, also when the agenda was empty before. Raises ValueError if
    ``until_ns`` is past, and KeyboardInterrupt between two events on Ctrl-C; the kernel can be run on then.
    """
    if until_ns is not None and until_ns < kernel.now_ns:
        raise ValueError(f"until_ns is {until_ns}; expected at least the present time, {kernel.now_ns}")
    with session(kernel):
        return _run(kernel, until_ns, predicate, progress, until_quiet)


def _run(
    kernel: Kernel,
    until_ns: int | None,
    predicate: Callable[[], bool] | None,
    progress: Callable[[], object] | None,
    until_quiet: bool,
) -> str:
    # Without a predicate nobody looks between two instants, so the agenda runs through them without coming back here.
    limit_ns = TIME_NS_MAX if until_ns is None else until_ns
    next_progress = kernel.dispatched_count + BATCH_EVENTS
    while True:
        if predicate is not None and predicate():
            return PREDICATE
        deadline_ns = kernel.next_time()
        if until_quiet and kernel.quiet and deadline_ns != kernel.now_ns:
            return QUIET
        if deadline_ns < 0 or deadline_ns > limit_ns:
            if until_ns is None:
                return QUIET
            kernel.run_due(until_ns)
            return DEADLINE
        if predicate is None:
            kernel.drain(limit_ns, next_progress - kernel.dispatched_count, until_quiet)
        else:
            kernel.drain(deadline_ns)
        if kernel.stopped():
            return STOPPED
        if kernel.dispatched_count >= next_progress:
            next_progress = kernel.dispatched_count + BATCH_EVENTS
            if progress is not None:
                progress()
