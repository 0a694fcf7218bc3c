"""The plain twin of ``_core/protobuf.pyx``: the same messages as the same bytes, a field at a time, in Python."""

from typing import Any

from kubesim._core.protobuf import DEPTH_MAX, DecodeError
from kubesim._core.revision_store import KeyValue
from kubesim.etcd.wire.codec import Fields
from kubesim.etcd.wire.schema import BYTES, Field, Message, varint

_SIGN = 1 << 63
_MODULUS = 1 << 64


# -- encoding -------------------------------------------------------------------------------------------------------------------


def encode(message: Message, value: Fields) -> bytes:
    """Return the bytes of a message. Raises KeyError never: what is not a field of it is an error of the caller, not looked for."""
    out: list[bytes] = []
    get = value.get
    for field in message.fields:
        item = get(field.name)
        if item is None:
            continue
        kind = field.kind
        if field.is_repeated:
            _encode_repeated(out, field, item)
        elif kind == "bytes":
            if item or field.in_union:
                out += (field.tag, varint(len(item)), item)
        elif kind == "message":
            _encode_one(out, field, item)
        elif kind == "enum":
            number = _number(field, item)
            if number:
                out += (field.tag, varint(number))
        elif item or field.in_union:
            if kind == "string":
                _encode_one(out, field, item)
            else:
                out += (field.tag, varint(int(item)))
    return b"".join(out)


def _encode_one(out: list[bytes], field: Field, item: Any) -> None:
    kind = field.kind
    if kind == "bytes":
        out += (field.tag, varint(len(item)), item)
    elif kind == "message":
        assert field.message is not None
        data = encode_key_value(item) if isinstance(item, KeyValue) else encode(field.message, item)
        out += (field.tag, varint(len(data)), data)
    elif kind == "string":
        data = item.encode("utf-8", "surrogateescape")
        out += (field.tag, varint(len(data)), data)
    else:
        out += (field.tag, varint(_number(field, item)))


def _number(field: Field, item: Any) -> int:
    return field.enum_numbers[item] if type(item) is str else int(item)


def _encode_repeated(out: list[bytes], field: Field, items: Any) -> None:
    if field.kind in ("bytes", "string", "message"):
        for item in items:
            _encode_one(out, field, item)
    elif items:
        data = b"".join(varint(_number(field, item)) for item in items)
        out += (varint(field.number << 3 | BYTES), varint(len(data)), data)


def encode_key_value(record: KeyValue) -> bytes:
    """Return a record of the store as a KeyValue; a deleted one has its key and mod revision only."""
    key = record.key
    out = [b"\x0a", varint(len(key)), key]
    if record.create_revision:
        out += (b"\x10", varint(record.create_revision))
    out += (b"\x18", varint(record.mod_revision))
    if record.version:
        out += (b"\x20", varint(record.version))
    value = record.value
    if value:
        out += (b"\x2a", varint(len(value)), value)
    if record.lease:
        out += (b"\x30", varint(record.lease))
    return b"".join(out)


# -- decoding -------------------------------------------------------------------------------------------------------------------


def decode(message: Message, data: bytes) -> Fields:
    """Return the fields of a message. Raises DecodeError."""
    try:
        return _decode(message, data, 0, len(data), 0)
    except IndexError:
        raise DecodeError("unexpected EOF") from None


def _varint_at(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    number, shift = byte & 0x7F, 7
    while True:
        at += 1
        byte = data[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 0xFFFFFFFFFFFFFFFF, at + 1
        shift += 7
        if shift > 63:
            raise DecodeError("integer overflow")


def _decode(message: Message, data: bytes, at: int, stop: int, depth: int) -> Fields:
    if depth > DEPTH_MAX:
        raise DecodeError("the message is nested too deeply")
    value: Fields = {}
    by_tag = message.by_tag
    while at < stop:
        tag, at = _varint_at(data, at)
        field = by_tag.get(tag)
        if field is not None and field.in_union:
            for other in message.union:  # the last one counts
                if other != field.name:
                    value.pop(other, None)
        if field is None:
            at = _skip(data, at, tag)
        elif tag & 7 == BYTES:
            size, at = _varint_at(data, at)
            end = at + size
            if end > stop:
                raise DecodeError("unexpected EOF")
            _take_bytes(value, field, data, at, end, depth)
            at = end
        else:
            number, at = _varint_at(data, at)
            _put(value, field, _from_number(field, number))
    if at != stop:
        raise DecodeError("unexpected EOF")
    return value


def _take_bytes(value: Fields, field: Field, data: bytes, at: int, end: int, depth: int) -> None:
    kind = field.kind
    if kind == "bytes":
        _put(value, field, data[at:end])
    elif kind == "message":
        assert field.message is not None
        item = _decode(field.message, data, at, end, depth + 1)
        if not field.is_repeated and field.name in value:
            item = {**value[field.name], **item}  # a message that comes in parts is one message
        _put(value, field, item)
    elif kind == "string":
        _put(value, field, data[at:end].decode("utf-8", "surrogateescape"))
    else:  # packed numbers
        while at < end:
            number, at = _varint_at(data, at)
            _put(value, field, _from_number(field, number))


def _put(value: Fields, field: Field, item: Any) -> None:
    if field.is_repeated:
        value.setdefault(field.name, []).append(item)
        return
    if item or field.in_union or field.kind == "message":
        value[field.name] = item
    else:
        value.pop(field.name, None)


def _from_number(field: Field, number: int) -> Any:
    kind = field.kind
    if kind == "int64":
        return number - _MODULUS if number & _SIGN else number
    if kind == "bool":
        return number != 0
    if kind == "enum":
        return field.enum[number] if number < len(field.enum) else number
    return number & 0xFFFFFFFF if kind == "uint32" else number


def _skip(data: bytes, at: int, tag: int) -> int:
    wire_type = tag & 7
    if wire_type == 0:
        return _varint_at(data, at)[1]
    if wire_type == 1:
        return at + 8
    if wire_type == 2:
        size, at = _varint_at(data, at)
        return at + size
    if wire_type == 5:
        return at + 4
    raise DecodeError(f"wire type {wire_type} is not used")
