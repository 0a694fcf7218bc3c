"""Validation of ``metadata``, the same for every kind but for the syntax of the name.

Upstream: apimachinery/pkg/api/validation/objectmeta.go. The order of checks is upstream's, and so is the order of errors.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.go_dump import as_struct
from kubesim.api.memo import IdentityMemo

Object = dict[str, Any]
_PREFIXES_MAX = 4096
_LABELS_MAX = 16_384
IMMUTABLE = "field is immutable"
_STANDARD_FINALIZERS = frozenset(("orphan", "foregroundDeletion", "kubernetes"))
_plain_name = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\Z").match
# A label, perhaps with a short lower-case word after it: most names, and ``<object>.<hex>``, the name of an Event. There are others.
_plain_subdomain = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?(?:\.[a-z0-9]{1,24})?\Z").match
NO_ERRORS: tuple[FieldError, ...] = ()


@lru_cache(_LABELS_MAX)
def is_label(text: str) -> bool:
    """Whether a text is a DNS label. Namespaces, owners and the objects of Events come again and again."""
    return _plain_name(text) is not None


def metadata_errors(obj: Object, *, namespaced: bool = True, check: names.Check = names.check_dns_subdomain) -> list[FieldError]:
    """Errors of ``metadata``; ``check`` is the syntax of the kind's names. A plain short name costs one regular expression."""
    metadata = obj["metadata"]
    wrong: list[FieldError] = []
    if generate := metadata.get("generateName"):
        wrong += _generate_name_errors(generate, check)
    name = metadata.get("name", "")
    if not name:
        wrong.append(field.required("metadata.name", "name or generateName is required"))
    elif check is not names.check_dns_subdomain or _plain_subdomain(name) is None:
        wrong += [field.invalid("metadata.name", name, message) for message in check(name)]
    namespace = metadata.get("namespace")
    if not namespaced or not namespace or not is_label(namespace):
        wrong += _namespace_errors(metadata, namespaced)
    if labels := metadata.get("labels"):
        wrong += _known_label_errors(labels)
    if annotations := metadata.get("annotations"):
        wrong += names.annotation_errors(annotations, "metadata.annotations")
    if references := metadata.get("ownerReferences"):
        wrong += _known_owner_errors(references)
    if finalizers := metadata.get("finalizers"):
        wrong += finalizer_errors(finalizers)
    return wrong


@lru_cache(_PREFIXES_MAX)  # all Pods of a ReplicaSet have one
def _generate_name_errors(prefix: str, check: names.Check) -> tuple[FieldError, ...]:
    """A prefix may end in a dash: upstream masks that one before the check."""
    masked = prefix[:-1] + "a" if len(prefix) > 1 and prefix.endswith("-") else prefix
    return tuple(field.invalid("metadata.generateName", prefix, message) for message in check(masked))


def _namespace_errors(metadata: Object, namespaced: bool) -> list[FieldError]:
    namespace = metadata.get("namespace", "")
    if not namespaced:
        return [field.forbidden("metadata.namespace", "not allowed on this type")] if namespace else []
    if not namespace:
        return [field.required("metadata.namespace")]
    if _plain_name(namespace):
        return []
    return [field.invalid("metadata.namespace", namespace, message) for message in names.check_dns_label(namespace)]


def owner_reference_errors(references: Sequence[Object]) -> list[FieldError]:
    """Errors of owner references: each complete, at most one controller."""
    wrong: list[FieldError] = []
    controller = ""
    for reference in references:
        wrong += _one_owner_errors(reference, "metadata.ownerReferences")  # upstream names no index
        if reference.get("controller"):
            if controller:
                detail = (
                    f'Only one reference can have Controller set to true. Found "true" in references for {controller} and '
                    f"{reference.get('kind', '')}/{reference.get('name', '')}"
                )
                wrong.append(field.invalid("metadata.ownerReferences", list(references), detail))
            controller = f"{reference.get('kind', '')}/{reference.get('name', '')}"
    return wrong


