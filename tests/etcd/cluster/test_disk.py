"""A member's disk: what an fsync keeps, what a crash takes, what a log says when it is read again."""

import pytest

from kubesim.etcd.clock import MemberClock
from kubesim.etcd.disk import Disk, DiskProfile, replay
from kubesim.etcd.raft.messages import ConfState, Entry, HardState, Snapshot
from kubesim.kernel import Kernel
from kubesim.kernel.time import MILLISECOND, SECOND


def entry(term: int, index: int) -> Entry:
    return Entry(term, index, "normal", f"{term}.{index}")


def snap(index: int, term: int) -> Snapshot:
    return Snapshot(index, term, ConfState((1,)), f"state at {index}")


REPLAYED = [  # records, (snapshot index, entries as term.index, hard state)
    ([], (0, "", HardState())),
    ([entry(1, 1), entry(1, 2), HardState(1, 2, 1)], (0, "1.1 1.2", HardState(1, 2, 1))),
    ([entry(1, 1), entry(1, 2), entry(1, 3), entry(2, 2), HardState(2, 0, 1)], (0, "1.1 2.2", HardState(2, 0, 1))),
    ([entry(1, 1), HardState(1, 0, 1), HardState(2, 3, 1)], (0, "1.1", HardState(2, 3, 1))),
    ([snap(7, 2), HardState(2, 0, 7)], (7, "", HardState(2, 0, 7))),
    ([entry(1, 1), snap(7, 2), entry(2, 8), HardState(2, 0, 8)], (7, "2.8", HardState(2, 0, 8))),
    ([entry(2, 5), entry(2, 6), snap(5, 2), HardState(2, 0, 6)], (5, "2.5 2.6", HardState(2, 0, 6))),
    ([entry(1, 5), entry(1, 6), snap(6, 2)], (6, "", HardState(0, 0, 6))),  # another log than the snapshot's
    ([entry(1, 7), entry(1, 8), snap(6, 1)], (6, "1.7 1.8", HardState(0, 0, 6))),  # all that the snapshot covers was discarded
    ([entry(1, 1), HardState(1, 0, 9)], (0, "1.1", HardState(1, 0, 1))),  # the commit index outran what was kept
]


@pytest.mark.parametrize(("records", "expected"), REPLAYED)
def test_a_log_is_read(records: list, expected: tuple) -> None:
    recovered = replay(records)
    entries = " ".join(f"{item.term}.{item.index}" for item in recovered.entries)
    assert (recovered.snapshot.index, entries, recovered.hard_state) == expected


def test_an_fsync_keeps_and_a_crash_takes() -> None:
    kept_counts = set()
    for seed in range(12):
        kernel = Kernel(seed)
        disk, done = Disk(kernel, "a", DiskProfile(MILLISECOND, 0)), []
        assert disk.write(None, (entry(1, 1),), HardState(1, 1, 0), True, lambda done=done: done.append(1))
        kernel.drain()
        assert (done, disk.storage.last_index, kernel.now_ns - kernel.start_ns) == ([1], 1, MILLISECOND)
        assert not disk.write(None, (), HardState(1, 1, 1), False, lambda done=done: done.append(2))
        disk.write(None, (entry(1, 2), entry(1, 3)), None, True, lambda done=done: done.append(3))
        assert disk.storage.last_index == 1
        assert [item.index for item in disk.durable().entries] == [1]
        disk.crash()
        kernel.drain()
        assert done == [1], "a write that the crash ended is not reported"
        recovered = disk.recover()
        kept_counts.add(len(recovered.entries))
        assert recovered.hard_state[:2] == (1, 1)
        assert disk.storage.last_index == len(recovered.entries)
    assert kept_counts == {1, 2, 3}


def test_a_killed_process_loses_nothing_that_it_wrote() -> None:
    kernel = Kernel()
    disk = Disk(kernel, "a")
    disk.write(None, (entry(1, 1), entry(1, 2)), HardState(1, 1, 0), True, lambda: None)
    disk.crash(power_lost=False)
    assert len(disk.recover().entries) == 2


def test_a_stall_holds_writes_also_one_under_way() -> None:
    kernel, done = Kernel(), []
    disk = Disk(kernel, "a", DiskProfile(MILLISECOND, 0))
    disk.write(None, (entry(1, 1),), None, True, lambda: done.append(kernel.now_ns - kernel.start_ns))
    disk.stall(SECOND)
    kernel.drain()
    disk.write(None, (entry(1, 2),), None, True, lambda: done.append(kernel.now_ns - kernel.start_ns))
    kernel.drain()
    assert done == [SECOND, SECOND + MILLISECOND]


def test_a_saved_snapshot_keeps_some_entries_for_followers() -> None:
    kernel = Kernel()
    disk = Disk(kernel, "a")
    disk.write(None, tuple(entry(1, index) for index in range(1, 21)), HardState(1, 1, 15), True, lambda: None)
    kernel.drain()
    disk.save_snapshot(snap(15, 1), keep_count=5)
    disk.write(None, (entry(2, 21),), None, True, lambda: None)
    disk.crash(power_lost=False)
    recovered = disk.recover()
    assert [item.index for item in recovered.entries] == list(range(11, 22))
    assert (disk.storage.first_index, disk.storage.last_index, disk.storage.term(21)) == (12, 21, 2)
    assert disk.storage.snapshot().index == 15
    disk.save_snapshot(snap(14, 1), keep_count=0)
    assert disk.storage.snapshot().index == 15, "an older snapshot changes nothing"


def test_a_clock_runs_at_its_own_rate() -> None:
    kernel = Kernel()
    clock = MemberClock(kernel)
    start_ns = clock.now_ns
    clock.skew(rate_ppm=100_000, offset_ns=-5 * SECOND)
    kernel.run_due(kernel.now_ns + 10 * SECOND)
    assert clock.now_ns - start_ns == 11 * SECOND
    assert clock.wall_ns == clock.now_ns - 5 * SECOND
    assert clock.delay_ns(11 * SECOND) == 10 * SECOND
    clock.skew(rate_ppm=-100_000)
    kernel.run_due(kernel.now_ns + 10 * SECOND)
    assert clock.now_ns - start_ns == 20 * SECOND
    with pytest.raises(ValueError, match="rate_ppm is 600000"):
        clock.skew(600_000)
