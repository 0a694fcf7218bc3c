"""A member's disk as files: the log with one fsync for all that came meanwhile, and snapshots beside it.

It has the face of ``kubesim.etcd.disk.Disk``, so the member does not know the difference. One write is under way at a time, in a thread,
and everything proposed in the meantime is in the next: concurrent writers share an fsync. A commit index alone is not worth a write: it
goes with the next one, and a restart finds out anew.

A write that fails (no space, a bad disk) is told to who waits by ``on_trouble`` and tried again, from where the last good one ended:
nothing is acknowledged before it is durable, and nothing is lost.

A large snapshot is written by a child process, which has the state as it was at the fork for as long as it takes.
"""

import errno
import os
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kubesim._core.revision_store import KeyValue
from kubesim.etcd import wal
from kubesim.etcd.disk import DiskStorage, Record, Recovered, replay
from kubesim.etcd.raft.messages import CONF_CHANGE, CONF_CHANGE_V2, NORMAL, Entry, HardState, Snapshot
from kubesim.etcd.wire.codec import DecodeError
from kubesim.etcd.wire.plain import pack, unpack
from kubesim.server.etcd.files import BadDataDir, DataDir

SEGMENT_BYTES = 64 << 20
RETRY_SECONDS = 0.5
FORK_RECORDS_MIN = 1_000  # a fork costs 2 ms, a snapshot 5 ms for each thousand records: nobody shall wait for that
SAMPLED_RECORDS_MIN = 4096
CHILD_NICENESS = 10
HANDLES_KEPT, HANDLES_MAX = 3, 1 << 20
LOG_BYTES_MIN = 1 << 20  # a snapshot file is worth it when the log since the last one is as long as the state
CHILD_LOOK_SECONDS = 0.05
ENTRY_KINDS = (NORMAL, CONF_CHANGE, CONF_CHANGE_V2)

Done = Callable[[], object]


