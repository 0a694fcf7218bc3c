"""MutatingAdmissionPolicy; its expressions are not compiled. Upstream: pkg/apis/admissionregistration/validation and its defaults."""

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
from kubesim.api.kinds.parts.shape import changed_spec, fill

Object = dict[str, Any]


def _default(policy: Object) -> Object:
    return changed_spec(policy, lambda spec: default_policy_spec(fill(spec, {"reinvocationPolicy": "Never"})))


def _validate(policy: Object) -> Sequence[FieldError]:
    spec, wrong = policy.get("spec") or {}, policy_errors(policy)
    if not spec.get("mutations"):
        wrong.append(field.required("spec.mutations", "mutations must contain at least one item"))
    return wrong


KIND = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="MutatingAdmissionPolicy",
    plural="mutatingadmissionpolicies",
    namespaced=False,
    categories=("api-extensions",),
    schema="io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicy",
    default=_default,
    validate=_validate,
    validate_update=metadata_update_errors,
    columns=(NAME, Column("Mutations", "integer", size("spec", "mutations")), PARAMETER_KIND, AGE),
    allow_unconditional_update=False,
)
