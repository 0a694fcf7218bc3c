"""The virtual driver: where it stops, what it calls, and that it leaves the collector and Ctrl-C as they were."""

import gc
import signal
from collections.abc import Iterator

import pytest

from kubesim.drive import virtual
from kubesim.drive.session import GC_THRESHOLDS, steady_collector
from kubesim.drive.virtual import BATCH_EVENTS, DEADLINE, PREDICATE, QUIET, STOPPED
from kubesim.kernel import EPOCH_NS, PRIORITY_STANDING, SECOND, Kernel


@pytest.fixture(autouse=True)
def python_handles_ctrl_c() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def ticking(count: int) -> tuple[Kernel, list[int]]:
    """A kernel with two events in each of ``count`` seconds, and the list of the seconds that they saw."""
    kernel, seen = Kernel(start_ns=0), []
    for second in range(1, count + 1):
        kernel.at(second * SECOND, lambda: seen.append(kernel.now_ns // SECOND))
        kernel.at(second * SECOND, lambda: seen.append(kernel.now_ns // SECOND))
    return kernel, seen


def test_quiet_leaves_the_clock_at_the_last_event() -> None:
    kernel, seen = ticking(3)
    assert virtual.run(kernel) == QUIET
    assert (kernel.now_ns, seen) == (3 * SECOND, [1, 1, 2, 2, 3, 3])
    assert virtual.run(kernel) == QUIET


@pytest.mark.parametrize("until", [0, 1, 2.5, 3, 10])
@pytest.mark.parametrize("with_predicate", [False, True])
def test_a_deadline_is_reached_exactly_and_includes_its_own_instant(until: float, with_predicate: bool) -> None:
    kernel, seen = ticking(3)
    predicate = (lambda: False) if with_predicate else None
    assert virtual.run(kernel, int(until * SECOND), predicate) == DEADLINE
    assert kernel.now_ns == int(until * SECOND)
    assert len(seen) == 2 * min(int(until), 3)


def test_a_deadline_in_the_past_is_refused() -> None:
    with pytest.raises(ValueError, match=f"until_ns is {EPOCH_NS - 1}; expected at least the present time, {EPOCH_NS}"):
        virtual.run(Kernel(), EPOCH_NS - 1)


def test_a_predicate_is_asked_between_instants_only() -> None:
    kernel, seen = ticking(3)
    asked: list[int] = []

    def enough() -> bool:
        asked.append(len(seen))
        return len(seen) >= 3

    assert virtual.run(kernel, predicate=enough) == PREDICATE
    assert asked == [0, 2, 4]
    assert kernel.now_ns == 2 * SECOND
    assert virtual.run(kernel, predicate=lambda: True) == PREDICATE
    assert len(seen) == 4


def test_stop_from_an_event() -> None:
    kernel, seen = ticking(3)
    kernel.at(2 * SECOND, kernel.stop)
    kernel.at(2 * SECOND, seen.append, -1)
    assert virtual.run(kernel) == STOPPED
    assert seen == [1, 1, 2, 2]
    assert virtual.run(kernel) == QUIET
    assert seen == [1, 1, 2, 2, -1, 3, 3]


@pytest.mark.parametrize("with_predicate", [False, True])
def test_until_quiet_ends_the_instant_and_leaves_standing_events(with_predicate: bool) -> None:
    kernel, seen = ticking(3)
    for second in (2, 3, 4):
        kernel.at(second * SECOND, seen.append, "standing", priority=PRIORITY_STANDING)
    predicate = (lambda: False) if with_predicate else None
    assert virtual.run(kernel, predicate=predicate, until_quiet=True) == QUIET
    assert seen == [1, 1, 2, 2, "standing", 3, 3, "standing"]
    assert virtual.run(kernel, predicate=predicate, until_quiet=True) == QUIET
    assert (kernel.now_ns, kernel.pending_count) == (3 * SECOND, 1)
    kernel.at(5 * SECOND, seen.append, "work")
    assert virtual.run(kernel, 4 * SECOND, predicate, until_quiet=True) == DEADLINE
    assert virtual.run(kernel, predicate=predicate, until_quiet=True) == QUIET
    assert seen[-2:] == ["standing", "work"]


def test_a_standing_event_may_make_work_in_the_instant_that_was_quiet() -> None:
    kernel, seen = ticking(1)
    kernel.at(SECOND, kernel.after, SECOND, seen.append, "more", priority=PRIORITY_STANDING)
    assert virtual.run(kernel, until_quiet=True) == QUIET
    assert seen == [1, 1, "more"]


def test_a_stop_before_the_run_stops_nothing() -> None:
    kernel, seen = ticking(1)
    kernel.stop()
    assert virtual.run(kernel) == QUIET
    assert seen == [1, 1]


@pytest.mark.parametrize("predicate", [None, lambda: False])
def test_progress_is_called_every_batch(predicate) -> None:
    kernel, calls = Kernel(), []
    for number in range(3 * BATCH_EVENTS + 5):
        kernel.after(number, int)
    virtual.run(kernel, predicate=predicate, progress=lambda: calls.append(kernel.dispatched_count))
    assert calls == [BATCH_EVENTS, 2 * BATCH_EVENTS, 3 * BATCH_EVENTS]


def collector() -> tuple[tuple[int, int, int], bool, bool]:
    return gc.get_threshold(), gc.isenabled(), gc.get_freeze_count() > 0


def test_the_collector_is_steady_inside_and_as_before_after() -> None:
    before, inside = collector(), []
    kernel = Kernel()
    kernel.soon(lambda: inside.append(collector()))
    virtual.run(kernel)
    assert inside == [(GC_THRESHOLDS, True, True)]
    assert collector() == before
    kernel.soon(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        virtual.run(kernel)
    assert collector() == before


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    try:
        with steady_collector():
            assert not gc.isenabled()
            assert gc.get_freeze_count() == 0
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_somebody_else_has_frozen_stays_frozen() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        virtual.run(Kernel())
        assert gc.get_freeze_count() == frozen
    finally:
        gc.unfreeze()


def test_ctrl_c_waits_for_the_end_of_the_event() -> None:
    kernel, seen = ticking(3)

    def interrupted() -> None:
        seen.append("begin")
        signal.raise_signal(signal.SIGINT)
        seen.append("end")

    kernel.at(2 * SECOND, interrupted)
    before = collector()
    with pytest.raises(KeyboardInterrupt):
        virtual.run(kernel)
    kernel.check()
    assert seen == [1, 1, 2, 2, "begin", "end"]
    assert collector() == before
    assert virtual.run(kernel) == QUIET
    assert seen[-2:] == [3, 3]


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    kernel, seen = ticking(1)

    def stuck() -> None:
        signal.raise_signal(signal.SIGINT)
        seen.append("once")
        signal.raise_signal(signal.SIGINT)
        seen.append("twice")

    kernel.soon(stuck)
    with pytest.raises(KeyboardInterrupt):
        virtual.run(kernel)
    kernel.check()
    assert seen == ["once"]
    assert virtual.run(kernel) == QUIET
    assert seen == ["once", 1, 1]


def test_ctrl_c_between_events_interrupts_at_once() -> None:
    kernel, seen = ticking(2)

    def press() -> bool:
        if seen:
            signal.raise_signal(signal.SIGINT)
        return False

    with pytest.raises(KeyboardInterrupt):
        virtual.run(kernel, predicate=press)
    assert seen == [1, 1]
    assert virtual.run(kernel) == QUIET


def test_another_handler_of_ctrl_c_is_left_alone() -> None:
    kernel, seen = ticking(1), []
    kernel = kernel[0]
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    kernel.soon(signal.raise_signal, signal.SIGINT)
    assert virtual.run(kernel) == QUIET
    assert seen == [signal.SIGINT]
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_cycles_made_during_a_run_are_still_collected() -> None:
    class Cycle:
        """An object that only the collector can free."""

        alive = 0

        def __init__(self) -> None:
            self.itself = self
            Cycle.alive += 1

        def __del__(self) -> None:
            Cycle.alive -= 1

    kernel, most = Kernel(), []
    for number in range(50_000):
        kernel.after(number, Cycle)
    kernel.after(50_000, lambda: most.append(Cycle.alive))
    virtual.run(kernel)
    assert most[0] <= 2 * GC_THRESHOLDS[0]
