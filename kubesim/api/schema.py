"""The field schema of the built-in kinds: what a manifest may say, checked with the path, the value and the expectation.

The data is upstream's published OpenAPI schema of v1.36, made compact by tools/make_schema.py and loaded at the first use. It knows
types, list map keys and patch strategies; it does not know which values are allowed (that is a kind's ``validate``).

====  ==========================================================
code  type of a field
====  ==========================================================
s     string            y  base64 bytes      t  time
i     int32             l  int64             u  time with microseconds
b     boolean           n  number            q  quantity
x     int or string     o  any object        *  anything
@N    the definition N
a, m  a list of, a map from string to, the type that follows
====  ==========================================================
"""

import base64
import gzip
import re
from collections.abc import Iterator
from functools import cache
from pkgutil import get_data
from typing import Any, NamedTuple

import orjson

from kubesim.api import field, quantity
from kubesim.api.errors import ApiError, bad_request
from kubesim.api.pointers import text_pointers
from kubesim.kernel.time import parse_time

Object = dict[str, Any]
DATA = "schema-v1.36.json.gz"
DESCRIPTIONS = "descriptions-v1.36.json.gz"
PROBLEMS_MAX = 100
_INTEGERS = {"i": 2**31, "l": 2**63}
_GO_TYPES = {"s": "string", "i": "int32", "l": "int64", "b": "bool", "n": "float64", "y": "[]uint8", "o": "map[string]interface {}"}
_EXPECTED = {
    "s": "a string",
    "i": "an integer",
    "l": "an integer",
    "b": "true or false",
    "n": "a number",
    "q": 'a quantity such as "500m" or "1Gi"',
    "x": "an integer or a string",
    "t": "a time such as 2026-01-01T00:00:00Z",
    "u": "a time such as 2026-01-01T00:00:00.000000Z",
    "y": "base64 text",
    "o": "an object",
    "@": "an object",
    "a": "a list",
    "m": "an object",
}


class Field(NamedTuple):
    """A field: the code of its type, what it is a list or map of or refers to, and how patches treat it."""

    code: str  # one of the table above; "@" for a definition, "a" for a list, "m" for a map
    item: "Field | None" = None  # of "a" and "m"
    ref: str = ""  # of "@"
    list_type: str = ""  # "map", "set", "atomic" or ""
    list_keys: tuple[str, ...] = ()
    map_type: str = ""  # "atomic" or ""
    patch_strategies: tuple[str, ...] = ()  # of "merge", "replace", "retainKeys"
    merge_key: str = ""
    is_custom: bool = False  # of a custom resource: a wrong type is no problem of decoding


class Definition(NamedTuple):
    """A type with named fields. ``fields`` is empty for a free-form object, whose ``code`` tells its type."""

    name: str
    fields: dict[str, Field]
    required: tuple[str, ...]
    code: str
    map_type: str
    is_custom: bool = False  # of a custom resource: which fields there are, not which types they have
    is_open: bool = False  # fields that it does not name are kept


class Problem(NamedTuple):
    """Something wrong in a manifest.

    ``kind`` is "unknown", "type" or "duplicate"; ``message`` is how a v1.36 server says it.
    """

    path: str
    kind: str
    value: Any
    expected: str
    message: str

    def __str__(self) -> str:
        """Say it in one sentence: path, value, expectation."""
        if self.kind == "type":
            return f"{self.path}: {_shown(self.value)}: expected {self.expected}"
        return self.message


def _shown(value: Any) -> str:
    text = field.show(value)
    return text if len(text) <= 100 else text[:97] + "..."


@cache
def _raw() -> dict[str, Any]:
    raw: dict[str, Any] = orjson.loads(gzip.decompress(get_data("kubesim.api.data", DATA) or b""))
    return raw


def _type(compact: Any) -> Field:
    if isinstance(compact, list):
        return Field(compact[0], _type(compact[1]))
    return Field("@", ref=compact[1:]) if compact[0] == "@" else Field(compact)


def _field(compact: Any) -> Field:
    if not isinstance(compact, dict):
        return _type(compact)
    return _type(compact["type"])._replace(
        list_type=compact.get("list", ""),
        list_keys=tuple(compact.get("keys", ())),
        map_type=compact.get("map", ""),
        patch_strategies=tuple(compact["patch"].split(",")) if "patch" in compact else (),
        merge_key=compact.get("key", ""),
    )


_CUSTOM: dict[str, Definition] = {}  # their names are made of their content: whoever learns one learns the same


def learn(custom: Definition) -> None:
    """Add the definition of a custom resource; its name tells its content, so nothing is ever replaced."""
    _CUSTOM.setdefault(custom.name, custom)


def definition(name: str) -> Definition | None:
    """The definition of this name ("io.k8s.api.core.v1.Pod"), or None when the schema has none."""
    return _CUSTOM[name] if name in _CUSTOM else _published(name)


