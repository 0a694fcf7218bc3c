"""Bodies to objects: JSON, YAML and protobuf, by what the Content-Type says; the rest is ``apiserver.decoding``."""

from typing import Any

from kubesim.api.errors import bad_request
from kubesim.api.kinds.contract import Kind
from kubesim.apiserver import decoding
from kubesim.apiserver.known_bodies import KnownBodies
from kubesim.server.apiserver import protobuf
from kubesim.server.apiserver.call import Call
from kubesim.server.apiserver.media import JSON, PROTOBUF, YAML, content_type_of, unsupported_body, unsupported_patch

Object = dict[str, Any]
BODY_BYTES_MAX = 3 * 1024 * 1024
PATCH_TYPES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}

_known = KnownBodies()


def media_of(call: Call) -> str:
    """The encoding of a body: JSON when the client does not say. Raises ApiError 415."""
    header = call.headers.get("content-type", "")
    media = content_type_of(header) if header else JSON
    if media not in (JSON, YAML, PROTOBUF):
        raise unsupported_body()
    return media


def patch_type(call: Call) -> str:
    """The language of a patch. Raises ApiError 415."""
    found = PATCH_TYPES.get(content_type_of(call.headers.get("content-type", "")))
    if found is None:
        raise unsupported_patch()
    if found == "strategic" and call.route is not None and "definition" in call.route.row:
        raise unsupported_body(
            tuple(media for media, name in PATCH_TYPES.items() if name != "strategic")
        )  # custom resources have no merge keys
    return found


def decode_object(call: Call, kind: Kind) -> Object:
    """The object in the body of a create or update. Raises ApiError 400 or 415."""
    media = media_of(call)
    if media == PROTOBUF:
        return decoding.decoded(kind, protobuf.decode(call.body))
    validation = call.query.get("fieldValidation", "")
    if media != JSON or kind.is_custom or kind.verbatim_fields or validation == decoding.IGNORE:
        text = decoding.JSON if media == JSON else decoding.YAML
        return decoding.decode_object(kind, call.body, text, validation, call.warn, call.keep)
    found, key = _known.find(kind.schema, call.body)
    if found is not None:
        return found
    warned = len(call.warnings)
    obj = decoding.decode_object(kind, call.body, decoding.JSON, validation, call.warn, call.keep)
    if key is not None and len(call.warnings) == warned and call.decoded is None and isinstance(obj.get("metadata"), dict):
        _known.remember(key, obj)
    return obj


def decode_any(call: Call) -> Object:
    """The object in a body that is of no stored kind, as it is; empty without a body. Raises ApiError 400 or 415."""
    media = media_of(call)
    if not call.body:
        return {}
    if media == PROTOBUF:
        return protobuf.decode(call.body)
    try:
        value = decoding.read(call.body, decoding.JSON if media == JSON else decoding.YAML).value
    except ValueError as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {error}") from None
    return value if isinstance(value, dict) else {}


def decode_delete_options(call: Call) -> Object:
    """The DeleteOptions in the body of a delete. Raises ApiError 400 or 415."""
    if not call.body:
        return {}
    media = media_of(call)
    if media == PROTOBUF:
        return protobuf.decode(call.body)
    return decoding.decode_delete_options(call.body, decoding.JSON if media == JSON else decoding.YAML)


def decode_patch(call: Call, type_: str) -> decoding.Body:
    """The body of a patch in its language. Raises ApiError 400."""
    return decoding.decode_patch(call.body, type_)
