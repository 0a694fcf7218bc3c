"""PersistentVolumeClaim. Upstream: pkg/registry/core/persistentvolumeclaim/strategy.go, ValidatePersistentVolumeClaim."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.go_dump import CLAIM_SPEC, diff
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import at
from kubesim.api.kinds.parts.claim import claim_spec_errors, default_claim, modes_text
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import get_in, keep_all_but_status, keep_status, without

Object = dict[str, Any]
_SOURCES = (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot"))
_FORBIDDEN = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"


def _prepare_create(claim: Object) -> Object:
    source = get_in(claim, "spec", "dataSource")
    if source is not None and (source.get("apiGroup") or "", source.get("kind")) not in _SOURCES:
        claim = {**claim, "spec": without(claim["spec"], "dataSource")}  # upstream forgets what it cannot copy from
    return {**claim, "status": {"phase": "Pending"}}


def _validate(claim: Object) -> Sequence[FieldError]:
    return metadata_errors(claim) + claim_spec_errors(claim.get("spec") or {}, "spec")


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    """A claim may be bound once; a bound one may ask for more."""
    wrong = metadata_update_errors(new, old)
    after, before = dict(new.get("spec") or {}), old.get("spec") or {}
    if not before.get("volumeName"):
        after["volumeName"] = before.get("volumeName")
    if before.get("storageClassName") is None:
        after["storageClassName"] = None
    if get_in(old, "status", "phase") == "Bound":
        after["resources"] = {**(after.get("resources") or {}), "requests": get_in(before, "resources", "requests")}
        after["volumeAttributesClassName"] = before.get("volumeAttributesClassName")
    if {key: value for key, value in after.items() if value is not None} == {k: v for k, v in before.items() if v is not None}:
        return wrong
    shown = {key: value for key, value in after.items() if value is not None}
    return [*wrong, field.forbidden("spec", f"{_FORBIDDEN}\n{diff(before, shown, CLAIM_SPEC)}")]


def _phase_cell(claim: Object, now_ns: int) -> str:
    return "Terminating" if claim["metadata"].get("deletionTimestamp") else get_in(claim, "status", "phase") or ""


def _bound(*path: str) -> Any:
    """A cell that is empty until the claim has its volume."""
    return lambda claim, now_ns: get_in(claim, *path) or "" if get_in(claim, "spec", "volumeName") else ""


def _modes_cell(claim: Object, now_ns: int) -> str:
    return modes_text(get_in(claim, "status", "accessModes") or ()) if get_in(claim, "spec", "volumeName") else ""


KIND = Kind(
    group="",
    version="v1",
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    short_names=("pvc",),
    schema="io.k8s.api.core.v1.PersistentVolumeClaim",
    subresources=("status",),
    default=default_claim,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    prepare_status=keep_all_but_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=metadata_update_errors,
    columns=(
        NAME,
        Column("Status", "string", _phase_cell),
        Column("Volume", "string", at("spec", "volumeName")),
        Column("Capacity", "string", _bound("status", "capacity", "storage")),
        Column("Access Modes", "string", _modes_cell),
        Column("StorageClass", "string", at("spec", "storageClassName")),
        Column("VolumeAttributesClass", "string", at("spec", "volumeAttributesClassName", missing="<unset>")),
        AGE,
        Column("VolumeMode", "string", at("spec", "volumeMode", missing="<unset>"), 1),
    ),
    has_generation=False,
)
