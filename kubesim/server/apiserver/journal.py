"""The durable log of ``--data-dir``: every change of the store is on the disk before its writer is answered.

A directory holds one *generation*: ``N.snapshot``, the whole store as of the start of the generation, and ``N.log``, the changes since,
in the records of etcd's write-ahead log (``etcd/wal.py``: check sums, a torn tail is dropped, corruption is refused). Many changes
share one sync. A log that has grown beyond ``LOG_BYTES_MAX`` is followed by the next generation.
"""

import asyncio
import contextlib
import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from kubesim._core.revision_store import RevisionStore, record_of
from kubesim.apiserver.event_leases import EVENT_TTL_SECONDS, LONGER_SECONDS
from kubesim.etcd import wal
from kubesim.etcd.lease import LeaseRecord
from kubesim.etcd.state import State, StateDump

CHANGES = 16  # the type of our records; below are etcd's
LOG_BYTES_MAX = 64 << 20
OPTIONS = orjson.OPT_NON_STR_KEYS


class BadJournal(Exception):
    """A data directory that cannot be used; the message is one sentence."""


class Saved(NamedTuple):
    """What a directory holds: a store's records and counters, and the changes since."""

    records: list[Any]
    revision: int
    compact_revision: int
    changes: list[Any]

    @property
    def last_revision(self) -> int:
        """The revision of the newest change."""
        return max(self.revision, self.changes[-1][0] if self.changes else 0)


