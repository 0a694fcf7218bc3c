"""Validation of LabelSelector objects. Upstream: apimachinery/pkg/apis/meta/v1/validation."""

from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError

Object = dict[str, Any]


def label_selector_errors(selector: Object | None, path: str, allow_invalid_values: bool = False) -> list[FieldError]:
    """Errors of a LabelSelector object (apimachinery's ValidateLabelSelector)."""
    if selector is None:
        return []
    wrong = names.label_errors(selector.get("matchLabels"), f"{path}.matchLabels")
    for index, expression in enumerate(selector.get("matchExpressions") or ()):
        wrong += _expression_errors(expression, f"{path}.matchExpressions[{index}]", allow_invalid_values)
    return wrong


def _expression_errors(expression: Object, path: str, allow_invalid_values: bool) -> list[FieldError]:
    wrong: list[FieldError] = []
    operator, values = expression.get("operator", ""), expression.get("values") or []
    if operator in ("In", "NotIn"):
        if not values:
            wrong.append(field.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            wrong.append(field.forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
    else:
        wrong.append(field.invalid(f"{path}.operator", operator, "not a valid selector operator"))
    key = expression.get("key", "")
    wrong += [field.invalid(f"{path}.key", key, message) for message in names.check_qualified_name(key)]
    if not allow_invalid_values:
        for index, value in enumerate(values):
            wrong += [field.invalid(f"{path}.values[{index}]", value, message) for message in names.check_label_value(value)]
    return wrong
