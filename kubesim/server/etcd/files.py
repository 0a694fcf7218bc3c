"""The data directory of a member: who it belongs to, its lock, its segments of the log and its snapshots. Blocking calls.

::

    <data-dir>/kubesim-etcd.json    format, member, cluster
    <data-dir>/lock                 locked while a process uses the directory
    <data-dir>/wal/<number>.wal     segments, in the form of kubesim.etcd.wal
    <data-dir>/snap/<index>.snap    snapshots: magic, CRC-32 of the rest, the rest
"""

import fcntl
import json
import os
from pathlib import Path
from typing import Any
from zlib import crc32

from kubesim.server.etcd.door import Door

FORMAT = 1
SNAPSHOT_MAGIC = b"KSIMSNAP\x01"
SNAPSHOTS_KEPT = 2


class BadDataDir(Exception):
    """A data directory that a member cannot start on; the message is for the user."""


class DataDir:
    """A data directory, locked by this process."""

    def __init__(self, path: Path, door: Door | None = None) -> None:
        self.path = path
        self.door = door or Door()
        self.wal = path / "wal"
        self.snap = path / "snap"
        self._lock: int | None = None

    def open(self) -> None:
        """Create what is missing and lock it. Raises BadDataDir."""
        if (self.path / "member" / "snap" / "db").exists():
            raise BadDataDir(f"{self.path} holds the data of a real etcd, which kubesim cannot read; choose another --data-dir")
        try:
            for path in (self.path, self.wal, self.snap):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BadDataDir(f"cannot use the data directory {self.path}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadDataDir(f"the data directory {self.path} is in use by another process") from None
        for part in (*self.path.glob("*.part"), *self.wal.glob("*.part"), *self.snap.glob("*.part")):
            self.door.delete(part)  # what a crash left half written

    def close(self) -> None:
        """Unlock it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -- whose it is

    def identity(self) -> dict[str, Any] | None:
        """Return who the data belongs to, None for a new directory. Raises BadDataDir."""
        path = self.path / "kubesim-etcd.json"
        if not path.exists():
            if self.segments():
                raise BadDataDir(f"{self.path} has a log but no {path.name} that says whose it is")
            return None
        try:
            found = json.loads(path.read_text())
            version = int(found["format"])
            member, cluster = int(found["member_id"], 16), int(found["cluster_id"], 16)
            is_first = bool(found["is_first"])
        except (OSError, ValueError, KeyError, TypeError):
            raise BadDataDir(f"{path} is damaged") from None
        if version > FORMAT:
            raise BadDataDir(f"{self.path} was written by a newer version (format {version}); this one reads up to format {FORMAT}")
        return {"member_id": member, "cluster_id": cluster, "is_first": is_first}

    def identify(self, member_id: int, cluster_id: int, is_first: bool) -> None:
        """Write down whose data it is; ``is_first``: its log begins with the first members of the cluster."""
        if (self.path / "kubesim-etcd.json").exists():
            return
        text = json.dumps({"format": FORMAT, "member_id": f"{member_id:x}", "cluster_id": f"{cluster_id:x}", "is_first": is_first})
        self.door.write_whole(self.path / "kubesim-etcd.json", text.encode())

    # -- files

    def segments(self) -> list[tuple[int, Path]]:
        """Return the segments of the log, by number."""
        return sorted((int(path.stem, 16), path) for path in self.wal.glob("*.wal"))

    def segment_path(self, number: int) -> Path:
        """Return where a segment is."""
        return self.wal / f"{number:016x}.wal"

    def snapshots(self) -> list[tuple[int, Path]]:
        """Return the snapshots, by index."""
        return sorted((int(path.stem, 16), path) for path in self.snap.glob("*.snap"))

    def save_snapshot(self, index: int, data: bytes) -> None:
        """Write a snapshot: whole, or not at all."""
        self.door.write_whole(self.snap / f"{index:016x}.snap", SNAPSHOT_MAGIC + crc32(data).to_bytes(4, "big") + data)

    def read_snapshot(self, path: Path) -> bytes:
        """Return what a snapshot holds. Raises BadDataDir."""
        data = path.read_bytes()
        head = len(SNAPSHOT_MAGIC)
        if data[: head - 1] == SNAPSHOT_MAGIC[:-1] and data[head - 1 : head] > SNAPSHOT_MAGIC[-1:]:
            raise BadDataDir(f"the snapshot {path} was written by a newer version")
        if data[:head] != SNAPSHOT_MAGIC or crc32(data[head + 4 :]).to_bytes(4, "big") != data[head : head + 4]:
            raise BadDataDir(f"the snapshot {path} is damaged: it does not fit its check sum")
        return data[head + 4 :]

    def drop_snapshots(self) -> None:
        """Delete all but the newest snapshots."""
        for _, path in self.snapshots()[:-SNAPSHOTS_KEPT]:
            self.door.delete(path)

