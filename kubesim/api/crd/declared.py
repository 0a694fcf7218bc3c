"""A structural schema as types of CEL, with the sizes that bound what rules can cost; and values as those types want them.

Upstream: apiserver/pkg/cel/common/schemas.go, apiserver/pkg/cel/limits.go, escaping.go.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from kubesim.api.cel.types import BOOL, BYTES, DOUBLE, DURATION, DYN, INT, STRING, TIMESTAMP, UNBOUNDED, Declared, Type, list_of, map_of
from kubesim.api.cel.values import Duration, Timestamp
from kubesim.kernel.time import parse_duration, parse_time

Object = dict[str, Any]
REQUEST_BYTES_MAX = 3 * 1024 * 1024
TEXT_BYTES_MIN, BOOL_BYTES_MIN, NUMBER_BYTES_MIN, DURATION_BYTES_MIN, DATE_TIME_BYTES_MIN, DATE_BYTES = 2, 4, 1, 3, 21, 12
DURATION_SIZE_MAX = DATE_TIME_SIZE_MAX = 32
_TIMES = {
    "duration": (DURATION, DURATION_BYTES_MIN, DURATION_SIZE_MAX),
    "date": (TIMESTAMP, DATE_BYTES, DATE_BYTES),
    "date-time": (TIMESTAMP, DATE_TIME_BYTES_MIN, DATE_TIME_SIZE_MAX),
}
_SCALARS = {
    "boolean": Declared(BOOL, BOOL_BYTES_MIN),
    "number": Declared(DOUBLE, NUMBER_BYTES_MIN),
    "integer": Declared(INT, NUMBER_BYTES_MIN),
}
KEY = Declared(STRING, TEXT_BYTES_MIN, UNBOUNDED)
TEXT: Object = {"type": "string"}
ROOT_FIELDS: Object = {
    "apiVersion": TEXT, "kind": TEXT, "metadata": {"type": "object", "properties": {"name": TEXT, "generateName": TEXT}},
}  # fmt: skip
RESERVED = frozenset((
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop", "namespace", "null",
    "package", "return", "true", "var", "void", "while",
))  # fmt: skip
_ESCAPES = {"_": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}


def escaped(name: str) -> str | None:
    """A property's name as rules write it, None for one that they cannot name."""
    if name in RESERVED:
        return f"__{name}__"
    found = name.replace("__", _ESCAPES["_"])
    for letter in ".-/":
        found = found.replace(letter, _ESCAPES[letter])
    return found if found.isidentifier() and found.isascii() else None


def declared(given: Object, name: str = "selfType", is_root: bool = False) -> Declared | None:
    """The type of a schema; None for what rules do not see. ``name`` is that of the type, if it is an object."""
    if given.get("x-kubernetes-int-or-string"):
        most = given.get("maxLength")
        return Declared(DYN, NUMBER_BYTES_MIN, REQUEST_BYTES_MAX - 2 if most is None else max(most, 0) * 4)
    type_ = given.get("type")
    if type_ == "array":
        return _list(given, name)
    if type_ == "object":
        more = given.get("additionalProperties")
        return _map(given, more, name) if isinstance(more, dict) else _object(given, name, is_root)
    if type_ == "string":
        return _text(given)
    return _SCALARS.get(type_ or "")


def _list(given: Object, name: str) -> Declared | None:
    items = given.get("items")
    item = declared(items, f"{name}.@idx", _is_embedded(items)) if isinstance(items, dict) else None
    if item is None:
        return None
    most = given.get("maxItems")
    size = max(most, 0) if most is not None else (REQUEST_BYTES_MAX - 2) // (item.bytes_min + 1)
    return Declared(list_of(item.type), 2, size, item=item)


