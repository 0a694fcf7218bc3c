"""Roles and their bindings, namespaced or not. Upstream: pkg/apis/rbac/validation/validation.go and pkg/apis/rbac/v1/defaults.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import errors, field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.go_struct import Member, go_text
from kubesim.api.kinds.parts.label_selector import label_selector_errors
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import change, change_each, fill

Object = dict[str, Any]
GROUP = "rbac.authorization.k8s.io"
_REFERENCE = (Member("apiGroup", "APIGroup"), Member("kind", "Kind"), Member("name", "Name"))


def role_errors(role: Object, *, namespaced: bool) -> Sequence[FieldError]:
    """Errors of a Role or ClusterRole."""
    wrong = metadata_errors(role, namespaced=namespaced, check=names.check_path_segment)
    for index, rule in enumerate(role.get("rules") or ()):
        wrong += _rule_errors(rule, f"rules[{index}]", namespaced)
    aggregation = role.get("aggregationRule")
    if not namespaced and aggregation is not None:
        path = "aggregationRule.clusterRoleSelectors"
        selectors = aggregation.get("clusterRoleSelectors") or ()
        if not selectors:
            wrong.append(field.required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
        for index, selector in enumerate(selectors):
            wrong += label_selector_errors(selector, f"{path}[{index}]")
    return wrong


def _rule_errors(rule: Object, path: str, namespaced: bool) -> list[FieldError]:
    wrong: list[FieldError] = []
    if not rule.get("verbs"):
        wrong.append(field.required(f"{path}.verbs", "verbs must contain at least one value"))
    if urls := rule.get("nonResourceURLs"):
        if namespaced:
            wrong.append(field.invalid(f"{path}.nonResourceURLs", urls, "namespaced rules cannot apply to non-resource URLs"))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            why = "rules cannot apply to both regular resources and non-resource URLs"
            wrong.append(field.invalid(f"{path}.nonResourceURLs", urls, why))
        return wrong
    if not rule.get("apiGroups"):
        wrong.append(field.required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        wrong.append(field.required(f"{path}.resources", "resource rules must supply at least one resource"))
    return wrong


def default_binding(binding: Object) -> Object:
    """The API group of the role and of users and groups is this one."""
    filled = change(binding, "roleRef", lambda reference: reference if reference.get("apiGroup") else {**reference, "apiGroup": GROUP})
    return change_each(filled, "subjects", _default_subject)


def _default_subject(subject: Object) -> Object:
    return fill(subject, {"apiGroup": GROUP}) if subject.get("kind") in ("User", "Group") else subject


def binding_errors(binding: Object, *, namespaced: bool) -> Sequence[FieldError]:
    """Errors of a RoleBinding or ClusterRoleBinding."""
    wrong = metadata_errors(binding, namespaced=namespaced, check=names.check_path_segment)
    reference = binding.get("roleRef") or {}
    if reference.get("apiGroup") != GROUP:
        wrong.append(field.not_supported("roleRef.apiGroup", reference.get("apiGroup", ""), (GROUP,)))
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    if reference.get("kind") not in kinds:
        wrong.append(field.not_supported("roleRef.kind", reference.get("kind", ""), kinds))
    name = reference.get("name", "")
    if not name:
        wrong.append(field.required("roleRef.name"))
    wrong += [field.invalid("roleRef.name", name, message) for message in names.check_path_segment(name) if name]
    for index, subject in enumerate(binding.get("subjects") or ()):
        wrong += _subject_errors(subject, f"subjects[{index}]", namespaced)
    return wrong


def _subject_errors(subject: Object, path: str, namespaced: bool) -> list[FieldError]:
    wrong: list[FieldError] = []
    name, group = subject.get("name", ""), subject.get("apiGroup", "")
    if not name:
        wrong.append(field.required(f"{path}.name"))
    kind = subject.get("kind", "")
    if kind == "ServiceAccount":
        wrong += [field.invalid(f"{path}.name", name, message) for message in names.check_dns_subdomain(name) if name]
        if group:
            wrong.append(field.not_supported(f"{path}.apiGroup", group, ("",)))
        if not namespaced and not subject.get("namespace"):
            wrong.append(field.required(f"{path}.namespace"))
    elif kind in ("User", "Group"):
        if group != GROUP:
            wrong.append(field.not_supported(f"{path}.apiGroup", group, (GROUP,)))
    else:
        wrong.append(field.not_supported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group")))
    return wrong


def binding_update_errors(new: Object, old: Object) -> Sequence[FieldError]:
    """A binding stays with its role."""
    wrong = metadata_update_errors(new, old)
    if new.get("roleRef") != old.get("roleRef"):
        shown = go_text(new.get("roleRef") or {}, _REFERENCE)
        wrong.append(FieldError("roleRef", errors.INVALID, f"Invalid value: {shown}: cannot change roleRef"))
    return wrong


def _subjects(kind: str) -> Any:
    def cell(binding: Object, now_ns: int) -> str:
        found = [subject for subject in binding.get("subjects") or () if subject.get("kind") == kind]
        if kind == "ServiceAccount":
            return ", ".join(f"{subject.get('namespace', '')}/{subject.get('name', '')}" for subject in found)
        return ", ".join(subject.get("name", "") for subject in found)

    return cell


def _role_cell(binding: Object, now_ns: int) -> str:
    reference = binding.get("roleRef") or {}
    return f"{reference.get('kind', '')}/{reference.get('name', '')}"


BINDING_COLUMNS = (
    NAME,
    Column("Role", "string", _role_cell),
    AGE,
    Column("Users", "string", _subjects("User"), 1),
    Column("Groups", "string", _subjects("Group"), 1),
    Column("ServiceAccounts", "string", _subjects("ServiceAccount"), 1),
)
