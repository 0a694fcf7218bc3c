"""The table of messages, read once: what a codec needs to know of each field.

``schema(text, enums)`` reads any table of that form, so the cluster's own messages (peers, log) have one too.
"""

from functools import lru_cache
from typing import NamedTuple

from kubesim._core.protobuf import Layout
from kubesim.etcd.wire import table

VARINT, BYTES = 0, 2
INTEGERS = ("int64", "uint64", "uint32", "bool")


class Field:
    """One field. ``kind`` is int64, uint64, uint32, bool, bytes, string, enum or message."""

    __slots__ = ("enum", "enum_numbers", "in_union", "is_repeated", "kind", "message", "name", "number", "tag")

    def __init__(self, name: str, number: int, kind: str, in_union: bool, is_repeated: bool) -> None:
        self.name = name
        self.number = number
        self.kind = kind
        self.in_union = in_union  # sent at its default too, because being there says something
        self.is_repeated = is_repeated
        self.enum: tuple[str, ...] = ()
        self.enum_numbers: dict[str, int] = {}
        self.message: Message | None = None
        self.tag = b""


class Message:
    """One message: its fields in the order of their numbers, by tag and by name; ``layout`` is the same for the compiled codec."""

    __slots__ = ("by_name", "by_tag", "fields", "layout", "name", "union")

    def __init__(self, name: str) -> None:
        self.name = name
        self.layout = Layout()
        self.fields: list[Field] = []
        self.by_tag: dict[int, Field] = {}
        self.by_name: dict[str, Field] = {}
        self.union: list[str] = []  # the names of which at most one is there; no message has two unions

    def __repr__(self) -> str:
        return f"<Message {self.name}>"


class Method(NamedTuple):
    """One call: ``path`` is gRPC's, ``gateway_paths`` are those of the JSON gateway."""

    name: str
    path: str
    request: Message
    response: Message
    has_request_stream: bool
    has_response_stream: bool
    gateway_paths: tuple[str, ...]


def varint(number: int) -> bytes:
    """Return a number of up to 64 bits as a varint; a negative one in two's complement."""
    if 0 <= number < SMALL_MAX:
        return SMALL[number]
    if 0 <= number < 1 << 28:  # revisions, lengths
        if number < 1 << 21:
            return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14))
        return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14 & 0x7F | 0x80, number >> 21))
    return _long_varint(number & 0xFFFFFFFFFFFFFFFF)


@lru_cache(1024)
def _long_varint(number: int) -> bytes:
    """IDs: a member says its own and its cluster's with every answer."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


SMALL_MAX = 1 << 14
SMALL = tuple(bytes((number,)) if number < 0x80 else bytes((number & 0x7F | 0x80, number >> 7)) for number in range(SMALL_MAX))


def schema(messages_text: str, enums_text: str = "") -> dict[str, Message]:
    """Read a table. Raises KeyError for a type that is not in it."""
    enums = {name: tuple(values.split()) for name, values in (line.split(":") for line in enums_text.split("\n") if line)}
    lines = [line.partition(":") for line in messages_text.split("\n") if line]
    messages = {name: Message(name) for name, _, _ in lines}
    for name, _, fields in lines:
        message = messages[name]
        for text in fields.split(",") if fields.strip() else ():
            _add(message, text.strip(), messages, enums)
        message.fields.sort(key=lambda field: field.number)
        for field in message.fields:
            nested = field.message.layout if field.message is not None else None
            message.layout.add(field.name, field.number, field.kind, field.in_union, field.is_repeated, field.enum, nested)
    return messages


def _add(message: Message, text: str, messages: dict[str, Message], enums: dict[str, tuple[str, ...]]) -> None:
    label, kind = text.split(" ")
    name, number = label.split("=")
    in_union, is_repeated = kind.startswith("?"), kind.endswith("*")
    kind = kind.strip("?*")
    field = Field(name, int(number), kind, in_union, is_repeated)
    if kind in enums:
        field.kind = "enum"
        field.enum = enums[kind]
        field.enum_numbers = {value: i for i, value in enumerate(field.enum)}
    elif kind not in (*INTEGERS, "bytes", "string"):
        field.kind, field.message = "message", messages[kind]
    wire_type = VARINT if field.kind in (*INTEGERS, "enum") else BYTES
    tag = field.number << 3 | wire_type
    field.tag = varint(tag)
    message.fields.append(field)
    message.by_tag[tag] = field
    if wire_type == VARINT and is_repeated:
        message.by_tag[field.number << 3 | BYTES] = field  # packed
    message.by_name[name] = field
    if in_union:
        message.union.append(name)


def _methods() -> list[Method]:
    methods = []
    for line in table.METHODS.split("\n"):
        if line:
            service, name, request, response, *paths = line.split()
            methods.append(
                Method(
                    name,
                    f"/{service}/{name}",
                    MESSAGES[request.strip("*")],
                    MESSAGES[response.strip("*")],
                    request.startswith("*"),
                    response.startswith("*"),
                    tuple(paths),
                )
            )
    return methods


MESSAGES = schema(table.MESSAGES, table.ENUMS)
METHODS = _methods()
