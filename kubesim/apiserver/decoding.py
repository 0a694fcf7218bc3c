"""Bodies from bytes to objects, as upstream's decoders do it: syntax, type, unknown and duplicate fields, nulls.

The verbs take decoded objects; whoever has bytes (the HTTP server) comes by here first. What is wrong but not refused is told to
``warn``. With ``fieldValidation=Strict`` unknown and duplicate fields are an error, with Warn (the default) a warning each.

Upstream: apimachinery/pkg/runtime/serializer/json, sigs.k8s.io/json and apiserver/pkg/endpoints/handlers/{create,patch,rest}.go.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kubesim.api import schema
from kubesim.api.documents import TextError, read_documents
from kubesim.api.errors import ApiError, bad_request
from kubesim.api.json_text import JsonError, Pairs, loads, pairs
from kubesim.api.kinds import KINDS
from kubesim.api.kinds.contract import Kind
from kubesim.api.patch.go_text import json_kind
from kubesim.api.schema import Field, definition
from kubesim.api.verbatim import remembered

Object = dict[str, Any]
Warn = Callable[[str], object]
Keep = Callable[[Object], object]
JSON, YAML = "json", "yaml"
STRICT, WARN, IGNORE = "Strict", "Warn", "Ignore"
SUMMARY_BYTES_MAX = 30
STRICT_ERRORS_MAX = 100
_TYPE_META = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
_NO_VERSION = "couldn't get version/kind; json parse error: "


class Body:
    """A body that was read: its value, and what a strict decoder has against its text (in the order of the text)."""

    __slots__ = ("_raw", "duplicates", "value")

    def __init__(self, value: Any, raw: bytes, duplicates: Sequence[str]) -> None:
        self.value = value
        self._raw = raw
        self.duplicates = duplicates  # of YAML, by line

    def strict_errors(self, schema_name: str) -> list[str]:
        """Unknown and duplicate fields: those of JSON in the order of the text, of YAML the duplicates first."""
        if not self._raw:
            unknown = [problem.message for problem in schema.check(self.value, schema_name) if problem.kind == "unknown"]
            return [*self.duplicates, *unknown]
        found: list[str] = []
        for message in _strict(pairs(self._raw), Field("@", ref=schema_name), ""):
            found.append(message)
            if len(found) == STRICT_ERRORS_MAX:
                break
        return found


def read(raw: bytes, media: str) -> Body:
    """Read the text of a body. Raises JsonError or TextError (its ``go_message`` is upstream's)."""
    if media == JSON:
        return Body(loads(raw), raw, ())
    document = next(iter(read_documents(raw.decode("utf-8", "replace"))), None)
    if document is None:
        return Body(None, b"", ())
    return Body(document.value, b"", [f'line {line}: key "{key}" already set in map' for line, key in document.duplicates])


def decode_object(
    kind: Kind, raw: bytes, media: str = JSON, validation: str = "", warn: Warn | None = None, keep: Keep | None = None
) -> Object:
    """Decode the body of a create or update to an object of ``kind``. Raises ApiError 400.

    ``keep`` is called with the object as Go has it, empty lists and maps included, when that is another one.

    The object keeps the type it names when that is another one: the verb refuses it, with its own words.
    """
    try:
        body = read(raw, media)
    except JsonError as error:
        raise _unrecognized(kind, f"{_NO_VERSION}{error}", raw) from None
    except TextError as error:
        raise _unrecognized(kind, error.go_message, raw) from None
    obj = body.value
    if obj is None:
        obj = {}
    if not isinstance(obj, dict):
        what = f"json: cannot unmarshal {json_kind(obj)} into Go value of type {_TYPE_META}"
        raise _unrecognized(kind, _NO_VERSION + what, raw)
    for name in ("apiVersion", "kind"):
        if obj.get(name) is not None and not isinstance(obj[name], str):
            what = f"json: cannot unmarshal {json_kind(obj[name])} into Go struct field .{name} of type string"
            raise _unrecognized(kind, _NO_VERSION + what, raw)
    if kind.is_custom:
        _check_custom_type(kind, obj, raw, warn)
    version, name = obj.get("apiVersion") or kind.api_version, obj.get("kind") or kind.kind
    if (version, name) != (kind.api_version, kind.kind):
        _check_as_itself(obj, version, name, kind)
        return obj
    if kind.verbatim_fields and media == JSON:
        obj = remembered(obj, raw, kind.verbatim_fields)
    return decoded(kind, obj, body, validation, warn, keep)


def _check_custom_type(kind: Kind, obj: Object, raw: bytes, warn: Warn | None) -> None:
    """A custom resource has to name its type; of another version nothing is known, so none of its fields is."""
    text = raw.decode("utf-8", "replace")
    for field_name, what in (("kind", "Kind"), ("apiVersion", "apiVersion")):
        if not obj.get(field_name):
            raise _unrecognized(kind, f"Object '{what}' is missing in '{text}'", raw)
    if obj["apiVersion"] != kind.api_version:
        for key in obj:
            if key not in ("apiVersion", "kind", "metadata") and warn is not None:
                warn(f'unknown field "{key}"')


def _check_as_itself(obj: Object, version: str, name: str, kind: Kind) -> None:
    """A body of another type is decoded as what it is before it is refused, so that its own mistakes come first."""
    other = KINDS.find_gvk(version, name)
    problems = [problem for problem in schema.check(obj, other.schema) if problem.kind == "type"] if other else []
    if problems:
        head = f'{name} in version "{version.rpartition("/")[2]}" cannot be handled as a {kind.kind}: '
        raise bad_request(head + problems[0].message)


def decoded(
    kind: Kind, obj: Object, body: Body | None = None, validation: str = "", warn: Warn | None = None, keep: Keep | None = None
) -> Object:
    """An object of ``kind`` as the decoder passes it on: types right, unknown fields and nulls gone. Raises ApiError 400."""
    problems = schema.check(obj, kind.schema)
    if problems:
        error = schema.decode_error(kind.kind, kind.version, [problem for problem in problems if problem.kind == "type"])
        if error is not None:
            raise error
    if body is not None and validation != IGNORE:
        report(kind, body.strict_errors(kind.schema), validation, warn)
    cleaned = schema.clean(obj, kind.schema)
    if keep is not None and cleaned is not obj:
        keep(obj)
    return cleaned


def report(kind: Kind, messages: Sequence[str], validation: str, warn: Warn | None) -> None:
    """Refuse or tell what a strict decoder found. Raises ApiError 400 under Strict."""
    if not messages:
        return
    if validation == STRICT:
        head = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
        raise bad_request(head + strict_sentence(messages))
    if warn is not None:
        for message in messages:
            warn(message)


def strict_sentence(messages: Sequence[str]) -> str:
    """The one sentence about all strict errors; those of YAML are one error of several lines."""
    lines = [message for message in messages if message.startswith("line ")]
    parts = [message for message in messages if not message.startswith("line ")]
    if lines:
        parts.insert(0, "yaml: unmarshal errors:\n" + "\n".join(f"  {line}" for line in lines))
    return "strict decoding error: " + ", ".join(parts)


def _unrecognized(kind: Kind, why: str, raw: bytes) -> ApiError:
    return bad_request(f"the object provided is unrecognized (must be of type {kind.kind}): {why} ({_summary(raw)})")


def _summary(raw: bytes) -> str:
    if not raw:
        return "<empty>"
    shown = raw[:SUMMARY_BYTES_MAX]
    text = shown.decode("utf-8", "replace") if raw[:1] == b"{" else shown.hex()
    return text + (" ..." if len(raw) > SUMMARY_BYTES_MAX else "")


def _strict(value: Any, at: Field, path: str) -> Iterator[str]:
    """Unknown and duplicate fields below a value of a type, depth first."""
    while at.code == "@":
        known = definition(at.ref)
        if known is None:
            return
        if known.fields:
            yield from _strict_struct(value, known.fields, path)
            return
        if known.code == "@":
            return
        at = Field(known.code)
    if at.code == "a" and isinstance(value, list) and not isinstance(value, Pairs) and at.item is not None:
        for index, item in enumerate(value):
            yield from _strict(item, at.item, f"{path}[{index}]")
    elif at.code == "m" and isinstance(value, Pairs):
        seen: set[str] = set()
        for name, item in value:
            inner = f"{path}.{name}"
            if name in seen:
                yield f'duplicate field "{inner}"'
            seen.add(name)
            if at.item is not None:
                yield from _strict(item, at.item, inner)


def _strict_struct(value: Any, fields: dict[str, Field], path: str) -> Iterator[str]:
    if not isinstance(value, Pairs):
        return
    seen: set[str] = set()
    for name, item in value:
        inner = f"{path}.{name}" if path else name
        known = fields.get(name)
        if known is None:
            yield f'unknown field "{inner}"'
            continue
        if name in seen:
            yield f'duplicate field "{inner}"'
        seen.add(name)
        yield from _strict(item, known, inner)


def decode_patch(raw: bytes, patch_type: str) -> Body:
    """Read the body of a patch: its value and the duplicate fields of its text. Raises ApiError 400 with the words of its language."""
    if patch_type == "apply":
        try:
            body = read(raw, YAML)
        except TextError as error:
            raise bad_request(f"error decoding YAML: error converting YAML to JSON: {error.go_message}") from None
        if body.value is not None and not isinstance(body.value, dict):
            what = f"json: cannot unmarshal {json_kind(body.value)} into Go value of type map[string]interface {{}}"
            raise bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {what}")
        return body
    try:
        value = loads(raw)
    except JsonError as error:
        raise bad_request(str(error) if patch_type == "strategic" else f"error decoding patch: {error}") from None
    return Body(value, raw, tuple(_duplicates(pairs(raw), "")))


def _duplicates(value: Any, path: str) -> Iterator[str]:
    """The duplicate members of a value without a type."""
    if isinstance(value, Pairs):
        seen: set[str] = set()
        for name, item in value:
            inner = f"{path}.{name}" if path else name
            if name in seen:
                yield f'duplicate field "{inner}"'
            seen.add(name)
            yield from _duplicates(item, inner)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _duplicates(item, f"{path}[{index}]")


def decode_delete_options(raw: bytes, media: str = JSON) -> Object:
    """The DeleteOptions in the body of a delete, empty when there is none. Raises ApiError 400."""
    if not raw:
        return {}
    try:
        options = read(raw, media).value
    except JsonError as error:
        raise bad_request(f"{_NO_VERSION}{error}") from None
    except TextError as error:
        raise bad_request(error.go_message) from None
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise bad_request(f"{_NO_VERSION}json: cannot unmarshal {json_kind(options)} into Go value of type {_TYPE_META}")
    if (options.get("kind") or "DeleteOptions") != "DeleteOptions":
        scheme = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27"
        version = options.get("apiVersion", "")
        raise bad_request(f'no kind "{options["kind"]}" is registered for version "{version}" in scheme "{scheme}"')
    return options
