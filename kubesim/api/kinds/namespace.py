"""Namespace: cluster-scoped, born Active with the finalizer ``kubernetes`` in its spec; a label carries its name.

Upstream: pkg/registry/core/namespace/strategy.go, pkg/apis/core/v1/defaults.go.
"""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import get_in, keep_all_but_status, put

Object = dict[str, Any]
FINALIZER = "kubernetes"
NAME_LABEL = "kubernetes.io/metadata.name"


def _default(namespace: Object) -> Object:
    metadata = namespace["metadata"]
    name = metadata.get("name")
    labels = metadata.get("labels") or {}
    if not name or labels.get(NAME_LABEL) == name:
        return namespace
    return {**namespace, "metadata": {**metadata, "labels": {**labels, NAME_LABEL: name}}}


def _prepare_create(namespace: Object) -> Object:
    finalizers = get_in(namespace, "spec", "finalizers") or []
    if FINALIZER not in finalizers:
        finalizers = [*finalizers, FINALIZER]
    return {**_default(namespace), "spec": {"finalizers": finalizers}, "status": {"phase": "Active"}}  # named by now


def _prepare_update(new: Object, old: Object) -> Object:
    """Finalizers change through the subresource ``finalize`` only."""
    return put(put(new, "spec", old.get("spec", {})), "status", old.get("status", {}))


def finalizer_errors(namespace: Object, path: str) -> list[FieldError]:
    """Errors of the finalizers of a namespace's spec; ``path`` may have a place for the index."""
    wrong: list[FieldError] = []
    for index, finalizer in enumerate(get_in(namespace, "spec", "finalizers") or ()):
        if "/" not in finalizer and finalizer != "kubernetes":
            why = "name is neither a standard finalizer name nor is it fully qualified"
            wrong.append(field.invalid(path.format(index), finalizer, why))
    return wrong


def _validate(namespace: Object) -> Sequence[FieldError]:
    return metadata_errors(namespace, namespaced=False, check=names.check_dns_label)


def _validate_status(new: Object, old: Object) -> Sequence[FieldError]:
    wrong, phase = metadata_update_errors(new, old), get_in(new, "status", "phase")
    if new["metadata"].get("deletionTimestamp") is None:
        if phase != "Active":
            wrong.append(field.invalid("status.Phase", phase or "", "may only be 'Active' if `deletionTimestamp` is empty"))
    elif phase != "Terminating":
        wrong.append(field.invalid("status.Phase", phase or "", "may only be 'Terminating' if `deletionTimestamp` is not empty"))
    return wrong


def _phase(namespace: Object) -> str:
    return get_in(namespace, "status", "phase") or ""


KIND = Kind(
    group="",
    version="v1",
    kind="Namespace",
    plural="namespaces",
    namespaced=False,
    short_names=("ns",),
    schema="io.k8s.api.core.v1.Namespace",
    subresources=("finalize", "status"),
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=keep_all_but_status,
    validate=_validate,
    validate_create=lambda namespace: finalizer_errors(namespace, "spec.finalizers"),
    validate_update=metadata_update_errors,
    validate_status=_validate_status,
    columns=(NAME, Column("Status", "string", lambda obj, now_ns: _phase(obj)), AGE),
    selectable_fields={"status.phase": _phase},
    has_generation=False,
)