def _map(given: Object, more: Object, name: str) -> Declared | None:
    value = declared(more, f"{name}.@elem", _is_embedded(more))
    if value is None:
        return None
    most = given.get("maxProperties")
    size = max(most, 0) if most is not None else (REQUEST_BYTES_MAX - 2) // (value.bytes_min + 6)
    return Declared(map_of(STRING, value.type), 2, size, key=KEY, item=value)


def _object(given: Object, name: str, is_root: bool) -> Declared:
    properties = given.get("properties") or {}
    if is_root:
        properties = {**properties, **ROOT_FIELDS}
    required = given.get("required") or ()
    fields: dict[str, Declared] = {}
    bytes_min = 2
    for key, inner in properties.items():
        field = escaped(key)
        found = declared(inner, f"{name}.{field or key}", _is_embedded(inner))
        if found is None:
            continue
        if field is not None:
            fields[field] = found
        if key in required and inner.get("default") is None:
            bytes_min += len(key.encode()) + found.bytes_min + 4
    return Declared(Type("object", (), name), bytes_min, fields=fields)


def _is_embedded(given: Object) -> bool:
    return given.get("x-kubernetes-embedded-resource") is True


def _text(given: Object) -> Declared:
    form, most = given.get("format", ""), given.get("maxLength")
    if form in _TIMES:
        return Declared(*_TIMES[form])
    if form == "byte":
        return Declared(BYTES, TEXT_BYTES_MIN, max(most, 0) if most is not None else REQUEST_BYTES_MAX - 2)
    if most is not None:
        return Declared(STRING, TEXT_BYTES_MIN, max(most, 0) * 4)
    if given.get("enum"):
        return Declared(STRING, TEXT_BYTES_MIN, max((len(each.encode()) for each in given["enum"] if isinstance(each, str)), default=0))
    return Declared(STRING, TEXT_BYTES_MIN, REQUEST_BYTES_MAX - 2)


def cardinality_max(of: Declared) -> int:
    """How often a value can occur in one object at most."""
    return REQUEST_BYTES_MAX // (of.bytes_min + 1)


def objects_of(of: Declared) -> dict[str, Mapping[str, Declared]]:
    """The fields of every object type in a type, by the type's name."""
    found: dict[str, Mapping[str, Declared]] = {}
    _collect(of, found)
    return found


def _collect(of: Declared, found: dict[str, Mapping[str, Declared]]) -> None:
    if of.fields is not None:
        found[of.type.of] = of.fields
        for field in of.fields.values():
            _collect(field, found)
    elif of.item is not None:
        _collect(of.item, found)


# -- values --

Convert = Callable[[Any], Any]
_FORMS: dict[str, Convert] = {
    "byte": base64.b64decode,
    "date": lambda text: Timestamp(parse_time(f"{text}T00:00:00Z")),
    "date-time": lambda text: Timestamp(parse_time(text)),
    "duration": lambda text: Duration(parse_duration(text)),
}


def converter(given: Object) -> Convert | None:
    """What makes the values of a schema those of its types; None when they are already. Values must fit the schema."""
    type_ = given.get("type")
    if type_ == "number":
        return lambda value: float(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if type_ == "string":
        change = _FORMS.get(given.get("format", ""))
        return None if change is None else lambda value: change(value) if isinstance(value, str) else value
    if type_ == "array" and isinstance(given.get("items"), dict):
        item = converter(given["items"])
        return None if item is None else lambda value: [item(each) for each in value] if isinstance(value, list) else value
    if type_ != "object":
        return None
    more = given.get("additionalProperties")
    fields = {key: change for key, inner in (given.get("properties") or {}).items() if (change := converter(inner)) is not None}
    rest = converter(more) if isinstance(more, dict) else None
    names = {key: name for key in (given.get("properties") or {}) if (name := escaped(key)) is not None and name != key}
    if not fields and rest is None and not names:
        return None

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        found = {}
        for key, inner in value.items():
            change = fields.get(key, rest)
            found[names.get(key, key)] = inner if change is None else change(inner)
        return found

    return convert
