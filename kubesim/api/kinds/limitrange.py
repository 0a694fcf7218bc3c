"""LimitRange. Upstream: SetDefaults_LimitRangeItem in pkg/apis/core/v1/defaults.go, ValidateLimitRange."""

from collections.abc import Mapping, Sequence
from typing import Any

from kubesim.api import field, quantity
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.columns import NAME_AND_AGE
from kubesim.api.kinds.parts.containers import canonical_amounts
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.resource_validation import resource_name_errors
from kubesim.api.kinds.parts.shape import change, change_each, changed_spec, fill

Object = dict[str, Any]
CONTAINER, POD, CLAIM = "Container", "Pod", "PersistentVolumeClaim"
_AMOUNTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


def _default_item(item: Object) -> Object:
    """Limits default to the maximum, requests to the limits and then to the minimum."""
    for name in _AMOUNTS:
        item = change(item, name, canonical_amounts)
    if item.get("type") != CONTAINER:
        return item
    limits = fill(item.get("default") or {}, item.get("max") or {})
    requests = fill(fill(item.get("defaultRequest") or {}, limits), item.get("min") or {})
    changes = {name: value for name, value in (("default", limits), ("defaultRequest", requests)) if value and value != item.get(name)}
    return {**item, **changes} if changes else item


def _default(limit_range: Object) -> Object:
    return changed_spec(limit_range, lambda spec: change_each(spec, "limits", _default_item))


def _compare_errors(name: str, item: Object, path: str) -> list[FieldError]:
    """The amounts of one resource in order: min <= default request <= default <= max."""
    low, request, limit, high = (_of(item, kind, name) for kind in ("min", "defaultRequest", "default", "max"))
    pairs = (
        (low, high, f"min[{name}]", low, "min value {} is greater than max value {}"),
        (low, request, f"defaultRequest[{name}]", request, "min value {} is greater than default request value {}"),
        (request, high, f"defaultRequest[{name}]", request, "default request value {} is greater than max value {}"),
        (request, limit, f"defaultRequest[{name}]", request, "default request value {} is greater than default limit value {}"),
        (low, limit, f"default[{name}]", low, "min value {} is greater than default value {}"),
        (limit, high, f"default[{name}]", high, "default value {} is greater than max value {}"),
    )
    return [
        field.invalid(f"{path}.{where}", shown, detail.format(small, large))
        for small, large, where, shown, detail in pairs
        if small is not None and large is not None and quantity.compare(small, large) > 0
    ]


def _of(item: Object, kind: str, name: str) -> str | None:
    found: str | None = (item.get(kind) or {}).get(name)
    return found


def _ratio_errors(name: str, item: Object, path: str) -> list[FieldError]:
    ratio = _of(item, "maxLimitRequestRatio", name)
    if ratio is not None and quantity.compare(ratio, "1") < 0:
        return [field.invalid(f"{path}.maxLimitRequestRatio[{name}]", ratio, f"ratio {ratio} is less than 1")]
    return []


def _item_errors(item: Object, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    for kind in _AMOUNTS:
        amounts: Mapping[str, str] = item.get(kind) or {}
        if item.get("type") == POD and kind in ("default", "defaultRequest") and amounts:
            wrong.append(field.forbidden(f"{path}.{kind}", "may not be specified when `type` is 'Pod'"))
        for name in sorted(amounts):
            wrong += resource_name_errors(name, f"{path}.{kind}[{name}]")
    if item.get("type") == CLAIM and not (_of(item, "min", "storage") or _of(item, "max", "storage")):
        wrong.append(field.required(f"{path}.limits", "either minimum or maximum storage value is required, but neither was provided"))
    names = sorted({name for kind in _AMOUNTS for name in item.get(kind) or {}})
    return wrong + [error for name in names for error in (*_compare_errors(name, item, path), *_ratio_errors(name, item, path))]


def _validate(limit_range: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(limit_range)
    seen: set[str] = set()
    for index, item in enumerate((limit_range.get("spec") or {}).get("limits") or ()):
        at, type_ = f"spec.limits[{index}]", item.get("type", "")
        if type_ in seen:
            wrong.append(field.duplicate(f"{at}.type", type_))
        seen.add(type_)
        wrong += _item_errors(item, at)
    return wrong


KIND = Kind(
    update_order="MS",
    group="",
    version="v1",
    kind="LimitRange",
    plural="limitranges",
    short_names=("limits",),
    schema="io.k8s.api.core.v1.LimitRange",
    default=_default,
    validate=_validate,
    validate_update=metadata_update_errors,
    columns=NAME_AND_AGE,
    has_generation=False,
    allow_create_on_update=True,
)
