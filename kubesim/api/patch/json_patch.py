"""RFC 6902 as upstream's library applies it (evanphx/json-patch v4 with negative indices).

Where it differs from the RFC: ``replace`` of a member that is not there adds it, ``test`` of one against null passes, and a negative
index counts from the end. Operations run in order; the first that fails rejects the patch as a whole.
"""

from collections.abc import Callable
from typing import Any

from kubesim.api.errors import bad_request, too_large, unprocessable
from kubesim.api.patch.go_text import json_kind

Object = dict[str, Any]
OPERATIONS_MAX = 10_000
_MISSING = object()


class _Failed(Exception):
    """An operation does not apply."""


class PatchFailed(Exception):
    """The operation that does not apply, in the words of upstream's library."""

    def __init__(self, operation: Object) -> None:
        name, path = operation.get("op"), operation.get("path")
        self.is_test = name == "test"
        if self.is_test:
            why = f"testing value {path} failed: test failed"
        elif name == "remove" and isinstance(path, str):
            why = f"error in remove for path: '{path}': unable to remove nonexistent key: {path.rpartition('/')[2]}: missing value"
        else:
            why = f'{name} operation does not apply: doc is missing path: "{path}": missing value'
        super().__init__(why)


def apply_json_patch(obj: Object, operations: Any) -> Object:
    """Apply a list of operations to ``obj``.

    Raises:
        ApiError: 400 when it is not a list of maps, 413 when it is too long, 422 when an operation does not apply.
    """
    if not isinstance(operations, list):
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {json_kind(operations)} into Go value of type []handlers.jsonPatchOp"
        )
    for operation in operations:
        if not isinstance(operation, dict):
            raise bad_request(
                f"error decoding patch: json: cannot unmarshal {json_kind(operation)} into Go value of type handlers.jsonPatchOp"
            )
    if len(operations) > OPERATIONS_MAX:
        raise too_large(f"The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {len(operations)}")
    try:
        return apply_operations(obj, operations)
    except PatchFailed:
        raise unprocessable() from None


def apply_operations(obj: Object, operations: list[Object]) -> Object:
    """Apply operations that are maps; raises PatchFailed, which says why, where ``apply_json_patch`` may not tell a client."""
    result: Any = obj
    for operation in operations:
        try:
            result = _applied(result, operation)
        except _Failed:
            raise PatchFailed(operation) from None
    patched: Object = result
    return patched


def _applied(document: Any, operation: Object) -> Any:
    path = _pointer(operation.get("path"))
    name = operation.get("op")
    if name == "add":
        return _edit(document, path, lambda parent, key: _add(parent, key, operation.get("value")))
    if name == "remove":
        return _edit(document, path, _remove)
    if name == "replace":
        return _edit(document, path, lambda parent, key: _replace(parent, key, operation.get("value")))
    if name == "test":
        _test(_get(document, path), operation.get("value"))
        return document
    if name in ("move", "copy"):
        source = _pointer(operation.get("from"))
        value = _get(document, source)
        if name == "move":
            document = _edit(document, source, _remove)
        value = None if value is _MISSING else value
        return _edit(document, path, lambda parent, key: _add(parent, key, value))
    raise _Failed


def _pointer(text: Any) -> list[str]:
    """The parts of a JSON pointer; the root alone cannot be patched."""
    if not isinstance(text, str) or not text.startswith("/"):
        raise _Failed
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _index(items: list[Any], key: str, size: int) -> int:
    """A position below ``size``; -1 is the last one."""
    try:
        index = int(key)
    except ValueError:
        raise _Failed from None
    if index < 0:
        index += size
    if not 0 <= index < size:
        raise _Failed
    return index


def _child(parent: Any, key: str) -> Any:
    if isinstance(parent, dict):
        return parent.get(key, _MISSING)
    if isinstance(parent, list):
        return parent[_index(parent, key, len(parent))]
    raise _Failed


def _get(document: Any, path: list[str]) -> Any:
    """The value at a path; missing as the last member of a map only."""
    for key in path[:-1]:
        document = _child(document, key)
        if document is _MISSING or document is None:
            raise _Failed
    return _child(document, path[-1])


def _edit(document: Any, path: list[str], edit: Callable[[Any, str], Any]) -> Any:
    """A copy of the document with the container at the path's end edited; only the containers on the path are copied."""
    key = path[0]
    if len(path) == 1:
        if not isinstance(document, (dict, list)):
            raise _Failed
        return edit(document.copy(), key)
    child = _child(document, key)
    if child is _MISSING:
        raise _Failed
    copy = document.copy()
    copy[key if isinstance(copy, dict) else _index(copy, key, len(copy))] = _edit(child, path[1:], edit)
    return copy


def _add(parent: Any, key: str, value: Any) -> Any:
    if isinstance(parent, dict):
        parent[key] = value
    elif key == "-":
        parent.append(value)
    else:
        parent.insert(_index(parent, key, len(parent) + 1), value)
    return parent


def _replace(parent: Any, key: str, value: Any) -> Any:
    parent[key if isinstance(parent, dict) else _index(parent, key, len(parent))] = value
    return parent


def _remove(parent: Any, key: str) -> Any:
    if isinstance(parent, dict):
        if key not in parent:
            raise _Failed
        del parent[key]
    else:
        del parent[_index(parent, key, len(parent))]
    return parent


def _test(value: Any, wanted: Any) -> None:
    if value is _MISSING:
        value = None
    if value != wanted or isinstance(value, bool) is not isinstance(wanted, bool):
        raise _Failed
