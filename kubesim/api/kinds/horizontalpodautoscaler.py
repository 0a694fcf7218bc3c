"""HorizontalPodAutoscaler, stored as autoscaling/v2. Upstream: pkg/apis/autoscaling/{v2/defaults,validation/validation}.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names, quantity
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import at, count
from kubesim.api.kinds.parts.checks import choice_errors, text_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.label_selector import label_selector_errors
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors, not_negative_errors
from kubesim.api.kinds.parts.shape import change, changed_spec, fill, get_in, keep_all_but_status, keep_status

Object = dict[str, Any]
_METRIC = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
_SCALE_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}],
}
_SCALE_DOWN = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}
_SOURCES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
_SOURCE_ORDER = ("object", "external", "pods", "resource", "containerResource")  # in which upstream looks at them
_STATUS = {"desiredReplicas": 0, "currentMetrics": None}
WINDOW_SECONDS_MAX, PERIOD_SECONDS_MAX = 3600, 1800


def _default_behavior(behavior: Object) -> Object:
    filled = fill(behavior, {"scaleUp": {}, "scaleDown": {}})
    filled = change(filled, "scaleUp", lambda rules: fill(rules, _SCALE_UP))
    return change(filled, "scaleDown", lambda rules: fill(rules, _SCALE_DOWN))


def _default_spec(spec: Object) -> Object:
    filled = fill(spec, {"minReplicas": 1})
    if not filled.get("metrics"):
        filled = {**filled, "metrics": [_METRIC]}
    return change(filled, "behavior", _default_behavior)


def _default(autoscaler: Object) -> Object:
    return changed_spec(autoscaler, _default_spec)


def _prepare_create(autoscaler: Object) -> Object:
    return {**autoscaler, "status": dict(_STATUS)}


def _metric_errors(metric: Object, path: str) -> list[FieldError]:
    type_ = metric.get("type", "")
    if not type_:
        return [field.required(f"{path}.type", "must specify a metric source type")]
    if type_ not in _SOURCES:
        return [field.not_supported(f"{path}.type", type_, sorted(_SOURCES))] * 2  # upstream finds it twice
    expected = _SOURCES[type_]
    given = [name for name in _SOURCE_ORDER if metric.get(name) is not None]
    wrong = _source_errors(metric[given[0]], given[0], f"{path}.{given[0]}") if given else []
    if expected not in given:
        wrong.append(field.required(f"{path}.{expected}", "must populate information for the given metric source"))
    others = [name for name in given if name != expected]
    return wrong + [field.forbidden(f"{path}.{name}", "must populate the given metric source only") for name in others]


def _source_errors(source: Object, name: str, path: str) -> list[FieldError]:
    """Errors of one source: what it measures, and its target (validateObjectSource and its siblings)."""
    wrong: list[FieldError] = []
    if name in ("resource", "containerResource"):
        if not source.get("name"):
            wrong.append(field.required(f"{path}.name", "must specify a resource name"))
        if name == "containerResource" and not source.get("container"):
            wrong.append(field.required(f"{path}.container", "must specify a container"))
    else:
        if name == "object":
            wrong += _reference_errors(source.get("describedObject") or {}, f"{path}.describedObject")
        metric = source.get("metric") or {}
        wrong += _named_errors(metric.get("name"), f"{path}.metric.name", "must specify a metric name")
        wrong += label_selector_errors(metric.get("selector"), f"{path}.metric.selector")
    target = source.get("target") or {}
    return wrong + _target_errors(target, f"{path}.target") + _amount_errors(target, name, f"{path}.target")


def _amount_errors(target: Object, source: str, path: str) -> list[FieldError]:
    """Which amounts a target of each source must name, and which not at once."""
    value, average, utilization = (target.get(name) for name in ("value", "averageValue", "averageUtilization"))
    if source in ("resource", "containerResource"):
        if utilization is None and average is None:
            return [field.required(f"{path}.averageUtilization", "must set either a target raw value or a target utilization")]
        both = "may not set both a target raw value and a target utilization"
        return [field.forbidden(f"{path}.averageValue", both)] if utilization is not None and average is not None else []
    if source == "pods":
        is_positive = average is not None and quantity.parse(average).nanos > 0
        return [] if is_positive else [field.required(f"{path}.averageValue", "must specify a positive target averageValue")]
    if value is None and average is None:
        words = "a target value or averageValue" if source == "object" else "a target value for metric or a per-pod target"
        return [field.required(f"{path}.averageValue", f"must set either {words}")]
    if source == "external" and value is not None and average is not None:
        return [field.forbidden(f"{path}.value", "may not set both a target value for metric and a per-pod target")]
    return []


def _named_errors(text: str | None, path: str, missing: str = "") -> list[FieldError]:
    return text_errors(text, path, names.check_path_segment) if text else [field.required(path, missing)]


def _reference_errors(reference: Object, path: str) -> list[FieldError]:
    return [error for name in ("kind", "name") for error in _named_errors(reference.get(name), f"{path}.{name}")]


def _target_errors(target: Object, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    type_ = target.get("type", "")
    if not type_:
        wrong.append(field.required(f"{path}.type", "must specify a metric target type"))
    elif type_ not in ("Utilization", "Value", "AverageValue"):
        wrong.append(field.invalid(f"{path}.type", type_, "must be either Utilization, Value, or AverageValue"))
    for name in ("value", "averageValue"):
        if target.get(name) is not None and quantity.parse(target[name]).nanos <= 0:
            wrong.append(field.invalid(f"{path}.{name}", target[name], "must be positive"))
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        wrong.append(field.invalid(f"{path}.averageUtilization", utilization, "must be greater than 0"))
    return wrong


def _rules_errors(rules: Object, path: str) -> list[FieldError]:
    window = rules.get("stabilizationWindowSeconds")
    wrong = not_negative_errors(window, f"{path}.stabilizationWindowSeconds")
    if window is not None and window > WINDOW_SECONDS_MAX:
        detail = f"must be less than or equal to {WINDOW_SECONDS_MAX}"
        wrong.append(field.invalid(f"{path}.stabilizationWindowSeconds", window, detail))
    wrong += choice_errors(rules.get("selectPolicy"), f"{path}.selectPolicy", ("Disabled", "Max", "Min"))
    policies = rules.get("policies") or ()
    if not policies:
        wrong.append(field.required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(policies):
        wrong += _policy_errors(policy, f"{path}.policies[{index}]")
    return wrong


def _policy_errors(policy: Object, path: str) -> list[FieldError]:
    wrong = choice_errors(policy.get("type", ""), f"{path}.type", ("Percent", "Pods"), is_required=True)
    period = policy.get("periodSeconds", 0)
    if policy.get("value", 0) <= 0:
        wrong.append(field.invalid(f"{path}.value", policy.get("value", 0), "must be greater than zero"))
    if period <= 0:
        wrong.append(field.invalid(f"{path}.periodSeconds", period, "must be greater than zero"))
    if period > PERIOD_SECONDS_MAX:
        wrong.append(field.invalid(f"{path}.periodSeconds", period, f"must be less than or equal to {PERIOD_SECONDS_MAX}"))
    return wrong


def _spec_errors(spec: Object) -> list[FieldError]:
    wrong: list[FieldError] = []
    low, high, metrics = spec.get("minReplicas"), spec.get("maxReplicas", 0), spec.get("metrics") or ()
    if low is not None and low < 1:
        wrong.append(field.invalid("spec.minReplicas", low, "must be greater than or equal to 1"))
    if high < 1:
        wrong.append(field.required("spec.maxReplicas", "must be set and greater than 0"))
    if low is not None and high < low:
        wrong.append(field.invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"))
    wrong += _reference_errors(spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef")
    for index, metric in enumerate(metrics):
        wrong += _metric_errors(metric, f"spec.metrics[{index}]")
    if low == 0 and not any(metric.get("type") in ("Object", "External") for metric in metrics):
        wrong.append(
            field.forbidden("spec.metrics", "must specify at least one Object or External metric to support scaling to zero replicas")
        )
    for name in ("scaleUp", "scaleDown"):
        rules = get_in(spec, "behavior", name)
        wrong += _rules_errors(rules, f"spec.behavior.{name}") if rules is not None else []
    return wrong


def _validate(autoscaler: Object) -> Sequence[FieldError]:
    return metadata_errors(autoscaler) + _spec_errors(autoscaler.get("spec") or {})


def _prepare_status(new: Object, old: Object) -> Object:
    kept = keep_all_but_status(new, old)
    status = kept.get("status") or {}
    missing = {name: value for name, value in _STATUS.items() if name not in status}
    return {**kept, "status": {**status, **missing}} if missing else kept


def _reference_cell(autoscaler: Object, now_ns: int) -> str:
    target = get_in(autoscaler, "spec", "scaleTargetRef") or {}
    return f"{target.get('kind', '')}/{target.get('name', '')}"


def _targets_cell(autoscaler: Object, now_ns: int) -> str:
    current = get_in(autoscaler, "status", "currentMetrics") or ()
    metrics = get_in(autoscaler, "spec", "metrics") or ()
    texts = [_target_text(metric, current[index] if index < len(current) else {}) for index, metric in enumerate(metrics)]
    more = f" + {len(texts) - 2} more..." if len(texts) > 2 else ""
    return ", ".join(texts[:2]) + more if texts else "<none>"


def _target_text(metric: Object, current: Object) -> str:
    name = _SOURCES.get(metric.get("type", ""), "resource")
    target, seen = get_in(metric, name, "target") or {}, get_in(current, name, "current") or {}
    label = get_in(metric, name, "name") or get_in(metric, name, "metric", "name") or ""
    if target.get("averageUtilization") is not None:
        now = seen.get("averageUtilization")
        return f"{label}: {'<unknown>' if now is None else f'{now}%'}/{target['averageUtilization']}%"
    wanted = target.get("averageValue") or target.get("value") or "<auto>"
    suffix = " (avg)" if target.get("averageValue") and name in ("external", "object") else ""
    return f"{label}: {seen.get('averageValue') or seen.get('value') or '<unknown>'}/{wanted}{suffix}"


def _minimum_cell(autoscaler: Object, now_ns: int) -> str:
    low = get_in(autoscaler, "spec", "minReplicas")
    return "<unset>" if low is None else str(low)


KIND = Kind(
    update_order="mSu",
    group="autoscaling",
    version="v2",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    short_names=("hpa",),
    categories=("all",),
    schema="io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    subresources=("status",),
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=metadata_update_errors,
    validate_status=metadata_update_errors,
    columns=(
        NAME,
        Column("Reference", "string", _reference_cell),
        Column("Targets", "string", _targets_cell),
        Column("MinPods", "string", _minimum_cell),
        Column("MaxPods", "string", at("spec", "maxReplicas")),
        Column("Replicas", "string", count("status", "currentReplicas")),
        AGE,
    ),
    has_generation=False,
)
