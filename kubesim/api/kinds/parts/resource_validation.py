"""Validation of resource names and amounts. Upstream: ValidateContainerResourceRequirements and its helpers."""

from collections.abc import Mapping
from typing import Any

from kubesim.api import field, names, quantity
from kubesim.api.errors import FieldError

Object = dict[str, Any]
_CONTAINER = frozenset(("cpu", "memory", "ephemeral-storage"))
_COUNTED = frozenset(
    (
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    )
)
_STANDARD = (
    _CONTAINER
    | _COUNTED
    | {"storage"}
    | {f"{which}.{name}" for which in ("requests", "limits") for name in ("cpu", "memory", "ephemeral-storage")}
    | {"requests.storage", "requests.hugepages-", "limits.hugepages-"}
)
NOT_INTEGER = "must be an integer"


def is_standard(name: str) -> bool:
    """A resource that upstream knows by its bare name."""
    return name in _STANDARD or name.startswith(("hugepages-", "requests.hugepages-"))


def is_native(name: str) -> bool:
    """A resource without a domain, or of kubernetes.io."""
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """A device or the like: ``example.com/gpu``."""
    return not is_native(name) and not name.startswith("requests.") and not names.check_qualified_name(f"requests.{name}")


def may_overcommit(name: str) -> bool:
    """Whether a request may be below its limit."""
    return is_native(name) and not name.startswith("hugepages-")


def resource_name_errors(name: str, path: str) -> list[FieldError]:
    """A name that is neither qualified nor standard."""
    wrong = [field.invalid(path, name, message) for message in names.check_qualified_name(name)]
    if not wrong and "/" not in name and not is_standard(name):
        wrong.append(field.invalid(path, name, "must be a standard resource type or fully qualified"))
    return wrong


def _container_name_errors(name: str, path: str) -> list[FieldError]:
    wrong = resource_name_errors(name, path)
    if "/" not in name:
        if name not in _CONTAINER and not name.startswith("hugepages-"):
            wrong.append(field.invalid(path, name, "must be a standard resource for containers"))
    elif not is_native(name) and not is_extended(name):
        wrong.append(field.invalid(path, name, "doesn't follow extended resource name standard"))
    return wrong


def amount_errors(name: str, amount: str, path: str) -> list[FieldError]:
    """An amount below zero, or a part of something that cannot be divided."""
    nanos = quantity.parse(amount).nanos
    wrong = [field.invalid(path, amount, names.NOT_NEGATIVE)] if nanos < 0 else []
    if (name in _COUNTED or is_extended(name)) and nanos % quantity.NANO:
        wrong.append(field.invalid(path, amount, NOT_INTEGER))
    return wrong


def requirements_errors(resources: Object, path: str, claim_names: frozenset[str] = frozenset()) -> list[FieldError]:
    """Errors of the ``resources`` of a container, names in sorted order."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    wrong: list[FieldError] = []
    for name in sorted(limits):
        at = f"{path}.limits[{name}]"
        wrong += _container_name_errors(name, at) + amount_errors(name, limits[name], at)
    for name in sorted(requests):
        at = f"{path}.requests[{name}]"
        wrong += _container_name_errors(name, at) + amount_errors(name, requests[name], at)
        wrong += _request_errors(name, requests[name], limits, path)
    every = {**limits, **requests}
    if any(name.startswith("hugepages-") for name in every) and "cpu" not in every and "memory" not in every:
        wrong.append(field.forbidden(path, "HugePages require cpu or memory"))
    return wrong + _claim_errors(resources, path, claim_names)


def _request_errors(name: str, request: str, limits: Mapping[str, str], path: str) -> list[FieldError]:
    limit = limits.get(name)
    if limit is None:
        return [] if may_overcommit(name) else [field.required(f"{path}.limits", "Limit must be set for non overcommitable resources")]
    order = quantity.compare(request, limit)
    if order and not may_overcommit(name):
        return [field.invalid(f"{path}.requests", request, f"must be equal to {name} limit of {limit}")]
    return [field.invalid(f"{path}.requests", request, f"must be less than or equal to {name} limit of {limit}")] if order > 0 else []


def _claim_errors(resources: Object, path: str, claim_names: frozenset[str]) -> list[FieldError]:
    wrong: list[FieldError] = []
    for index, claim in enumerate(resources.get("claims") or ()):
        if claim.get("name") not in claim_names:
            at = f"{path}.claims[{index}]"
            error = field.not_found(at, claim.get("name", ""))
            known = "which is empty" if not claim_names else f"[{', '.join(sorted(claim_names))}]"
            wrong.append(error._replace(message=f"{error.message}: must be one of the names in pod.spec.resourceClaims {known}"))
    return wrong


def is_quota_resource(name: str) -> bool:
    """A bare name that a ResourceQuota may bound."""
    if name.startswith("count/"):
        return True
    bare = name.partition(".")[2] if name.startswith(("requests.", "limits.")) else name
    return name in _COUNTED or name in _STANDARD or bare.startswith("hugepages-")
