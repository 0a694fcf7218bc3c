"""Operators: arithmetic, comparison, membership. Upstream: cel-spec langdef.md."""

import math
from typing import Any

from kubesim.api.cel.errors import CelError
from kubesim.api.cel.table import FUNCTIONS, function, need
from kubesim.api.cel.values import Duration, Timestamp, UInt, compared, equal, is_number, ranged, type_of


def _same_kind(left: Any, right: Any) -> None:
    """Arithmetic does not mix types."""
    need(type_of(left) == type_of(right) and is_number(left))


@function("+")
def add(left: Any, right: Any) -> Any:
    """``+``: numbers of one type, texts, lists, times."""
    if is_number(left):
        _same_kind(left, right)
        return left + right if isinstance(left, float) else ranged(int(left) + int(right), left)
    if isinstance(left, Duration) and isinstance(right, Timestamp):
        left, right = right, left
    if isinstance(left, Timestamp | Duration) and isinstance(right, Duration):
        return type(left)(left.ns + right.ns)
    need(type(left) is type(right) and isinstance(left, str | bytes | list))
    return left + right


@function("-")
def _subtract(left: Any, right: Any) -> Any:
    if isinstance(left, Timestamp) and isinstance(right, Timestamp):
        return Duration(left.ns - right.ns)
    if isinstance(left, Timestamp | Duration) and isinstance(right, Duration):
        return type(left)(left.ns - right.ns)
    _same_kind(left, right)
    return left - right if isinstance(left, float) else ranged(int(left) - int(right), left)


@function("*")
def _multiply(left: Any, right: Any) -> Any:
    _same_kind(left, right)
    return left * right if isinstance(left, float) else ranged(int(left) * int(right), left)


@function("/")
def _divide(left: Any, right: Any) -> Any:
    _same_kind(left, right)
    if isinstance(left, float):
        if right == 0:
            return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)
        return left / right
    if right == 0:
        raise CelError("division by zero")
    return ranged(quotient(left, right), left)


@function("%")
def _remainder(left: Any, right: Any) -> Any:
    _same_kind(left, right)
    need(not isinstance(left, float))
    if right == 0:
        raise CelError("modulus by zero")
    return ranged(int(left) - int(right) * quotient(left, right), left)


def quotient(left: int, right: int) -> int:
    """The quotient of two integers, truncated towards zero."""
    found = abs(int(left)) // abs(int(right))
    return -found if (left < 0) != (right < 0) else found


@function("-_")
def _negate(value: Any) -> Any:
    need(is_number(value) and not isinstance(value, UInt))
    return -value if isinstance(value, float) else ranged(-value, value)


@function("!_")
def _not(value: Any) -> bool:
    need(isinstance(value, bool))
    return not value


FUNCTIONS["=="] = equal
FUNCTIONS["!="] = lambda left, right: not equal(left, right)
FUNCTIONS["<"] = lambda left, right: compared(left, right) < 0
FUNCTIONS["<="] = lambda left, right: compared(left, right) <= 0
FUNCTIONS[">"] = lambda left, right: compared(left, right) > 0
FUNCTIONS[">="] = lambda left, right: compared(left, right) >= 0


@function("in")
def _in(value: Any, values: Any) -> bool:
    need(isinstance(values, list | dict))
    return any(equal(value, other) for other in values)
