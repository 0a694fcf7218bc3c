"""What webhook configurations and admission policies share: rules of resources, selectors. Upstream: pkg/apis/admissionregistration."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.parts.checks import choice_errors
from kubesim.api.kinds.parts.label_selector import label_selector_errors
from kubesim.api.kinds.parts.policy_expressions import condition_errors
from kubesim.api.kinds.parts.shape import change, change_each, fill

Object = dict[str, Any]
OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
SCOPES = ("*", "Cluster", "Namespaced")
_SELECTORS: Object = {"namespaceSelector": {}, "objectSelector": {}}


def default_rules(values: Object, name: str) -> Object:
    """Rules apply to every scope unless they say otherwise."""
    return change_each(values, name, lambda rule: fill(rule, {"scope": "*"}))


def default_match(values: Object) -> Object:
    """MatchResources (or a webhook): everything matches."""
    filled = fill(values, {"matchPolicy": "Equivalent", **_SELECTORS})
    return default_rules(default_rules(filled, "resourceRules"), "excludeResourceRules")


def default_policy_spec(spec: Object) -> Object:
    """The spec of an admission policy."""
    return change(fill(spec, {"failurePolicy": "Fail"}), "matchConstraints", default_match)


def rule_errors(rule: Object, path: str) -> list[FieldError]:
    """Errors of one rule: operations, groups, versions, resources."""
    wrong: list[FieldError] = []
    for name in ("apiGroups", "apiVersions"):
        values = rule.get(name) or []
        if not values:
            wrong.append(field.required(f"{path}.{name}"))
        elif "*" in values and len(values) > 1:
            wrong.append(field.invalid(f"{path}.{name}", values, f"if '*' is present, must not specify other {_plural(name)}"))
    wrong += [
        field.required(f"{path}.apiVersions[{index}]") for index, version in enumerate(rule.get("apiVersions") or ()) if not version
    ]
    operations = rule.get("operations") or []
    if not operations:
        wrong.append(field.required(f"{path}.operations"))
    elif "*" in operations and len(operations) > 1:
        wrong.append(field.invalid(f"{path}.operations", operations, "if '*' is present, must not specify other operations"))
    for index, operation in enumerate(operations):
        wrong += choice_errors(operation, f"{path}.operations[{index}]", OPERATIONS)
    resources = rule.get("resources") or []
    if not resources:
        wrong.append(field.required(f"{path}.resources"))
    return wrong + choice_errors(rule.get("scope"), f"{path}.scope", SCOPES)


def _plural(name: str) -> str:
    return {"apiGroups": "API groups", "apiVersions": "API versions"}[name]


def match_errors(match: Object, path: str) -> list[FieldError]:
    """Errors of MatchResources."""
    wrong = choice_errors(match.get("matchPolicy"), f"{path}.matchPolicy", MATCH_POLICIES)
    for name in ("namespaceSelector", "objectSelector"):
        wrong += label_selector_errors(match.get(name), f"{path}.{name}")
    for name in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(match.get(name) or ()):
            wrong += rule_errors(rule, f"{path}.{name}[{index}]")
    return wrong


def webhook_errors(webhook: Object, path: str) -> list[FieldError]:
    """Errors of what validating and mutating webhooks share."""
    wrong = fully_qualified_errors(webhook.get("name", ""), f"{path}.name")
    for index, rule in enumerate(webhook.get("rules") or ()):
        wrong += rule_errors(rule, f"{path}.rules[{index}]")
    wrong += choice_errors(webhook.get("failurePolicy"), f"{path}.failurePolicy", FAILURE_POLICIES)
    wrong += choice_errors(webhook.get("matchPolicy"), f"{path}.matchPolicy", MATCH_POLICIES)
    effects = webhook.get("sideEffects")
    if effects is None:
        wrong.append(field.required(f"{path}.sideEffects", "must specify one of None, NoneOnDryRun"))
    else:
        wrong += choice_errors(effects, f"{path}.sideEffects", ("None", "NoneOnDryRun"))
    timeout = webhook.get("timeoutSeconds")
    if timeout is not None and not 1 <= timeout <= 30:
        wrong.append(field.invalid(f"{path}.timeoutSeconds", timeout, "the timeout value must be between 1 and 30 seconds"))
    for name in ("namespaceSelector", "objectSelector"):
        wrong += label_selector_errors(webhook.get(name), f"{path}.{name}")
    wrong += condition_errors(webhook.get("matchConditions") or (), f"{path}.matchConditions")
    client = webhook.get("clientConfig") or {}
    if ("url" in client) == ("service" in client):
        wrong.append(field.required(f"{path}.clientConfig", "exactly one of url or service is required"))
    return wrong


def version_errors(versions: Sequence[str], path: str) -> list[FieldError]:
    """Errors of admissionReviewVersions."""
    if not versions:
        return [field.required(path, "must specify one of v1, v1beta1")]
    wrong: list[FieldError] = []
    for index, version in enumerate(versions):
        if version in versions[:index]:
            wrong.append(field.invalid(f"{path}[{index}]", version, "duplicate version"))
        wrong += [field.invalid(f"{path}[{index}]", version, message) for message in names.check_dns_1035_label(version)]
    if not any(version in ("v1", "v1beta1") for version in versions):
        wrong.append(field.invalid(path, list(versions), "must include at least one of v1, v1beta1"))
    return wrong


def fully_qualified_errors(name: str, path: str) -> list[FieldError]:
    """A webhook's name: a domain of at least three parts."""
    if not name:
        return [field.required(path)]
    wrong = [field.invalid(path, name, message) for message in names.check_dns_subdomain(name)]
    if not wrong and name.count(".") < 2:
        wrong.append(field.invalid(path, name, "should be a domain with at least three segments separated by dots"))
    return wrong
