"""VolumeAttachment. Upstream: pkg/apis/storage/validation/validation.go, pkg/registry/storage/volumeattachment/strategy.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import errors, field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.csidriver import driver_name_errors
from kubesim.api.kinds.parts.cells import at
from kubesim.api.kinds.parts.checks import required_text_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.go_struct import Member, go_text
from kubesim.api.kinds.parts.metadata import IMMUTABLE, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import get_in, keep_all_but_bare_status, keep_status

Object = dict[str, Any]
_SOURCE = (Member("persistentVolumeName", "PersistentVolumeName", None), Member("inlineVolumeSpec", "InlineVolumeSpec", None))
_SPEC = (Member("attacher", "Attacher"), Member("source", "Source", {}, _SOURCE), Member("nodeName", "NodeName"))


def _validate(attachment: Object) -> Sequence[FieldError]:
    spec = attachment.get("spec") or {}
    wrong = metadata_errors(attachment, namespaced=False)
    wrong += driver_name_errors(spec.get("attacher", ""), "spec.attacher")
    source = spec.get("source") or {}
    volume, inline = source.get("persistentVolumeName"), source.get("inlineVolumeSpec")
    if volume is None and inline is None:
        wrong.append(field.required("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName"))
    elif volume is not None and inline is not None:
        wrong.append(field.forbidden("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName"))
    elif volume is not None:
        wrong += required_text_errors(volume, "spec.source.persistentVolumeName", names.check_dns_subdomain)
    return wrong + required_text_errors(spec.get("nodeName"), "spec.nodeName", names.check_dns_subdomain)


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    if new.get("spec") != old.get("spec"):
        shown = go_text(new.get("spec") or {}, _SPEC)
        wrong.append(FieldError("spec", errors.INVALID, f"Invalid value: {shown}: {IMMUTABLE}"))
    return wrong


def _prepare_create(attachment: Object) -> Object:
    return {**attachment, "status": {"attached": False}}


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttachment",
    plural="volumeattachments",
    namespaced=False,
    schema="io.k8s.api.storage.v1.VolumeAttachment",
    subresources=("status",),
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    prepare_status=keep_all_but_bare_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=metadata_update_errors,
    columns=(
        NAME,
        Column("Attacher", "string", at("spec", "attacher"), format="name"),
        Column("PV", "string", lambda obj, now_ns: get_in(obj, "spec", "source", "persistentVolumeName") or ""),
        Column("Node", "string", at("spec", "nodeName")),
        Column("Attached", "boolean", at("status", "attached", missing=False)),
        AGE,
    ),
    has_generation=False,
    allow_unconditional_update=False,
)
