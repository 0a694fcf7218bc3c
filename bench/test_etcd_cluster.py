"""A simulated etcd cluster of five members under random faults and client load: virtual seconds per second."""

import pytest

from kubesim._core.random import Stream
from kubesim.testing.etcd.actions import FAULTS, OPERATIONS
from kubesim.testing.etcd.schedules import Knobs, Outcome, Schedule, Step, run_schedule

STEPS = 60
PACES = (3, 4, 4, 5, 5, 6)  # of schedules.PACES_NS: 150 ms to 2.5 s
FAULT_PERCENT = 25
SECOND_NS = 1_000_000_000
FLOOR = 200


def schedule(seed: int) -> Schedule:
    """Five members, one step in four a fault, every fault and operation among them."""
    stream = Stream(seed, "bench/etcd")
    steps = []
    for _ in range(STEPS):
        kinds = FAULTS if stream.below(100) < FAULT_PERCENT else OPERATIONS
        steps.append(Step(stream.choice(kinds), stream.below(6), stream.below(8), stream.choice(PACES)))
    return Schedule(seed, 5, Knobs(), tuple(steps))


@pytest.mark.parametrize("is_checked", [False, True], ids=["clients checked", "every rule after every step"])
def test_five_members_under_faults(benchmark, scale, is_checked: bool) -> None:
    schedules = [schedule(seed) for seed in range(scale(1, 12))]

    def work() -> list[Outcome]:
        return [run_schedule(each, is_checked) for each in schedules]

    # The first run tells how much virtual time it is; the same seeds always give the same.
    seconds = sum(outcome.virtual_ns for outcome in work()) // SECOND_NS
    checked = "every rule after every step" if is_checked else "clients' histories checked"
    benchmark.extra_info.update(
        room="etcd",
        operation=f"five members under faults and load, {checked}",
        count=seconds,
        unit="virtual s",
        floor=0 if is_checked else FLOOR,
    )
    outcomes = benchmark.pedantic(work, rounds=1)
    assert sum(outcome.virtual_ns for outcome in outcomes) // SECOND_NS == seconds > 0
    assert all(sum(counts) for counts in zip(*((each.operation_count, each.answered_count) for each in outcomes), strict=True))
