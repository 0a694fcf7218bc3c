"""Numbers and percentages: maxSurge, maxUnavailable, minAvailable."""

from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.parts.metadata import not_negative_errors

IntOrPercent = int | str


def scaled(value: IntOrPercent | None, total: int, *, round_up: bool) -> int:
    """The number a value stands for: itself, or its share of ``total``, rounded as asked (intstr.GetScaledValueFromIntOrPercent).

    Raises:
        ValueError: when a text is not a percentage.
    """
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    if not names.is_percent(value):
        raise ValueError(f"invalid value for IntOrString: {value!r}: expected a number or a percentage")
    share = int(value[:-1]) * total
    return -(-share // 100) if round_up else share // 100


def int_or_percent_errors(value: Any, path: str) -> list[FieldError]:
    """A value that is neither a number of at least 0 nor a percentage."""
    if isinstance(value, str):
        return [field.invalid(path, value, message) for message in names.check_percent(value)]
    return not_negative_errors(value, path)


def not_above_all_errors(value: Any, path: str) -> list[FieldError]:
    """A percentage above 100%."""
    if isinstance(value, str) and names.is_percent(value) and int(value[:-1]) > 100:
        return [field.invalid(path, value, "must not be greater than 100%")]
    return []


def is_zero(value: IntOrPercent | None) -> bool:
    """Whether a value is 0 or "0%"."""
    return value is None or value == 0 or (isinstance(value, str) and names.is_percent(value) and int(value[:-1]) == 0)
