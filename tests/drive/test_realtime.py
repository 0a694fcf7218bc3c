"""The real-time driver on a clock of the test's: when it sleeps, how late it may be, and that it does what the virtual one does."""

import signal
from typing import Any

import pytest

from kubesim.drive import realtime, virtual
from kubesim.drive.realtime import DEADLINE, PREDICATE, QUIET, STOPPED, Behind
from kubesim.kernel import MILLISECOND, SECOND, Kernel


class World:
    """A wall clock that moves when somebody sleeps, or when ``work()`` takes time."""

    def __init__(self, sleeps_share: int = 1) -> None:
        self.time_ns = 5_000_000_000_123
        self.sleeps_share = sleeps_share
        self.sleeps: list[float] = []

    def clock_ns(self) -> int:
        return self.time_ns

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time_ns += max(1, round(seconds * SECOND) // self.sleeps_share)

    def work(self, duration_ns: int) -> None:
        self.time_ns += duration_ns

    def run(self, kernel: Kernel, *arguments: Any, **options: Any) -> str:
        return realtime.run(kernel, *arguments, sleep=self.sleep, clock_ns=self.clock_ns, **options)


@pytest.mark.parametrize(("factor", "sleeps"), [(1.0, [1.0, 2.0]), (10.0, [0.1, 0.2]), (0.5, [2.0, 4.0])])
def test_it_sleeps_until_the_deadline_divided_by_the_factor(factor: float, sleeps: list[float]) -> None:
    kernel, world, seen = Kernel(start_ns=0), World(), []
    for second in (3, 1):
        kernel.at(second * SECOND, lambda: seen.append((kernel.now_ns, world.time_ns)))
    begin_ns = world.time_ns
    assert world.run(kernel, factor) == QUIET
    assert world.sleeps == sleeps
    assert seen == [(second * SECOND, begin_ns + round(second * SECOND / factor)) for second in (1, 3)]


def test_a_sleep_that_ends_early_is_continued() -> None:
    kernel, world, seen = Kernel(start_ns=0), World(sleeps_share=3), []
    kernel.at(SECOND, lambda: seen.append(world.time_ns))
    begin_ns = world.time_ns
    world.run(kernel)
    assert len(world.sleeps) > 1
    assert seen[0] >= begin_ns + SECOND


def test_late_events_see_their_own_time_and_nobody_sleeps() -> None:
    kernel, world, seen = Kernel(start_ns=0), World(), []
    kernel.at(1 * SECOND, world.work, 5 * SECOND)
    for second in (2, 3, 7):
        kernel.at(second * SECOND, lambda: seen.append(kernel.now_ns // SECOND))
    world.run(kernel)
    assert seen == [2, 3, 7]
    assert world.sleeps == [1.0, 1.0]


@pytest.mark.parametrize(("work_ns", "raises"), [(1_050 * MILLISECOND, False), (1_101 * MILLISECOND, True)])
def test_a_strict_driver_raises_when_it_is_behind(work_ns: int, raises: bool) -> None:
    kernel, world, seen = Kernel(start_ns=0), World(), []
    kernel.at(SECOND, world.work, work_ns)
    kernel.at(2 * SECOND, seen.append, "late")
    if raises:
        with pytest.raises(Behind, match="the event due 2s after the start is 101ms late; expected at most 100ms"):
            world.run(kernel, strict=True)
        kernel.check()
        assert seen == []
    assert world.run(kernel) == QUIET
    assert seen == ["late"]


def test_until() -> None:
    kernel, world, seen = Kernel(start_ns=0), World(), []
    kernel.at(SECOND, seen.append, 1)
    kernel.at(3 * SECOND, seen.append, 3)
    assert world.run(kernel, until_ns=2 * SECOND) == DEADLINE
    assert (kernel.now_ns, seen, sum(world.sleeps)) == (2 * SECOND, [1], 2.0)
    assert world.run(kernel, until_ns=10 * SECOND) == DEADLINE
    assert (kernel.now_ns, seen, sum(world.sleeps)) == (10 * SECOND, [1, 3], 10.0)


def test_predicate_and_stop() -> None:
    kernel, world, seen = Kernel(start_ns=0), World(), []
    for second in range(1, 6):
        kernel.at(second * SECOND, seen.append, second)
    assert world.run(kernel, predicate=lambda: len(seen) == 2) == PREDICATE
    assert (kernel.now_ns, seen) == (2 * SECOND, [1, 2])
    kernel.at(4 * SECOND, kernel.stop)
    assert world.run(kernel) == STOPPED
    assert seen == [1, 2, 3, 4]


@pytest.mark.parametrize("factor", [0, -1.0, float("nan"), float("inf")])
def test_a_bad_factor_is_named(factor: float) -> None:
    with pytest.raises(ValueError, match=f"factor is {factor}; expected a finite number above 0"):
        realtime.run(Kernel(), factor)


def test_ctrl_c_interrupts_a_sleep() -> None:
    kernel, world = Kernel(start_ns=0), World()
    kernel.at(SECOND, int)

    def sleep(seconds: float) -> None:
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            realtime.run(kernel, sleep=sleep, clock_ns=world.clock_ns)
    finally:
        signal.signal(signal.SIGINT, before)
    assert world.run(kernel) == QUIET


def population(kernel: Kernel) -> None:
    """Events that make events, at times drawn from a stream."""
    stream = kernel.rng("population")

    def live(generation: int) -> None:
        kernel.trace.record(kernel.now_ns, generation, stream.u64())
        for _ in range(stream.below(3) if generation else 0):
            kernel.after(stream.between(0, SECOND), live, generation - 1)

    for _ in range(5):
        kernel.after(stream.between(0, SECOND), live, 7)


@pytest.mark.parametrize("factor", [0.1, 1.0, 1e6])
def test_both_drivers_do_the_same(factor: float) -> None:
    first, second, world = Kernel(seed=5), Kernel(seed=5), World()
    population(first)
    population(second)
    assert virtual.run(first) == world.run(second, factor) == QUIET
    assert first.trace.count > 20
    assert first.trace.digest() == second.trace.digest()