class Journal:
    """The log of one store. ``read`` and ``restore`` first, then ``attach``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._executor = ThreadPoolExecutor(1, "journal")
        self._pending: list[bytes] = []
        self._number = 0
        self._crc = 0
        self._file: Any = None
        self._size = 0
        self._store: RevisionStore
        self._seen = 0
        self._durable = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._is_flushing = False
        self._is_scheduled = False
        self.error: OSError | None = None
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = open(directory / "lock", "w")  # noqa: SIM115
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            self._executor.shutdown()
            raise BadJournal(f"{directory} is in use by another server") from None
        except OSError as error:
            raise BadJournal(f"{directory}: {error.strerror}") from None

    # -- the past --

    def read(self) -> Saved | None:
        """What the directory holds, or None for a new one. Raises BadJournal when it is damaged."""
        numbers = sorted(int(path.stem) for path in self._directory.glob("*.snapshot") if path.stem.isdecimal())
        if not numbers:
            return None
        self._number = numbers[-1]
        try:
            snapshot = orjson.loads(self._path("snapshot").read_bytes())
            log = self._path("log")
            data = log.read_bytes() if log.exists() else b""
            segment = wal.decode(data)
        except (OSError, orjson.JSONDecodeError, wal.Corrupt) as error:
            raise BadJournal(f"{self._path('log')}: {error}") from None
        if segment.torn and segment.size:
            os.truncate(log, segment.size)
        elif segment.torn:
            log.unlink(missing_ok=True)
        self._crc, self._size = segment.crc, segment.size
        changes = [change for record in segment.records if record.type == CHANGES for change in orjson.loads(record.payload)]
        return Saved(snapshot["records"], snapshot["revision"], snapshot["compactRevision"], changes)

    def restore(self, saved: Saved, state: State, now_ns: int) -> None:
        """Put a store back as it was."""
        records = [record_of(key.encode(), value, *numbers) for key, value, *numbers in saved.records]
        state.load(StateDump(records, saved.revision, saved.compact_revision, [], None), now_ns)
        store = state.store
        at = saved.revision
        is_open = False
        for revision, key, lease, value, is_delete in saved.changes:
            if revision <= saved.revision:
                continue
            if revision != at:
                if is_open:
                    store.commit()
                store.begin()
                at, is_open = revision, True
            if is_delete:
                store.delete(key.encode())
            else:
                store.put(key.encode(), value, lease)
        if is_open:
            store.commit()
        if store.revision != saved.last_revision:
            raise BadJournal(f"{self._directory}: the log ends at revision {store.revision}; expected {saved.last_revision}")
        leases: dict[int, list[bytes]] = {}
        for kv in store.range(b"\0", b"\0").kvs:
            if kv.lease:
                leases.setdefault(kv.lease, []).append(kv.key)
        ttl = EVENT_TTL_SECONDS + LONGER_SECONDS
        state.leases.load([LeaseRecord(lease, ttl, tuple(keys)) for lease, keys in sorted(leases.items())], now_ns)

    # -- the present --

    def attach(self, store: RevisionStore) -> None:
        """Log the changes of a store from now on. What it holds already is in the log, or becomes the first snapshot."""
        self._store = store
        self._seen = self._durable = store.revision
        if not self._number or self._size > LOG_BYTES_MAX or not self._path("log").exists():
            self._next_generation()
        else:
            self._file = open(self._path("log"), "ab")  # noqa: SIM115
        store.before_compact(self._drain)
        self._listener = store.on_change(self._changed)
        self._listener.arm()

    def _path(self, kind: str) -> Path:
        return self._directory / f"{self._number:08d}.{kind}"

    def _next_generation(self) -> None:
        """Write the whole store, begin a log, and take away what came before. Raises OSError."""
        store, old = self._store, self._number
        self._number += 1
        records = [
            [kv.key.decode(), kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease, kv.sub]
            for kv in store.range(b"\0", b"\0").kvs
        ]
        document = {"revision": store.revision, "compactRevision": store.revision, "records": records}
        temporary = self._directory / "snapshot.tmp"
        with open(temporary, "wb") as file:
            file.write(orjson.dumps(document, option=OPTIONS))
            file.flush()
            os.fsync(file.fileno())
        if self._file is not None:
            self._file.close()
        self._crc = 0
        self._file = open(self._path("log"), "wb")  # noqa: SIM115
        self._file.write(wal.begin(self._number))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._size = self._file.tell()
        temporary.rename(self._path("snapshot"))
        _sync_directory(self._directory)
        for kind in ("snapshot", "log") if old else ():
            (self._directory / f"{old:08d}.{kind}").unlink(missing_ok=True)

    def _changed(self) -> None:
        # Called inside a write: what is written is read after it, in a turn of its own.
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _drain(self) -> None:
        """Take what is new in the store. O(changes)."""
        store = self._store
        if store.revision == self._seen:
            return
        rows = [[each.revision, each.key.decode(), each.lease, each.value, each.is_delete] for each in store.changes(self._seen)]
        self._seen = store.revision
        self._pending.append(orjson.dumps(rows, option=OPTIONS))

    def _flush(self) -> None:
        self._is_scheduled = False
        if self._is_flushing or self.error is not None:
            return
        self._drain()
        self._listener.arm()
        if not self._pending:
            return
        data, self._crc = wal.encode([wal.Record(CHANGES, payload) for payload in self._pending], self._crc)
        self._pending.clear()
        self._is_flushing = True
        task = asyncio.get_running_loop().run_in_executor(self._executor, self._write, data)
        revision = self._seen
        task.add_done_callback(lambda done: self._written(done, revision))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()
        os.fdatasync(self._file.fileno())

    def _written(self, done: "asyncio.Future[None]", revision: int) -> None:
        self._is_flushing = False
        error = done.exception()
        if error is not None:
            self.error = error if isinstance(error, OSError) else OSError(str(error))
        else:
            self._durable = revision
            self._size = self._file.tell()
        waiting, self._waiting = self._waiting, []
        for wanted, future in waiting:
            if future.done():
                continue
            if self.error is not None:
                future.set_exception(self.error)
            elif wanted <= self._durable:
                future.set_result(None)
            else:
                self._waiting.append((wanted, future))
        if self.error is None and self._size > LOG_BYTES_MAX:
            self._drain()
            self._pending.clear()
            self._next_generation()
            self._durable = self._seen
        self._flush()

    async def durable(self, revision: int) -> None:
        """Wait until a revision is on the disk. Raises OSError when it cannot be."""
        if self.error is not None:
            raise self.error
        if revision <= self._durable:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((revision, future))
        self._changed()
        await future

    def close(self) -> None:
        """Write what is left and close."""
        self._executor.shutdown(wait=True)
        if self._file is not None and self.error is None:
            with contextlib.suppress(OSError):
                self._drain()
                data, self._crc = wal.encode([wal.Record(CHANGES, payload) for payload in self._pending], self._crc)
                self._write(data)
        if self._file is not None:
            self._file.close()
        self._lock.close()


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
