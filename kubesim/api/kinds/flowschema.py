"""FlowSchema. Upstream: pkg/apis/flowcontrol/validation/validation.go, pkg/apis/flowcontrol/v1/defaults.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import count
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import changed_spec, get_in, keep_all_but_bare_status, keep_status, without_status

Object = dict[str, Any]
PRECEDENCE_MAX = 10000


def _default(schema: Object) -> Object:
    return changed_spec(schema, lambda spec: spec if spec.get("matchingPrecedence") else {**spec, "matchingPrecedence": 1000})


def _validate(schema: Object) -> Sequence[FieldError]:
    spec = schema.get("spec") or {}
    wrong = metadata_errors(schema, namespaced=False)
    precedence = spec.get("matchingPrecedence", 0)
    if precedence <= 0:
        wrong.append(field.invalid("spec.matchingPrecedence", precedence, "must be a positive value"))
    if precedence > PRECEDENCE_MAX:
        wrong.append(field.invalid("spec.matchingPrecedence", precedence, f"must not be greater than {PRECEDENCE_MAX}"))
    if not get_in(spec, "priorityLevelConfiguration", "name"):
        wrong.append(field.required("spec.priorityLevelConfiguration.name"))
    for index, rule in enumerate(spec.get("rules") or ()):
        if not rule.get("subjects"):
            wrong.append(field.required(f"spec.rules[{index}].subjects", "subjects must contain at least one value"))
        if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
            why = "at least one of resourceRules and nonResourceRules has to be non-empty"
            wrong.append(field.required(f"spec.rules[{index}]", why))
    return wrong


def _method_cell(schema: Object, now_ns: int) -> str:
    return get_in(schema, "spec", "distinguisherMethod", "type") or "<none>"


def _missing_cell(schema: Object, now_ns: int) -> str:
    for condition in get_in(schema, "status", "conditions") or ():
        if condition.get("type") == "Dangling":
            return str(condition.get("status", ""))
    return "?"


KIND = Kind(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    kind="FlowSchema",
    plural="flowschemas",
    namespaced=False,
    schema="io.k8s.api.flowcontrol.v1.FlowSchema",
    subresources=("status",),
    default=_default,
    prepare_create=without_status,
    prepare_update=keep_status,
    prepare_status=keep_all_but_bare_status,
    validate=_validate,
    validate_update=metadata_update_errors,
    validate_status=metadata_update_errors,
    columns=(
        NAME,
        Column("PriorityLevel", "string", lambda obj, now_ns: get_in(obj, "spec", "priorityLevelConfiguration", "name") or ""),
        Column("MatchingPrecedence", "string", count("spec", "matchingPrecedence")),
        Column("DistinguisherMethod", "string", _method_cell),
        AGE,
        Column("MissingPL", "string", _missing_cell),
    ),
)
