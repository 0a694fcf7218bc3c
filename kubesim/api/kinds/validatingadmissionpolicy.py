"""ValidatingAdmissionPolicy. Upstream: pkg/apis/admissionregistration/validation and its defaults."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.admission_policies import PARAMETER_KIND, policy_errors
from kubesim.api.kinds.parts.admission_rules import default_policy_spec
from kubesim.api.kinds.parts.cells import size
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_update_errors
from kubesim.api.kinds.parts.policy_expressions import policy_expression_errors
from kubesim.api.kinds.parts.shape import changed_spec, keep_all_but_bare_status, keep_status, without_status

Object = dict[str, Any]


def _default(policy: Object) -> Object:
    return changed_spec(policy, default_policy_spec)


def _validate(policy: Object) -> Sequence[FieldError]:
    spec, wrong = policy.get("spec") or {}, policy_errors(policy)
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        wrong.append(field.required("spec.validations", "validations or auditAnnotations must be non-empty"))
    for index, validation in enumerate(spec.get("validations") or ()):
        if not (validation.get("expression") or "").strip():
            wrong.append(field.required(f"spec.validations[{index}].expression", "expression is not specified"))
    return [*wrong, *policy_expression_errors(spec)]


KIND = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingAdmissionPolicy",
    plural="validatingadmissionpolicies",
    namespaced=False,
    categories=("api-extensions",),
    schema="io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy",
    subresources=("status",),
    prepare_create=without_status,
    prepare_update=keep_status,
    prepare_status=keep_all_but_bare_status,
    validate_status=metadata_update_errors,
    default=_default,
    validate=_validate,
    validate_update=metadata_update_errors,
    columns=(NAME, Column("Validations", "integer", size("spec", "validations")), PARAMETER_KIND, AGE),
    allow_unconditional_update=False,
)
