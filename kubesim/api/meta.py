"""Access to ``metadata``: keys, owners, labels, and copies of an object that change one path of it and share the rest.

Objects are read-only once sent or stored, so nothing here writes into an argument.
"""

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]
_NONE: Mapping[str, str] = {}


def name_of(obj: Object) -> str:
    """``metadata.name``, empty if unset."""
    name: str = obj["metadata"].get("name", "")
    return name


def namespace_of(obj: Object) -> str:
    """``metadata.namespace``, empty for a cluster-scoped object."""
    namespace: str = obj["metadata"].get("namespace", "")
    return namespace


def uid_of(obj: Object) -> str:
    """``metadata.uid``, empty before the apiserver gave one."""
    uid: str = obj["metadata"].get("uid", "")
    return uid


def key_of(obj: Object) -> str:
    """``namespace/name``, or ``name`` for a cluster-scoped object: the key of informers and work queues."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    name: str = metadata["name"]
    return f"{namespace}/{name}" if namespace else name


def key(namespace: str, name: str) -> str:
    """The key of a name in a namespace (empty: cluster-scoped)."""
    return f"{namespace}/{name}" if namespace else name


def split_key(text: str) -> tuple[str, str]:
    """(namespace, name) of a key."""
    namespace, slash, name = text.partition("/")
    return (namespace, name) if slash else ("", namespace)


def labels_of(obj: Object) -> Mapping[str, str]:
    """The labels, empty if there are none; read-only."""
    return obj["metadata"].get("labels") or _NONE


def annotations_of(obj: Object) -> Mapping[str, str]:
    """The annotations, empty if there are none; read-only."""
    return obj["metadata"].get("annotations") or _NONE


def is_terminating(obj: Object) -> bool:
    """Whether the object was deleted and waits for finalizers or grace."""
    return obj["metadata"].get("deletionTimestamp") is not None


def generation_of(obj: Object) -> int:
    """``metadata.generation``, 0 if the kind has none."""
    generation: int = obj["metadata"].get("generation", 0)
    return generation


def owner_references_of(obj: Object) -> list[Object]:
    """``metadata.ownerReferences``, read-only."""
    return obj["metadata"].get("ownerReferences") or []


def controller_of(obj: Object) -> Object | None:
    """The owner reference with ``controller: true``, or None. At most one may exist."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            found: Object = reference
            return found
    return None


def is_controlled_by(obj: Object, owner: Object) -> bool:
    """Whether ``owner`` (by uid) is the managing controller of ``obj``."""
    reference = controller_of(obj)
    return reference is not None and reference["uid"] == owner["metadata"]["uid"]


def controller_reference(owner: Object) -> Object:
    """The owner reference that a controller puts on what it makes (metav1.NewControllerRef).

    ``owner`` must carry apiVersion, kind, name and uid.
    """
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def with_field(obj: Object, path: tuple[str, ...], value: Any) -> Object:
    """A copy of ``obj`` with ``value`` at ``path``; only the dicts on the path are copied, missing ones are made."""
    head, rest = path[0], path[1:]
    copy = obj.copy()
    copy[head] = with_field(obj.get(head) or {}, rest, value) if rest else value
    return copy


def without_field(obj: Object, path: tuple[str, ...]) -> Object:
    """A copy of ``obj`` without the field at ``path``; the object itself when it has no such field."""
    head, rest = path[0], path[1:]
    if head not in obj:
        return obj
    if not rest:
        copy = obj.copy()
        del copy[head]
        return copy
    child = obj[head]
    changed = without_field(child, rest) if isinstance(child, dict) else child
    return obj if changed is child else {**obj, head: changed}


def with_metadata(obj: Object, **changes: Any) -> Object:
    """A copy of ``obj`` with fields of ``metadata`` set, or removed where the value is None."""
    metadata = obj["metadata"].copy()
    for field, value in changes.items():
        if value is None:
            metadata.pop(field, None)
        else:
            metadata[field] = value
    copy = obj.copy()
    copy["metadata"] = metadata
    return copy


def _with_strings(obj: Object, field: str, changes: Mapping[str, str | None]) -> Object:
    values = dict(obj["metadata"].get(field) or _NONE)
    for name, value in changes.items():
        if value is None:
            values.pop(name, None)
        else:
            values[name] = value
    return with_metadata(obj, **{field: values or None})


def with_labels(obj: Object, changes: Mapping[str, str | None]) -> Object:
    """A copy with labels set, or removed where the value is None."""
    return _with_strings(obj, "labels", changes)


def with_annotations(obj: Object, changes: Mapping[str, str | None]) -> Object:
    """A copy with annotations set, or removed where the value is None."""
    return _with_strings(obj, "annotations", changes)


def with_status(obj: Object, **changes: Any) -> Object:
    """A copy with fields of ``status`` set, or removed where the value is None."""
    status = dict(obj.get("status") or {})
    for field, value in changes.items():
        if value is None:
            status.pop(field, None)
        else:
            status[field] = value
    copy = obj.copy()
    copy["status"] = status
    return copy


def default_spec(obj: Object, **defaults: Any) -> Object:
    """The object with ``spec`` fields filled in where they are missing or null; the object itself when none is."""
    spec = obj.get("spec") or {}
    filled = filled_in(spec, defaults)
    return obj if filled is obj.get("spec") else {**obj, "spec": filled}


def filled_in(values: Object, defaults: Mapping[str, Any]) -> Object:
    """``values`` with defaults where a field is missing or null; the same dict when there is nothing to fill."""
    for field in defaults:
        if values.get(field) is None:
            return {**values, **{name: value for name, value in defaults.items() if values.get(name) is None}}
    return values
