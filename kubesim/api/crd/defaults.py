"""Defaults of custom resources, and the nulls that have no meaning: what happens between decoding and validation.

Upstream: apiextensions-apiserver/pkg/apiserver/schema/defaulting (algorithm.go, prunenulls.go).
"""

from copy import deepcopy
from typing import Any

Object = dict[str, Any]


def default(value: Any, given: Object) -> Any:
    """A value with the defaults of its schema; the same object when nothing was missing. Nulls of fields that may not be null go."""
    if isinstance(value, dict):
        return _default_object(value, given)
    if isinstance(value, list) and isinstance(given.get("items"), dict):
        items = given["items"]
        new = [default(_filled(item, items), items) for item in value]
        return value if all(one is other for one, other in zip(new, value)) else new
    return value


def _default_object(value: Object, given: Object) -> Object:
    properties, more = given.get("properties") or {}, given.get("additionalProperties")
    new: Object = {}
    for key, item in value.items():
        inner = properties.get(key, more if isinstance(more, dict) else None)
        if inner is None:
            new[key] = item
        elif item is None and not inner.get("nullable") and "default" not in inner and key in properties:
            continue
        else:
            new[key] = default(_filled(item, inner), inner)
    for key, inner in properties.items():
        if key not in new and inner.get("default") is not None:
            new[key] = default(deepcopy(inner["default"]), inner)
    return value if len(new) == len(value) and all(new[key] is value.get(key) for key in new) else new


def _filled(item: Any, inner: Object) -> Any:
    """A null where null is not allowed is what the default is for."""
    return deepcopy(inner["default"]) if item is None and not inner.get("nullable") and inner.get("default") is not None else item
