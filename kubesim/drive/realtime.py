"""The real-time driver: sleep until the next deadline is due, a number of times faster or slower than the wall clock.

The events and their order are those of the virtual driver: every call sees its own deadline as the time, however late it is. A driver that
cannot keep up works through what is due without sleeping, or raises ``Behind`` when it is strict.
"""

import time
from collections.abc import Callable

from kubesim._core.agenda import TIME_NS_MAX
from kubesim.drive.session import DEADLINE, PREDICATE, QUIET, STOPPED, session
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import MILLISECOND, SECOND, format_duration

__all__ = ["DEADLINE", "PREDICATE", "QUIET", "STOPPED", "Behind", "run"]

BEHIND_NS_MAX = 100 * MILLISECOND


class Behind(RuntimeError):
    """A strict driver was later than it may be."""


def run(
    kernel: Kernel,
    factor: float = 1.0,
    until_ns: int | None = None,
    predicate: Callable[[], bool] | None = None,
    *,
    strict: bool = False,
    behind_ns_max: int = BEHIND_NS_MAX,
    sleep: Callable[[float], object] = time.sleep,
    clock_ns: Callable[[], int] = time.monotonic_ns,
) -> str:
    """Run at ``factor`` virtual seconds per second of ``clock_ns`` until a reason to stop; return QUIET, DEADLINE, PREDICATE or STOPPED.

    The arguments are those of ``virtual.run``. ``strict`` raises Behind, before the late event, when a deadline was missed by more than
    ``behind_ns_max`` of real time. ``sleep`` (seconds) and ``clock_ns`` are the world; a test gives its own. Ctrl-C raises
    KeyboardInterrupt between two events, and at once during a sleep.
    """
    if not 0 < factor < float("inf"):
        raise ValueError(f"factor is {factor}; expected a finite number above 0: virtual seconds per real second")
    if until_ns is not None and until_ns < kernel.now_ns:
        raise ValueError(f"until_ns is {until_ns}; expected at least the present time, {kernel.now_ns}")
    limit_ns = TIME_NS_MAX if until_ns is None else until_ns
    start_ns, clock_start_ns = kernel.now_ns, clock_ns()
    with session(kernel):
        loop = kernel.run()
        deadline_ns = next(loop)
        while predicate is None or not predicate():
            if until_ns is None and deadline_ns is None:
                return QUIET
            target_ns = limit_ns if deadline_ns is None else min(deadline_ns, limit_ns)
            _sleep_until(clock_start_ns + round((target_ns - start_ns) / factor), sleep, clock_ns)
            elapsed_ns = clock_ns() - clock_start_ns
            behind_ns = elapsed_ns - round((target_ns - start_ns) / factor)
            if strict and behind_ns > behind_ns_max:
                late, most = format_duration(behind_ns), format_duration(behind_ns_max)
                raise Behind(
                    f"the event due {format_duration(target_ns - start_ns)} after the start is {late} late; expected at most {most}"
                )
            # A predicate looks at every instant, so with one the time comes deadline by deadline.
            reached_ns = start_ns + int(elapsed_ns * factor) if predicate is None else target_ns
            deadline_ns = loop.send(min(max(reached_ns, target_ns), limit_ns))
            if kernel.stopped():
                return STOPPED
            if kernel.now_ns == until_ns and (deadline_ns is None or deadline_ns > until_ns):
                return DEADLINE
        return PREDICATE


def _sleep_until(time_ns: int, sleep: Callable[[float], object], clock_ns: Callable[[], int]) -> None:
    # A sleep may end early; never trust it, look at the clock.
    while (left_ns := time_ns - clock_ns()) > 0:
        sleep(left_ns / SECOND)