# The Pods of one ReplicaSet share these two.
_known_label_errors: IdentityMemo[list[FieldError]] = IdentityMemo(lambda labels: names.label_errors(labels, "metadata.labels"))
_known_owner_errors: IdentityMemo[list[FieldError]] = IdentityMemo(owner_reference_errors)


def _one_owner_errors(reference: Object, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    version = reference.get("apiVersion", "")
    if not version.rpartition("/")[2]:
        wrong.append(field.invalid(f"{path}.apiVersion", version, "version must not be empty"))
    for name in ("kind", "name", "uid"):
        if not reference.get(name):
            wrong.append(field.invalid(f"{path}.{name}", reference.get(name, ""), "must not be empty"))
    if (version, reference.get("kind")) == ("v1", "Event"):
        wrong.append(field.invalid(path, reference, "/v1, Kind=Event is disallowed from being an owner"))
    return wrong


def finalizer_errors(finalizers: Sequence[str]) -> list[FieldError]:
    """Errors of finalizers: qualified names, not both orphan and foregroundDeletion."""
    wrong: list[FieldError] = []
    for index, finalizer in enumerate(finalizers):
        at = "metadata.finalizers"
        wrong += [field.invalid(at, finalizer, message) for message in names.check_qualified_name(finalizer)]
        if "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            wrong.append(field.invalid(f"{at}[{index}]", finalizer, detail))
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        detail = "finalizer foregroundDeletion and orphan cannot be both set"
        wrong.append(field.invalid("metadata.finalizers", list(finalizers), detail))
    return wrong


_IMMUTABLE_FIELDS = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")


def metadata_update_errors(new: Object, old: Object) -> list[FieldError]:
    """Errors of a change of metadata; what is the very same dict or list as before is not looked at again."""
    after, before = new["metadata"], old["metadata"]
    if after is before or after == before:
        return []
    if len(after) == len(before) and {**after, "resourceVersion": before.get("resourceVersion")} == before:
        return []  # another version and nothing else: what most writes are
    wrong: list[FieldError] = []
    if before.get("deletionTimestamp") is not None:
        kept = before.get("finalizers") or ()
        added = [name for name in after.get("finalizers") or () if name not in kept]
        if added:
            detail = f"no new finalizers can be added if the object is being deleted, found new finalizers {_strings(added)}"
            wrong.append(field.forbidden("metadata.finalizers", detail))
    if after.get("generation", 0) < before.get("generation", 0):
        wrong.append(field.invalid("metadata.generation", after.get("generation", 0), "must not be decremented"))
    for name in _IMMUTABLE_FIELDS:
        if after.get(name) != before.get(name):
            missing = "" if name in ("name", "namespace", "uid") else None
            wrong.append(field.invalid(f"metadata.{name}", after.get(name, missing), IMMUTABLE))
    if (labels := after.get("labels")) and labels is not before.get("labels"):
        wrong += names.label_errors(labels, "metadata.labels")
    if (annotations := after.get("annotations")) and annotations is not before.get("annotations"):
        wrong += names.annotation_errors(annotations, "metadata.annotations")
    if (references := after.get("ownerReferences")) and references is not before.get("ownerReferences"):
        wrong += owner_reference_errors(references)
    return wrong


def _strings(values: Sequence[str]) -> str:
    """A list of strings as Go's %#v of []string."""
    return "[]string{" + ", ".join(field.quote(value) for value in values) + "}"


def immutable_errors(new: Any, old: Any, path: str, struct: str = "") -> list[FieldError]:
    """An error when a field that may not change did; one of a type of its own (``struct``) is shown as Go's struct."""
    if new is old or new == old:
        return []
    return [field.invalid(path, as_struct(new, struct) if struct else new, IMMUTABLE)]


def not_negative_errors(value: int | None, path: str) -> list[FieldError]:
    """An error for a number below zero; None is fine."""
    return [field.invalid(path, value, names.NOT_NEGATIVE)] if value is not None and value < 0 else []
