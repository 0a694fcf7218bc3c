"""Deployment. Upstream: pkg/registry/apps/deployment/strategy.go, ValidateDeployment in pkg/apis/apps/validation."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.counts import int_or_percent_errors, is_zero, not_above_all_errors
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors, not_negative_errors
from kubesim.api.kinds.parts.pod_spec import default_template
from kubesim.api.kinds.parts.shape import change, changed_spec, empty_status, fill, get_in, keep_all_but_status, keep_status, put, without
from kubesim.api.kinds.parts.table import container_images, container_names, selector_text
from kubesim.api.kinds.parts.workload import selector_errors, template_errors

Object = dict[str, Any]
ROLLING_UPDATE, RECREATE = "RollingUpdate", "Recreate"
_SPEC = {"replicas": 1, "strategy": {}, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}
_ROLLING = {"maxUnavailable": "25%", "maxSurge": "25%"}


def _default_strategy(strategy: Object) -> Object:
    filled = fill(strategy, {"type": ROLLING_UPDATE})
    if filled["type"] != ROLLING_UPDATE:
        return filled
    return change(fill(filled, {"rollingUpdate": {}}), "rollingUpdate", lambda rolling: fill(rolling, _ROLLING))


def _default_spec(spec: Object) -> Object:
    return change(change(fill(spec, _SPEC), "strategy", _default_strategy), "template", default_template)


def _default(deployment: Object) -> Object:
    return changed_spec(deployment, _default_spec)


def _prepare_status(new: Object, old: Object) -> Object:
    """A status write cannot change labels: a Deployment's are its own, not its controller's."""
    kept = keep_all_but_status(new, old)
    labels = old["metadata"].get("labels")
    if new["metadata"].get("labels") is labels:
        return kept
    return {**kept, "metadata": put(without(new["metadata"], "labels"), "labels", labels) if labels else without(new["metadata"], "labels")}


def _strategy_errors(strategy: Object) -> list[FieldError]:
    at = "spec.strategy"
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == RECREATE:
        if rolling is not None:
            return [field.forbidden(f"{at}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")]
        return []
    if strategy.get("type") != ROLLING_UPDATE:
        shown = {"Type": strategy.get("type", ""), "RollingUpdate": rolling}
        return [field.not_supported(at, shown, [RECREATE, ROLLING_UPDATE])]
    if rolling is None:
        return [field.required(f"{at}.rollingUpdate", "this should be defaulted and never be nil")]
    return _rolling_errors(rolling, f"{at}.rollingUpdate")


def _rolling_errors(rolling: Object, path: str) -> list[FieldError]:
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    wrong = int_or_percent_errors(unavailable, f"{path}.maxUnavailable")
    wrong += int_or_percent_errors(surge, f"{path}.maxSurge")
    if is_zero(unavailable) and is_zero(surge):
        wrong.append(field.invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0"))
    return wrong + not_above_all_errors(unavailable, f"{path}.maxUnavailable")


def _spec_errors(spec: Object) -> list[FieldError]:
    wrong = not_negative_errors(spec.get("replicas"), "spec.replicas")
    wrong += selector_errors(spec, "empty selector is invalid for deployment")
    wrong += template_errors(spec, "spec.template")
    wrong += _strategy_errors(spec.get("strategy") or {})
    wrong += not_negative_errors(spec.get("minReadySeconds"), "spec.minReadySeconds")
    wrong += not_negative_errors(spec.get("revisionHistoryLimit"), "spec.revisionHistoryLimit")
    deadline = spec.get("progressDeadlineSeconds")
    wrong += not_negative_errors(deadline, "spec.progressDeadlineSeconds")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        wrong.append(field.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return wrong


def _validate(deployment: Object) -> Sequence[FieldError]:
    return metadata_errors(deployment) + _spec_errors(deployment["spec"])


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    return wrong + immutable_errors(new["spec"].get("selector"), old["spec"].get("selector"), "spec.selector")


_COUNTS = (
    "observedGeneration",
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "unavailableReplicas",
    "collisionCount",
)


def _validate_status(new: Object, old: Object) -> Sequence[FieldError]:
    status = new.get("status") or {}
    wrong = metadata_update_errors(new, old)
    wrong += [error for name in _COUNTS for error in not_negative_errors(status.get(name), f"status.{name}")]
    replicas = status.get("replicas", 0)
    for name in ("updatedReplicas", "readyReplicas", "availableReplicas"):
        if status.get(name, 0) > replicas:
            wrong.append(field.invalid(f"status.{name}", status[name], "cannot be greater than status.replicas"))
    if status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
        wrong.append(field.invalid("status.availableReplicas", status["availableReplicas"], "cannot be greater than readyReplicas"))
    return wrong


def _ready_cell(deployment: Object, now_ns: int) -> str:
    return f"{get_in(deployment, 'status', 'readyReplicas') or 0}/{get_in(deployment, 'spec', 'replicas') or 0}"


def _count(*path: str) -> Any:
    return lambda deployment, now_ns: get_in(deployment, *path) or 0


KIND = Kind(
    update_order="mSu",
    group="apps",
    version="v1",
    kind="Deployment",
    plural="deployments",
    short_names=("deploy",),
    categories=("all",),
    schema="io.k8s.api.apps.v1.Deployment",
    subresources=("scale", "status"),
    default=_default,
    prepare_create=empty_status,
    prepare_update=keep_status,
    prepare_status=_prepare_status,
    field_annotations=("deprecated.deployment.rollback.to",),
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
    columns=(
        NAME,
        Column("Ready", "string", _ready_cell),
        Column("Up-to-date", "string", _count("status", "updatedReplicas")),
        Column("Available", "string", _count("status", "availableReplicas")),
        AGE,
        Column("Containers", "string", container_names, 1),
        Column("Images", "string", container_images, 1),
        Column("Selector", "string", lambda deployment, now_ns: selector_text(deployment["spec"].get("selector")), 1),
    ),
)
