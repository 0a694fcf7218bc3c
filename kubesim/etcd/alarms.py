"""Alarms and the space quota: what a member still does when its disk quota is used up, or when its data is known to differ.

The size is that of a backend file as etcd's: it grows with every write, a compaction makes room inside it, and only a defragmentation
makes it smaller. Here it is reckoned from what is stored, page by page in the mean.
Upstream: etcd ``server/etcdserver/api/v3alarm``, ``server/storage/quota.go``, ``server/etcdserver/apply``.
"""

from collections.abc import Iterable

from kubesim._core.revision_store import KeyValue
from kubesim.etcd.errors import EtcdError

RESOURCE_EXHAUSTED = 8
DATA_LOSS = 15

NOSPACE = "NOSPACE"
CORRUPT = "CORRUPT"
KINDS = (NOSPACE, CORRUPT)

QUOTA_BYTES = 2 << 30
FILE_BYTES_MIN = 20 << 10  # of an empty backend
RECORD_BYTES = 64  # of a record beside its key and value: revision, five numbers, its place on a page
LEASE_COST_BYTES = 64
PUT_COST_BYTES = 256


class NoSpace(EtcdError):
    """The space quota is used up, or the alarm for it is on."""

    code = RESOURCE_EXHAUSTED
    message = "etcdserver: mvcc: database space exceeded"


class CorruptCluster(EtcdError):
    """The alarm for differing data is on."""

    code = DATA_LOSS
    message = "etcdserver: corrupt cluster"


class Alarms:
    """Which alarms are on, for which members. Replicated."""

    __slots__ = ("raised",)

    def __init__(self) -> None:
        self.raised: dict[tuple[str, int], None] = {}  # (kind, member)

    def has(self, kind: str) -> bool:
        """Whether the alarm is on for any member."""
        return any(kind == other for other, _ in self.raised)

    def listed(self, kind: str = "NONE") -> list[tuple[str, int]]:
        """Return the alarms of a kind, of all kinds for NONE, by kind and member."""
        return [alarm for alarm in sorted(self.raised, key=_order) if kind in ("NONE", alarm[0])]

    def activate(self, kind: str, member: int) -> tuple[str, int]:
        """Turn an alarm on."""
        self.raised[kind, member] = None
        return kind, member

    def deactivate(self, kind: str, member: int) -> tuple[str, int] | None:
        """Turn an alarm off; None: it was not on."""
        if (kind, member) not in self.raised:
            return None
        del self.raised[kind, member]
        return kind, member


def _order(alarm: tuple[str, int]) -> tuple[int, int]:
    return KINDS.index(alarm[0]) if alarm[0] in KINDS else len(KINDS), alarm[1]


class Backend:
    """How large the file would be. ``quota_bytes`` 0: no quota."""

    __slots__ = ("file_bytes", "quota_bytes", "used_bytes")

    def __init__(self) -> None:
        self.quota_bytes = QUOTA_BYTES
        self.used_bytes = self.file_bytes = FILE_BYTES_MIN

    def wrote(self, size_bytes: int) -> None:
        """Note what a request has added."""
        self.used_bytes += size_bytes
        self.file_bytes = max(self.file_bytes, self.used_bytes)

    def count(self, records: Iterable[KeyValue]) -> None:
        """Reckon what is in use from what is there: after a compaction, or at the start. O(records)."""
        self.used_bytes = FILE_BYTES_MIN + sum(
            RECORD_BYTES + len(record.key) + (len(record.value) if type(record.value) is bytes else 0) for record in records
        )
        self.file_bytes = max(self.file_bytes, self.used_bytes)

    def defragment(self) -> None:
        """Give back what is not in use."""
        self.file_bytes = self.used_bytes

    def has_room(self, cost_bytes: int) -> bool:
        """Whether a request of this cost may come in."""
        return not self.quota_bytes or self.file_bytes + cost_bytes < self.quota_bytes
