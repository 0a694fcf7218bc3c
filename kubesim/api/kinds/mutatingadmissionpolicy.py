"""MutatingAdmissionPolicy; its expressions are not compiled. Upstream: pkg/apis/admissionregistration/validation and its defaults."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.admission_rules import FAILURE_POLICIES, default_policy_spec, match_errors
from kubesim.api.kinds.parts.cells import size
from kubesim.api.kinds.parts.checks import choice_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import changed_spec, fill, get_in

Object = dict[str, Any]


def _default(policy: Object) -> Object:
    return changed_spec(policy, lambda spec: default_policy_spec(fill(spec, {"reinvocationPolicy": "Never"})))


def _validate(policy: Object) -> Sequence[FieldError]:
    spec = policy.get("spec") or {}
    wrong = metadata_errors(policy, namespaced=False)
    wrong += choice_errors(spec.get("failurePolicy"), "spec.failurePolicy", FAILURE_POLICIES)
    if spec.get("matchConstraints") is None:
        wrong.append(field.required("spec.matchConstraints"))
    else:
        wrong += match_errors(spec["matchConstraints"], "spec.matchConstraints")
        if not spec["matchConstraints"].get("resourceRules"):
            wrong.append(field.required("spec.matchConstraints.resourceRules"))
    if not spec.get("mutations"):
        wrong.append(field.required("spec.mutations", "mutations must contain at least one item"))
    return wrong


def _kind_cell(policy: Object, now_ns: int) -> str:
    kind = get_in(policy, "spec", "paramKind")
    return f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else "<unset>"


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
    columns=(NAME, Column("Mutations", "integer", size("spec", "mutations")), Column("ParamKind", "string", _kind_cell), AGE),
    allow_unconditional_update=False,
)
