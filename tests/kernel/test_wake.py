"""Wake-ups: many reasons, one call."""

from hypothesis import given
from hypothesis import strategies as st

from kubesim.drive import virtual
from kubesim.kernel import EPOCH_NS, PRIORITY_LATE, SECOND, Kernel, Wakeup
from tests.kernel.wake_twin import Wakeup as TwinWakeup


def test_many_sets_are_one_call_at_the_time_of_the_first() -> None:
    kernel, seen = Kernel(), []
    wakeup = Wakeup(kernel, lambda: seen.append(kernel.now_ns - EPOCH_NS), delay_ns=SECOND)
    wakeup.set()
    kernel.after(SECOND // 2, wakeup.set)
    virtual.run(kernel)
    assert seen == [SECOND]
    wakeup.set()
    virtual.run(kernel)
    assert seen == [SECOND, 2 * SECOND]


def test_a_set_inside_the_function_is_one_more_call() -> None:
    kernel, seen = Kernel(), []

    def work() -> None:
        seen.append(len(seen))
        if len(seen) < 3:
            wakeup.set()
            wakeup.set()

    wakeup = Wakeup(kernel, work)
    wakeup.set()
    virtual.run(kernel)
    assert seen == [0, 1, 2]


def test_cancel_takes_the_call_back() -> None:
    kernel, seen = Kernel(), []
    wakeup = Wakeup(kernel, lambda: seen.append(1))
    wakeup.cancel()
    wakeup.set()
    assert wakeup.is_set
    wakeup.cancel()
    assert not wakeup.is_set
    assert kernel.pending_count == 0
    wakeup.set()
    virtual.run(kernel)
    assert seen == [1]


def test_a_late_wake_up_sees_everything_of_its_instant() -> None:
    kernel, seen = Kernel(), []
    wakeup = Wakeup(kernel, lambda: seen.append("woken"), priority=PRIORITY_LATE)
    kernel.soon(wakeup.set)
    kernel.soon(seen.append, "other")
    virtual.run(kernel)
    assert seen == ["other", "woken"]


class Clock:
    """Something with the agenda's methods that is none, as the clock of a simulated host."""

    def __init__(self, kernel: Kernel) -> None:
        self.after = kernel.after
        self.cancel = kernel.cancel


steps = st.lists(st.tuples(st.sampled_from(("set", "cancel", "run", "wait")), st.integers(0, 1)), max_size=30)


@given(steps, st.sampled_from((0, 0, 5, -3)), st.sampled_from((0, PRIORITY_LATE)), st.booleans())
def test_it_is_called_as_its_twin_is(drawn: list[tuple[str, int]], delay_ns: int, priority: int, is_clock: bool) -> None:
    logs: list[list[int]] = []
    for made in (Wakeup, TwinWakeup):
        kernel, log = Kernel(), []
        clock = Clock(kernel) if is_clock else kernel
        calls = [lambda at=at, log=log, kernel=kernel: log.append((at, kernel.now_ns)) for at in range(2)]
        wakeups = [made(clock, call, delay_ns, priority) for call in calls]
        for step, at in drawn:
            match step:
                case "set":
                    wakeups[at].set()
                case "cancel":
                    wakeups[at].cancel()
                case "run":
                    kernel.drain(event_max=1)
                case "wait":
                    kernel.run_due(kernel.now_ns + 3)
            log.append((wakeups[at].is_set, kernel.pending_count))
        logs.append(log)
    assert logs[0] == logs[1]
