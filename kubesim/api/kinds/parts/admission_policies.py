"""What validating and mutating admission policies share, and their bindings. Upstream: pkg/apis/admissionregistration/validation."""

from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column
from kubesim.api.kinds.parts.admission_rules import FAILURE_POLICIES, default_match, match_errors
from kubesim.api.kinds.parts.cells import at
from kubesim.api.kinds.parts.checks import choice_errors, required_text_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors
from kubesim.api.kinds.parts.shape import change, get_in

Object = dict[str, Any]
UNSET = "<unset>"


def policy_errors(policy: Object) -> list[FieldError]:
    """Errors of a policy, but for what it does."""
    spec = policy.get("spec") or {}
    wrong = metadata_errors(policy, namespaced=False)
    wrong += choice_errors(spec.get("failurePolicy"), "spec.failurePolicy", FAILURE_POLICIES)
    if spec.get("matchConstraints") is None:
        return [*wrong, field.required("spec.matchConstraints")]
    wrong += match_errors(spec["matchConstraints"], "spec.matchConstraints")
    if not spec["matchConstraints"].get("resourceRules"):
        wrong.append(field.required("spec.matchConstraints.resourceRules"))
    return wrong


def _kind_cell(policy: Object, now_ns: int) -> str:
    kind = get_in(policy, "spec", "paramKind")
    return f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else UNSET


PARAMETER_KIND = Column("ParamKind", "string", _kind_cell)


def default_binding(binding: Object) -> Object:
    """A binding that says what it matches matches it as rules do."""
    return change(binding, "spec", lambda spec: change(spec, "matchResources", default_match))


def binding_errors(binding: Object) -> list[FieldError]:
    """Errors of a binding, but for its actions."""
    spec = binding.get("spec") or {}
    wrong = metadata_errors(binding, namespaced=False)
    wrong += required_text_errors(spec.get("policyName"), "spec.policyName", names.check_dns_subdomain)
    return wrong if spec.get("matchResources") is None else wrong + match_errors(spec["matchResources"], "spec.matchResources")


def _parameter_cell(binding: Object, now_ns: int) -> str:
    reference = get_in(binding, "spec", "paramRef")
    if not reference:
        return UNSET
    name = reference.get("name") or "*"
    return f"{reference['namespace']}/{name}" if reference.get("namespace") else name


BINDING_COLUMNS = (NAME, Column("PolicyName", "string", at("spec", "policyName")), Column("ParamRef", "string", _parameter_cell), AGE)