class FileDisk:
    """The log and the snapshots of one member in a data directory."""

    def __init__(self, directory: DataDir, loop: AbstractEventLoop, wake: Done, *, is_synced: bool = True) -> None:
        self.storage = DiskStorage()
        self.on_trouble: Callable[[OSError | None], object] = lambda error: None  # None: it works again
        self.fsync_count = 0
        self._directory = directory
        self._loop = loop
        self._wake = wake  # to be called before anything that comes from outside: the time is another one
        self._is_synced = is_synced
        self._executor = ThreadPoolExecutor(1, "etcd-disk")
        self._handle = -1
        self._number = 0
        self._crc = 0
        self._good_bytes = 0  # of the present segment: written, and synced if that is asked for
        self._last_index: dict[int, int] = {}  # segment -> the last entry in it
        self._hard_state: HardState | None = None  # not written yet
        self._written_hard_state = HardState()
        self._log_bytes = 0  # since the last snapshot file
        self._child: tuple[int, int] | None = None  # process, and index of the snapshot it writes
        self._segment_bytes_max = SEGMENT_BYTES
        self._in_trouble = False
        self._is_open = True

    # -- writing

    def write(
        self, snapshot: Snapshot | None, entries: tuple[Entry, ...], hard_state: HardState | None, must_sync: bool, done: Done
    ) -> bool:
        """Write in this order; True: ``done()`` is called when it is durable, False: it need not be and is written."""
        if hard_state is not None:
            self._hard_state = hard_state
            self.storage.hard_state = hard_state
        if not must_sync and snapshot is None:
            return False
        if snapshot is not None:
            try:
                self._directory.save_snapshot(snapshot.index, pack(snapshot))
                self._begin_segment([wal.Record(wal.SNAPSHOT, wal.snapshot_payload(snapshot.index, snapshot.term))])
            except OSError as error:
                self._fail(error, lambda: self._write_again(snapshot, entries, must_sync, done))
                return True
        records = [_entry_record(entry) for entry in entries]
        if self._hard_state is not None:
            self._written_hard_state, self._hard_state = self._hard_state, None
            records.append(_hard_state_record(self._written_hard_state))
        data, crc = wal.encode(records, self._crc)
        if not self._is_synced and not self._in_trouble:
            try:
                self._put(data, False)
            except OSError as error:
                self._fail(error, lambda: self._submit(snapshot, entries, data, crc, done))
                return True
            self._wrote(snapshot, entries, data, crc)
            return False
        self._submit(snapshot, entries, data, crc, done)
        return True

    def _write_again(self, snapshot: Snapshot | None, entries: tuple[Entry, ...], must_sync: bool, done: Done) -> None:
        if not self.write(snapshot, entries, None, must_sync, done):
            done()

    def _submit(self, snapshot: Snapshot | None, entries: tuple[Entry, ...], data: bytes, crc: int, done: Done) -> None:
        future = self._executor.submit(self._put, data, self._is_synced)

        def finished() -> None:
            if not self._is_open:
                return
            self._wake()
            error = future.exception()
            if isinstance(error, OSError):
                self._fail(error, lambda: self._submit(snapshot, entries, data, crc, done))
                return
            future.result()
            if self._in_trouble:
                self._in_trouble = False
                self.on_trouble(None)
            self._wrote(snapshot, entries, data, crc)
            done()

        future.add_done_callback(lambda _: self._call_soon(finished))

    def _call_soon(self, function: Done) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    def _put(self, data: bytes, is_synced: bool) -> None:
        """Write where what is good ends. After a failed fsync nobody knows which pages are on the disk: then all of it is written again."""
        door = self._directory.door
        if self._in_trouble:
            door.cut(self._handle, self._good_bytes)
        door.write_all(self._handle, data, self._good_bytes)
        if is_synced:
            door.sync(self._handle)
            self.fsync_count += 1

    def _fail(self, error: OSError, again: Done) -> None:
        self._in_trouble = True
        self.on_trouble(error)
        self._loop.call_later(RETRY_SECONDS, lambda: self._retry(again))

    def _retry(self, again: Done) -> None:
        if self._is_open:
            self._wake()
            again()

    def _wrote(self, snapshot: Snapshot | None, entries: tuple[Entry, ...], data: bytes, crc: int) -> None:
        self._good_bytes += len(data)
        self._log_bytes += len(data)
        self._crc = crc
        if entries:
            self._last_index[self._number] = entries[-1].index
        if snapshot is not None:
            self.storage.apply_snapshot(snapshot)
            self._drop_segments(self._number)
            self._directory.drop_snapshots()
        self.storage.append(entries)
        if self._good_bytes > self._segment_bytes_max:
            try:
                self._begin_segment([])
            except OSError:
                self._segment_bytes_max = self._good_bytes + SEGMENT_BYTES  # no room for a new one now: this one goes on

    def _begin_segment(self, records: list[wal.Record]) -> None:
        """Go on in a new segment, which begins with the hard state. Raises OSError, and then the present one goes on."""
        door, number = self._directory.door, self._number + 1
        head = wal.begin(number, self._crc)
        data, crc = wal.encode([*records, _hard_state_record(self._written_hard_state)], self._crc)
        handle = door.create(self._directory.segment_path(number))
        try:
            door.write_all(handle, head + data)
            if self._is_synced:
                door.sync(handle)
            door.sync_dir(self._directory.wal)
        except OSError:
            door.close(handle)
            door.delete(self._directory.segment_path(number))
            raise
        if self._handle >= 0:
            door.close(self._handle)
        self._handle, self._number, self._crc = handle, number, crc
        self._good_bytes = len(head) + len(data)
        self._segment_bytes_max = SEGMENT_BYTES

    def _drop_segments(self, before: int, index: int | None = None) -> None:
        """Delete the segments before number ``before``, as far as their entries are up to ``index``."""
        for number, path in self._directory.segments():
            if number >= before or (index is not None and self._last_index.get(number, 0) > index):
                return
            self._directory.door.delete(path)
            self._last_index.pop(number, None)

    # -- snapshots

    def save_snapshot(self, snapshot: Snapshot, keep_count: int) -> None:
        """Keep a snapshot in memory for followers; write it to a file when the log has grown as long as the state is large."""
        storage = self.storage
        if snapshot.index <= storage.snapshot_state.index or snapshot.index > storage.last_index:
            return
        storage.snapshot_state = snapshot
        cut = snapshot.index - keep_count
        if cut > storage.first_index:
            storage.compact(cut)
        records = snapshot.data.state.records
        size_bytes = sum(64 + len(record.key) + len(record.value or b"") for record in records) if len(records) < SAMPLED_RECORDS_MIN else 0
        size_bytes = size_bytes or _sampled_bytes(records)
        if self._child is None and self._log_bytes >= max(size_bytes, LOG_BYTES_MIN) and not self._in_trouble:
            self._log_bytes = 0
            self._write_file(snapshot, len(records) >= FORK_RECORDS_MIN)

    def _write_file(self, snapshot: Snapshot, is_large: bool) -> None:
        if not is_large:
            try:
                self._directory.save_snapshot(snapshot.index, pack(snapshot))
            except OSError:
                return  # the log has everything; the next one may work
            self._snapshot_written(snapshot.index)
            return
        try:
            process = os.fork()
        except OSError:
            return  # no room for a process: the log has everything
        if process == 0:
            status = 1
            try:
                # When the member is killed, nothing of it may stay: its lock, its addresses, its clients' connections.
                os.closerange(HANDLES_KEPT, HANDLES_MAX)
                os.nice(CHILD_NICENESS)
                self._directory.save_snapshot(snapshot.index, pack(snapshot))
                status = 0
            finally:
                os._exit(status)
        self._child = (process, snapshot.index)
        self._loop.call_later(CHILD_LOOK_SECONDS, self._look_at_child)

    def _look_at_child(self) -> None:
        if self._child is None:
            return
        process, index = self._child
        found, status = os.waitpid(process, os.WNOHANG)
        if not found:
            self._loop.call_later(CHILD_LOOK_SECONDS, self._look_at_child)
            return
        self._child = None
        if status == 0:
            self._snapshot_written(index)

    def _snapshot_written(self, index: int) -> None:
        self._drop_segments(self._number, index)
        self._directory.drop_snapshots()

    # -- the beginning and the end

    def format(self, entries: Iterable[Entry], hard_state: HardState) -> None:
        """Write the log that a new member of a new cluster begins with."""
        data, _ = wal.encode([*(_entry_record(entry) for entry in entries), _hard_state_record(hard_state)], 0)
        self._directory.door.write_whole(self._directory.segment_path(1), wal.begin(1) + data)

    def recover(self) -> Recovered:
        """Read what there is, cut a torn tail off, and set ``storage`` to it. Raises BadDataDir for damaged data."""
        snapshots = self._read_snapshots()
        records: list[Record] = []
        seen = -1
        for record in self._read_log():
            if isinstance(record, wal.Record):
                index, _ = wal.parse_snapshot(record.payload)
                if index in snapshots:
                    records.append(snapshots[index])
                    seen = index
            else:
                records.append(record)
        newest = max(snapshots, default=-1)
        if newest > seen:
            records.append(snapshots[newest])
        try:
            recovered = replay(records)
        except AssertionError as error:
            raise BadDataDir(f"the log in {self._directory.wal} has a gap: {error}") from None
        if recovered.entries and recovered.entries[0].index > recovered.snapshot.index + 1:
            raise BadDataDir(f"the log in {self._directory.wal} begins at entry {recovered.entries[0].index}, and no snapshot leads there")
        self._written_hard_state = recovered.hard_state
        self.storage = DiskStorage()
        self.storage.start_from(*recovered)
        if not self._handle >= 0:
            self._begin_segment([])
        return recovered

    def _read_snapshots(self) -> dict[int, Snapshot]:
        found = {}
        for index, path in self._directory.snapshots()[-1:]:
            try:
                found[index] = unpack(self._directory.read_snapshot(path))
            except DecodeError as error:
                raise BadDataDir(f"the snapshot {path} cannot be read: {error}") from None
        return found

    def _read_log(self) -> Iterable[Record | wal.Record]:
        segments = self._directory.segments()
        crc = None
        for position, (number, path) in enumerate(segments):
            is_last = position == len(segments) - 1
            data = path.read_bytes()
            try:
                segment = wal.decode(data, is_last)
            except wal.Corrupt as error:
                raise BadDataDir(f"{path} is damaged: {error}") from None
            if segment.torn and not segment.size:
                path.unlink()  # not even its header was written
                continue
            self._check_chain(path, number, segment, crc, data)
            crc = segment.crc
            self._log_bytes += segment.size  # a member that restarts often must not let its log grow for ever
            if segment.torn:
                _cut(path, segment.size)
            for record in segment.records:
                try:
                    yield self._read_record(number, record)
                except (DecodeError, ValueError, IndexError) as error:
                    raise BadDataDir(f"{path} has a record that cannot be read: {error}") from None
        self._number = segments[-1][0] if segments else 0
        self._crc = crc or 0

    def _check_chain(self, path: Path, number: int, segment: wal.Segment, crc: int | None, data: bytes) -> None:
        if segment.number != number:
            raise BadDataDir(f"{path} is damaged: it is segment {segment.number} by its header")
        if crc is not None and data[12:16] != crc.to_bytes(4, "little"):
            raise BadDataDir(f"{path} is damaged: it does not follow the segment before it")

    def _read_record(self, number: int, record: wal.Record) -> Record | wal.Record:
        if record.type == wal.ENTRY:
            term, index, kind, data = wal.parse_entry(record.payload)
            self._last_index[number] = index
            return Entry(term, index, ENTRY_KINDS[kind], unpack(data) if data else None, len(data))
        if record.type == wal.HARD_STATE:
            return HardState(*wal.parse_hard_state(record.payload))
        return record

    def crash(self, power_lost: bool = False) -> None:
        """Stop writing: the process ends."""
        self.close()

    def close(self) -> None:
        """Wait for the write under way and close the files."""
        if not self._is_open:
            return
        self._is_open = False
        self._executor.shutdown(wait=True)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        if self._child is not None:
            os.waitpid(self._child[0], 0)
            self._child = None


def _entry_record(entry: Entry) -> wal.Record:
    data = b"" if entry.data is None else pack(entry.data)
    return wal.Record(wal.ENTRY, wal.entry_payload(entry.term, entry.index, ENTRY_KINDS.index(entry.type), data))


def _hard_state_record(state: HardState) -> wal.Record:
    return wal.Record(wal.HARD_STATE, wal.hard_state_payload(*state))


def _sampled_bytes(records: list[KeyValue]) -> int:
    sample = records[:: max(len(records) // SAMPLED_RECORDS_MIN, 1)]
    return sum(64 + len(record.key) + len(record.value or b"") for record in sample) * len(records) // max(len(sample), 1)


def _cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)
        file.flush()
        os.fsync(file.fileno())


def is_full(error: OSError) -> bool:
    """Whether there is no space left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
