"""The parts of times and spans of time."""

from collections.abc import Callable
from typing import Any

from kubesim.api.cel.operators import quotient
from kubesim.api.cel.table import METHODS, need
from kubesim.api.cel.values import SECOND, Duration, Timestamp
from kubesim.kernel.time import format_time


def _part(of: Callable[[str], int]) -> Callable[..., int]:
    def get(value: Any) -> int:
        need(isinstance(value, Timestamp))
        return of(format_time(value.ns))

    return get


METHODS["getFullYear"] = _part(lambda text: int(text[:4]))
METHODS["getMonth"] = _part(lambda text: int(text[5:7]) - 1)
METHODS["getDate"] = _part(lambda text: int(text[8:10]))
METHODS["getDayOfMonth"] = _part(lambda text: int(text[8:10]) - 1)
DAY_NS = 86_400 * SECOND


def _unit(unit_ns: int, wrap: int) -> Callable[[Any], int]:
    """Of a Duration the whole span in the unit, of a Timestamp the part of the day or hour."""
    return lambda value: (
        quotient(value.ns, unit_ns) if isinstance(value, Duration) else value.ns // unit_ns % wrap
    )


METHODS["getHours"], METHODS["getMinutes"] = _unit(3600 * SECOND, 24), _unit(60 * SECOND, 60)
METHODS["getSeconds"] = _unit(SECOND, 60)
METHODS["getMilliseconds"] = lambda value: value.ns // 1_000_000 % 1000
METHODS["getDayOfWeek"] = lambda value: (value.ns // DAY_NS + 4) % 7
