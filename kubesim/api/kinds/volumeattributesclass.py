"""VolumeAttributesClass. Upstream: pkg/apis/storage/validation/validation.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.csidriver import driver_name_errors
from kubesim.api.kinds.parts.cells import at
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors

Object = dict[str, Any]
PARAMETERS_MAX = 512
PARAMETERS_BYTES_MAX = 256 * 1024


def _validate(class_: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(class_, namespaced=False)
    wrong += driver_name_errors(class_.get("driverName", ""), "driverName")
    parameters = class_.get("parameters") or {}
    if not parameters:
        return [*wrong, field.required("parameters", "must contain at least one key/value pair")]
    if len(parameters) > PARAMETERS_MAX:
        wrong.append(field.too_long("Provisioner Parameters", PARAMETERS_MAX))  # upstream's path
        return wrong
    wrong += [field.invalid("parameters", key, "field can not be empty.") for key in parameters if not key]
    if sum(len(key) + len(value) for key, value in parameters.items()) > PARAMETERS_BYTES_MAX:
        wrong.append(field.too_long("parameters", PARAMETERS_BYTES_MAX))
    return wrong


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    for name in ("driverName", "parameters"):
        if new.get(name) != old.get(name):
            wrong.append(field.forbidden(name, f"updates to {name} are forbidden."))
    return wrong


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttributesClass",
    plural="volumeattributesclasses",
    namespaced=False,
    short_names=("vac",),
    schema="io.k8s.api.storage.v1.VolumeAttributesClass",
    validate=_validate,
    validate_update=_validate_update,
    columns=(NAME, Column("DriverName", "string", at("driverName")), AGE),
    has_generation=False,
)
