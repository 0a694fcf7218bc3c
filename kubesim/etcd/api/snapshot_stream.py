"""The snapshot of a whole member as a stream of blobs, with the SHA-256 of all of it at the end.

The blob is that of ``snapshot_file``: state and members at one index. Upstream: etcd ``server/etcdserver/api/v3rpc/maintenance.go``
(Snapshot). Differs: etcd sends its backend file.
"""

from collections.abc import Callable
from hashlib import sha256

from kubesim.etcd.api.context import Context
from kubesim.etcd.member import SnapshotData
from kubesim.etcd.snapshot_file import blob_of
from kubesim.etcd.wire.codec import Fields

PART_BYTES = 32 << 10


class SnapshotStream:
    """Sends a snapshot as fast as the client reads it; ``end(None)`` is called after the hash."""

    def __init__(
        self,
        context: Context,
        send: Callable[[Fields], object],
        is_full: Callable[[], bool],
        end: Callable[[Exception | None], object],
    ) -> None:
        from kubesim.etcd.wire.plain import pack  # it knows all records, also those that are made of what is here

        self._send = send
        self._is_full = is_full
        self._end = end
        member = context.member
        self._version = context.storage_version
        self._blob = blob_of(pack(SnapshotData(member.state.dump(), member.members.dump())))
        self._sent = 0
        self._is_over = False

    def resume(self) -> None:
        """Send what the client reads."""
        while not self._is_over and not self._is_full():
            if self._sent == len(self._blob):
                self._is_over = True
                self._send({"blob": sha256(self._blob).digest(), "version": self._version})
                self._end(None)
                return
            part = self._blob[self._sent : self._sent + PART_BYTES]
            self._sent += len(part)
            self._send({"remaining_bytes": len(self._blob) - self._sent, "blob": part, "version": self._version})

    def close(self) -> None:
        """Send nothing any more."""
        self._is_over = True
