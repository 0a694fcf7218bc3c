"""The expressions of admission policies and match conditions, compiled and type-checked when their object is created.

What they are about is not known then (``dyn``); the request, the namespace and the policy's own variables are.

Upstream: pkg/apis/admissionregistration/validation/validation.go, apiserver/pkg/admission/plugin/cel/compile.go.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.cel.checker import check
from kubesim.api.cel.errors import CompileError
from kubesim.api.cel.types import BOOL, DYN, NULL, STRING, Type, parse_type
from kubesim.api.errors import FieldError

Object = dict[str, Any]
_FIELDS = {  # of the types that every expression knows
    "kubernetes.GroupVersionKind": "group string, version string, kind string",
    "kubernetes.GroupVersionResource": "group string, version string, resource string",
    "kubernetes.UserInfo": "username string, uid string, groups list(string), extra map(string,list(string))",
    "kubernetes.AdmissionRequest": "kind kubernetes.GroupVersionKind, resource kubernetes.GroupVersionResource, subResource string, "
    "requestKind kubernetes.GroupVersionKind, requestResource kubernetes.GroupVersionResource, requestSubResource string, name string, "
    "namespace string, operation string, userInfo kubernetes.UserInfo, dryRun bool, options dyn",
    "kubernetes.Namespace": "metadata kubernetes.NamespaceMetadata, spec kubernetes.NamespaceSpec, status kubernetes.NamespaceStatus",
    "kubernetes.NamespaceMetadata": "name string, generateName string, namespace string, labels map(string,string), "
    "annotations map(string,string), UID string, creationTimestamp timestamp, deletionGracePeriodSeconds int, deletionTimestamp timestamp, "
    "generation int, resourceVersion string, finalizers list(string)",
    "kubernetes.NamespaceSpec": "finalizers list(string)",
    "kubernetes.NamespaceStatus": "phase string",
}


def _typed(text: str) -> Type:
    return Type("object", (), text) if text in _FIELDS else parse_type(text)


def _read(text: str) -> dict[str, Type]:
    return {name: _typed(type_) for name, _, type_ in (each.partition(" ") for each in text.split(", "))}


FIELDS: Mapping[str, Mapping[str, Type]] = {name: _read(text) for name, text in _FIELDS.items()}
VARIABLES = Type("object", (), "kubernetes.variables")
AUTHORIZER = Type("kubernetes.authorization.Authorizer")
SHOWN = {BOOL: "bool", STRING: "string", NULL: "null_type"}


class Environment:
    """What an expression may name; ``variables`` grow as they are checked."""

    def __init__(self, has_params: bool) -> None:
        self.variables: dict[str, Type] = {}
        self.names: dict[str, Type] = {
            "object": DYN, "oldObject": DYN, "request": Type("object", (), "kubernetes.AdmissionRequest"),
            "namespaceObject": Type("object", (), "kubernetes.Namespace"), "authorizer": AUTHORIZER, "variables": VARIABLES,
        }  # fmt: skip
        if has_params:
            self.names["params"] = DYN

    def field_of(self, of: Type, name: str) -> Type | None:
        """The type of an object's field."""
        return self.variables.get(name) if of == VARIABLES else FIELDS.get(of.of, {}).get(name)

    def errors(self, source: str, path: str, wanted: Sequence[Type], without: Sequence[str] = ()) -> tuple[list[FieldError], Type]:
        """What is wrong with an expression, and its type."""
        names = {name: type_ for name, type_ in self.names.items() if name not in without}
        try:
            found = check(source, names, self.field_of).type
        except CompileError as error:
            return [field.invalid(path, source, f"compilation failed: {error}")], DYN
        if wanted and found not in (*wanted, DYN):
            shown = SHOWN[wanted[0]] if len(wanted) == 1 else f"one of [{' '.join(SHOWN[each] for each in wanted)}]"
            return [field.invalid(path, source, f"must evaluate to {shown}")], found
        return [], found


def policy_expression_errors(spec: Object) -> list[FieldError]:
    """Errors of the variables, conditions, validations and audit annotations of a validating policy."""
    environment = Environment(spec.get("paramKind") is not None)
    wrong: list[FieldError] = []
    for index, variable in enumerate(spec.get("variables") or ()):
        text = variable.get("expression") or ""
        if text.strip():
            found, type_ = environment.errors(text, f"spec.variables[{index}].expression", ())
            wrong += found
            environment.variables[variable.get("name", "")] = type_
    wrong += condition_errors(spec.get("matchConditions") or (), "spec.matchConditions", environment)
    for index, validation in enumerate(spec.get("validations") or ()):
        at = f"spec.validations[{index}]"
        if (validation.get("expression") or "").strip():
            wrong += environment.errors(validation["expression"], f"{at}.expression", (BOOL,))[0]
        if validation.get("messageExpression"):
            wrong += environment.errors(validation["messageExpression"], f"{at}.messageExpression", (STRING,), ("authorizer",))[0]
    for index, annotation in enumerate(spec.get("auditAnnotations") or ()):
        if (annotation.get("valueExpression") or "").strip():
            at = f"spec.auditAnnotations[{index}].valueExpression"
            wrong += environment.errors(annotation["valueExpression"], at, (STRING, NULL))[0]
    return wrong


def condition_errors(conditions: Sequence[Object], path: str, environment: Environment | None = None) -> list[FieldError]:
    """Errors of the expressions of match conditions, of a policy or of a webhook."""
    without = ("variables",) if environment is None else ()
    environment = environment or Environment(False)
    wrong: list[FieldError] = []
    for index, condition in enumerate(conditions):
        if (condition.get("expression") or "").strip():
            wrong += environment.errors(condition["expression"], f"{path}[{index}].expression", (BOOL,), without)[0]
    return wrong
