"""HashKV: one number for the history of all keys up to a revision, the same on every member that has the same data.

CRC-32C over the word ``key`` and then over every entry up to the revision in their order: the revision as etcd's backend spells it, and
the key-value in protobuf. What a compaction has dropped, or would drop at that revision, does not count. The hash that a compaction makes
on its way is kept, because afterwards it cannot be made again.

Upstream: etcd ``server/storage/mvcc/hash.go``, ``kvstore_compaction.go``.
"""

from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

from kubesim._core.crc32c import crc32c
from kubesim._core.revision_store import Compacted, FutureRevision, KeyValue, RevisionStore
from kubesim.etcd.wire.codec import encode_key_value
from kubesim.etcd.wire.schema import varint

KEPT_MAX = 10
_REVISION = Struct(">QcQ")


class RevisionHash(NamedTuple):
    """The hash of everything up to ``revision``, made when ``compact_revision`` was the last compaction."""

    hash: int
    revision: int
    compact_revision: int


def in_order(store: RevisionStore) -> list[KeyValue]:
    """Return every record of a store in the order of revisions. O(n log n) below the log, O(n) in it."""
    return sorted(store.dump(), key=lambda record: (record.mod_revision, record.sub))


def entry(record: KeyValue) -> bytes:
    """Return the key and value of a record as etcd's backend has them."""
    revision = _REVISION.pack(record.mod_revision, b"_", record.sub)
    if record.is_delete:
        return revision + b"t\n" + varint(len(record.key)) + record.key
    return revision + encode_key_value(record)


def hash_records(records: Iterable[KeyValue], revision: int, compact_revision: int, kept: set[tuple[int, int]]) -> int:
    """Return the hash of ``records`` (in order); ``kept``: (revision, sub) of what a compaction at ``revision`` keeps."""
    crc = crc32c(b"key")
    for record in records:
        main = record.mod_revision
        if main > revision:
            break
        if main <= compact_revision:
            if kept and (main, record.sub) not in kept:
                continue
            if main == compact_revision and record.is_delete:
                continue
        crc = crc32c(entry(record), crc)
    return crc


def live_at(store: RevisionStore, revision: int) -> set[tuple[int, int]]:
    """Return (revision, sub) of every key that exists at a revision."""
    return {(record.mod_revision, record.sub) for record in store.range(b"\0", b"\0", revision).kvs}


class Hashes:
    """The hashes of a store; those of the newest compactions are remembered."""

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept: list[RevisionHash] = []

    def at(self, store: RevisionStore, revision: int = 0) -> RevisionHash:
        """Return the hash up to a revision, 0: now. Raises Compacted, FutureRevision. O(n log n)."""
        for remembered in self.kept:
            if remembered.revision == revision:  # also 0: etcd looks here before it takes 0 for now, and revision 0 can be compacted
                return remembered
        compact_revision = store.compact_revision
        if 0 < revision < compact_revision:
            raise Compacted(revision, compact_revision)
        if revision > store.revision:
            raise FutureRevision(revision, store.revision)
        revision = revision if revision > 0 else store.revision
        made = hash_records(in_order(store), revision, compact_revision, live_at(store, revision))
        return RevisionHash(made, revision, compact_revision)

    def compact(self, store: RevisionStore, revision: int) -> None:
        """Compact a store and remember the hash of what it had. Raises Compacted, FutureRevision. O(n log n)."""
        before = store.compact_revision
        if before < revision <= store.revision:
            records = in_order(store)
            # A tombstone at the revision itself is kept once more, for watches that start there.
            kept = live_at(store, revision) if revision else set[tuple[int, int]]()
            kept |= {(record.mod_revision, record.sub) for record in records if record.mod_revision == revision and record.is_delete}
            made = RevisionHash(hash_records(records, revision, before, kept), revision, before)
            store.compact(revision)
            self.kept = sorted([*self.kept, made], key=lambda remembered: remembered.revision)[-KEPT_MAX:]
        else:
            store.compact(revision)
