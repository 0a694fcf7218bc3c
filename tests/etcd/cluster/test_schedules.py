"""Operations and faults in any order: safety after every step of every member, liveness once the faults have ended, and true histories."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from kubesim.kernel.time import MICROSECOND, MILLISECOND
from kubesim.testing.etcd.actions import FAULTS, OPERATIONS
from kubesim.testing.etcd.bugs import BUGS
from kubesim.testing.etcd.drawing import draw_schedule, shrink, try_schedule
from kubesim.testing.etcd.schedules import PACES_NS, Knobs, Run, Schedule, Step, Undecided, run_schedule

TARGETS = st.integers(0, 5)
KEYS = st.integers(0, 7)
PACES = st.integers(0, len(PACES_NS) - 1)
KNOBS = st.builds(
    Knobs,
    snapshot_count=st.sampled_from((10_000, 5, 15)),
    catch_up_count=st.sampled_from((5_000, 0, 3)),
    message_bytes_max=st.sampled_from((1 << 20, 200)),
    loss_percent=st.sampled_from((0, 3, 15)),
    duplication_percent=st.sampled_from((0, 20)),
    reorder_percent=st.sampled_from((0, 20)),
    jitter_ns=st.sampled_from((250 * MICROSECOND, 40 * MILLISECOND)),
    in_turns=st.booleans(),
)


class Schedules(RuleBasedStateMachine):
    """A cluster under a list of steps; the end of the list is the end of the faults."""

    run: Run | None = None

    @initialize(member_count=st.sampled_from((3, 1, 2, 4, 5)), knobs=KNOBS, seed=st.integers(0, 999))
    def begin(self, member_count: int, knobs: Knobs, seed: int) -> None:
        self.run = Run(Schedule(seed, member_count, knobs, ()))

    @rule(kind=st.sampled_from(OPERATIONS), where=TARGETS, key=KEYS, pace=PACES)
    def ask(self, kind: str, where: int, key: int, pace: int) -> None:
        self.take(Step(kind, where, key, pace))

    @rule(kind=st.sampled_from(FAULTS), where=TARGETS, key=KEYS, pace=PACES)
    def harm(self, kind: str, where: int, key: int, pace: int) -> None:
        self.take(Step(kind, where, key, pace))

    def take(self, step: Step) -> None:
        if self.run is not None:
            try:
                self.run.take(step)
            except Undecided:
                self.run = None

    def teardown(self) -> None:
        if self.run is not None:
            with suppress(Undecided):
                self.run.finish()


Schedules.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # a schedule is shrunk faster by ``drawing.shrink``
    report_multiple_bugs=False,
)
TestSchedules = Schedules.TestCase


def test_drawn_schedules_break_nothing() -> None:
    for seed in range(100, 120):
        _, found = try_schedule(draw_schedule(seed))
        assert found is None, found


def test_a_schedule_decides_everything() -> None:
    assert draw_schedule(7) == draw_schedule(7) != draw_schedule(8)
    assert run_schedule(draw_schedule(7)) == run_schedule(draw_schedule(7))


def test_a_member_alone_reads_what_it_had_answered_before_a_power_cut() -> None:
    """Found by ``tools.soak``: its commit index was lost, its entry was not, and it read before the first entry of its new term."""
    kinds = "put slow_disk crash_all get_everywhere delete_if put_everywhere grant grant put_leased put crash_all get_everywhere"
    keys, paces = (0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1), (5, 0, 0, 4, 3, 3, 3, 0, 0, 5, 0, 0)
    steps = tuple(Step(kind, 0, key, pace) for kind, key, pace in zip(kinds.split(), keys, paces, strict=True))
    assert run_schedule(Schedule(9233, 1, Knobs(message_bytes_max=200), steps))


# -- the tester is tested

QUICK = {  # bug -> the seed of the first drawn schedule that finds it: one less than what ``python -m tools.soak --bugs`` counts
    "commits-older-terms": 30,
    "votes-twice": 18,
    "forgets-its-vote": 0,
    "votes-for-any-log": 22,
    "answers-before-fsync": 0,
    "fsync-does-nothing": 2,
    "reads-without-a-quorum": 48,
    "reads-before-its-term": 51,
    "heartbeats-commit": 0,
    "append-aba": 94,
    "index-before-apply": 0,
    "revision-from-records": 127,
    "strips-compacted-ranges": 35,
    "snapshots-without-leases": 21,
    "revokes-in-two-revisions": 10,
    "deposed-leader-revokes": 33,
    "leases-go-on-at-a-new-leader": 34,
    "proposals-twice": 57,
    "writes-asked-again": 34,
    "progress-overtakes-events": 0,
    "snapshot-repeats-events": 36,
    "future-watch-starts-now": 12,
    "slow-watch-skips": 5,
    "compaction-drops-a-delete": 35,
    "events-twice": 10,
    "cuts-revisions": 10,
    "resumes-from-now": 27,
    "compaction-ends-nothing": 5,
}


@pytest.mark.parametrize("name", QUICK)
def test_a_known_bug_is_found(name: str) -> None:
    bug = next(bug for bug in BUGS if bug.name == name)
    schedule = draw_schedule(QUICK[bug.name])
    _, found = try_schedule(schedule)
    assert found is None, "silent without the bug"
    with bug.switched_on():
        _, found = try_schedule(schedule)
        assert found is not None and found.rule in bug.rules
    assert run_schedule(schedule), "and silent again"


def test_what_is_found_is_shrunk() -> None:
    bug = next(bug for bug in BUGS if bug.name == "commits-older-terms")
    with bug.switched_on():
        _, found = try_schedule(draw_schedule(QUICK[bug.name]))
        small = shrink(found)
        assert small.rule == found.rule == "S12"
        assert len(small.schedule.steps) <= 12 < len(found.schedule.steps)
        assert try_schedule(small.schedule)[1] == small, "a shrunk schedule is one that breaks"
    assert run_schedule(small.schedule)


def test_a_switch_leaves_nothing_behind() -> None:
    def patched() -> list:
        patches = [patch for bug in BUGS for patch in bug.patches]
        return [patch.owner[patch.name] if isinstance(patch.owner, dict) else vars(patch.owner)[patch.name] for patch in patches]

    before = patched()
    for bug in BUGS:
        with pytest.raises(KeyError), bug.switched_on():
            raise KeyError
    assert before == patched()
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 20
