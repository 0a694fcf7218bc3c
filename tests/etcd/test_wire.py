"""Messages as protobuf: what is encoded is what Google's library encodes, and the other way round; varints against a plain
loop, the codec against its twin."""

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubesim._core.revision_store import record_of
from kubesim.etcd.member import Proposal
from kubesim.etcd.wire import plain
from kubesim.etcd.wire.codec import DecodeError, decode, encode, encode_key_value
from kubesim.etcd.wire.schema import MESSAGES, Message, varint
from tests.etcd import plain_codec


def slow_varint(number: int) -> bytes:
    number &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


@given(st.integers(0, 64), st.integers(-2, 2))
def test_varints(bits: int, offset: int) -> None:
    number = (1 << bits) + offset
    if number < 1 << 64:
        assert varint(number) == slow_varint(number)
    if number <= 1 << 63:
        assert varint(-number) == slow_varint(-number)


def values_of(message: Message, depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    """Any value of a message, without fields at their default, as ``decode`` gives it."""
    fields = {}
    for field in message.fields:
        if field.kind == "message":
            assert field.message is not None
            if depth > 2:
                continue
            one: st.SearchStrategy[Any] = values_of(field.message, depth + 1)
        elif field.kind == "enum":
            one = st.sampled_from(field.enum[0 if field.in_union or field.is_repeated else 1 :] or field.enum)
        else:
            one = SCALARS[field.kind] if field.in_union or field.is_repeated else SCALARS[field.kind].filter(bool)
        fields[field.name] = st.lists(one, min_size=1, max_size=3) if field.is_repeated else one
    union = set(message.union)
    return st.fixed_dictionaries({}, optional=fields).map(lambda value: _with_one_of(value, union))


def _with_one_of(value: dict[str, Any], union: set[str]) -> dict[str, Any]:
    held = [name for name in value if name in union]
    return {name: item for name, item in value.items() if name not in held[1:]}


SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "int64": st.integers(-(1 << 63), (1 << 63) - 1),
    "uint64": st.integers(0, (1 << 64) - 1),
    "uint32": st.integers(0, (1 << 32) - 1),
    "bool": st.booleans(),
    "bytes": st.binary(max_size=20),
    "string": st.text(st.characters(codec="utf-8"), max_size=10),
}
COMPARED = ("RangeRequest", "RangeResponse", "PutRequest", "PutResponse", "DeleteRangeRequest", "TxnRequest", "TxnResponse",
            "WatchRequest", "WatchResponse", "LeaseGrantRequest", "LeaseTimeToLiveResponse", "MemberListResponse", "StatusResponse",
            "AuthRoleGetResponse")  # fmt: skip


def google() -> Any:
    return pytest.importorskip("aetcd.rpc.rpc_pb2", reason="aetcd is not installed")


@pytest.mark.parametrize("name", COMPARED)
def test_googles_library_reads_and_writes_the_same(name: str) -> None:
    rpc = google()
    json_format = importlib.import_module("google.protobuf.json_format")
    kind, message = getattr(rpc, name), MESSAGES[name]
    known = {field.name for field in kind.DESCRIPTOR.fields}

    @settings(max_examples=25, deadline=None)
    @given(values_of(message))
    def check(value: dict[str, Any]) -> None:
        value = {key: item for key, item in value.items() if key in known}
        data = encode(message, value)
        theirs = kind.FromString(data)
        assert decode(message, theirs.SerializeToString()) == value
        assert decode(message, data) == value
        assert json_format.MessageToDict(theirs) == json_format.MessageToDict(kind.FromString(theirs.SerializeToString()))

    check()


@pytest.mark.parametrize("name", ["InternalRaftRequest", *COMPARED])
def test_the_compiled_codec_and_its_plain_twin_are_one(name: str) -> None:
    message = MESSAGES[name]

    @settings(max_examples=15, deadline=None)
    @given(values_of(message), st.data())
    def check(value: dict[str, Any], draw: st.DataObject) -> None:
        data = encode(message, value)
        assert data == plain_codec.encode(message, value)
        assert decode(message, data) == plain_codec.decode(message, data) == value
        at = draw.draw(st.integers(0, len(data)))
        for broken in (data[:at], data[:at] + draw.draw(st.binary(max_size=3)) + data[at + 1 :], data + data[:at]):
            assert read(decode, message, broken) == read(plain_codec.decode, message, broken)

    check()


def read(decoder: Callable[[Message, bytes], Any], message: Message, data: bytes) -> Any:
    """What a decoder makes of any bytes."""
    try:
        return decoder(message, data)
    except ValueError as error:
        return type(error)


@given(st.binary(max_size=5), st.one_of(st.none(), st.binary(max_size=600)), st.lists(st.integers(0, (1 << 62)), min_size=5, max_size=5))
def test_records_are_key_values(key: bytes, value: bytes | None, numbers: list[int]) -> None:
    record = record_of(key, value, *numbers[:4], 0)
    data = encode_key_value(record)
    assert data == plain_codec.encode_key_value(record)
    message = {"header": {"revision": numbers[4]}, "kvs": [record, record], "count": 2}
    assert encode(MESSAGES["RangeResponse"], message) == plain_codec.encode(MESSAGES["RangeResponse"], message)


@given(st.binary(max_size=60))
def test_no_bytes_break_the_decoder(data: bytes) -> None:
    try:
        value = decode(MESSAGES["TxnRequest"], data)
    except DecodeError:
        return
    assert decode(MESSAGES["TxnRequest"], encode(MESSAGES["TxnRequest"], value)) == value


@given(st.integers(0, (1 << 64) - 1), st.integers(0, 1 << 33), st.integers(0, 1 << 40), st.binary(max_size=300))
def test_a_proposal_that_is_packed_in_one_go_is_the_same(member_id: int, epoch: int, count: int, value: bytes) -> None:
    request = {"header": {"ID": 1}, "put": {"key": b"k", **({"value": value} if value else {})}}
    proposal = Proposal((member_id, epoch, count), ("api", request, encode(MESSAGES["InternalRaftRequest"], request)))
    out: list[bytes] = []
    plain._pack(out, proposal)
    assert plain.pack(proposal) == b"".join(out)
    assert plain.unpack(plain.pack(proposal)) == proposal
