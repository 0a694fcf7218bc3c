"""Plain values as bytes: what members tell one another and write to their disks, beside the messages of the API.

None, booleans, integers of any size, bytes, text, tuples, lists, and the records that are listed in ``RECORDS``, each by its number. A
reader takes nothing else, whatever it is sent. The numbers never change; fields are only added at the end of a record, with a default.
"""

from functools import lru_cache
from typing import Any

from kubesim._core.revision_store import KeyValue, record_of
from kubesim.etcd.auth.store import AuthDump, Permission, User
from kubesim.etcd.lease import LeaseRecord
from kubesim.etcd.member import Proposal, SnapshotData
from kubesim.etcd.membership import MemberInfo
from kubesim.etcd.raft.messages import ConfChange, ConfState, Entry, HardState, Message, Snapshot
from kubesim.etcd.state import StateDump
from kubesim.etcd.wire.codec import DecodeError, decode
from kubesim.etcd.wire.schema import MESSAGES, varint

RECORDS: dict[int, type] = {
    1: Message,
    2: Entry,
    3: Snapshot,
    4: ConfState,
    5: ConfChange,
    6: HardState,
    7: Proposal,
    8: SnapshotData,
    9: StateDump,
    10: MemberInfo,
    11: LeaseRecord,
    12: AuthDump,
    13: User,
    14: Permission,
}
NUMBERS = {kind: number for number, kind in RECORDS.items()}
NONE, FALSE, TRUE, POSITIVE, NEGATIVE, BYTES, TEXT, TUPLE, LIST, RECORD, KEY_VALUE, API = range(12)
DEPTH_MAX = 32
INTERNAL = MESSAGES["InternalRaftRequest"]


def pack(value: Any) -> bytes:
    """Return a value as bytes. Raises TypeError for what is no plain value."""
    if type(value) is Proposal and value.number is not None and len(value.request) == 3 and value.request[0] == "api":
        return _pack_api_proposal(value)
    out: list[bytes] = []
    _pack(out, value)
    return b"".join(out)


def _pack_api_proposal(proposal: Proposal) -> bytes:
    """What nearly all entries of a log are; the same bytes as ``_pack``'s, in one go."""
    assert proposal.number is not None
    member_id, epoch, count = proposal.number
    encoded = proposal.request[2]
    return b"".join((_proposal_head(member_id, epoch), _big(count), b"\x0b", varint(len(encoded)), encoded))


@lru_cache(16)
def _proposal_head(member_id: int, epoch: int) -> bytes:
    return b"\x09\x07\x02\x07\x03\x03" + _big(member_id) + b"\x03" + _big(epoch) + b"\x03"


def _pack(out: list[bytes], value: Any) -> None:
    kind = type(value)
    if value is None:
        out.append(b"\0")
    elif kind is bytes:
        out += (b"\x05", varint(len(value)), value)
    elif kind is bool:
        out.append(b"\x02" if value else b"\x01")
    elif kind is int:
        out += (b"\x03", _big(value)) if value >= 0 else (b"\x04", _big(-value))
    elif kind is str:
        data = value.encode("utf-8", "surrogateescape")
        out += (b"\x06", varint(len(data)), data)
    elif kind is KeyValue:
        out.append(b"\x0a")
        for part in (value.key, value.value, value.create_revision, value.mod_revision, value.version, value.lease, value.sub):
            _pack(out, part)
    elif kind is tuple and len(value) == 3 and value[0] == "api":
        out += (b"\x0b", varint(len(value[2])), value[2])  # a request of the API: its own bytes say all
    elif kind in NUMBERS:
        out += (b"\x09", varint(NUMBERS[kind]), varint(len(value)))
        for part in value:
            _pack(out, part)
    elif kind is tuple or kind is list:
        out += (b"\x07" if kind is tuple else b"\x08", varint(len(value)))
        for part in value:
            _pack(out, part)
    else:
        raise TypeError(f"{kind.__name__} is no plain value: {value!r}")


def _big(number: int) -> bytes:
    if number < 1 << 63:
        return varint(number)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def unpack(data: bytes) -> Any:
    """Return the value that bytes stand for. Raises DecodeError."""
    try:
        value, at = _unpack(data, 0, 0)
    except (IndexError, TypeError, UnicodeDecodeError) as error:
        raise DecodeError(f"these bytes are no plain value: {error}") from None
    if at != len(data):
        raise DecodeError("bytes are left over after a plain value")
    return value


def _number(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    number, shift = byte & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def _sized(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _number(data, at)
    stop = at + size
    if stop > len(data):
        raise DecodeError("a plain value is cut off")
    return data[at:stop], stop


def _unpack(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > DEPTH_MAX:
        raise DecodeError("a plain value is nested too deeply")
    kind = data[at]
    at += 1
    if kind == BYTES:
        return _sized(data, at)
    if kind == POSITIVE:
        return _number(data, at)
    if kind == NONE:
        return None, at
    if kind == RECORD:
        number, at = _number(data, at)
        record = RECORDS.get(number)
        if record is None:
            raise DecodeError(f"no record has number {number}: it is from a newer version")
        parts, at = _unpack_parts(data, at, depth)
        return record(*parts), at
    if kind in (TUPLE, LIST):
        parts, at = _unpack_parts(data, at, depth)
        return (tuple(parts) if kind == TUPLE else parts), at
    if kind == TEXT:
        text, at = _sized(data, at)
        return text.decode("utf-8", "surrogateescape"), at
    if kind == API:
        request, at = _sized(data, at)
        return ("api", decode(INTERNAL, request), request), at
    if kind == NEGATIVE:
        number, at = _number(data, at)
        return -number, at
    if kind == KEY_VALUE:
        return _unpack_record(data, at, depth)
    if kind in (FALSE, TRUE):
        return kind == TRUE, at
    raise DecodeError(f"no plain value has kind {kind}")


def _unpack_parts(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    size, at = _number(data, at)
    parts = []
    for _ in range(size):
        part, at = _unpack(data, at, depth + 1)
        parts.append(part)
    return parts, at


def _unpack_record(data: bytes, at: int, depth: int) -> tuple[KeyValue, int]:
    parts = []
    for _ in range(7):
        part, at = _unpack(data, at, depth + 1)
        parts.append(part)
    return record_of(*parts), at
