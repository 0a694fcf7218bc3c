"""ValidatingAdmissionPolicies: decisions about one operation, and what is refused, warned about or noted because of them.

Upstream: apiserver/pkg/admission/plugin/policy/validating (dispatcher.go, validator.go).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from kubesim.api import cel
from kubesim.api.errors import ApiError, forbidden
from kubesim.apiserver.dynamic.expressions import Expression, conditions_hold, expression
from kubesim.apiserver.dynamic.invocations import Invocation
from kubesim.apiserver.dynamic.operation import Operation

Object = dict[str, Any]
INVALID = "Invalid"
CODES = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413}
MESSAGE_BYTES_MAX = 5 * 1024
ANNOTATION_BYTES_MAX = 10 * 1024
FAILURE_KEY = "validation.policy.admission.k8s.io/validation_failure"


class Validation(NamedTuple):
    """One validation of a policy (``message``: its messageExpression), or one audit annotation (``key``)."""

    given: Mapping[str, Any]
    rule: Expression
    message: Expression | None = None
    key: str = ""


class Denial(NamedTuple):
    """A validation that does not hold, or an error that counts as one."""

    place: int
    message: str
    reason: str = ""


def validations_of(spec: Mapping[str, Any]) -> Iterator[Validation]:
    """The validations and audit annotations of a policy, compiled."""
    for given in spec.get("validations") or ():
        message = expression(given["messageExpression"]) if given.get("messageExpression") else None
        yield Validation(given, expression(given.get("expression", "")), message)
    for given in spec.get("auditAnnotations") or ():
        yield Validation(given, expression(given.get("valueExpression", "")), None, given.get("key", ""))


Bind = Callable[[Invocation], Object]


def validate(operation: Operation, invocations: Iterable[Invocation], bind: Bind) -> None:
    """Evaluate all; warn and note as the bindings say. Raises the ApiError of the first denial."""
    denied: list[tuple[Invocation, Denial]] = []
    notes: dict[str, list[str]] = {}
    for invocation in invocations:
        policy = invocation.policy
        if invocation.problem:
            if policy.fails:
                denied.append((invocation, Denial(0, invocation.problem)))
            continue
        bindings = bind(invocation)
        actions = (invocation.binding or {})["spec"].get("validationActions") or ()
        decided, annotations = _decide(invocation, bindings)
        for denial in decided:
            for action in actions:
                if action == "Deny":
                    denied.append((invocation, denial))
                elif action == "Warn":
                    operation.request.warn(f"Validation failed for {_named(invocation)}: {denial.message}")
                else:
                    _note_failure(operation, invocation, denial, actions)
        for key, value, problem in annotations:
            if problem:
                denied.append((invocation, Denial(0, problem)))
            elif value and value not in notes.setdefault(f"{policy.name}/{key}", []):
                notes[f"{policy.name}/{key}"].append(value.encode()[:ANNOTATION_BYTES_MAX].decode(errors="ignore"))
    operation.annotations |= {key: ", ".join(values) for key, values in notes.items()}
    if denied:
        raise _refused(operation, *denied[0])


def _named(invocation: Invocation) -> str:
    name = f"ValidatingAdmissionPolicy '{invocation.policy.name}'"
    return name if invocation.binding is None else f"{name} with binding '{invocation.binding['metadata']['name']}'"


def _refused(operation: Operation, invocation: Invocation, denial: Denial) -> ApiError:
    message = f"{_named(invocation)} denied request: {denial.message}"
    error = forbidden(operation.resource.name, operation.name or "Unknown", message)
    reason = denial.reason or INVALID
    details = {**error.details, "causes": [{"message": message}]}
    return ApiError(CODES.get(reason, 422), reason, error.message, details)


Annotation = tuple[str, str, str]  # key, value, problem


def _decide(invocation: Invocation, bindings: Mapping[str, Any]) -> tuple[list[Denial], list[Annotation]]:
    policy = invocation.policy
    matched = conditions_hold(policy.conditions, bindings, not policy.fails)
    if matched.error:
        return [Denial(0, matched.error)], []
    if not matched.holds:
        return [], []
    without = {**bindings, "authorizer": None}  # messages and annotations may not ask about permissions
    denials: list[Denial] = []
    annotations: list[Annotation] = []
    for index, each in enumerate(policy.parts):
        try:
            value = each.rule.evaluate(without if each.key else bindings)
        except cel.CelError as error:
            if policy.fails:
                if each.key:
                    annotations.append((each.key, "", str(error)))
                else:
                    denials.append(Denial(index, str(error)))
            continue
        if each.key:
            annotations.append((each.key, *_annotation(each, value)))
        elif value is not True:
            denials.append(Denial(index, _message(each, without), each.given.get("reason") or INVALID))
    return denials, annotations


def _annotation(each: Validation, value: Any) -> tuple[str, str]:
    if value is None:
        return "", ""
    if isinstance(value, str):
        return value.strip(), ""
    why = f"resulted in unsupported return type: {cel.type_of(value)}. Return type must be either string or null."
    return "", f"valueExpression '{each.rule.source}' {why}"


def _message(each: Validation, bindings: Mapping[str, Any]) -> str:
    if each.message is not None:
        try:
            text = each.message.evaluate(bindings)
        except cel.CelError:
            text = ""
        if isinstance(text, str) and (text := text.strip()) and len(text.encode()) <= MESSAGE_BYTES_MAX and "\n" not in text:
            return text
    given: str = (each.given.get("message") or "").strip()
    return given or f"failed expression: {each.rule.source.strip()}"


def _note_failure(operation: Operation, invocation: Invocation, denial: Denial, actions: Sequence[str]) -> None:
    binding: Object = invocation.binding or {}
    failure = {
        "message": denial.message, "policy": invocation.policy.name, "binding": binding["metadata"]["name"],
        "expressionIndex": denial.place, "validationActions": list(actions),
    }  # fmt: skip
    operation.annotations.setdefault(FAILURE_KEY, orjson.dumps([failure]).decode())
