"""Fill in and change nested dicts without writing into them; what does not change is shared, and an unchanged dict is itself.

That identity is what makes a default idempotent and free: ``fill(d, x) is d`` says that nothing was missing.
"""

from collections.abc import Callable, Mapping
from typing import Any

Object = dict[str, Any]
Transform = Callable[[Any], Any]
_NOT_THROUGH_STATUS = ("labels", "annotations", "finalizers", "ownerReferences")


def fill(values: Object, defaults: Mapping[str, Any]) -> Object:
    """``values`` with defaults where a field is missing or null; the same dict when nothing is."""
    for name in defaults:
        if values.get(name) is None:
            return {**values, **{key: default for key, default in defaults.items() if values.get(key) is None}}
    return values


def put(values: Object, name: str, value: Any) -> Object:
    """``values`` with ``name`` set; the same dict when it is that very object (or an equal scalar) already."""
    old = values.get(name)
    if old is value or (not isinstance(value, (dict, list)) and old == value and name in values):
        return values
    return {**values, name: value}


def change(values: Object, name: str, transform: Transform) -> Object:
    """``values`` with the field run through ``transform``, if it is there and not null."""
    old = values.get(name)
    if old is None:
        return values
    new = transform(old)
    return values if new is old else {**values, name: new}


def change_each(values: Object, name: str, transform: Transform) -> Object:
    """``values`` with every item of the list (or value of the map) at ``name`` run through ``transform``."""
    old = values.get(name)
    if not old:
        return values
    new = each(old, transform)
    return values if new is old else {**values, name: new}


def each(items: Any, transform: Transform) -> Any:
    """A list or a map with every item transformed; the same one when none changed."""
    if isinstance(items, dict):
        changed = {key: transform(item) for key, item in items.items()}
        return items if all(changed[key] is items[key] for key in items) else changed
    new = [transform(item) for item in items]
    return items if all(after is before for after, before in zip(new, items)) else new


def without(values: Object, name: str) -> Object:
    """``values`` without a field; the same dict when it has none."""
    return {key: value for key, value in values.items() if key != name} if name in values else values


def get_in(obj: Any, *path: str) -> Any:
    """The value at a path of dict keys, None where something on the way is missing."""
    for name in path:
        if obj is None:
            return None
        obj = obj.get(name)
    return obj


def changed_spec(obj: Object, transform: Transform) -> Object:
    """The object with its spec run through ``transform``; a missing spec counts as empty."""
    spec = obj.get("spec")
    if spec is None:
        return {**obj, "spec": transform({})}
    new = transform(spec)
    return obj if new is spec else {**obj, "spec": new}


def keep_status(new: Object, old: Object) -> Object:
    """``new`` with the status of ``old``: what an update of the main resource does."""
    status = old.get("status")
    if new.get("status") is status:
        return new
    if status is None:
        return {key: value for key, value in new.items() if key != "status"}
    return {**new, "status": status}


def keep_all_but_status(new: Object, old: Object) -> Object:
    """``old`` with the status and metadata of ``new``: what an update of the status subresource does."""
    kept = {**old, "metadata": new["metadata"]}
    if "status" in new:
        kept["status"] = new["status"]
    else:
        kept.pop("status", None)
    return kept


def keep_all_but_bare_status(new: Object, old: Object) -> Object:
    """``old`` with the status of ``new``, labels and annotations too from ``old``: ResetObjectMetaForStatus of newer kinds."""
    metadata = {key: value for key, value in new["metadata"].items() if key not in _NOT_THROUGH_STATUS}
    metadata |= {key: old["metadata"][key] for key in _NOT_THROUGH_STATUS if key in old["metadata"]}
    return keep_all_but_status({**new, "metadata": metadata}, old)


def empty_status(obj: Object) -> Object:
    """The object with ``status: {}``, as a workload is born."""
    return obj if obj.get("status") == {} else {**obj, "status": {}}


def without_status(obj: Object) -> Object:
    """The object without a status."""
    return {key: value for key, value in obj.items() if key != "status"} if "status" in obj else obj
