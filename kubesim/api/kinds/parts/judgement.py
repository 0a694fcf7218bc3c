"""What is wrong with an update, with every repetition of upstream: clients see each among the causes.

Upstream: BeforeUpdate in apiserver/pkg/registry/rest/update.go judges what all kinds have in common, then the strategy of the kind
judges, which may look at the metadata or at the whole object again. ``Kind.update_order`` says in which order, a letter for each part:
M and S are the metadata and the rest of what ``validate`` says, m and u of what ``validate_update`` says. A part may come twice, or
not at all: without S ``validate_update`` judges the whole object, because what is wrong depends on what was there before.
"""

from collections.abc import Callable, Sequence
from typing import Any

from kubesim.api import names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors

Object = dict[str, Any]


def create_errors(kind: Kind, obj: Object) -> Sequence[FieldError]:
    """Errors of a new object."""
    errors = kind.validate(obj)
    return errors if kind.validate_create is None else [*errors, *kind.validate_create(obj)]


def update_errors(kind: Kind, new: Object, old: Object) -> Sequence[FieldError]:
    """Errors of a change of an object through its main resource."""
    whole = kind.validate(new)
    change = kind.validate_update(new, old)
    if not whole and not change:
        return ()
    return common_errors(kind, new, old) + [
        error
        for letter in kind.update_order
        for error in (whole if letter in "MS" else change)
        if error.field.startswith("metadata.") is (letter in "Mm")
    ]


Judge = Callable[[Object], Sequence[FieldError]]


def reworded(errors: Sequence[FieldError], judge: Judge, obj: Object, decoded: Object | None) -> Sequence[FieldError]:
    """The same errors in words for the object with the empty lists and maps that its client has sent: Go tells them from absent ones."""
    if not errors or decoded is None:
        return errors
    again = judge(with_empty(obj, decoded))
    return again if [(error.field, error.reason) for error in again] == [(error.field, error.reason) for error in errors] else errors


def with_empty(obj: Any, decoded: Any) -> Any:
    """``obj`` with the empty lists and maps of ``decoded`` where it has nothing."""
    if isinstance(obj, dict) and isinstance(decoded, dict):
        missing = {key: value for key, value in decoded.items() if key not in obj and value in ({}, [])}
        return {**{key: with_empty(value, decoded.get(key)) for key, value in obj.items()}, **missing}
    if isinstance(obj, list) and isinstance(decoded, list) and len(obj) == len(decoded):
        return [with_empty(value, other) for value, other in zip(obj, decoded)]
    return obj


def status_errors(kind: Kind, new: Object, old: Object) -> Sequence[FieldError]:
    """Errors of a change of an object through its status."""
    errors = kind.validate_status(new, old)
    return [*common_errors(kind, new, old), *errors] if errors else ()


def common_errors(kind: Kind, new: Object, old: Object) -> list[FieldError]:
    """What every kind's metadata is asked for (validateCommonFields)."""
    return metadata_errors(new, namespaced=kind.namespaced, check=names.check_path_segment) + metadata_update_errors(new, old)
