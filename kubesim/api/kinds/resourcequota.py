"""ResourceQuota. Upstream: pkg/registry/core/resourcequota/strategy.go, ValidateResourceQuota."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.containers import canonical_amounts
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.resource_validation import amount_errors, is_quota_resource, resource_name_errors
from kubesim.api.kinds.parts.shape import change, changed_spec, empty_status, get_in, keep_all_but_status, keep_status

Object = dict[str, Any]
SCOPES = (
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
)
_POD_AMOUNTS = frozenset(("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"))


def _default(quota: Object) -> Object:
    filled = changed_spec(quota, lambda spec: change(spec, "hard", canonical_amounts))
    return change(filled, "status", lambda status: change(change(status, "hard", canonical_amounts), "used", canonical_amounts))


def _hard_errors(amounts: Object, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    for name in sorted(amounts):
        at = f"{path}[{name}]"
        wrong += resource_name_errors(name, at)
        if "/" not in name and not is_quota_resource(name):
            wrong.append(field.invalid(at, name, "must be a standard resource for quota"))
        wrong += amount_errors(name, amounts[name], at)
    return wrong


def _scope_errors(spec: Object) -> list[FieldError]:
    """Each scope is known, fits the resources and does not contradict another."""
    scopes, path = spec.get("scopes") or [], "spec.scopes"
    wrong: list[FieldError] = []
    for scope in scopes:
        if scope not in SCOPES:
            wrong.append(field.invalid(path, scopes, "unsupported scope"))
    hard = spec.get("hard") or {}
    for name in sorted(hard):
        if any(_is_unfit(scope, name) for scope in scopes):
            wrong.append(field.invalid(path, scopes, "unsupported scope applied to resource"))
    for pair in (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")):
        if all(scope in scopes for scope in pair):
            wrong.append(field.invalid(path, scopes, "conflicting scopes"))
    return wrong


def _is_unfit(scope: str, name: str) -> bool:
    """Pods without requests can only be counted; the other scopes of Pods also sum what the Pods ask for."""
    return name != "pods" if scope == "BestEffort" else name != "pods" and name not in _POD_AMOUNTS and "/" not in name


def _selector_errors(spec: Object) -> list[FieldError]:
    wrong: list[FieldError] = []
    path = "spec.scopeSelector.matchExpressions"
    for expression in get_in(spec, "scopeSelector", "matchExpressions") or ():
        name, operator, values = expression.get("scopeName", ""), expression.get("operator", ""), expression.get("values") or []
        if name not in SCOPES:
            wrong.append(field.invalid(f"{path}.scopeName", name, "unsupported scope"))
        if operator in ("In", "NotIn"):
            if not values:
                detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                wrong.append(field.required(f"{path}.values", detail))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                wrong.append(field.invalid(f"{path}.values", values, detail))
        else:
            wrong.append(field.invalid(f"{path}.operator", operator, "not a valid selector operator"))
    return wrong


def _validate(quota: Object) -> Sequence[FieldError]:
    spec = quota.get("spec") or {}
    return metadata_errors(quota) + _hard_errors(spec.get("hard") or {}, "spec.hard") + _scope_errors(spec) + _selector_errors(spec)


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    after, before = get_in(new, "spec", "scopes") or [], get_in(old, "spec", "scopes") or []
    return wrong + (immutable_errors(after, before, "spec.scopes") if sorted(after) != sorted(before) else [])


def _validate_status(new: Object, old: Object) -> Sequence[FieldError]:
    wrong, status = metadata_update_errors(new, old), new.get("status") or {}
    return wrong + _hard_errors(status.get("hard") or {}, "status.hard") + _hard_errors(status.get("used") or {}, "status.used")


def _usage(limits: bool) -> Any:
    """``name: used/hard`` of the limits, or of everything else."""

    def cell(quota: Object, now_ns: int) -> str:
        hard, used = get_in(quota, "status", "hard") or {}, get_in(quota, "status", "used") or {}
        return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard) if name.startswith("limits.") is limits)

    return cell


KIND = Kind(
    update_order="mSu",
    group="",
    version="v1",
    kind="ResourceQuota",
    plural="resourcequotas",
    short_names=("quota",),
    schema="io.k8s.api.core.v1.ResourceQuota",
    subresources=("status",),
    default=_default,
    prepare_create=empty_status,
    prepare_update=keep_status,
    prepare_status=keep_all_but_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
    columns=(NAME, Column("Request", "string", _usage(False)), Column("Limit", "string", _usage(True)), AGE),
    has_generation=False,
)
