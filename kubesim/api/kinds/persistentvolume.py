"""PersistentVolume. Upstream: pkg/registry/core/persistentvolume/strategy.go, ValidatePersistentVolume."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names, quantity
from kubesim.api.errors import FieldError
from kubesim.api.go_dump import VOLUME_SPEC, diff
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import at
from kubesim.api.kinds.parts.checks import choice_errors, text_errors
from kubesim.api.kinds.parts.claim import NOT_POSITIVE, access_mode_errors, modes_text
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.containers import canonical_amounts
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import change, changed_spec, fill, get_in, keep_all_but_status, keep_status
from kubesim.api.kinds.parts.volume_validation import volume_source_errors

Object = dict[str, Any]
RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_SPEC = {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"}
SOURCES = (
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flocker",
    "azureFile",
    "vsphereVolume",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "local",
    "storageos",
    "csi",
)


def _default_spec(spec: Object) -> Object:
    filled = change(fill(spec, _SPEC), "capacity", canonical_amounts)
    return change(filled, "hostPath", lambda source: fill(source, {"type": ""}))


def _default(volume: Object) -> Object:
    return changed_spec(volume, _default_spec)


def _prepare_create(volume: Object) -> Object:
    status = {"phase": "Pending", "lastPhaseTransitionTime": volume["metadata"].get("creationTimestamp")}
    return {**volume, "status": {name: value for name, value in status.items() if value is not None}}


def _capacity_errors(capacity: Object | None) -> list[FieldError]:
    at_ = "spec.capacity"
    wrong = [] if capacity else [field.required(at_)]
    if "storage" not in (capacity or {}) or len(capacity or {}) > 1:
        wrong.append(field.not_supported(at_, capacity, ("storage",)))
    for name, amount in (capacity or {}).items():
        if quantity.parse(amount).nanos <= 0:
            wrong.append(field.invalid(f"{at_}[{name}]", amount, NOT_POSITIVE))
    return wrong


def _spec_errors(spec: Object) -> list[FieldError]:
    wrong = access_mode_errors(spec.get("accessModes") or (), "spec.accessModes")
    wrong += _capacity_errors(spec.get("capacity"))
    found = [name for name in SOURCES if spec.get(name) is not None]
    wrong += volume_source_errors(found[0], spec[found[0]], f"spec.{found[0]}") if found else []
    wrong += [field.forbidden(f"spec.{name}", "may not specify more than 1 volume type") for name in found[1:]]
    if spec.get("local") is not None and spec.get("nodeAffinity") is None:
        wrong.append(field.required("metadata.annotations", "Local volume requires node affinity"))
    if not found:
        wrong.append(field.required("spec", "must specify a volume type"))
    policy = spec.get("persistentVolumeReclaimPolicy")
    wrong += choice_errors(policy, "spec.persistentVolumeReclaimPolicy", RECLAIM_POLICIES)
    if policy == "Recycle" and get_in(spec, "hostPath", "path") == "/":
        wrong.append(field.forbidden("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'"))
    if spec.get("storageClassName"):
        wrong += text_errors(spec["storageClassName"], "spec.storageClassName", names.check_dns_subdomain)
    return wrong + choice_errors(spec.get("volumeMode"), "spec.volumeMode", ("Block", "Filesystem"))


def _validate(volume: Object) -> Sequence[FieldError]:
    return metadata_errors(volume, namespaced=False) + _spec_errors(volume.get("spec") or {})


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    after, before = new.get("spec") or {}, old.get("spec") or {}
    if {name: after.get(name) for name in SOURCES} != {name: before.get(name) for name in SOURCES}:
        change = diff(before, after, VOLUME_SPEC, SOURCES)
        detail = f"spec.persistentvolumesource is immutable after creation\n{change}"
        wrong.append(field.forbidden("spec.persistentvolumesource", detail))
    if after.get("volumeMode") != before.get("volumeMode"):
        wrong.append(field.invalid("volumeMode", after.get("volumeMode"), "field is immutable"))
    return wrong


def _prepare_status(new: Object, old: Object) -> Object:
    """The time of the last phase moves with the phase; who writes the phase may leave it out."""
    kept = keep_all_but_status(new, old)
    status, before = kept.get("status") or {}, old.get("status") or {}
    if status.get("phase") == before.get("phase") and "lastPhaseTransitionTime" not in status and "lastPhaseTransitionTime" in before:
        return {**kept, "status": {**status, "lastPhaseTransitionTime": before["lastPhaseTransitionTime"]}}
    return kept


def _phase_cell(volume: Object, now_ns: int) -> str:
    return "Terminating" if volume["metadata"].get("deletionTimestamp") else get_in(volume, "status", "phase") or ""


def _claim_cell(volume: Object, now_ns: int) -> str:
    reference = get_in(volume, "spec", "claimRef")
    return f"{reference.get('namespace', '')}/{reference.get('name', '')}" if reference else ""


KIND = Kind(
    update_order="MSMSmu",
    group="",
    version="v1",
    kind="PersistentVolume",
    plural="persistentvolumes",
    namespaced=False,
    short_names=("pv",),
    schema="io.k8s.api.core.v1.PersistentVolume",
    subresources=("status",),
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=metadata_update_errors,
    columns=(
        NAME,
        Column("Capacity", "string", at("spec", "capacity", "storage")),
        Column("Access Modes", "string", lambda volume, now_ns: modes_text(get_in(volume, "spec", "accessModes") or ())),
        Column("Reclaim Policy", "string", at("spec", "persistentVolumeReclaimPolicy")),
        Column("Status", "string", _phase_cell),
        Column("Claim", "string", _claim_cell),
        Column("StorageClass", "string", at("spec", "storageClassName")),
        Column("VolumeAttributesClass", "string", at("spec", "volumeAttributesClassName", missing="<unset>")),
        Column("Reason", "string", at("status", "reason")),
        AGE,
        Column("VolumeMode", "string", at("spec", "volumeMode", missing="<unset>"), 1),
    ),
    has_generation=False,
)
