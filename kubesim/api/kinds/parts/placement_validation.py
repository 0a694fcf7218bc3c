"""Validation of where a Pod may run: affinity, tolerations, topology spread, scheduling gates.

Upstream: validateAffinity, ValidateTolerations, validateTopologySpreadConstraints in pkg/apis/core/validation/validation.go.
"""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.parts.checks import choice_errors, text_errors
from kubesim.api.kinds.parts.label_selector import label_selector_errors

Object = dict[str, Any]
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED, _PREFERRED = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
_WEIGHT_WRONG = "must be in the range 1-100"
_SPREAD = ("DoNotSchedule", "ScheduleAnyway")
_POLICIES = ("Honor", "Ignore")


def affinity_errors(affinity: Object | None, path: str) -> list[FieldError]:
    """Errors of node affinity, Pod affinity and Pod anti-affinity."""
    if not affinity:
        return []
    wrong: list[FieldError] = []
    if node := affinity.get("nodeAffinity"):
        wrong += _node_affinity_errors(node, f"{path}.nodeAffinity")
    for name in ("podAffinity", "podAntiAffinity"):
        if pod := affinity.get(name):
            wrong += _pod_affinity_errors(pod, f"{path}.{name}")
    return wrong


def _node_affinity_errors(affinity: Object, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    required = affinity.get(_REQUIRED)
    if required is not None:
        wrong += node_selector_errors(required, f"{path}.{_REQUIRED}")
    for index, term in enumerate(affinity.get(_PREFERRED) or ()):
        at = f"{path}.{_PREFERRED}[{index}]"
        if not 1 <= term.get("weight", 0) <= 100:
            wrong.append(field.invalid(f"{at}.weight", term.get("weight", 0), _WEIGHT_WRONG))
        wrong += _node_term_errors(term.get("preference") or {}, f"{at}.preference")
    return wrong


def node_selector_errors(selector: Object, path: str) -> list[FieldError]:
    """A NodeSelector: at least one term."""
    terms = selector.get("nodeSelectorTerms") or ()
    if not terms:
        return [field.required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")]
    return [error for index, term in enumerate(terms) for error in _node_term_errors(term, f"{path}.nodeSelectorTerms[{index}]")]


def _node_term_errors(term: Object, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        wrong += _node_expression_errors(expression, f"{path}.matchExpressions[{index}]")
    for index, expression in enumerate(term.get("matchFields") or ()):
        wrong += _node_field_errors(expression, f"{path}.matchFields[{index}]")
    return wrong


def _node_expression_errors(expression: Object, path: str) -> list[FieldError]:
    operator, values = expression.get("operator", ""), expression.get("values") or ()
    wrong: list[FieldError] = []
    if operator in ("In", "NotIn"):
        if not values:
            wrong.append(field.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            wrong.append(field.forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            wrong.append(field.required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'"))
    else:
        wrong.append(field.invalid(f"{path}.operator", operator, "not a valid selector operator"))
    return wrong + text_errors(expression.get("key", ""), f"{path}.key", names.check_qualified_name)


def _node_field_errors(expression: Object, path: str) -> list[FieldError]:
    operator, values = expression.get("operator", ""), expression.get("values") or ()
    wrong: list[FieldError] = []
    if operator not in ("In", "NotIn"):
        wrong.append(field.invalid(f"{path}.operator", operator, "not a valid selector operator"))
    elif len(values) != 1:
        wrong.append(field.required(f"{path}.values", "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
    if expression.get("key") != "metadata.name":
        wrong.append(field.invalid(f"{path}.key", expression.get("key", ""), "not a valid field selector key"))
        return wrong
    return wrong + [
        error for index, value in enumerate(values) for error in text_errors(value, f"{path}.values[{index}]", names.check_dns_subdomain)
    ]


def _pod_affinity_errors(affinity: Object, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    for index, term in enumerate(affinity.get(_REQUIRED) or ()):
        wrong += _pod_term_errors(term, f"{path}.{_REQUIRED}[{index}]")
    for index, weighted in enumerate(affinity.get(_PREFERRED) or ()):
        at = f"{path}.{_PREFERRED}[{index}]"
        if not 1 <= weighted.get("weight", 0) <= 100:
            wrong.append(field.invalid(f"{at}.weight", weighted.get("weight", 0), _WEIGHT_WRONG))
        wrong += _pod_term_errors(weighted.get("podAffinityTerm") or {}, f"{at}.podAffinityTerm")
    return wrong


def _pod_term_errors(term: Object, path: str) -> list[FieldError]:
    wrong = label_selector_errors(term.get("labelSelector"), f"{path}.labelSelector")
    wrong += label_selector_errors(term.get("namespaceSelector"), f"{path}.namespaceSelector")
    for namespace in term.get("namespaces") or ():
        wrong += text_errors(namespace, f"{path}.namespace", names.check_dns_label)
    key = term.get("topologyKey", "")
    if not key:
        wrong.append(field.required(f"{path}.topologyKey", "can not be empty"))
    return wrong + text_errors(key, f"{path}.topologyKey", names.check_qualified_name)


def toleration_errors(tolerations: Sequence[Object], path: str) -> list[FieldError]:
    """Errors of tolerations."""
    return [error for index, toleration in enumerate(tolerations) for error in _toleration_errors(toleration, f"{path}[{index}]")]


def _toleration_errors(toleration: Object, path: str) -> list[FieldError]:
    key, operator, value = toleration.get("key", ""), toleration.get("operator") or "", toleration.get("value") or ""
    effect = toleration.get("effect") or ""
    wrong = text_errors(key, f"{path}.key", names.check_qualified_name) if key else []
    if not key and operator != "Exists":
        detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        wrong.append(field.invalid(f"{path}.operator", operator, detail))
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        wrong.append(field.invalid(f"{path}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
    if operator in ("Equal", ""):
        wrong += text_errors(value, f"{path}.operator", names.check_label_value)
    elif operator == "Exists":
        if value:
            wrong.append(field.invalid(f"{path}.operator", value, "value must be empty when `operator` is 'Exists'"))
    else:
        wrong.append(field.not_supported(f"{path}.operator", operator, ("Equal", "Exists")))
    return wrong + choice_errors(effect, f"{path}.effect", EFFECTS)


def spread_errors(constraints: Sequence[Object], path: str) -> list[FieldError]:
    """Errors of topology spread constraints."""
    wrong: list[FieldError] = []
    for index, constraint in enumerate(constraints):
        at = f"{path}[{index}]"
        wrong += _constraint_errors(constraint, at)
        pair = (constraint.get("topologyKey"), constraint.get("whenUnsatisfiable"))
        if pair in [(other.get("topologyKey"), other.get("whenUnsatisfiable")) for other in constraints[index + 1 :]]:
            wrong.append(field.duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{pair[0]}, {pair[1]}}}"))
        wrong += label_selector_errors(constraint.get("labelSelector"), f"{at}.labelSelector")
    return wrong


def _constraint_errors(constraint: Object, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    skew, domains, when = constraint.get("maxSkew", 0), constraint.get("minDomains"), constraint.get("whenUnsatisfiable", "")
    if skew <= 0:
        wrong.append(field.invalid(f"{path}.maxSkew", skew, "must be greater than zero"))
    if not constraint.get("topologyKey"):
        wrong.append(field.required(f"{path}.topologyKey", "can not be empty"))
    if when not in _SPREAD:
        wrong.append(field.not_supported(f"{path}.whenUnsatisfiable", when, _SPREAD))
    if domains is not None:
        if domains <= 0:
            wrong.append(field.invalid(f"{path}.minDomains", domains, "must be greater than zero"))
        if when != "DoNotSchedule":
            detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}"
            wrong.append(field.invalid(f"{path}.minDomains", domains, detail))
    for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        wrong += choice_errors(constraint.get(name), f"{path}.{name}", _POLICIES)
    return wrong


def gate_errors(gates: Sequence[Object], path: str) -> list[FieldError]:
    """Errors of scheduling gates: qualified names, each once."""
    wrong: list[FieldError] = []
    seen: set[str] = set()
    for index, gate in enumerate(gates):
        name = gate.get("name", "")
        wrong += text_errors(name, f"{path}[{index}]", names.check_qualified_name)
        if name in seen:
            wrong.append(field.duplicate(f"{path}[{index}]", name))
        seen.add(name)
    return wrong
