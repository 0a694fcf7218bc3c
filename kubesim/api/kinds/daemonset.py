"""DaemonSet. Upstream: pkg/registry/apps/daemonset/strategy.go, ValidateDaemonSet in pkg/apis/apps/validation.

The generation of the template lives on as an annotation, as the conversion to apps/v1 writes it.
"""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import TEMPLATE_COLUMNS, count, selector
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.counts import int_or_percent_errors, is_zero, not_above_all_errors
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors, not_negative_errors
from kubesim.api.kinds.parts.pod_spec import default_template
from kubesim.api.kinds.parts.shape import change, changed_spec, fill, get_in, keep_all_but_status, keep_status
from kubesim.api.kinds.parts.table import labels_text
from kubesim.api.kinds.parts.workload import selector_errors, status_count_errors, template_errors

Object = dict[str, Any]
ROLLING_UPDATE, ON_DELETE = "RollingUpdate", "OnDelete"
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_STATUS = {"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0}


def _default_strategy(strategy: Object) -> Object:
    filled = fill(strategy, {"type": ROLLING_UPDATE})
    if filled["type"] != ROLLING_UPDATE:
        return filled
    defaults = {"maxUnavailable": 1, "maxSurge": 0}
    return change(fill(filled, {"rollingUpdate": {}}), "rollingUpdate", lambda rolling: fill(rolling, defaults))


def _default_spec(spec: Object) -> Object:
    filled = change(fill(spec, {"updateStrategy": {}, "revisionHistoryLimit": 10}), "updateStrategy", _default_strategy)
    return change(filled, "template", default_template)


def _default(daemon_set: Object) -> Object:
    return changed_spec(daemon_set, _default_spec)


def _with_generation(daemon_set: Object, generation: int) -> Object:
    metadata = daemon_set["metadata"]
    annotations = {**(metadata.get("annotations") or {}), TEMPLATE_GENERATION: str(generation)}
    return {**daemon_set, "metadata": {**metadata, "annotations": annotations}}


def _generation_of(daemon_set: Object) -> int:
    text = (daemon_set["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION, "")
    return int(text) if text.isdecimal() else 0


def _prepare_create(daemon_set: Object) -> Object:
    return _with_generation({**daemon_set, "status": dict(_STATUS)}, 1)


def _prepare_update(new: Object, old: Object) -> Object:
    generation = _generation_of(old)
    changed = new["spec"].get("template") != old["spec"].get("template")
    return _with_generation(keep_status(new, old), generation + 1 if changed else generation)


def _strategy_errors(strategy: Object, path: str) -> list[FieldError]:
    type_, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if type_ == ON_DELETE:
        return []
    if type_ != ROLLING_UPDATE:
        return [field.not_supported(f"{path}.type", type_, (ROLLING_UPDATE, ON_DELETE))]
    if rolling is None:
        return [field.required(f"{path}.rollingUpdate")]
    surge, unavailable, at = rolling.get("maxSurge"), rolling.get("maxUnavailable"), f"{path}.rollingUpdate"
    wrong = int_or_percent_errors(surge, f"{at}.maxSurge") + not_above_all_errors(surge, f"{at}.maxSurge")
    wrong += int_or_percent_errors(unavailable, f"{at}.maxUnavailable") + not_above_all_errors(unavailable, f"{at}.maxUnavailable")
    if not is_zero(unavailable) and not is_zero(surge):
        wrong.append(field.invalid(f"{at}.maxSurge", surge, "may not be set when maxUnavailable is non-zero"))
    if is_zero(unavailable) and is_zero(surge):
        wrong.append(field.required(f"{at}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return wrong


def _spec_errors(spec: Object) -> list[FieldError]:
    wrong = selector_errors(spec, "empty selector is invalid for daemonset")
    wrong += template_errors(spec, "spec.template")
    wrong += not_negative_errors(spec.get("minReadySeconds"), "spec.minReadySeconds")
    wrong += _strategy_errors(spec.get("updateStrategy") or {}, "spec.updateStrategy")
    return wrong + not_negative_errors(spec.get("revisionHistoryLimit"), "spec.revisionHistoryLimit")


def _validate(daemon_set: Object) -> Sequence[FieldError]:
    return metadata_errors(daemon_set) + _spec_errors(daemon_set["spec"])


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    return wrong + immutable_errors(new["spec"].get("selector"), old["spec"].get("selector"), "spec.selector")


_COUNTS = (
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
)


def _validate_status(new: Object, old: Object) -> Sequence[FieldError]:
    return metadata_update_errors(new, old) + status_count_errors(new.get("status") or {}, _COUNTS, ())


def _node_selector_cell(daemon_set: Object, now_ns: int) -> str:
    return labels_text(get_in(daemon_set, "spec", "template", "spec", "nodeSelector"))


KIND = Kind(
    update_order="muS",
    group="apps",
    version="v1",
    kind="DaemonSet",
    plural="daemonsets",
    short_names=("ds",),
    categories=("all",),
    schema="io.k8s.api.apps.v1.DaemonSet",
    subresources=("status",),
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=keep_all_but_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
    field_annotations=(TEMPLATE_GENERATION,),
    columns=(
        NAME,
        Column("Desired", "integer", count("status", "desiredNumberScheduled")),
        Column("Current", "integer", count("status", "currentNumberScheduled")),
        Column("Ready", "integer", count("status", "numberReady")),
        Column("Up-to-date", "integer", count("status", "updatedNumberScheduled")),
        Column("Available", "integer", count("status", "numberAvailable")),
        Column("Node Selector", "string", _node_selector_cell),
        AGE,
        *TEMPLATE_COLUMNS,
        Column("Selector", "string", selector("spec", "selector"), 1),
    ),
)
