"""The protobuf form of API objects, both ways, driven by a table of wire numbers. Objects are JSON-shaped dicts on this side.

A message becomes a dict of the fields that are set. Where the JSON of a type is another thing than its message (times, quantities,
int-or-string, embedded objects, lists in a message of their own, structs that JSON writes inline) the codec converts. Go writes every
scalar that is no pointer, zero or not, so a zero on the wire means nothing, except where the Go field is a pointer: these are
``POINTERS``.  Upstream: apimachinery/pkg/runtime/serializer/protobuf, the generated.proto files and the Marshal methods of the types with
a form of their own.
"""

import base64
import gzip
import struct
from collections.abc import Callable
from functools import cache
from pkgutil import get_data
from typing import Any, NamedTuple

import orjson

from kubesim.api.schema import definition
from kubesim.kernel.time import SECOND, format_micro_time, format_time, parse_time

Object = dict[str, Any]
DATA = "protobuf-v1.36.json.gz"
META = "k8s.io.apimachinery.pkg.apis.meta.v1."
SECONDS_MAX = 9_000_000_000  # within the range of nanoseconds in 64 bits
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SPELLINGS = {
    "Webhooks": "webhooks", "Expression": "expression", "Name": "name", "uID": "uid", "aPIGroup": "apiGroup", "schema": "$schema",
    "ref": "$ref",
    "xKubernetesPreserveUnknownFields": "x-kubernetes-preserve-unknown-fields",
    "xKubernetesEmbeddedResource": "x-kubernetes-embedded-resource", "xKubernetesIntOrString": "x-kubernetes-int-or-string",
    "xKubernetesListMapKeys": "x-kubernetes-list-map-keys", "xKubernetesListType": "x-kubernetes-list-type",
    "xKubernetesMapType": "x-kubernetes-map-type", "xKubernetesValidations": "x-kubernetes-validations",
}  # fmt: skip
# Scalars that are pointers in Go, so that a zero is a value: by name, and by "Message.name" where a name is used both ways.
POINTERS = frozenset((
    "activeDeadlineSeconds", "allocateLoadBalancerNodePorts", "allowPrivilegeEscalation", "allowVolumeExpansion", "allowWatchBookmarks",
    "appProtocol", "attachRequired", "automountServiceAccountToken", "averageUtilization", "backoffLimit", "backoffLimitPerIndex",
    "blockOwnerDeletion", "completions", "controller", "defaultMode", "deletionGracePeriodSeconds", "enableServiceLinks",
    "expirationSeconds", "failedJobsHistoryLimit", "fsGroup", "gracePeriodSeconds", "hostUsers", "immutable", "leaseDurationSeconds",
    "leaseTransitions", "lendablePercent", "manualSelector", "maxFailedIndexes", "minReplicas", "mode", "nominalConcurrencyShares",
    "optional", "orphanDependents", "parallelism", "partition", "podInfoOnMount", "priority", "privileged", "progressDeadlineSeconds",
    "readOnlyRootFilesystem", "remainingItemCount", "requiresRepublish", "revisionHistoryLimit", "runAsGroup", "runAsNonRoot",
    "runAsUser", "seLinuxMount", "sendInitialEvents", "serving", "setHostnameAsFQDN", "shareProcessNamespace", "stabilizationWindowSeconds",
    "startingDeadlineSeconds", "storageCapacity", "storageClassName", "successfulJobsHistoryLimit", "suspend",
    "targetCPUUtilizationPercentage", "terminationGracePeriodSeconds", "tolerationSeconds", "ttlSecondsAfterFinished",
    "ContainerStatus.started", "DeploymentSpec.replicas", "DeploymentStatus.terminatingReplicas", "EndpointConditions.ready",
    "EndpointConditions.terminating", "EndpointPort.name", "EndpointPort.port", "JobStatus.ready", "JobStatus.terminating",
    "ReplicaSetSpec.replicas", "ReplicaSetStatus.terminatingReplicas", "ReplicationControllerSpec.replicas", "StatefulSetSpec.replicas",
    "PersistentVolumeClaimSpec.volumeAttributesClassName", "FCVolumeSource.lun", "Webhook.timeoutSeconds", "ClientIPConfig.timeoutSeconds",
))  # fmt: skip
NO_POINTERS = frozenset(("PriorityClass.globalDefault", "PersistentVolumeSpec.storageClassName"))


