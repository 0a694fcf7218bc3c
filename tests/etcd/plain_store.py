"""The store's twin: a list of every change ever, and nothing else. Slow, obvious, and the oracle of the property tests.

It keeps all changes for ever and computes each answer from the definition; what compaction forgets is a filter on answers. Only the
newest change of each key is remembered beside, so that a write of a long history is not a walk over it.
"""

from typing import NamedTuple

from kubesim._core.revision_store import Compacted, FutureRevision


class Plain(NamedTuple):
    """One change; version 0 is a delete."""

    key: bytes
    value: object
    revision: int
    sub: int
    create_revision: int
    version: int
    lease: int


class PlainStore:
    """The semantics of ``RevisionStore`` over one list."""

    def __init__(self) -> None:
        self.revision = 1
        self.compact_revision = -1
        self.log: list[Plain] = []
        self.open: list[Plain] | None = None
        self.newest: dict[bytes, Plain] = {}

    def _all(self) -> list[Plain]:
        return self.log + (self.open or [])

    def state(self, revision: int = 0) -> dict[bytes, Plain]:
        """Every key that exists at a revision, in key order."""
        newest: dict[bytes, Plain] = {}
        for change in self._all():
            if not revision or change.revision <= revision:
                newest[change.key] = change
        return {key: newest[key] for key in sorted(newest) if newest[key].version}

    def readable(self, revision: int) -> None:
        if revision > self.revision:
            raise FutureRevision(revision, self.revision)
        if 0 < revision < self.compact_revision:
            raise Compacted(revision, self.compact_revision)

    def range(self, key: bytes, range_end: bytes | None, revision: int, limit: int) -> tuple[list[Plain], int, bool]:
        self.readable(revision)
        found = [record for name, record in self.state(max(revision, 0)).items() if covers(key, range_end, name)]
        cut = found[:limit] if limit > 0 else found
        return cut, len(found), len(cut) < len(found)

    def here(self, key: bytes) -> Plain | None:
        """The key now, if it exists."""
        found = self.newest.get(key)
        return found if found and found.version else None

    def _write(self, key: bytes, value: object, lease: int, is_delete: bool) -> int:
        here = self.here(key)
        log = self.log if self.open is None else self.open
        sub = 0 if self.open is None else len(self.open)
        revision = self.revision + 1
        if is_delete:
            log.append(Plain(key, None, revision, sub, 0, 0, 0))
        else:
            log.append(Plain(key, value, revision, sub, here.create_revision if here else revision, here.version + 1 if here else 1, lease))
        self.newest[key] = log[-1]
        if self.open is None:
            self.revision = revision
        return revision

    def put(self, key: bytes, value: object, lease: int = 0) -> int:
        return self._write(key, value, lease, False)

    def put_if(self, key: bytes, value: object, mod_revision: int, lease: int = 0) -> int:
        here = self.here(key)
        return self.put(key, value, lease) if (here.revision if here else 0) == mod_revision else 0

    def delete_if(self, key: bytes, mod_revision: int) -> int:
        here = self.here(key)
        return self._write(key, None, 0, True) if here and here.revision == mod_revision else 0

    def delete_range(self, key: bytes, range_end: bytes | None) -> tuple[int, list[Plain]]:
        found = self.range(key, range_end, 0, 0)[0]
        was_open = self.open is not None
        if not was_open:
            self.begin()
        for record in found:
            self._write(record.key, None, 0, True)
        if was_open:
            return self.revision + bool(self.open), found
        return self.commit(), found

    def begin(self) -> None:
        assert self.open is None
        self.open = []

    def commit(self) -> int:
        assert self.open is not None
        if self.open:
            self.revision += 1
        self.log += self.open
        self.open = None
        return self.revision

    def compact(self, revision: int) -> None:
        if revision <= self.compact_revision:
            raise Compacted(revision, self.compact_revision)
        if revision > self.revision:
            raise FutureRevision(revision, self.revision)
        self.compact_revision = revision

    def changes(self, after_revision: int) -> list[Plain]:
        if after_revision + 1 < self.compact_revision:
            raise Compacted(after_revision + 1, self.compact_revision)
        return [change for change in self.log if change.revision > after_revision]

    def previous(self, change: Plain) -> Plain | None:
        """The key-value that a change replaced, None when compaction has dropped it."""
        before = [other for other in self._all() if other.key == change.key and (other.revision, other.sub) < (change.revision, change.sub)]
        if not before or not before[-1].version or change.revision <= self.compact_revision:
            return None
        return before[-1]


def covers(key: bytes, range_end: bytes | None, name: bytes) -> bool:
    """Say whether a range as etcd spells it holds a key."""
    if range_end is None:
        return name == key
    return key <= name and (range_end == b"\0" or name < range_end)
