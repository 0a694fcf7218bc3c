"""ValidatingAdmissionPolicyBinding. Upstream: pkg/apis/admissionregistration/validation/validation.go and its defaults."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.admission_policies import BINDING_COLUMNS, binding_errors, default_binding
from kubesim.api.kinds.parts.checks import choice_errors
from kubesim.api.kinds.parts.metadata import metadata_update_errors
from kubesim.api.kinds.parts.shape import get_in

Object = dict[str, Any]


def _validate(binding: Object) -> Sequence[FieldError]:
    wrong = binding_errors(binding)
    actions = get_in(binding, "spec", "validationActions") or []
    if not actions:
        wrong.append(field.required("spec.validationActions"))
    for index, action in enumerate(actions):
        wrong += choice_errors(action, f"spec.validationActions[{index}]", ("Audit", "Deny", "Warn"))
        if action in actions[:index]:
            wrong.append(field.duplicate(f"spec.validationActions[{index}]", action))
    if "Deny" in actions and "Warn" in actions:
        again = "repeating the same validation failure information in the API response and headers serves no purpose"
        why = f"must not contain both Deny and Warn ({again})"
        wrong.append(field.invalid("spec.validationActions", actions, why))
    return wrong


KIND = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingAdmissionPolicyBinding",
    plural="validatingadmissionpolicybindings",
    namespaced=False,
    categories=("api-extensions",),
    schema="io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
    default=default_binding,
    validate=_validate,
    validate_update=metadata_update_errors,
    columns=BINDING_COLUMNS,
    allow_unconditional_update=False,
)
