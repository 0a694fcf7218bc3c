"""Kinds that are served in a second version or group: the stored object shown otherwise, and bodies turned back.

Events are stored as core/v1 and autoscalers as autoscaling/v2; events.k8s.io/v1 and autoscaling/v1 are views of the same objects. What v1
of the autoscaler has no field for travels in its annotations, as upstream does it. A patch is applied to the shown object.

Upstream: pkg/apis/core/v1, pkg/apis/events/v1 and pkg/apis/autoscaling/v1 (conversion.go).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import orjson

from kubesim.api import selectors
from kubesim.api.errors import ApiError, bad_request
from kubesim.api.kinds import KINDS
from kubesim.api.kinds.contract import Kind
from kubesim.api.patch import apply_json_patch, apply_merge_patch, apply_strategic_patch

Object = dict[str, Any]
PREFIX = "autoscaling.alpha.kubernetes.io/"
METRICS, BEHAVIOR, CONDITIONS, CURRENT = f"{PREFIX}metrics", f"{PREFIX}behavior", f"{PREFIX}conditions", f"{PREFIX}current-metrics"
EVENT_FIELDS = {  # events.k8s.io -> core
    "regarding": "involvedObject",
    "note": "message",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
    "reportingController": "reportingComponent",
}
CORE_FIELDS = {core: view for view, core in EVENT_FIELDS.items()}


@dataclass(frozen=True, slots=True)
class View:
    """One resource shown as another version of itself. ``kind`` describes the shown form, ``resource`` names the stored one."""

    kind: Kind
    resource: str
    shown: Callable[[Object], Object]
    stored: Callable[[Object], Object]
    field_names: Mapping[str, str]  # of field selectors: shown -> stored; others are not known

    def shown_list(self, answer: Object) -> Object:
        """A list of stored objects as it is shown."""
        items = [self.shown(item) for item in answer["items"]]
        return {**answer, "apiVersion": self.kind.api_version, "items": items}

    def field_selector(self, text: str) -> str:
        """A field selector in the words of the stored kind. Raises ApiError 400."""
        if not text or not self.field_names:
            return text
        try:
            terms = selectors.parse_fields(text)
        except ValueError as error:
            raise bad_request(str(error)) from None
        for term in terms:
            if term.field and term.field not in self.field_names:
                raise bad_request(f"field label not supported: {term.field}")
        for shown, stored in self.field_names.items():
            if shown != stored:
                text = text.replace(f"{shown}=", f"{stored}=").replace(f"{shown}!=", f"{stored}!=")
        return text

    def patched(self, stored: Object, patch_type: str, body: Any) -> Object:
        """The stored object after a patch of the shown one. Raises ApiError."""
        shown = self.shown(stored)
        if patch_type == "json":
            return self.stored(apply_json_patch(shown, body))
        if patch_type == "merge":
            return self.stored(apply_merge_patch(shown, body))
        if patch_type == "strategic":
            return self.stored(apply_strategic_patch(shown, body, self.kind.schema))
        raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def _renamed(obj: Object, names: Mapping[str, str], api_version: str) -> Object:
    return {**{names.get(key, key): value for key, value in obj.items()}, "apiVersion": api_version}


def event_shown(event: Object) -> Object:
    """A core Event as events.k8s.io/v1 shows it."""
    shown = _renamed(event, CORE_FIELDS, "events.k8s.io/v1")
    # Core always writes these two, this group leaves them out when they are empty.
    return {key: value for key, value in shown.items() if value or key not in ("reportingController", "reportingInstance")}


def event_stored(event: Object) -> Object:
    """An events.k8s.io/v1 Event as it is stored."""
    return _renamed(event, EVENT_FIELDS, "v1")


# -- autoscaling/v1 --


def scaler_shown(scaler: Object) -> Object:
    """An autoscaling/v2 HorizontalPodAutoscaler as v1 shows it."""
    spec, status = dict(scaler.get("spec") or {}), dict(scaler.get("status") or {})
    annotations = dict(scaler["metadata"].get("annotations") or {})
    others = []
    for metric in spec.pop("metrics", None) or ():
        utilization = _cpu_utilization(metric, "target")
        if utilization is not None and "targetCPUUtilizationPercentage" not in spec:
            spec["targetCPUUtilizationPercentage"] = utilization
        else:
            others.append(_metric_v1(metric))
    if others:
        annotations[METRICS] = orjson.dumps(others).decode()
    behavior = spec.pop("behavior", None)
    if behavior:
        annotations[BEHAVIOR] = orjson.dumps({_go(key): _rules_go(value) for key, value in _ordered(behavior)}).decode()
    current = []
    for metric in status.pop("currentMetrics", None) or ():
        utilization = _cpu_utilization(metric, "current")
        if utilization is not None:
            status["currentCPUUtilizationPercentage"] = utilization
        else:
            current.append(metric)
    if current:
        annotations[CURRENT] = orjson.dumps(current).decode()
    conditions = status.pop("conditions", None)
    if conditions:
        annotations[CONDITIONS] = orjson.dumps(conditions).decode()
    return _with(scaler, "autoscaling/v1", annotations, spec, status)


def scaler_stored(scaler: Object) -> Object:
    """An autoscaling/v1 HorizontalPodAutoscaler as it is stored. Annotations that cannot be read are dropped."""
    spec, status = dict(scaler.get("spec") or {}), dict(scaler.get("status") or {})
    annotations = dict((scaler.get("metadata") or {}).get("annotations") or {})
    metrics = []
    target = spec.pop("targetCPUUtilizationPercentage", None)
    others = [_metric_v2(metric) for metric in _loads(annotations.pop(METRICS, ""), [])]
    if target is not None:
        cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}}
        metrics.append({"type": "Resource", "resource": cpu})
    metrics = others + metrics
    if metrics:
        spec["metrics"] = metrics
    behavior = _loads(annotations.pop(BEHAVIOR, ""), {})
    if behavior:
        spec["behavior"] = {_json(key): _rules_json(value) for key, value in behavior.items() if value is not None}
    current = _loads(annotations.pop(CURRENT, ""), [])
    utilization = status.pop("currentCPUUtilizationPercentage", None)
    if utilization is not None:
        cpu = {"name": "cpu", "current": {"averageUtilization": utilization}}
        current.append({"type": "Resource", "resource": cpu})
    if current:
        status["currentMetrics"] = current
    conditions = _loads(annotations.pop(CONDITIONS, ""), [])
    if conditions:
        status["conditions"] = conditions
    return _with(scaler, "autoscaling/v2", annotations, spec, status)


def _with(scaler: Object, api_version: str, annotations: Object, spec: Object, status: Object) -> Object:
    metadata = {key: value for key, value in (scaler.get("metadata") or {}).items() if key != "annotations"}
    if annotations:
        metadata["annotations"] = annotations
    obj = {**scaler, "apiVersion": api_version, "metadata": metadata, "spec": spec}
    if "status" in scaler:
        obj["status"] = status
    return obj


def _cpu_utilization(metric: Object, what: str) -> int | None:
    resource = metric.get("resource") or {}
    if metric.get("type") != "Resource" or resource.get("name") != "cpu":
        return None
    value: int | None = (resource.get(what) or {}).get("averageUtilization")
    return value


def _metric_v1(metric: Object) -> Object:
    kind = metric["type"]
    key = kind[0].lower() + kind[1:]
    source = metric.get(key) or {}
    target = source.get("target") or {}
    shown: Object = {}
    if kind in ("Resource", "ContainerResource"):
        shown["name"] = source.get("name")
        if "averageUtilization" in target:
            shown["targetAverageUtilization"] = target["averageUtilization"]
        if "averageValue" in target:
            shown["targetAverageValue"] = target["averageValue"]
        if kind == "ContainerResource":
            shown["container"] = source.get("container")
        return {"type": kind, key: shown}
    name = source.get("metric") or {}
    if kind == "Object":
        shown["target"] = source.get("describedObject")
    shown["metricName"] = name.get("name")
    if kind == "External":
        if name.get("selector"):
            shown["metricSelector"] = name["selector"]
        if "value" in target:
            shown["targetValue"] = target["value"]
        if "averageValue" in target:
            shown["targetAverageValue"] = target["averageValue"]
    elif kind == "Object":
        shown["targetValue"] = target.get("value", "0")
        if name.get("selector"):
            shown["selector"] = name["selector"]
        if "averageValue" in target:
            shown["averageValue"] = target["averageValue"]
    else:
        shown["targetAverageValue"] = target.get("averageValue")
        if name.get("selector"):
            shown["selector"] = name["selector"]
    return {"type": kind, key: shown}


def _metric_v2(metric: Object) -> Object:
    kind = metric.get("type", "")
    key = kind[:1].lower() + kind[1:]
    source = metric.get(key) or {}
    target: Object = {}
    for old, new, type_ in (
        ("targetAverageUtilization", "averageUtilization", "Utilization"),
        ("targetAverageValue", "averageValue", "AverageValue"),
        ("averageValue", "averageValue", "AverageValue"),
        ("targetValue", "value", "Value"),
    ):
        if source.get(old) is not None and not (old == "targetValue" and target):
            target = {"type": type_, new: source[old]}
    if kind in ("Resource", "ContainerResource"):
        stored: Object = {"name": source.get("name"), "target": target}
        if kind == "ContainerResource":
            stored["container"] = source.get("container")
        return {"type": kind, key: stored}
    name: Object = {"name": source.get("metricName")}
    selector = source.get("metricSelector") or source.get("selector")
    if selector:
        name["selector"] = selector
    stored = {"metric": name, "target": target}
    if kind == "Object":
        stored["describedObject"] = source.get("target")
    return {"type": kind, key: stored}


def _ordered(behavior: Object) -> list[tuple[str, Object]]:
    return [(key, behavior[key]) for key in ("scaleUp", "scaleDown") if behavior.get(key)]


def _go(name: str) -> str:
    return name[:1].upper() + name[1:]


def _json(name: str) -> str:
    return name[:1].lower() + name[1:]


def _rules_go(rules: Object) -> Object:
    policies = [{_go(key): policy.get(key) for key in ("type", "value", "periodSeconds")} for policy in rules.get("policies") or ()]
    return {
        "StabilizationWindowSeconds": rules.get("stabilizationWindowSeconds"),
        "SelectPolicy": rules.get("selectPolicy"),
        "Policies": policies,
        "Tolerance": rules.get("tolerance"),
    }


def _rules_json(rules: Object) -> Object:
    found = {_json(key): value for key, value in rules.items() if value is not None}
    if "policies" in found:
        found["policies"] = [{_json(key): value for key, value in policy.items()} for policy in found["policies"]]
    return found


def _loads(text: str, otherwise: Any) -> Any:
    try:
        value = orjson.loads(text) if text else otherwise
    except orjson.JSONDecodeError:
        return otherwise
    return value if isinstance(value, type(otherwise)) else otherwise


@cache
def _views() -> dict[tuple[str, str, str], View]:
    event, scaler = KINDS.by_resource("events"), KINDS.by_resource("horizontalpodautoscalers.autoscaling")
    event_kind = replace(event, group="events.k8s.io", version="v1", schema="io.k8s.api.events.v1.Event")
    scaler_kind = replace(scaler, version="v1", schema="io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler")
    names = {"metadata.name": "metadata.name", "metadata.namespace": "metadata.namespace", "reason": "reason", "type": "type"}
    names["reportingController"] = "reportingComponent"
    for part in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"):
        names[f"regarding.{part}"] = f"involvedObject.{part}"
    return {
        ("events.k8s.io", "v1", "events"): View(event_kind, "events", event_shown, event_stored, names),
        ("autoscaling", "v1", "horizontalpodautoscalers"): View(
            scaler_kind, "horizontalpodautoscalers.autoscaling", scaler_shown, scaler_stored, {}
        ),
    }


def view_of(group: str, version: str, plural: str) -> View | None:
    """The view at a path, or None when the path shows what is stored."""
    return _views().get((group, version, plural))
