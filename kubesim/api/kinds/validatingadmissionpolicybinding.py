"""ValidatingAdmissionPolicyBinding. Upstream: pkg/apis/admissionregistration/validation/validation.go and its defaults."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.admission_rules import default_match, match_errors
from kubesim.api.kinds.parts.cells import at
from kubesim.api.kinds.parts.checks import choice_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import change, get_in

Object = dict[str, Any]


def _default(binding: Object) -> Object:
    return change(binding, "spec", lambda spec: change(spec, "matchResources", default_match))


def _validate(binding: Object) -> Sequence[FieldError]:
    spec = binding.get("spec") or {}
    wrong = metadata_errors(binding, namespaced=False)
    name = spec.get("policyName", "")
    if not name:
        wrong.append(field.required("spec.policyName"))
    else:
        wrong += [field.invalid("spec.policyName", name, message) for message in names.check_dns_subdomain(name)]
    if spec.get("matchResources") is not None:
        wrong += match_errors(spec["matchResources"], "spec.matchResources")
    actions = spec.get("validationActions") or []
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


def _parameter_cell(binding: Object, now_ns: int) -> str:
    reference = get_in(binding, "spec", "paramRef")
    if not reference:
        return "<unset>"
    name = reference.get("name") or "*"
    return f"{reference['namespace']}/{name}" if reference.get("namespace") else name


KIND = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingAdmissionPolicyBinding",
    plural="validatingadmissionpolicybindings",
    namespaced=False,
    categories=("api-extensions",),
    schema="io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
    default=_default,
    validate=_validate,
    validate_update=metadata_update_errors,
    columns=(NAME, Column("PolicyName", "string", at("spec", "policyName")), Column("ParamRef", "string", _parameter_cell), AGE),
    allow_unconditional_update=False,
)
