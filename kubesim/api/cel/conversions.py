"""Conversions between types, by the names of the types. Upstream: cel-spec langdef.md."""

import re
from typing import Any

from kubesim.api import quantity as quantities
from kubesim.api.cel.errors import CelError
from kubesim.api.cel.table import function, need
from kubesim.api.cel.values import INT_MAX, INT_MIN, SECOND, UINT_MAX, Duration, Quantity, Timestamp, Type, UInt, is_number, ranged, type_of
from kubesim.kernel.time import format_time, parse_duration, parse_time


@function("int")
def _int(value: Any) -> int:
    if isinstance(value, Timestamp):
        return value.ns // SECOND
    if isinstance(value, str):
        if not re.fullmatch(r"[+-]?\d+", value):
            raise CelError(f'strconv.ParseInt: parsing "{value}": invalid syntax')
        value = int(value)
    need(is_number(value))
    if isinstance(value, float) and not INT_MIN <= value < INT_MAX:
        raise CelError("integer overflow")
    return int(ranged(int(value), 0))


@function("uint")
def _uint(value: Any) -> UInt:
    if isinstance(value, str):
        if not value.isdigit():
            raise CelError(f'strconv.ParseUint: parsing "{value}": invalid syntax')
        value = int(value)
    need(is_number(value))
    if not 0 <= value <= UINT_MAX:
        raise CelError("unsigned integer overflow")
    return UInt(int(value))


@function("double")
def _double(value: Any) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise CelError(f'strconv.ParseFloat: parsing "{value}": invalid syntax') from None
    need(is_number(value))
    return float(value)


@function("string")
def text_of(value: Any) -> str:
    """``string(value)``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Timestamp):
        return format_time(value.ns)
    if isinstance(value, Duration):
        return f"{_float_text(value.ns / SECOND)}s"
    need(isinstance(value, str | int | Quantity))
    return quantities.canonical(value.text) if isinstance(value, Quantity) else str(value)


def _float_text(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)


@function("bytes")
def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


@function("bool")
def _bool(value: Any) -> bool:
    if isinstance(value, str):
        need(value in ("true", "false", "t", "f", "1", "0", "TRUE", "FALSE", "True", "False"))
        return value.lower() in ("true", "t", "1")
    need(isinstance(value, bool))
    return bool(value)


@function("dyn")
def _dyn(value: Any) -> Any:
    return value


@function("type")
def _type(value: Any) -> Type:
    return Type(type_of(value))


@function("timestamp")
def _timestamp(value: Any) -> Timestamp:
    if isinstance(value, Timestamp):
        return value
    try:
        return Timestamp(parse_time(value) if isinstance(value, str) else value * SECOND)
    except ValueError as error:
        raise CelError(f"invalid timestamp: {value}") from error


@function("duration")
def _duration(value: Any) -> Duration:
    if isinstance(value, Duration):
        return value
    try:
        return Duration(-parse_duration(value[1:]) if value.startswith("-") else parse_duration(value))
    except ValueError as error:
        raise CelError(f'time: invalid duration "{value}"') from error
