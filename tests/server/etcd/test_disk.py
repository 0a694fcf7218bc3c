"""A member's disk as files: what was acknowledged is there after any crash, a damaged log is refused, a disk that fails is told."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubesim.etcd import wal
from kubesim.etcd.member import Proposal, SnapshotData
from kubesim.etcd.raft.messages import NORMAL, ConfState, Entry, HardState, Snapshot
from kubesim.etcd.state import State
from kubesim.server.etcd import disk as disk_module
from kubesim.server.etcd.disk import FileDisk
from kubesim.server.etcd.files import BadDataDir, DataDir
from tests.server.etcd.faulty import Faulty

SECTOR = wal.SECTOR_BYTES


class Loop:
    """What the disk needs of an event loop, turned by hand."""

    def __init__(self) -> None:
        self.queue: Queue[Callable[[], object]] = Queue()
        self.later: list[Callable[[], object]] = []

    def is_closed(self) -> bool:
        return False

    def call_soon_threadsafe(self, function: Callable[[], object]) -> None:
        self.queue.put(function)

    def call_later(self, seconds: float, function: Callable[[], object]) -> None:
        self.later.append(function)

    def turn(self) -> None:
        self.queue.get(timeout=10)()

    def pass_time(self) -> None:
        later, self.later = self.later, []
        for function in later:
            function()


class Bench:
    """A disk, and who waits for it."""

    def __init__(self, path: Path, *, is_synced: bool = True) -> None:
        self.path = path
        self.is_synced = is_synced
        self.open()

    def open(self) -> None:
        self.loop, self.door = Loop(), Faulty()
        self.directory = DataDir(self.path, self.door)
        self.directory.open()
        self.disk = FileDisk(self.directory, self.loop, lambda: None, is_synced=self.is_synced)  # type: ignore[arg-type]
        self.troubles: list[OSError | None] = []
        self.disk.on_trouble = self.troubles.append
        self.acknowledged: list[int] = []

    def close(self) -> None:
        self.disk.close()
        self.directory.close()

    def recover(self) -> Any:
        recovered = self.disk.recover()
        self.door.durable |= {str(path): path.read_bytes() for _, path in self.directory.segments()}
        return recovered

    def write(self, *entries: Entry, hard_state: HardState | None = None, wait: bool = True, snapshot: Snapshot | None = None) -> None:
        last = entries[-1].index if entries else 0
        if not self.disk.write(snapshot, entries, hard_state, True, lambda: self.acknowledged.append(last)):
            self.acknowledged.append(last)
        elif wait:
            self.loop.turn()


def entry(index: int, size: int = 10, term: int = 1) -> Entry:
    request = ("put", b"key", index.to_bytes(2, "big") * size)
    return Entry(term, index, NORMAL, Proposal((1, 2, index), request))


def snapshot(index: int) -> Snapshot:
    return Snapshot(index, 1, ConfState((1,)), SnapshotData(State().dump(), ((), ())))


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path / "data")
    bench.recover()
    yield bench
    bench.close()


def reopened(bench: Bench) -> Any:
    bench.close()
    bench.open()
    return bench.recover()


def indexes(recovered: Any) -> list[int]:
    return [entry.index for entry in recovered.entries]


def test_a_restart_finds_what_was_written(bench) -> None:
    bench.write(entry(1), entry(2), hard_state=HardState(3, 1, 1))
    bench.write(entry(3))
    recovered = reopened(bench)
    assert indexes(recovered) == [1, 2, 3]
    assert recovered.entries[1].data == entry(2).data
    assert recovered.hard_state == HardState(3, 1, 1)
    bench.write(entry(4))
    assert indexes(reopened(bench)) == [1, 2, 3, 4]


def test_an_entry_replaces_those_from_its_index_on(bench) -> None:
    bench.write(entry(1), entry(2), entry(3))
    bench.write(entry(2, term=2))
    recovered = reopened(bench)
    assert [(item.index, item.term) for item in recovered.entries] == [(1, 1), (2, 2)]


def test_what_comes_during_a_write_shares_the_next_fsync(bench) -> None:
    before = bench.disk.fsync_count
    bench.write(entry(1), wait=False)
    bench.loop.turn()
    bench.write(*(entry(index) for index in range(2, 100)))  # the member hands over all that has come meanwhile
    assert bench.disk.fsync_count == before + 2
    assert bench.acknowledged == [1, 99]


def test_a_commit_index_alone_is_not_worth_a_write(bench) -> None:
    before = bench.disk.fsync_count
    assert not bench.disk.write(None, (), HardState(1, 1, 7), False, lambda: None)
    assert bench.disk.fsync_count == before
    bench.write(entry(1))
    assert reopened(bench).hard_state == HardState(1, 1, 1), "it went with the next write; the log does not reach further"


@pytest.mark.parametrize(("number", "call"), [(errno.ENOSPC, "write"), (errno.EIO, "write"), (errno.EIO, "sync"), (errno.EDQUOT, "sync")])
def test_a_write_that_fails_is_told_and_done_again(bench, number: int, call: str) -> None:
    bench.write(entry(1))
    bench.door.error, bench.door.fails = number, (call,)
    bench.write(entry(2), entry(3))
    assert [error.errno for error in bench.troubles if error] == [number]
    assert bench.acknowledged == [1], "nothing is acknowledged that is not durable"
    bench.loop.pass_time()
    bench.loop.turn()
    assert len(bench.troubles) == 2, "told again while it lasts"
    bench.door.error = None
    bench.loop.pass_time()
    bench.loop.turn()
    assert bench.troubles[-1] is None
    assert bench.acknowledged == [1, 3]
    bench.write(entry(4))
    assert indexes(reopened(bench)) == [1, 2, 3, 4]


def test_a_disk_that_is_full_half_way_leaves_no_rest(bench) -> None:
    bench.write(entry(1))
    bench.door.room = 30
    bench.write(entry(2, size=500))
    assert bench.troubles[0].errno == errno.ENOSPC
    size = next(path.stat().st_size for _, path in reversed(bench.directory.segments()))
    bench.door.room = 1 << 60
    bench.loop.pass_time()
    bench.loop.turn()
    assert bench.acknowledged == [1, 2]
    assert next(path.stat().st_size for _, path in reversed(bench.directory.segments())) > size
    assert indexes(reopened(bench)) == [1, 2]


def test_a_process_that_ends_while_its_disk_is_full_starts_again(bench) -> None:
    bench.write(entry(1))
    bench.door.room = 30
    bench.write(entry(2, size=500))
    assert indexes(reopened(bench)) == [1], "the torn tail is dropped: nobody was told of it"


def test_no_room_for_a_new_segment_lets_the_old_one_grow(bench, monkeypatch) -> None:
    monkeypatch.setattr(disk_module, "SEGMENT_BYTES", 2_000)
    bench.close()
    bench.open()
    bench.recover()
    bench.door.error, bench.door.fails = errno.ENOSPC, ("create",)
    count = len(bench.directory.segments())
    for index in range(1, 5):
        bench.write(entry(index, size=500))
    assert bench.acknowledged == [1, 2, 3, 4]
    assert len(bench.directory.segments()) == count
    bench.door.error = None
    for index in range(5, 9):
        bench.write(entry(index, size=500))
    assert len(bench.directory.segments()) > count
    assert indexes(reopened(bench)) == list(range(1, 9))


def test_a_snapshot_of_the_leader_that_does_not_fit_is_written_later(bench) -> None:
    bench.write(entry(1))
    bench.door.error, bench.door.fails = errno.ENOSPC, ("create",)
    bench.write(snapshot=snapshot(20), hard_state=HardState(1, 1, 20), wait=False)
    assert bench.troubles[0].errno == errno.ENOSPC
    assert bench.acknowledged == [1]
    bench.door.error = None
    bench.loop.pass_time()
    bench.loop.turn()
    assert bench.acknowledged == [1, 0]
    recovered = reopened(bench)
    assert (recovered.snapshot.index, recovered.entries, recovered.hard_state.commit) == (20, [], 20)


def test_a_saved_snapshot_releases_old_segments(bench, monkeypatch) -> None:
    monkeypatch.setattr(disk_module, "SEGMENT_BYTES", 2_000)
    monkeypatch.setattr(disk_module, "LOG_BYTES_MIN", 1)
    bench.close()
    bench.open()
    bench.recover()
    for index in range(1, 21):
        bench.write(entry(index, size=500))
    first = bench.directory.segments()[0][0]
    bench.disk.save_snapshot(snapshot(15), keep_count=0)
    assert bench.directory.segments()[0][0] > first
    recovered = reopened(bench)
    assert recovered.snapshot.index == 15
    assert indexes(recovered)[-1] == 20


def test_the_child_that_writes_a_snapshot_holds_nothing_of_the_member(bench, monkeypatch, tmp_path) -> None:
    """Else a member that is killed then could not start again: its lock and its addresses would be in use."""
    monkeypatch.setattr(disk_module, "LOG_BYTES_MIN", 1)
    monkeypatch.setattr(disk_module, "FORK_RECORDS_MIN", 0)
    save = DataDir.save_snapshot

    def saved(directory: DataDir, index: int, data: bytes) -> None:
        handles = [int(name) for name in os.listdir("/proc/self/fd")]
        links = [os.readlink(f"/proc/self/fd/{handle}") for handle in handles if os.path.exists(f"/proc/self/fd/{handle}") and handle > 2]
        (tmp_path / "links").write_text(" ".join(links))
        save(directory, index, data)

    monkeypatch.setattr(DataDir, "save_snapshot", saved)
    bench.write(entry(1, 500))
    bench.disk.save_snapshot(snapshot(1), keep_count=0)
    while bench.disk._child is not None:
        bench.loop.pass_time()
    assert [index for index, _ in bench.directory.snapshots()] == [1]
    assert (tmp_path / "links").read_text() == ""
    (bench.directory.snap / "0.123.part").write_text("half")
    reopened(bench)
    assert list(bench.directory.snap.glob("*.part")) == []


def test_what_earlier_lives_wrote_counts_for_the_next_snapshot(bench, monkeypatch) -> None:
    monkeypatch.setattr(disk_module, "LOG_BYTES_MIN", 4_000)
    for index in range(1, 9):
        bench.write(entry(index, size=500))
        reopened(bench)
        if index < 4:
            bench.disk.save_snapshot(snapshot(index), keep_count=0)
    assert bench.directory.snapshots() == [], "the log is short"
    bench.disk.save_snapshot(snapshot(8), keep_count=0)
    assert [index for index, _ in bench.directory.snapshots()] == [8]
    assert len(bench.directory.segments()) == 1


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(st.integers(1, 3), min_size=1, max_size=5),
    sizes=st.lists(st.integers(1, 700), min_size=15, max_size=15),
    cut=st.integers(0, 4_000),
    holes=st.sets(st.integers(0, 8), max_size=3),
)
def test_no_loss_of_power_loses_what_was_acknowledged(tmp_path_factory, batches, sizes, cut, holes) -> None:
    """The last batch is under way: of its bytes any may be missing at the end, and any sector may not have been written."""
    bench = Bench(tmp_path_factory.mktemp("disk") / "data")
    bench.recover()
    index = 0
    for position, count in enumerate(batches):
        is_last = position == len(batches) - 1
        if is_last:
            bench.door.error, bench.door.fails = errno.EIO, ("sync",)
        entries = [entry(index + number, sizes[index + number - 1]) for number in range(1, count + 1)]
        index += count
        bench.write(*entries)
    path = bench.directory.segments()[-1][1]
    written, durable = path.read_bytes(), len(bench.door.durable[str(path)])
    bench.close()
    data = bytearray(written[: min(durable + cut, len(written))])
    for sector in sorted(holes):
        start = max((durable // SECTOR + sector) * SECTOR, durable)
        data[start : (start // SECTOR + 1) * SECTOR] = bytes(len(data[start : (start // SECTOR + 1) * SECTOR]))
    path.write_bytes(data)
    bench.open()
    found = indexes(bench.recover())
    acknowledged = index - batches[-1]
    assert found == list(range(1, len(found) + 1))
    assert acknowledged <= len(found) <= index
    bench.write(entry(len(found) + 1))
    assert indexes(reopened(bench)) == list(range(1, len(found) + 2))
    bench.close()


@settings(max_examples=80, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_changed_byte_is_refused_or_harmless(tmp_path_factory, at: float, flip: int) -> None:
    """Whatever byte of the log changes: the start is refused, or nothing that was acknowledged is missing or another."""
    bench = Bench(tmp_path_factory.mktemp("disk") / "data")
    bench.recover()
    bench.write(entry(1, 300), entry(2, 300))
    bench.write(entry(3, 300))
    bench.close()
    path = bench.directory.segments()[-1][1]
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= flip
    path.write_bytes(data)
    bench.open()
    try:
        recovered = bench.recover()
    except BadDataDir as error:
        assert str(path) in str(error)
    else:
        raise AssertionError(f"the change at {int(at * len(data))} was not noticed: {recovered}")
    finally:
        bench.close()


DAMAGES: dict[str, tuple[Callable[[DataDir], object], str]] = {
    "a lost segment": (lambda directory: directory.segments()[1][1].unlink(), "does not follow the segment before it"),
    "a lost first segment": (lambda directory: directory.segments()[0][1].unlink(), "begins at entry 2, and no snapshot leads there"),
    "a short segment": (lambda directory: os.truncate(directory.segments()[1][1], 40), "a record is cut off"),
    "two segments swapped": (
        lambda directory: os.replace(directory.segments()[1][1], directory.segments()[0][1]),
        "it is segment 2 by its header",
    ),
    "a foreign file": (lambda directory: directory.segments()[0][1].write_bytes(b"x" * 100), "it begins with b'xxxxxxxx'"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_log_is_refused(bench, damage: str) -> None:
    for index in range(1, 4):  # a segment for each start
        bench.write(entry(index))
        reopened(bench)
    function, expected = DAMAGES[damage]
    bench.close()
    function(bench.directory)
    bench.open()
    with pytest.raises(BadDataDir, match=expected):
        bench.recover()


def test_a_damaged_snapshot_is_refused(bench, monkeypatch) -> None:
    monkeypatch.setattr(disk_module, "LOG_BYTES_MIN", 1)
    bench.write(entry(1, 500))
    bench.disk.save_snapshot(snapshot(1), keep_count=0)
    (path,) = (path for _, path in bench.directory.snapshots())
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadDataDir, match="does not fit its check sum"):
        reopened(bench)
    data[-1] ^= 1
    data[8] += 1
    path.write_bytes(data)
    with pytest.raises(BadDataDir, match="was written by a newer version"):
        reopened(bench)