@cache
def _published(name: str) -> Definition | None:
    raw = _raw().get(name)
    if raw is None:
        return None
    fields = {key: _field(compact) for key, compact in raw.get("fields", {}).items()}
    return Definition(name, fields, tuple(raw.get("required", ())), raw.get("type", "@"), raw.get("map", ""))


def group_version_kind(name: str) -> tuple[str, str, str] | None:
    """The type that a definition describes, or None when it is only a part of others."""
    found = _raw().get(name, {}).get("gvk")
    return tuple(found) if found else None


def field_at(name: str, path: tuple[str, ...]) -> Field | None:
    """The field at a path of names from a definition; lists are passed through. None when there is none."""
    at: Field | None = Field("@", ref=name)
    for step in path:
        while at is not None and at.code == "a":
            at = at.item
        if at is None or at.code not in "@m":
            return None
        if at.code == "m":
            at = at.item
            continue
        known = definition(at.ref)
        at = known.fields.get(step) if known else None
    return at


@cache
def _descriptions() -> dict[str, dict[str, str]]:
    texts: dict[str, dict[str, str]] = orjson.loads(gzip.decompress(get_data("kubesim.api.data", DESCRIPTIONS) or b""))
    return texts


def description(name: str, field_name: str = "") -> str:
    """Upstream's sentence about a definition, or about one of its fields; empty when there is none."""
    return _descriptions().get(name, {}).get(field_name, "")


def _json_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def go_type(at: Field) -> str:
    """The type as upstream's decoder names it."""
    if at.code == "@":
        version, _, name = at.ref.rpartition(".")
        return f"{version.rpartition('.')[2]}.{name}"
    if at.code in "am":
        assert at.item is not None
        return ("[]" if at.code == "a" else "map[string]") + go_type(at.item)
    return _GO_TYPES.get(at.code, "interface {}")


class _Place(NamedTuple):
    """Where in a manifest: the path for people, the path for Go (no indices), the struct that holds the field."""

    path: str
    go_path: str
    struct: str

    def of(self, name: str, struct: str) -> "_Place":
        return _Place(f"{self.path}.{name}" if self.path else name, f"{self.go_path}.{name}" if self.go_path else name, struct)

    def at(self, index: int) -> "_Place":
        return self._replace(path=f"{self.path}[{index}]")

    def under(self, key: str) -> "_Place":
        return self._replace(path=f"{self.path}.{key}" if self.path else key)


def _mistyped(value: Any, at: Field, place: _Place) -> Problem:
    kind = _json_kind(value)
    if kind == "number" and at.code in _INTEGERS:
        kind = f"number {value}"
    where = f"Go struct field {place.struct}.{place.go_path}" if place.go_path else "Go value"
    message = f"json: cannot unmarshal {kind} into {where} of type {go_type(at)}"
    return Problem(place.path, "type", value, _EXPECTED[at.code], message)


def _scalar_message(value: Any, code: str) -> str:
    """Why a string is not a quantity, a time or base64; empty when it is, or when another rule decides."""
    if code == "q":
        try:
            quantity.parse(quantity.as_text(value))
        except ValueError as error:
            return str(error)
    elif code in "tu" and isinstance(value, str):
        try:
            parse_time(value)
        except ValueError:
            layout = "2006-01-02T15:04:05Z07:00" if code == "t" else "2006-01-02T15:04:05.000000Z07:00"
            return f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"'
    elif code == "y" and isinstance(value, str):
        return _base64_message(value)
    return ""


def _base64_message(text: str) -> str:
    """Go's complaint names the first byte that cannot be decoded."""
    packed = text.replace("\n", "").replace("\r", "")
    try:
        base64.b64decode(packed, validate=True)
    except ValueError:
        match = re.match(r"[A-Za-z0-9+/]*", packed)
        good = match.end() if match else 0
        return f"illegal base64 data at input byte {good if good < len(packed.rstrip('=')) else good - good % 4}"
    return ""


def _fits(value: Any, code: str) -> bool:
    """Whether a value has the JSON type that a scalar code asks for."""
    if code in _INTEGERS:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and -_INTEGERS[code] <= value < _INTEGERS[code]
    if code in "styu":
        return isinstance(value, str)
    if code == "y":
        return isinstance(value, str)
    if code == "b":
        return isinstance(value, bool)
    if code == "n":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if code == "x":
        return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
    return code != "o" or isinstance(value, dict)


