"""The kernel as one thing: order, time, streams and the generator that drivers own."""

import pytest

from kubesim.drive import virtual
from kubesim.kernel import EPOCH_NS, PRIORITY_EARLY, PRIORITY_LATE, PRIORITY_STANDING, SECOND, Kernel


def test_equal_times_run_by_priority_then_insertion() -> None:
    kernel, seen = Kernel(), []
    kernel.after(5, seen.append, "b")
    kernel.after(5, seen.append, "d", priority=PRIORITY_LATE)
    kernel.after(5, seen.append, "c")
    kernel.after(5, seen.append, "a", priority=PRIORITY_EARLY)
    kernel.soon(seen.append, "first")
    virtual.run(kernel)
    assert seen == ["first", "a", "b", "c", "d"]
    assert kernel.now_ns == EPOCH_NS + 5


def test_a_call_sees_its_own_time_also_when_the_driver_is_late() -> None:
    kernel, seen = Kernel(start_ns=0), []
    for delay_ns in (3, 1, 2):
        kernel.after(delay_ns, lambda: seen.append(kernel.now_ns))
    loop = kernel.run()
    assert next(loop) == 1
    assert loop.send(10) is None
    assert seen == [1, 2, 3]
    assert kernel.now_ns == 10


def test_what_a_call_schedules_now_runs_in_the_same_instant() -> None:
    kernel, seen = Kernel(start_ns=0), []

    def again(count: int) -> None:
        seen.append((kernel.now_ns, count))
        if count:
            kernel.soon(again, count - 1)

    kernel.at(7, again, 2)
    kernel.at(7, again, 0)
    assert kernel.run_due(7) == 4
    assert seen == [(7, 2), (7, 0), (7, 1), (7, 0)]


@pytest.mark.parametrize("past_ns", [0, 99])
def test_the_past_means_now(past_ns: int) -> None:
    kernel, seen = Kernel(start_ns=100), []
    kernel.at(past_ns, lambda: seen.append(kernel.now_ns))
    kernel.after(-5, lambda: seen.append(kernel.now_ns))
    virtual.run(kernel)
    assert seen == [100, 100]


def test_streams_do_not_depend_on_the_order_in_which_they_are_asked_for() -> None:
    one, other = Kernel(seed=3), Kernel(seed=3)
    first = [one.rng(name).u64() for name in ("a", "b")]
    second = [other.rng(name).u64() for name in ("b", "a")]
    assert first == second[::-1]
    assert one.rng("a") is one.rng("a")
    assert Kernel(seed=4).rng("a").u64() != first[0]


def shuffled(seed: int) -> list[int]:
    kernel, seen = Kernel(seed=seed, shuffle_ties=True), []
    for number in range(20):
        kernel.after(SECOND, seen.append, number)
    kernel.after(1, seen.append, -1)
    kernel.after(SECOND, seen.append, -2, priority=PRIORITY_EARLY)
    virtual.run(kernel)
    return seen


def test_shuffled_ties_keep_time_and_priority_and_depend_on_the_seed_only() -> None:
    assert shuffled(1)[:2] == [-1, -2]
    assert sorted(shuffled(1)[2:]) == list(range(20))
    assert shuffled(1)[2:] != list(range(20))
    assert shuffled(1) == shuffled(1)
    assert shuffled(1) != shuffled(2)


def test_a_kernel_is_quiet_when_only_standing_events_are_left() -> None:
    kernel, seen = Kernel(), []
    standing = kernel.after(5, seen.append, "standing", priority=PRIORITY_STANDING)
    kernel.after(3, seen.append, "work")
    assert not kernel.quiet
    assert virtual.run(kernel, predicate=lambda: kernel.quiet) == virtual.PREDICATE
    assert seen == ["work"]
    kernel.check()
    assert kernel.cancel(standing) and kernel.quiet and kernel.standing_count == 0
    kernel.check()
