"""ResourceClaimTemplate. Upstream: pkg/apis/resource/validation/validation.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import errors, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.devices import SPEC, default_spec, spec_errors
from kubesim.api.kinds.parts.go_struct import go_values
from kubesim.api.kinds.parts.metadata import IMMUTABLE, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import change, get_in

Object = dict[str, Any]


def _validate(template: Object) -> Sequence[FieldError]:
    metadata = get_in(template, "spec", "metadata") or {}
    wrong = metadata_errors(template)
    wrong += names.label_errors(metadata.get("labels"), "spec.metadata.labels")
    wrong += names.annotation_errors(metadata.get("annotations"), "spec.metadata.annotations")
    return wrong + spec_errors(get_in(template, "spec", "spec") or {}, "spec.spec")


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    if new.get("spec") != old.get("spec"):
        shown = go_values(get_in(new, "spec", "spec") or {}, SPEC)
        wrong.append(FieldError("spec", errors.INVALID, f"Invalid value: {shown}: {IMMUTABLE}"))
    return wrong


KIND = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceClaimTemplate",
    plural="resourceclaimtemplates",
    schema="io.k8s.api.resource.v1.ResourceClaimTemplate",
    default=lambda template: change(template, "spec", lambda spec: change(spec, "spec", default_spec)),
    validate=_validate,
    validate_update=_validate_update,
    columns=(NAME, AGE),
    has_generation=False,
)