class BadProtobuf(ValueError):
    """Bytes that are no message of the type that they should be."""


class Kind(NamedTuple):
    """How one field is written and read. ``read(buffer, start, end)`` is for values that come as bytes."""

    number: int
    name: str
    label: str  # "optional", "repeated" or "map"
    wire: int
    write: Callable[[Any], bytes]  # the value without its key; with its length where it has one
    read: Callable[[bytes, int, int], Any]
    is_inline: bool
    keeps_zero: bool


class Message(NamedTuple):
    """A message: its fields for writing, in the order of their numbers, and for reading, by key."""

    name: str
    fields: tuple[tuple[bytes, Kind], ...]
    by_number: dict[int, Kind]


# -- scalars --


def write_varint(value: int) -> bytes:
    """The bytes of an unsigned number; a negative one counts as 64 bits."""
    if 0 <= value < 128:
        return _SMALL[value]
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


_SMALL = tuple(bytes((value,)) for value in range(128))


def read_varint(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """The number at ``at`` and where it ends. Raises BadProtobuf."""
    value = shift = 0
    while at < end:
        byte = buffer[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise BadProtobuf("proto: integer overflow")
    raise BadProtobuf("unexpected EOF")


def _sized(data: bytes) -> bytes:
    return write_varint(len(data)) + data


def _write_text(value: Any) -> bytes:
    data = (value if isinstance(value, str) else str(value)).encode("utf-8", "surrogatepass")
    return write_varint(len(data)) + data


def _read_text(buffer: bytes, start: int, end: int) -> str:
    return buffer[start:end].decode("utf-8", "replace")


def _write_base64(value: Any) -> bytes:
    return _sized(base64.b64decode(value))


def _read_base64(buffer: bytes, start: int, end: int) -> str:
    return base64.b64encode(buffer[start:end]).decode()


def _write_double(value: Any) -> bytes:
    return struct.pack("<d", value)


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


# -- types with a form of their own in JSON --


def _write_time(value: Any) -> bytes:
    """A time: seconds and, for one with microseconds, nanoseconds."""
    try:
        seconds, nanos = divmod(parse_time(value), SECOND)
    except ValueError as error:
        raise BadProtobuf(str(error)) from None
    data = b"\x08" + write_varint(seconds) + b"\x10" + write_varint(nanos)
    return _sized(data)


def _read_seconds(buffer: bytes, start: int, end: int) -> tuple[int, int]:
    seconds = nanos = 0
    at = start
    while at < end:
        key, at = read_varint(buffer, at, end)
        if key == 8:
            seconds, at = read_varint(buffer, at, end)
        elif key == 16:
            nanos, at = read_varint(buffer, at, end)
        else:
            at = _skip(buffer, at, end, key & 7)
    return _signed(seconds, 64), nanos


def _read_time(buffer: bytes, start: int, end: int) -> str | None:
    return format_time(_read_ns(buffer, start, end)) if end > start else None


def _read_micro_time(buffer: bytes, start: int, end: int) -> str | None:
    return format_micro_time(_read_ns(buffer, start, end)) if end > start else None


def _read_ns(buffer: bytes, start: int, end: int) -> int:
    seconds, nanos = _read_seconds(buffer, start, end)
    if abs(seconds) > SECONDS_MAX:
        raise BadProtobuf(f"a time is {seconds} seconds after 1970")
    return seconds * SECOND + nanos


def _write_int_or_string(value: Any) -> bytes:
    if isinstance(value, str):
        return _sized(b"\x08\x01\x10\x00\x1a" + _write_text(value))
    return _sized(b"\x08\x00\x10" + write_varint(value) + b"\x1a\x00")


def _read_int_or_string(buffer: bytes, start: int, end: int) -> Any:
    values = plain_fields(buffer, start, end)
    if values.get(1):
        data = values.get(3, b"")
        return data.decode("utf-8", "replace") if isinstance(data, bytes) else ""
    return _signed(values.get(2, 0), 32)


def plain_fields(buffer: bytes, start: int, end: int) -> dict[int, Any]:
    """The fields of a small message by number: numbers and bytes, the last of each."""
    found: dict[int, Any] = {}
    at = start
    while at < end:
        key, at = read_varint(buffer, at, end)
        if key & 7 == VARINT:
            found[key >> 3], at = read_varint(buffer, at, end)
        elif key & 7 == BYTES:
            first, last = _span(buffer, at, end)
            found[key >> 3], at = buffer[first:last], last
        else:
            at = _skip(buffer, at, end, key & 7)
    return found


def _write_quantity(value: Any) -> bytes:
    return _sized(b"\x0a" + _write_text(value))


def _read_quantity(buffer: bytes, start: int, end: int) -> str:
    data = plain_fields(buffer, start, end).get(1, b"")
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else "0"


def _write_raw(value: Any) -> bytes:
    data = orjson.dumps(value)
    return _sized(b"\x0a" + _sized(data))


def _read_raw(buffer: bytes, start: int, end: int) -> Any:
    data = plain_fields(buffer, start, end).get(1, b"")
    if not data:
        return None
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadProtobuf(str(error)) from None


def _write_items(value: Any) -> bytes:
    return _sized(b"".join(b"\x0a" + _write_text(item) for item in value))


def _read_items(buffer: bytes, start: int, end: int) -> list[str]:
    items = []
    at = start
    while at < end:
        key, at = read_varint(buffer, at, end)
        if key == 10:
            first, last = _span(buffer, at, end)
            items.append(_read_text(buffer, first, last))
            at = last
        else:
            at = _skip(buffer, at, end, key & 7)
    return items


def _schema_props() -> Message:
    return message("k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")


def _write_or_array(value: Any) -> bytes:
    props = _schema_props()
    if isinstance(value, list):
        return _sized(b"".join(b"\x12" + _sized(write_message(props, item)) for item in value))
    return _sized(b"\x0a" + _sized(write_message(props, value)))


def _read_or_array(buffer: bytes, start: int, end: int) -> Any:
    values = plain_fields(buffer, start, end)
    return read_message(_schema_props(), values[1], 0, len(values[1])) if 1 in values else []


def _write_or_bool(value: Any) -> bytes:
    if isinstance(value, bool):
        return _sized(b"\x08" + write_varint(int(value)))
    return _sized(b"\x08\x01\x12" + _sized(write_message(_schema_props(), value)))


def _read_or_bool(buffer: bytes, start: int, end: int) -> Any:
    values = plain_fields(buffer, start, end)
    return read_message(_schema_props(), values[2], 0, len(values[2])) if 2 in values else bool(values.get(1, 0))


def _write_or_strings(value: Any) -> bytes:
    if isinstance(value, list):
        return _sized(b"".join(b"\x12" + _write_text(item) for item in value))
    return _sized(b"\x0a" + _sized(write_message(_schema_props(), value)))


def _read_or_strings(buffer: bytes, start: int, end: int) -> Any:
    values = plain_fields(buffer, start, end)
    if 1 in values:
        return read_message(_schema_props(), values[1], 0, len(values[1]))
    return [data.decode("utf-8", "replace") for number, data in values.items() if number == 2]


_APIEXT = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1."
_OWN_FORMS: dict[str, tuple[Callable[[Any], bytes], Callable[[bytes, int, int], Any]]] = {
    f"{META}Time": (_write_time, _read_time),
    f"{META}MicroTime": (_write_time, _read_micro_time),
    f"{META}FieldsV1": (_write_raw, _read_raw),
    f"{META}Verbs": (_write_items, _read_items),
    "k8s.io.api.authentication.v1.ExtraValue": (_write_items, _read_items),
    "k8s.io.api.authorization.v1.ExtraValue": (_write_items, _read_items),
    "k8s.io.api.certificates.v1.ExtraValue": (_write_items, _read_items),
    "k8s.io.apimachinery.pkg.api.resource.Quantity": (_write_quantity, _read_quantity),
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": (_write_int_or_string, _read_int_or_string),
    "k8s.io.apimachinery.pkg.runtime.RawExtension": (_write_raw, _read_raw),
    f"{_APIEXT}JSON": (_write_raw, _read_raw),
    f"{_APIEXT}JSONSchemaPropsOrArray": (_write_or_array, _read_or_array),
    f"{_APIEXT}JSONSchemaPropsOrBool": (_write_or_bool, _read_or_bool),
    f"{_APIEXT}JSONSchemaPropsOrStringArray": (_write_or_strings, _read_or_strings),
}


# -- messages --


@cache
def _table() -> dict[str, list[list[Any]]]:
    table: dict[str, list[list[Any]]] = orjson.loads(gzip.decompress(get_data("kubesim.api.data", DATA) or b""))
    return table


def declared_fields(name: str) -> list[tuple[str, str]]:
    """The fields of a message in the order of their declaration, each with the message that it holds itself (or "")."""
    return [(row[1], row[2] if row[2] in _table() else "") for row in _table().get(name, ())]


def schema_name(name: str) -> str:
    """The name of a message's definition in the JSON schema."""
    for ours, theirs in (
        ("k8s.io.apiextensions_apiserver.", "io.k8s.apiextensions-apiserver."),
        ("k8s.io.kube_aggregator.", "io.k8s.kube-aggregator."),
        ("k8s.io.", "io.k8s."),
    ):
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


def message_name(schema: str) -> str:
    """The name of the message of a definition in the JSON schema."""
    for ours, theirs in (
        ("io.k8s.apiextensions-apiserver.", "k8s.io.apiextensions_apiserver."),
        ("io.k8s.kube-aggregator.", "k8s.io.kube_aggregator."),
        ("io.k8s.", "k8s.io."),
    ):
        if schema.startswith(ours):
            return theirs + schema.removeprefix(ours)
    return schema


def has_message(name: str) -> bool:
    """Whether the table has a message."""
    return name in _table()


@cache
def message(name: str) -> Message:
    """The message of this name. Raises KeyError when the table has none."""
    fields = [_field(name, *row) for row in sorted(_table()[name])]
    pairs = []
    for field in fields:
        wire = BYTES if field.label == "map" else field.wire
        pairs.append((write_varint(field.number << 3 | wire), field))
    return Message(name, tuple(pairs), {field.number: field for field in fields})


def _json_name(owner: str, name: str, type_: str) -> tuple[str, bool]:
    """The name of a field in JSON, and whether what it holds stands inline there."""
    known = definition(schema_name(owner))
    if known is None or not known.fields or name in known.fields:
        return name, False
    spelled = _SPELLINGS.get(name, "")
    if spelled in known.fields or spelled.startswith(("x-", "$")):
        return spelled, False
    return name, "." in type_


def _field(owner: str, number: int, name: str, type_: str, label: str) -> Kind:
    json_name, is_inline = _json_name(owner, name, type_)
    short = f"{owner.rpartition('.')[2]}.{json_name}"
    if owner.endswith("Webhook"):
        short = f"Webhook.{json_name}"
    keeps_zero = (json_name in POINTERS or short in POINTERS) and short not in NO_POINTERS
    if label == "map":
        value_type = type_[4:-1].partition(",")[2]
        value = _field(owner, 2, "value", value_type, "optional")
        return Kind(number, json_name, label, BYTES, _map_writer(value), _map_reader(value), False, True)
    wire, write, read = _value_of(type_)
    return Kind(number, json_name, label, wire, write, read, is_inline and label == "optional", keeps_zero)


def _value_of(type_: str) -> tuple[int, Callable[[Any], bytes], Callable[[bytes, int, int], Any]]:
    if type_ == "string":
        return BYTES, _write_text, _read_text
    if type_ == "bytes":
        return BYTES, _write_base64, _read_base64
    if type_ in ("int32", "int64"):
        bits = 32 if type_ == "int32" else 64
        return VARINT, write_varint, lambda buffer, value, _: _signed(value, bits)
    if type_ == "bool":
        return VARINT, lambda value: b"\x01" if value else b"\x00", lambda buffer, value, _: bool(value)
    if type_ == "double":
        return FIXED64, _write_double, lambda buffer, start, end: struct.unpack_from("<d", buffer, start)[0]
    own = _OWN_FORMS.get(type_)
    if own is not None:
        return BYTES, *own
    return BYTES, _message_writer(type_), _message_reader(type_)


def _message_writer(type_: str) -> Callable[[Any], bytes]:
    def write(value: Any) -> bytes:
        data = write_message(message(type_), value)
        return write_varint(len(data)) + data

    return write


def _message_reader(type_: str) -> Callable[[bytes, int, int], Any]:
    return lambda buffer, start, end: read_message(message(type_), buffer, start, end)


def _map_writer(value: Kind) -> Callable[[Any], bytes]:
    key = write_varint(2 << 3 | value.wire)

    def write(entry: Any) -> bytes:
        return _sized(b"\x0a" + _write_text(entry[0]) + key + value.write(entry[1]))

    return write


def _map_reader(value: Kind) -> Callable[[bytes, int, int], Any]:
    def read(buffer: bytes, start: int, end: int) -> tuple[str, Any]:
        name, at = "", start
        found: Any = None
        while at < end:
            key, at = read_varint(buffer, at, end)
            if key == 10:
                first, at = _span(buffer, at, end)
                name = _read_text(buffer, first, at)
            elif key >> 3 == 2 and key & 7 == value.wire == BYTES:
                first, at = _span(buffer, at, end)
                found = value.read(buffer, first, at)
            elif key >> 3 == 2 and key & 7 == value.wire == VARINT:
                number, at = read_varint(buffer, at, end)
                found = value.read(buffer, number, 0)
            else:
                at = _skip(buffer, at, end, key & 7)
        if found is None:
            found = value.read(buffer, end, end) if value.wire == BYTES else 0
        return name, found

    return read


def write_message(spec: Message, obj: Object) -> bytes:
    """The bytes of a message. Raises BadProtobuf for a value that does not fit."""
    out = []
    get = obj.get
    for key, field in spec.fields:
        if field.is_inline:
            data = field.write(obj)
            if data != b"\x00":
                out.append(key + data)
            continue
        value = get(field.name)
        if value is None:
            continue
        write = field.write
        if field.label == "optional":
            out.append(key + write(value))
        elif field.label == "repeated":
            out.extend([key + write(item) for item in value])
        else:
            out.extend([key + write(entry) for entry in sorted(value.items())])
    return b"".join(out)


def read_message(spec: Message, buffer: bytes, start: int, end: int, depth: int = 0) -> Object:
    """The object of a message's bytes. Raises BadProtobuf when they are broken."""
    obj: Object = {}
    at = start
    by_number = spec.by_number
    while at < end:
        key = buffer[at]
        at += 1
        if key > 127:
            key, at = read_varint(buffer, at - 1, end)
        field = by_number.get(key >> 3)
        wire = key & 7
        if field is None or wire != field.wire:
            if field is not None and wire == BYTES and field.label == "repeated" and field.wire == VARINT:
                at = _read_packed(obj, field, buffer, at, end)
                continue
            at = _skip(buffer, at, end, wire)
            continue
        value: Any
        if wire == BYTES:
            first, at = _span(buffer, at, end)
            value = field.read(buffer, first, at)
        elif wire == VARINT:
            number, at = read_varint(buffer, at, end)
            value = field.read(buffer, number, 0)
        else:
            if at + 8 > end:
                raise BadProtobuf("unexpected EOF")
            value = field.read(buffer, at, at + 8)
            at += 8
        if field.label == "optional":
            if field.is_inline:
                obj.update(value)
            elif value is not None and (value or value == {} or field.keeps_zero):
                obj[field.name] = value
        elif field.label == "repeated":
            obj.setdefault(field.name, []).append(value)
        else:
            obj.setdefault(field.name, {})[value[0]] = value[1]
    return obj


def _read_packed(obj: Object, field: Kind, buffer: bytes, at: int, end: int) -> int:
    first, last = _span(buffer, at, end)
    values = obj.setdefault(field.name, [])
    while first < last:
        number, first = read_varint(buffer, first, last)
        values.append(field.read(buffer, number, 0))
    return last


def _span(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    size, first = read_varint(buffer, at, end)
    if first + size > end:
        raise BadProtobuf("unexpected EOF")
    return first, first + size


def _skip(buffer: bytes, at: int, end: int, wire: int) -> int:
    if wire == VARINT:
        return read_varint(buffer, at, end)[1]
    if wire == BYTES:
        return _span(buffer, at, end)[1]
    size = {FIXED64: 8, FIXED32: 4}.get(wire)
    if size is None:
        raise BadProtobuf(f"proto: illegal wireType {wire}")
    if at + size > end:
        raise BadProtobuf("unexpected EOF")
    return at + size
