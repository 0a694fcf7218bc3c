"""StatefulSet. Upstream: pkg/registry/apps/statefulset/strategy.go, ValidateStatefulSet in pkg/apis/apps/validation."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import TEMPLATE_COLUMNS
from kubesim.api.kinds.parts.claim import claim_spec_errors, default_claim
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.counts import int_or_percent_errors, is_zero, not_above_all_errors
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors, not_negative_errors
from kubesim.api.kinds.parts.pod_spec import default_template
from kubesim.api.kinds.parts.shape import change, change_each, changed_spec, fill, get_in, keep_all_but_status, keep_status, without
from kubesim.api.kinds.parts.workload import selector_errors, status_count_errors, template_errors

Object = dict[str, Any]
ROLLING_UPDATE, ON_DELETE = "RollingUpdate", "OnDelete"
ORDERED_READY, PARALLEL = "OrderedReady", "Parallel"
_SPEC = {"replicas": 1, "podManagementPolicy": ORDERED_READY, "revisionHistoryLimit": 10, "updateStrategy": {}}
_RETENTION = {"whenDeleted": "Retain", "whenScaled": "Retain"}
_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_FORBIDDEN = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
    "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


def _default_strategy(strategy: Object) -> Object:
    filled = fill(strategy, {"type": ROLLING_UPDATE})
    if filled["type"] != ROLLING_UPDATE:
        return filled
    return change(fill(filled, {"rollingUpdate": {}}), "rollingUpdate", lambda rolling: fill(rolling, {"partition": 0}))


def _default_spec(spec: Object) -> Object:
    filled = change(fill(spec, _SPEC), "updateStrategy", _default_strategy)
    filled = change(fill(filled, {"persistentVolumeClaimRetentionPolicy": _RETENTION}), "persistentVolumeClaimRetentionPolicy", _retention)
    filled = change_each(filled, "volumeClaimTemplates", _default_claim_template)
    return change(filled, "template", default_template)


def _retention(policy: Object) -> Object:
    return fill(policy, _RETENTION)


def _default_claim_template(template: Object) -> Object:
    return fill(default_claim(template), {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "status": {"phase": "Pending"}})


def _default(stateful_set: Object) -> Object:
    return changed_spec(stateful_set, _default_spec)


def _prepare_create(stateful_set: Object) -> Object:
    return {**_without_gated_fields(stateful_set, None), "status": {"replicas": 0, "availableReplicas": 0}}


def _prepare_update(new: Object, old: Object) -> Object:
    return keep_status(_without_gated_fields(new, old), old)


def _without_gated_fields(stateful_set: Object, old: Object | None) -> Object:
    """MaxUnavailableStatefulSet is off: ``maxUnavailable`` goes, unless it is in use (dropStatefulSetDisabledFields)."""
    path = ("spec", "updateStrategy", "rollingUpdate")
    if "maxUnavailable" not in (get_in(stateful_set, *path) or ()) or get_in(old or {}, *path, "maxUnavailable") is not None:
        return stateful_set
    return changed_spec(
        stateful_set,
        lambda spec: change(spec, "updateStrategy", lambda way: change(way, "rollingUpdate", lambda each: without(each, "maxUnavailable"))),
    )


def _prepare_status(new: Object, old: Object) -> Object:
    kept = keep_all_but_status(new, old)
    return change(kept, "status", lambda status: fill(status, {"replicas": 0, "availableReplicas": 0}))


def _strategy_errors(strategy: Object, path: str) -> list[FieldError]:
    rolling, type_ = strategy.get("rollingUpdate"), strategy.get("type")
    if type_ == ON_DELETE:
        if rolling is None:
            return []
        shown = {"Partition": rolling.get("partition"), "MaxUnavailable": rolling.get("maxUnavailable")}
        return [field.invalid(f"{path}.rollingUpdate", shown, "only allowed for updateStrategy 'RollingUpdate'")]
    if type_ != ROLLING_UPDATE:
        return [field.invalid(path, strategy, f"must be '{ROLLING_UPDATE}' or '{ON_DELETE}'")] if type_ else [field.required(path)]
    wrong = not_negative_errors((rolling or {}).get("partition"), f"{path}.rollingUpdate.partition")
    unavailable = (rolling or {}).get("maxUnavailable")
    if unavailable is not None:
        at = f"{path}.rollingUpdate.maxUnavailable"
        wrong += int_or_percent_errors(unavailable, at)
        if is_zero(unavailable):
            wrong.append(field.invalid(at, unavailable, "cannot be 0"))
        wrong += not_above_all_errors(unavailable, at)
    return wrong


def _spec_errors(spec: Object) -> list[FieldError]:
    wrong: list[FieldError] = []
    policy = spec.get("podManagementPolicy", "")
    if policy not in (ORDERED_READY, PARALLEL):
        detail = f"must be '{ORDERED_READY}' or '{PARALLEL}'"
        wrong.append(field.invalid("spec.podManagementPolicy", policy, detail) if policy else field.required("spec.podManagementPolicy"))
    wrong += _strategy_errors(spec.get("updateStrategy") or {}, "spec.updateStrategy")
    wrong += not_negative_errors(spec.get("replicas"), "spec.replicas")
    wrong += not_negative_errors(spec.get("minReadySeconds"), "spec.minReadySeconds")
    wrong += not_negative_errors(get_in(spec, "ordinals", "start"), "spec.ordinals.start")
    wrong += selector_errors(spec, "empty selector is invalid for statefulset")
    wrong += template_errors(spec, "spec.template", with_spec=False)
    for index, template in enumerate(spec.get("volumeClaimTemplates") or ()):
        wrong += claim_spec_errors(template.get("spec") or {}, f"spec.volumeClaimTemplates[{index}].spec")
    return wrong


def _validate(stateful_set: Object) -> Sequence[FieldError]:
    return metadata_errors(stateful_set) + _spec_errors(stateful_set["spec"])


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    before, after = old["spec"], new["spec"]
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return wrong if all(name in _MUTABLE for name in changed) else [*wrong, field.forbidden("spec", _FORBIDDEN)]


_COUNTS = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")


def _validate_status(new: Object, old: Object) -> Sequence[FieldError]:
    status = new.get("status") or {}
    return metadata_update_errors(new, old) + status_count_errors(status, _COUNTS, ("readyReplicas", "currentReplicas", "updatedReplicas"))


def _ready_cell(stateful_set: Object, now_ns: int) -> str:
    return f"{get_in(stateful_set, 'status', 'readyReplicas') or 0}/{get_in(stateful_set, 'spec', 'replicas') or 0}"


KIND = Kind(
    update_order="mSu",
    group="apps",
    version="v1",
    kind="StatefulSet",
    plural="statefulsets",
    short_names=("sts",),
    categories=("all",),
    schema="io.k8s.api.apps.v1.StatefulSet",
    subresources=("scale", "status"),
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
    columns=(NAME, Column("Ready", "string", _ready_cell), AGE, *TEMPLATE_COLUMNS),
)
