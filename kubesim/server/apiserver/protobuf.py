"""Whole bodies in protobuf: the magic, the envelope with the type, and the frames of a watch stream."""

from typing import Any

from kubesim.api.errors import ApiError, bad_request
from kubesim.api.kinds import KINDS
from kubesim.api.protobuf import (
    META,
    BadProtobuf,
    has_message,
    message,
    message_name,
    plain_fields,
    read_message,
    write_message,
    write_varint,
)
from kubesim.server.apiserver.encoding_schemas import SCHEMAS

Object = dict[str, Any]
MAGIC = b"k8s\0"
_ENVELOPE = "k8s.io.apimachinery.pkg.runtime.Unknown"
_META_KINDS = frozenset((
    "APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "DeleteOptions", "PartialObjectMetadata", "PartialObjectMetadataList",
    "Status",
))  # fmt: skip


def message_of(api_version: str, kind: str) -> str:
    """The name of the message of a type. Raises BadProtobuf when there is none."""
    if kind in _META_KINDS:
        return META + kind
    if api_version == "apidiscovery.k8s.io/v2":
        return f"k8s.io.api.apidiscovery.v2.{kind}"
    for name in (kind, kind.removesuffix("List")):
        found = KINDS.find_gvk(api_version, name)
        schema = found.schema if found is not None else SCHEMAS.get((api_version, name), "")
        if schema:
            full = message_name(schema) + kind[len(name) :]
            if has_message(full):
                return full
    group, _, version = api_version.rpartition("/")
    full = f"k8s.io.api.{group.partition('.')[0] or 'core'}.{version}.{kind}"
    if has_message(full):
        return full
    raise BadProtobuf(f"no message is known for {api_version}, Kind={kind}")


def can_encode(obj: Object) -> bool:
    """Whether an object's type has a message."""
    try:
        message_of(obj.get("apiVersion", ""), obj.get("kind", ""))
    except BadProtobuf:
        return False
    return True


def encode(obj: Object) -> bytes:
    """The body of an object: magic and envelope."""
    kind = obj.get("kind", "")
    version = obj.get("apiVersion", "")
    if not version and kind in ("APIVersions", "APIResourceList"):
        version = "v1"
    data = write_message(message(message_of(version, kind)), obj)
    envelope = {"typeMeta": {"apiVersion": version, "kind": kind}}
    head = write_message(message(_ENVELOPE), envelope)
    return MAGIC + head + b"\x12" + write_varint(len(data)) + data + b"\x1a\x00\x22\x00"


def watch_frame(type_: str, obj: Object) -> bytes:
    """An event of a stream: four bytes of length, and the event that holds an encoded object."""
    inner = encode(obj)
    raw = b"\x0a" + write_varint(len(inner)) + inner
    text = type_.encode()
    event = b"\x0a" + write_varint(len(text)) + text + b"\x12" + write_varint(len(raw)) + raw
    return len(event).to_bytes(4, "big") + event


def decode(body: bytes) -> Object:
    """The object of a body, with its type. Raises ApiError 400 when it is broken or of no known type."""
    try:
        if not body.startswith(MAGIC):
            raise BadProtobuf("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
        values: dict[str, Any] = {}
        kind, version = "", ""
        data = b""
        spans = _envelope(body[len(MAGIC) :])
        if 1 in spans:
            values = read_message(message("k8s.io.apimachinery.pkg.runtime.TypeMeta"), spans[1], 0, len(spans[1]))
            kind, version = values.get("kind", ""), values.get("apiVersion", "")
        data = spans.get(2, b"")
        if not kind:
            raise BadProtobuf("Object 'Kind' is missing in protobuf body")
        obj = read_message(message(message_of(version, kind)), data, 0, len(data))
    except BadProtobuf as error:
        raise bad_request(f"couldn't decode the protobuf body: {error}") from None
    except RecursionError:
        raise bad_request("couldn't decode the protobuf body: too deep") from None
    return {"apiVersion": version, "kind": kind, **obj}


def _envelope(data: bytes) -> dict[int, bytes]:
    return {number: value for number, value in plain_fields(data, 0, len(data)).items() if isinstance(value, bytes)}


__all__ = ["ApiError", "can_encode", "decode", "encode", "watch_frame"]
