"""DeviceClass. Upstream: pkg/apis/resource/validation/validation.go. CEL expressions are not compiled."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import get_in

Object = dict[str, Any]
SELECTORS_MAX = 32


def _validate(class_: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(class_, namespaced=False)
    selectors = get_in(class_, "spec", "selectors") or ()
    if len(selectors) > SELECTORS_MAX:
        wrong.append(field.too_many("spec.selectors", len(selectors), SELECTORS_MAX))
    wrong += [field.required(f"spec.selectors[{index}].cel") for index, each in enumerate(selectors) if each.get("cel") is None]
    return wrong


KIND = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="DeviceClass",
    plural="deviceclasses",
    namespaced=False,
    schema="io.k8s.api.resource.v1.DeviceClass",
    validate=_validate,
    validate_update=metadata_update_errors,
    columns=(NAME, AGE),
)
