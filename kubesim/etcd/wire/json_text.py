"""Messages as the JSON of etcd's gateway: etcd's field names, 64-bit numbers as strings, bytes in base64, enums by name, no defaults.

Read as protobuf's JSON is: names in either spelling, numbers as numbers or strings, both alphabets of base64, enums by name or number,
unknown fields ignored. Upstream: grpc-gateway with ``UseProtoNames``, ``EmitUnpopulated: false`` and ``DiscardUnknown``.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from typing import Any

import orjson

from kubesim._core.revision_store import KeyValue
from kubesim.etcd.wire.codec import DEPTH_MAX, Fields
from kubesim.etcd.wire.schema import Field, Message

WIDE = ("int64", "uint64")
LIMITS = {"int64": (-(1 << 63), (1 << 63) - 1), "uint64": (0, (1 << 64) - 1), "uint32": (0, (1 << 32) - 1)}


class JsonError(ValueError):
    """JSON that is no such message."""


# -- writing --------------------------------------------------------------------------------------------------------------------


def to_json(message: Message, value: Fields) -> bytes:
    """Return a message as JSON text."""
    return orjson.dumps(to_plain(message, value))


def to_plain(message: Message, value: Fields) -> Fields:
    """Return a message as what JSON is made of."""
    plain = {}
    for field in message.fields:
        item = value.get(field.name)
        if item is None:
            continue
        if field.is_repeated:
            if item:
                plain[field.name] = [_plain(field, one) for one in item]
        elif item or field.in_union or field.kind == "message":
            if field.kind == "enum" and _is_default(field, item) and not field.in_union:
                continue
            plain[field.name] = _plain(field, item)
    return plain


def _is_default(field: Field, item: Any) -> bool:
    return item == 0 or item == field.enum[0]


def _plain(field: Field, item: Any) -> Any:
    kind = field.kind
    if kind == "bytes":
        return b64encode(item).decode()
    if kind == "message":
        assert field.message is not None
        return _plain_record(item) if isinstance(item, KeyValue) else to_plain(field.message, item)
    if kind in WIDE:
        return str(item)
    if kind == "string":
        return item.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if kind == "enum" and type(item) is int and item < len(field.enum):
        return field.enum[item]
    return item


def _plain_record(record: KeyValue) -> Fields:
    plain = {"key": b64encode(record.key).decode()}
    if record.create_revision:
        plain["create_revision"] = str(record.create_revision)
    plain["mod_revision"] = str(record.mod_revision)
    if record.version:
        plain["version"] = str(record.version)
    if record.value:
        plain["value"] = b64encode(record.value).decode()
    if record.lease:
        plain["lease"] = str(record.lease)
    return plain


# -- reading --------------------------------------------------------------------------------------------------------------------


def from_json(message: Message, text: bytes) -> Fields:
    """Read a message; an empty text is an empty message. Raises JsonError."""
    if not text.strip():
        return {}
    try:
        plain = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise JsonError(f"proto: syntax error (line {error.lineno}:{error.colno}): {error.msg}") from None
    return from_plain(message, plain)


def concatenated(message: Message, text: str) -> Iterator[tuple[Fields, int]]:
    """Yield the messages of a text in which they follow one another, and where each ends; stops at one that is not complete yet.

    Raises JsonError for what cannot become one.
    """
    decoder, at = JSONDecoder(), 0
    while True:
        while at < len(text) and text[at] in " \t\r\n":
            at += 1
        if at == len(text):
            return
        try:
            plain, at = decoder.raw_decode(text, at)
        except JSONDecodeError as error:
            is_cut_off = error.pos >= len(text.rstrip()) - 1 or error.msg.startswith("Unterminated string")
            if text[at] != "{" or not is_cut_off:
                raise JsonError(f"proto: syntax error (line {error.lineno}:{error.colno}): {error.msg}") from None
            return
        yield from_plain(message, plain), at


def from_plain(message: Message, plain: Any, depth: int = 0) -> Fields:
    """Turn parsed JSON into a message. Raises JsonError."""
    if not isinstance(plain, dict):
        raise JsonError(f"proto: syntax error (line 1:1): unexpected token {_shown(plain)}")
    if depth > DEPTH_MAX:
        raise JsonError("proto: exceeded max recursion depth")
    value: Fields = {}
    for name, item in plain.items():
        field = message.by_name.get(name) or message.by_name.get(_snake(name))
        if field is None or item is None:
            continue
        if field.in_union and any(other in value for other in message.union):
            raise JsonError(f"proto: (line 1:2): error parsing {_shown(name)}, oneof is already set")
        if field.is_repeated:
            if not isinstance(item, list):
                raise _invalid(field, item)
            value[field.name] = [_read(field, one, depth) for one in item]
        else:
            read = _read(field, item, depth)
            if read or field.in_union or field.kind == "message":
                value[field.name] = read
    return value


def _snake(name: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)


def _read(field: Field, item: Any, depth: int) -> Any:
    kind = field.kind
    if kind == "message":
        assert field.message is not None
        return from_plain(field.message, item, depth + 1)
    if kind == "bytes":
        return _read_bytes(field, item)
    if kind == "bool":
        if isinstance(item, bool):
            return item
        raise _invalid(field, item)
    if kind == "string":
        if isinstance(item, str):
            return item
        raise _invalid(field, item)
    if kind == "enum":
        return _read_enum(field, item)
    return _read_number(field, item)


def _read_bytes(field: Field, item: Any) -> bytes:
    if not isinstance(item, str):
        raise _invalid(field, item)
    text = item.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (Base64Error, ValueError):
        raise _invalid(field, item) from None


def _read_enum(field: Field, item: Any) -> Any:
    if isinstance(item, str) and item in field.enum_numbers:
        return item
    if isinstance(item, int) and not isinstance(item, bool):
        return field.enum[item] if 0 <= item < len(field.enum) else item
    raise _invalid(field, item)


def _read_number(field: Field, item: Any) -> int:
    if isinstance(item, str):
        try:
            item = int(item)
        except ValueError:
            raise _invalid(field, item) from None
    if isinstance(item, float) and item.is_integer():
        item = int(item)
    low, high = LIMITS[field.kind]
    if isinstance(item, bool) or not isinstance(item, int) or not low <= item <= high:
        raise _invalid(field, item)
    return item


def _invalid(field: Field, item: Any) -> JsonError:
    return JsonError(f"proto: (line 1:1): invalid value for {field.kind} field {field.name}: {_shown(item)}")


def _shown(item: Any) -> str:
    return orjson.dumps(item).decode()[:100]
