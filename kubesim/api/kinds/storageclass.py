"""StorageClass. Upstream: pkg/apis/storage/validation/validation.go, pkg/apis/storage/v1/defaults.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import at
from kubesim.api.kinds.parts.checks import choice_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import fill

Object = dict[str, Any]
PARAMETERS_MAX, PARAMETERS_BYTES_MAX = 512, 256 * 1024
DEFAULT_ANNOTATION = "storageclass.kubernetes.io/is-default-class"
_FORBIDDEN = "updates to {} are forbidden."


def _default(storage: Object) -> Object:
    return fill(storage, {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"})


def _validate(storage: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(storage, namespaced=False)
    if not storage.get("provisioner"):
        wrong.append(field.required("provisioner"))
    else:
        found = names.check_qualified_name(storage["provisioner"].lower())
        wrong += [field.invalid("provisioner", storage["provisioner"], message) for message in found]
    wrong += _parameter_errors(storage.get("parameters") or {})
    wrong += choice_errors(storage.get("reclaimPolicy"), "reclaimPolicy", ("Delete", "Retain"))
    return wrong + choice_errors(
        storage.get("volumeBindingMode"), "volumeBindingMode", ("Immediate", "WaitForFirstConsumer"), is_required=True
    )


def _parameter_errors(parameters: Object) -> list[FieldError]:
    if len(parameters) > PARAMETERS_MAX:
        return [field.too_long("Provisioner Parameters", PARAMETERS_MAX)]  # upstream's path
    wrong = [field.invalid("parameters", key, "field can not be empty.") for key in parameters if not key]
    size = sum(len(key) + len(value) for key, value in parameters.items())
    return [*wrong, field.too_long("parameters", PARAMETERS_BYTES_MAX)] if size > PARAMETERS_BYTES_MAX else wrong


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    for name in ("parameters", "reclaimPolicy"):
        if (new.get(name) or None) != (old.get(name) or None):
            wrong.append(field.forbidden(name, _FORBIDDEN.format(name)))
    wrong += immutable_errors(new.get("provisioner"), old.get("provisioner"), "provisioner")
    if new.get("volumeBindingMode") != old.get("volumeBindingMode"):
        wrong.append(field.invalid("volumeBindingMode", new.get("volumeBindingMode"), "field is immutable"))
    return wrong


def _name_cell(storage: Object, now_ns: int) -> str:
    is_default = (storage["metadata"].get("annotations") or {}).get(DEFAULT_ANNOTATION) == "true"
    return f"{storage['metadata']['name']} (default)" if is_default else storage["metadata"]["name"]


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="StorageClass",
    plural="storageclasses",
    namespaced=False,
    short_names=("sc",),
    schema="io.k8s.api.storage.v1.StorageClass",
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    columns=(
        NAME._replace(cell=_name_cell),
        Column("Provisioner", "string", at("provisioner")),
        Column("ReclaimPolicy", "string", at("reclaimPolicy")),
        Column("VolumeBindingMode", "string", at("volumeBindingMode", missing="<unset>")),
        Column("AllowVolumeExpansion", "string", at("allowVolumeExpansion", missing=False)),
        AGE,
    ),
    has_generation=False,
)