def _problems(value: Any, at: Field, place: _Place) -> Iterator[Problem]:
    """Depth first, in the order of the manifest. Null is fine everywhere: it means that the field is not there."""
    if value is None or at.code == "*" or (at.is_custom and at.code not in "am"):
        return
    if at.code == "@":
        yield from _definition_problems(value, at, place)
    elif at.code == "a":
        assert at.item is not None
        if not isinstance(value, list):
            if not at.is_custom:
                yield _mistyped(value, at, place)
            return
        for index, item in enumerate(value):
            yield from _problems(item, at.item, place.at(index))
    elif at.code == "m":
        assert at.item is not None
        if not isinstance(value, dict):
            if not at.is_custom:
                yield _mistyped(value, at, place)
            return
        for key, item in value.items():
            yield from _problems(item, at.item, place.under(str(key)))
    elif at.code == "q":
        if message := _scalar_message(value, "q"):
            yield Problem(place.path, "type", value, _EXPECTED["q"], message)
    elif not _fits(value, at.code):
        yield _mistyped(value, at, place)
    elif message := _scalar_message(value, at.code):
        yield Problem(place.path, "type", value, _EXPECTED[at.code], message)


def _definition_problems(value: Any, at: Field, place: _Place) -> Iterator[Problem]:
    known = definition(at.ref)
    if known is None:
        return
    if not known.fields and not known.is_custom:
        if known.code != "@":
            yield from _problems(value, Field(known.code), place)
        return
    if not isinstance(value, dict):
        if not known.is_custom:
            yield _mistyped(value, at, place)
        return
    struct = at.ref.rpartition(".")[2]
    for name, item in value.items():
        child = place.of(str(name), struct)
        inner = known.fields.get(name)
        if inner is None:
            if known.is_open:
                continue
            yield Problem(child.path, "unknown", item, "a known field", f'unknown field "{child.path}"')
        else:
            yield from _problems(item, inner, child)


def check(obj: Any, name: str) -> list[Problem]:
    """Check a decoded manifest against a definition: types, numbers in range, quantities, times, unknown fields.

    Returns at most PROBLEMS_MAX problems in the order of the manifest; none for a definition that the schema does not have.
    """
    found: list[Problem] = []
    for problem in _problems(obj, Field("@", ref=name), _Place("", "", "")):
        found.append(problem)
        if len(found) == PROBLEMS_MAX:
            break
    return found


def decode_error(kind: str, version: str, problems: list[Problem]) -> ApiError | None:
    """The 400 of a server that decodes strictly: the first wrong type, or else all unknown and duplicate fields; None if none."""
    head = f'{kind} in version "{version}" cannot be handled as a {kind}: '
    for problem in problems:
        if problem.kind == "type":
            return bad_request(head + problem.message)
    messages = list(dict.fromkeys(problem.message for problem in problems))
    return bad_request(head + "strict decoding error: " + ", ".join(messages)) if messages else None


def clean(obj: Object, name: str) -> Object:
    """What is left of a manifest once a server has decoded it: no unknown fields, nulls or empty lists, canonical quantities.

    The object itself when there is nothing to change; its types must be right (see ``check``).
    """
    cleaned: Object = _clean(obj, Field("@", ref=name))
    return cleaned


def _is_nothing(value: Any, at: Field, name: str, owner: Definition) -> bool:
    """Whether a field says nothing once Go has decoded and stored it: null, an empty list, map or text (pointers aside)."""
    if value is None:
        return True
    if value == "" and at.code in "sy":
        return name not in owner.required and name not in text_pointers(owner.name)
    return at.code in "am" and not value and isinstance(value, (list, dict)) and name != "managedFields"  # [] asks to forget them


def _clean(value: Any, at: Field) -> Any:
    if at.code == "q":
        text = quantity.as_text(value)
        canonical = quantity.canonical(text)
        return value if canonical == value else canonical
    if at.code == "a" and at.item is not None:
        if at.item.code not in "@amq" or not isinstance(value, list):
            return value
        items = [_clean(item, at.item) for item in value if item is not None]
        return value if len(items) == len(value) and all(new is old for new, old in zip(items, value)) else items
    if at.code == "m" and at.item is not None:
        if not isinstance(value, dict):
            return value
        inner = at.item
        return _same_or({key: _clean(item, inner) for key, item in value.items() if item is not None}, value)
    if at.code != "@":
        return value
    known = definition(at.ref)
    if known is not None and known.is_custom:
        return _clean_custom(value, known)
    if known is None or not known.fields:
        return value
    fields = known.fields
    kept = {
        key: _clean(item, fields[key])
        for key, item in value.items()
        if key in fields and (item or not _is_nothing(item, fields[key], key, known))
    }
    return _same_or(kept, value)


def _clean_custom(value: Any, known: Definition) -> Any:
    """A custom resource keeps everything that its definition names, empty or not; null is its defaults' business."""
    if not isinstance(value, dict):
        return value
    fields = known.fields
    kept = {key: _clean(item, fields[key]) if key in fields else item for key, item in value.items() if key in fields or known.is_open}
    return _same_or(kept, value)


def _same_or(new: Object, old: Object) -> Object:
    return old if len(new) == len(old) and all(new[key] is old[key] for key in new) else new
