"""The file that ``snapshot save`` leaves: a whole member as one plain value, and the SHA-256 of all before it. Pure: bytes in, bytes out.

::

    magic: 9 bytes | length: u64 | the value (``wire/plain.py``) | zeros up to a multiple of 512 | SHA-256

By the multiple of 512 clients know that the hash follows; a file without it is a copy that nobody has checked, and is refused unless that
is what is wanted. Upstream: etcd ``etcdutl/snapshot/v3_snapshot.go``. Differs: etcd's file is its backend's.
"""

from hashlib import sha256
from typing import NamedTuple

from kubesim._core.crc32c import crc32c
from kubesim.etcd.member import SnapshotData
from kubesim.etcd.state import StateDump

MAGIC = b"KSIMETCD\x01"
LENGTH_BYTES = 8
SECTOR_BYTES = 512
HASH_BYTES = 32
BOLT_MAGIC = b"\xed\xda\x0c\xed"  # at byte 16 of a page of etcd's own file, in the byte order of nearly all machines


class BadSnapshot(Exception):
    """A file that holds no snapshot; the message says why, and is the end of a sentence that begins with the file's name."""


class SnapshotStatus(NamedTuple):
    """What ``snapshot status`` tells: a hash of the content, the revision, how many records and how many bytes."""

    hash: int
    revision: int
    total_key: int
    total_size: int


def blob_of(data: bytes) -> bytes:
    """Return a packed snapshot as a server sends it, without the hash.

    >>> len(blob_of(b"x" * 1000)) % SECTOR_BYTES
    0
    """
    blob = MAGIC + len(data).to_bytes(LENGTH_BYTES, "big") + data
    return blob + bytes(-len(blob) % SECTOR_BYTES)


def read_file(file: bytes, checks_hash: bool = True) -> SnapshotData:
    """Return what a snapshot's file holds. Raises BadSnapshot."""
    from kubesim.etcd.wire.codec import DecodeError
    from kubesim.etcd.wire.plain import unpack  # it knows all records, also those that are made of what is here

    try:
        found = unpack(_value_of(file, checks_hash))
    except DecodeError as error:
        raise BadSnapshot(f"is damaged: {error}") from None
    if not isinstance(found, SnapshotData) or not isinstance(found.state, StateDump):
        raise BadSnapshot("holds something else than a snapshot")
    return found


def status_of_file(file: bytes, checks_hash: bool = True) -> SnapshotStatus:
    """Return what can be told of a snapshot's file. Raises BadSnapshot."""
    state: StateDump = read_file(file, checks_hash).state
    return SnapshotStatus(crc32c(_value_of(file, checks_hash)), state.revision, len(state.records), len(file))


def _value_of(file: bytes, checks_hash: bool) -> bytes:
    if file[16:20] == BOLT_MAGIC or file[16:20] == BOLT_MAGIC[::-1]:
        raise BadSnapshot("is a snapshot of a real etcd, which kubesim cannot read")
    head = len(MAGIC)
    if file[: head - 1] == MAGIC[:-1] and file[head - 1 : head] > MAGIC[-1:]:
        raise BadSnapshot("was written by a newer version")
    if file[:head] != MAGIC:
        raise BadSnapshot("is no snapshot of etcd")
    has_hash = len(file) % SECTOR_BYTES == HASH_BYTES
    blob = file[:-HASH_BYTES] if has_hash else file
    if checks_hash:
        if not has_hash:
            raise BadSnapshot("is cut off, or a copy without its hash (--skip-hash-check takes such a copy)")
        if sha256(blob).digest() != file[-HASH_BYTES:]:
            raise BadSnapshot("is damaged: it does not fit its SHA-256")
    start = head + LENGTH_BYTES
    stop = start + int.from_bytes(file[head:start], "big")
    if stop > len(blob):
        raise BadSnapshot("is cut off")
    return blob[start:stop]


__all__ = ["BadSnapshot", "SnapshotStatus", "blob_of", "read_file", "status_of_file"]
