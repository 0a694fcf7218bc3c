"""Whether a policy or a webhook is about an operation: rules, selectors, equivalent versions. Pure but for the namespaces it looks up.

Upstream: apiserver/pkg/admission/plugin/webhook/predicates (rules, namespace, object), policy/matching/matching.go.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubesim.api import selectors
from kubesim.api.errors import not_found
from kubesim.apiserver.dynamic.operation import DELETE, Operation

Object = dict[str, Any]
Namespaces = Callable[[str], Object | None]
ALL = "*"


def _has(values: Sequence[str], value: str) -> bool:
    return ALL in values or value in values


def rule_matches(rule: Mapping[str, Any], operation: Operation, version: str) -> bool:
    """Whether a rule is about the operation on the resource in a version."""
    kind = operation.resource.kind
    return (
        _scope_matches(rule.get("scope") or ALL, operation)
        and _has(rule.get("operations") or (), operation.operation)
        and _has(rule.get("apiGroups") or (), kind.group)
        and _has(rule.get("apiVersions") or (), version)
        and any(_resource_matches(each, kind.plural, operation.subresource) for each in rule.get("resources") or ())
        and (not rule.get("resourceNames") or operation.name in rule["resourceNames"])
    )


def _resource_matches(wanted: str, plural: str, subresource: str) -> bool:
    resource, _, part = wanted.partition("/")
    return resource in (ALL, plural) and part in (ALL, subresource)


def _scope_matches(scope: str, operation: Operation) -> bool:
    if scope == ALL:
        return True
    is_namespaced = operation.resource.namespaced and not operation.is_namespace
    return is_namespaced == (scope == "Namespaced")


def version_of(rules: Iterable[Mapping[str, Any]], operation: Operation, versions: Sequence[str]) -> str:
    """The version in which the first fitting rule wants the object, or "". ``versions``: the request's own, then the equivalent ones."""
    given = list(rules)
    for version in versions:
        if any(rule_matches(rule, operation, version) for rule in given):
            return version
    return ""


def object_matches(selector: Mapping[str, Any] | None, operation: Operation) -> bool:
    """Whether the labels of the object, or of the one before, are selected."""
    if not selector:
        return True
    matches = selectors.from_object(selector).matches
    return any(obj is not None and "metadata" in obj and matches(_labels(obj)) for obj in (operation.obj, operation.old))


def _labels(obj: Object) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}


def namespace_matches(selector: Mapping[str, Any] | None, operation: Operation, namespaces: Namespaces) -> bool:
    """Whether the namespace of the object is selected; what is in none always is. Raises ApiError 404."""
    if not selector:
        return True
    matches = selectors.from_object(selector).matches
    if operation.is_namespace:
        obj = operation.old if operation.operation == DELETE else operation.obj
        return matches(_labels(obj or {"metadata": {}}))
    if not operation.namespace:
        return True
    found = namespaces(operation.namespace)
    if found is None:
        raise not_found("namespaces", operation.namespace)
    return matches(_labels(found))


def matched_version(match: Mapping[str, Any], operation: Operation, versions: Sequence[str], namespaces: Namespaces) -> str:
    """The version in which a MatchResources wants the object, or "" when it is about something else. Raises ApiError 404."""
    if not namespace_matches(match.get("namespaceSelector"), operation, namespaces):
        return ""
    if not object_matches(match.get("objectSelector"), operation):
        return ""
    usable = versions[:1] if match.get("matchPolicy") == "Exact" else versions
    if version_of(match.get("excludeResourceRules") or (), operation, usable):
        return ""
    rules = match.get("resourceRules") or ()
    if not rules:
        return versions[0]
    return version_of(rules, operation, usable)
