"""Answer a recorded request with this room alone: decode, default, prepare, validate; no admission, no store."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

from kubesim.api import schema
from kubesim.api.errors import ApiError, invalid
from kubesim.api.kinds import KINDS
from kubesim.api.kinds.contract import Kind
from kubesim.api.patch import apply_json_patch, apply_merge_patch, apply_strategic_patch

Object = dict[str, Any]


def recordings() -> list[Object]:
    """The recorded exchanges, one dict each."""
    with gzip.open(Path(__file__).with_name("recordings.jsonl.gz"), "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def decoded(kind: Kind, obj: Object, strict: bool) -> Object:
    """The body as the server understands it."""
    problems = schema.check(obj, kind.schema)
    error = schema.decode_error(kind.kind, kind.version, [problem for problem in problems if strict or problem.kind == "type"])
    if error:
        raise error
    return schema.clean(obj, kind.schema)


def patched(kind: Kind, line: Object) -> Object:
    """The old object with the recorded patch."""
    if line["patch"] == "json":
        return apply_json_patch(line["old"], line["body"])
    if line["patch"] == "merge":
        return apply_merge_patch(line["old"], line["body"])
    return apply_strategic_patch(line["old"], line["body"], kind.schema)


def raise_errors(kind: Kind, obj: Object, errors: list) -> None:
    if errors:
        raise invalid(kind.kind, obj["metadata"].get("name", ""), errors, kind.group)


def namespace_of(line: Object) -> str:
    """The namespace of the request: from the answer, or from the involved object of an Event that was refused."""
    found: str = (line["answer"].get("metadata") or {}).get("namespace") or "default"
    return found


def answer(line: Object) -> Object:
    """The object that the recorded request makes; raises ApiError as the server answers."""
    kind = KINDS.by_resource(line["resource"])
    strict = line.get("fieldValidation") == "Strict"
    body = patched(kind, line) if line["verb"] == "patch" else line["body"]
    obj = decoded(kind, body, strict)
    metadata = obj.setdefault("metadata", {}) if "metadata" not in obj else obj["metadata"]
    if line["verb"] == "create":
        if kind.namespaced:
            obj = {**obj, "metadata": {"namespace": namespace_of(line), **metadata}}
        if metadata.get("generateName"):
            obj = {**obj, "metadata": {**obj["metadata"], "name": metadata["generateName"] + "x7k2p"}}
        answered = line["answer"].get("metadata") or {}
        server = {"uid": answered.get("uid", "u"), "creationTimestamp": "2026-01-01T00:00:00Z"}
        obj = kind.default(obj)
        obj = kind.prepare_create({**obj, "metadata": {**obj["metadata"], **server}})
        raise_errors(kind, obj, list(kind.validate(obj)))
        return obj
    old = line["old"]
    if line["subresource"] == "status":
        obj = kind.prepare_status(kind.default(obj), old)
        raise_errors(kind, obj, list(kind.validate_status(obj, old)))
        return obj
    obj = kind.prepare_update(kind.default(obj), old)
    raise_errors(kind, obj, [*kind.validate(obj), *kind.validate_update(obj, old)])
    return obj


_SERVER = ("uid", "resourceVersion", "creationTimestamp", "generation", "namespace", "managedFields", "finalizers", "selfLink", "name")


def comparable(obj: Object) -> Object:
    """An object without what the server, an allocator or an admission plugin adds."""
    kept = json.loads(json.dumps(obj))
    kept["metadata"] = {k: v for k, v in (kept.get("metadata") or {}).items() if k not in _SERVER and v not in ({}, [], None)}
    spec = kept.get("spec")
    if kept.get("kind") == "Pod" and spec:
        for name in ("tolerations", "priority", "preemptionPolicy"):
            spec.pop(name, None)
    if kept.get("kind") == "Service" and spec:
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            spec.pop(name, None)
        for port in spec.get("ports", ()):
            port.pop("nodePort", None)
    return _without_empty(kept)


def _without_empty(value: Any) -> Any:
    """Without empty parts at any depth: whether an empty map is written or left out is the encoder's business."""
    if isinstance(value, dict):
        cleaned = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item not in ({}, [], "", None, False, 0)}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value


def same_message(expected: str, actual: str) -> bool:
    """Whether two messages agree; upstream shows Go structs and their differences in some, which have no like here."""
    return _without_structs(expected) == _without_structs(actual)


def _without_structs(message: str) -> str:
    message = message.partition("\n@@")[0]
    return re.sub(r'Invalid value: (\{"[A-Z].*?\}|\{.*?\}|null|""|"object"|\[\{.*?\}\]): ', "Invalid value: {}: ", message)


def message_of(line: Object) -> str | None:
    """The error message that this room gives for a recorded request, None when it accepts it."""
    try:
        answer(line)
    except ApiError as error:
        return error.message
    return None
