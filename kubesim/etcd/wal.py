r"""The write-ahead log as bytes: records behind check sums; a torn tail is dropped, corruption is refused. Pure: no files.

A segment is a header of 16 bytes and records. A record is 12 bytes and its payload::

    length: u32 | type: u8, check: u24 | crc: u32 | payload

``crc`` is the CRC-32 of type and payload, begun with the crc of the record before, so a record that is lost, moved or repeated is noticed
at the next one; ``check`` is that of the length and the type, so a length that has changed is not taken for a short file.
What follows the last good record is *torn*, a write that a crash cut short, if the bytes end before the record does or a disk sector of it
holds only zeros: the system had not written that sector yet. Everything else is *corruption*: data that may have been acknowledged has
changed, and a member must not start on it.

Upstream: etcd ``server/storage/wal`` (decoder.go: the rule of the zero sector). Differs: etcd's CRC is Castagnoli's and its files are
filled with zeros in advance; here a file ends where its last record does.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple
from zlib import crc32

MAGIC = b"KSIMWAL\x01"
SECTOR_BYTES = 512
RECORD_BYTES_MAX = 1 << 30

HARD_STATE = 1  # term, vote, commit: three u64
ENTRY = 2  # term, index: two u64, then kind: u8, then data
SNAPSHOT = 3  # index, term: two u64; the data is in its own file
METADATA = 4  # whose log this is: opaque

_SEGMENT = struct.Struct("<8sII")  # magic, segment number, crc that the first record begins with
_RECORD = struct.Struct("<III")
_PREFIX = struct.Struct("<IB")
_THREE = struct.Struct("<QQQ")
_ENTRY = struct.Struct("<QQB")
_TWO = struct.Struct("<QQ")


class Corrupt(Exception):
    """A segment holds bytes that nobody wrote there; ``offset`` says where."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"the write-ahead log is corrupt at byte {offset}: {reason}")
        self.offset = offset


class Record(NamedTuple):
    """One record: its type and its payload."""

    type: int
    payload: bytes


class Segment(NamedTuple):
    """A decoded segment. ``size`` is where the good bytes end (cut the file there), ``torn`` whether there was more."""

    number: int
    records: list[Record]
    size: int
    crc: int
    torn: bool


def begin(number: int, crc: int = 0) -> bytes:
    """Return the header of segment ``number`` that goes on after one that ended with ``crc``."""
    return _SEGMENT.pack(MAGIC, number, crc)


def encode(records: Iterable[Record], crc: int) -> tuple[bytes, int]:
    """Return the bytes of some records after one with ``crc``, and the crc to go on with. Raises ValueError above 1 GiB."""
    parts = []
    for record in records:
        length = len(record.payload)
        if length > RECORD_BYTES_MAX:
            raise ValueError(f"a record has {length} bytes; expected at most {RECORD_BYTES_MAX}")
        check = _check(length, record.type)
        crc = _crc(record.type, record.payload, crc)
        parts.append(_RECORD.pack(length, record.type | check << 8, crc))
        parts.append(record.payload)
    return b"".join(parts), crc


def decode(data: bytes, is_last: bool = True) -> Segment:
    """Return the records of a segment. Raises Corrupt, also for a torn tail of a segment that is not the last."""
    if len(data) < _SEGMENT.size:
        if is_last and (not data or MAGIC.startswith(data[: len(MAGIC)])):
            return Segment(0, [], 0, 0, True)
        raise Corrupt(0, "it is too short for its header")
    magic, number, crc = _SEGMENT.unpack_from(data)
    if magic != MAGIC:
        raise Corrupt(0, f"it begins with {magic!r}, not with {MAGIC!r}")
    records: list[Record] = []
    offset = _SEGMENT.size
    while offset < len(data):
        fault = _fault(data, offset, crc)
        if fault:
            if is_last and _is_torn(data, offset):
                return Segment(number, records, offset, crc, True)
            raise Corrupt(offset, fault)
        length, word, crc = _RECORD.unpack_from(data, offset)
        offset += _RECORD.size
        records.append(Record(word & 0xFF, data[offset : offset + length]))
        offset += length
    return Segment(number, records, offset, crc, False)


def _check(length: int, type_: int) -> int:
    return crc32(_PREFIX.pack(length, type_)) & 0xFFFFFF


def _crc(type_: int, payload: bytes, crc: int) -> int:
    return crc32(payload, crc32(bytes((type_,)), crc))


def _fault(data: bytes, offset: int, crc: int) -> str:
    """Say what is wrong with the record at ``offset``; empty when it is good."""
    if offset + _RECORD.size > len(data):
        return "a record's head is cut off"
    length, word, stored = _RECORD.unpack_from(data, offset)
    if word >> 8 != _check(length, word & 0xFF):
        return "a record's length does not fit its check"
    start = offset + _RECORD.size
    if start + length > len(data):
        return "a record is cut off"
    if stored != _crc(word & 0xFF, data[start : start + length], crc):
        return "a record does not fit its check sum"
    return ""


def _is_torn(data: bytes, offset: int) -> bool:
    """Whether a crash can have left these bytes from ``offset`` on: too few, or with a sector that was never written."""
    stop = len(data)
    if offset + _RECORD.size > stop:
        return True
    length, word, _ = _RECORD.unpack_from(data, offset)
    if word >> 8 == _check(length, word & 0xFF):
        stop = offset + _RECORD.size + length
        if stop > len(data):
            return True
    start = offset
    while start < stop:
        sector_stop = (start // SECTOR_BYTES + 1) * SECTOR_BYTES
        if not any(data[start:sector_stop]):
            return True
        start = sector_stop
    return False


# -- payloads


def hard_state_payload(term: int, vote: int, commit: int) -> bytes:
    """Encode a hard state."""
    return _THREE.pack(term, vote, commit)


def parse_hard_state(payload: bytes) -> tuple[int, int, int]:
    """Return (term, vote, commit)."""
    term, vote, commit = _THREE.unpack(payload)
    return term, vote, commit


def entry_payload(term: int, index: int, kind: int, data: bytes) -> bytes:
    """Encode an entry."""
    return _ENTRY.pack(term, index, kind) + data


def parse_entry(payload: bytes) -> tuple[int, int, int, bytes]:
    """Return (term, index, kind, data)."""
    term, index, kind = _ENTRY.unpack_from(payload)
    return term, index, kind, payload[_ENTRY.size :]


def snapshot_payload(index: int, term: int) -> bytes:
    """Encode the mark of a snapshot."""
    return _TWO.pack(index, term)


def parse_snapshot(payload: bytes) -> tuple[int, int]:
    """Return (index, term)."""
    index, term = _TWO.unpack(payload)
    return index, term
