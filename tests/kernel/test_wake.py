"""Wake-ups: many reasons, one call."""

from kubesim.drive import virtual
from kubesim.kernel import EPOCH_NS, PRIORITY_LATE, SECOND, Kernel, Wakeup


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
