"""The functions and methods of CEL: the standard ones, cel-go's extensions for texts, lists and optionals, and Kubernetes' libraries.

Kubernetes: quantity, semver, lists, regular expressions, format. A function takes evaluated values; a type that it does not have is a
TypeError or a CelError "no such overload". Upstream: cel-spec langdef.md, cel-go ext, apiserver/pkg/cel/library.
"""

import base64
import math
import re
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any

from kubesim.api import quantity as quantities
from kubesim.api.cel.errors import CelError
from kubesim.api.cel.values import (
    INT_MAX,
    INT_MIN,
    NONE,
    SECOND,
    UINT_MAX,
    Duration,
    Optional,
    Quantity,
    Semver,
    Timestamp,
    Type,
    UInt,
    compared,
    equal,
    is_number,
    ranged,
    type_of,
)
from kubesim.kernel.time import format_time, parse_duration, parse_time

FUNCTIONS: dict[str, Callable[..., Any]] = {}
METHODS: dict[str, Callable[..., Any]] = {}
NO_OVERLOAD = "no such overload"


def _need(is_fine: bool) -> None:
    if not is_fine:
        raise CelError(NO_OVERLOAD)


def _function(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS.update(dict.fromkeys(names, function))
        return function

    return enter


def _method(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        METHODS.update(dict.fromkeys(names, function))
        return function

    return enter


# ---- operators -------------------------------------------------------------------------------------------------------------------


def _same_kind(left: Any, right: Any) -> None:
    """Arithmetic does not mix types."""
    _need(type_of(left) == type_of(right) and is_number(left))


@_function("+")
def _add(left: Any, right: Any) -> Any:
    if is_number(left):
        _same_kind(left, right)
        return left + right if isinstance(left, float) else ranged(int(left) + int(right), left)
    if isinstance(left, Duration) and isinstance(right, Timestamp):
        left, right = right, left
    if isinstance(left, Timestamp | Duration) and isinstance(right, Duration):
        return type(left)(left.ns + right.ns)
    _need(type(left) is type(right) and isinstance(left, str | bytes | list))
    return left + right


@_function("-")
def _subtract(left: Any, right: Any) -> Any:
    if isinstance(left, Timestamp) and isinstance(right, Timestamp):
        return Duration(left.ns - right.ns)
    if isinstance(left, Timestamp | Duration) and isinstance(right, Duration):
        return type(left)(left.ns - right.ns)
    _same_kind(left, right)
    return left - right if isinstance(left, float) else ranged(int(left) - int(right), left)


@_function("*")
def _multiply(left: Any, right: Any) -> Any:
    _same_kind(left, right)
    return left * right if isinstance(left, float) else ranged(int(left) * int(right), left)


@_function("/")
def _divide(left: Any, right: Any) -> Any:
    _same_kind(left, right)
    if isinstance(left, float):
        if right == 0:
            return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)
        return left / right
    if right == 0:
        raise CelError("division by zero")
    return ranged(_quotient(left, right), left)


@_function("%")
def _remainder(left: Any, right: Any) -> Any:
    _same_kind(left, right)
    _need(not isinstance(left, float))
    if right == 0:
        raise CelError("modulus by zero")
    return ranged(int(left) - int(right) * _quotient(left, right), left)


def _quotient(left: int, right: int) -> int:
    """Truncated towards zero."""
    found = abs(int(left)) // abs(int(right))
    return -found if (left < 0) != (right < 0) else found


@_function("-_")
def _negate(value: Any) -> Any:
    _need(is_number(value) and not isinstance(value, UInt))
    return -value if isinstance(value, float) else ranged(-value, value)


@_function("!_")
def _not(value: Any) -> bool:
    _need(isinstance(value, bool))
    return not value


FUNCTIONS["=="] = equal
FUNCTIONS["!="] = lambda left, right: not equal(left, right)
FUNCTIONS["<"] = lambda left, right: compared(left, right) < 0
FUNCTIONS["<="] = lambda left, right: compared(left, right) <= 0
FUNCTIONS[">"] = lambda left, right: compared(left, right) > 0
FUNCTIONS[">="] = lambda left, right: compared(left, right) >= 0


@_function("in")
def _in(value: Any, values: Any) -> bool:
    _need(isinstance(values, list | dict))
    return any(equal(value, other) for other in values)


# ---- conversions -----------------------------------------------------------------------------------------------------------------


@_function("int")
def _int(value: Any) -> int:
    if isinstance(value, Timestamp):
        return value.ns // SECOND
    if isinstance(value, str):
        if not re.fullmatch(r"[+-]?\d+", value):
            raise CelError(f'strconv.ParseInt: parsing "{value}": invalid syntax')
        value = int(value)
    _need(is_number(value))
    if isinstance(value, float) and not INT_MIN <= value < INT_MAX:
        raise CelError("integer overflow")
    return int(ranged(int(value), 0))


@_function("uint")
def _uint(value: Any) -> UInt:
    if isinstance(value, str):
        if not value.isdigit():
            raise CelError(f'strconv.ParseUint: parsing "{value}": invalid syntax')
        value = int(value)
    _need(is_number(value))
    if not 0 <= value <= UINT_MAX:
        raise CelError("unsigned integer overflow")
    return UInt(int(value))


@_function("double")
def _double(value: Any) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise CelError(f'strconv.ParseFloat: parsing "{value}": invalid syntax') from None
    _need(is_number(value))
    return float(value)


@_function("string")
def _string(value: Any) -> str:
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
    _need(isinstance(value, str | int | Quantity))
    return quantities.canonical(value.text) if isinstance(value, Quantity) else str(value)


def _float_text(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)


@_function("bytes")
def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


@_function("bool")
def _bool(value: Any) -> bool:
    if isinstance(value, str):
        _need(value in ("true", "false", "t", "f", "1", "0", "TRUE", "FALSE", "True", "False"))
        return value.lower() in ("true", "t", "1")
    _need(isinstance(value, bool))
    return bool(value)


@_function("dyn")
def _dyn(value: Any) -> Any:
    return value


@_function("type")
def _type(value: Any) -> Type:
    return Type(type_of(value))


@_function("timestamp")
def _timestamp(value: Any) -> Timestamp:
    if isinstance(value, Timestamp):
        return value
    try:
        return Timestamp(parse_time(value) if isinstance(value, str) else value * SECOND)
    except ValueError as error:
        raise CelError(f"invalid timestamp: {value}") from error


@_function("duration")
def _duration(value: Any) -> Duration:
    if isinstance(value, Duration):
        return value
    try:
        return Duration(-parse_duration(value[1:]) if value.startswith("-") else parse_duration(value))
    except ValueError as error:
        raise CelError(f'time: invalid duration "{value}"') from error


# ---- sizes and texts -------------------------------------------------------------------------------------------------------------


@_function("size")
@_method("size")
def _size(value: Any) -> int:
    _need(isinstance(value, str | bytes | list | dict))
    return len(value)


@_method("startsWith")
def _starts_with(text: str, prefix: str) -> bool:
    return text.startswith(prefix)


@_method("endsWith")
def _ends_with(text: str, suffix: str) -> bool:
    return text.endswith(suffix)


@_method("contains")
def _contains(text: Any, part: Any) -> bool:
    _need(isinstance(text, str) and isinstance(part, str))
    return part in text


@lru_cache(maxsize=1024)
def pattern(text: str) -> re.Pattern[str]:
    """A regular expression in RE2's syntax, which has neither look-around nor back-references. Raises CelError."""
    if re.search(r"\(\?(?:[=!]|<[=!]|\()|\\[1-9]", text):
        raise CelError(f"error parsing regexp: invalid or unsupported Perl syntax: `{text}`")
    try:
        return re.compile(text.replace(r"\z", r"\Z"))
    except re.error as error:
        raise CelError(f"error parsing regexp: {error}") from None


@_function("matches")
@_method("matches")
def _matches(text: str, expression: str) -> bool:
    return pattern(expression).search(text) is not None


@_method("find")
def _find(text: str, expression: str) -> str:
    found = pattern(expression).search(text)
    return found[0] if found else ""


@_method("findAll")
def _find_all(text: str, expression: str, limit: int = -1) -> list[str]:
    found = [match[0] for match in pattern(expression).finditer(text)]
    return found if limit < 0 else found[:limit]


@_method("lowerAscii")
def _lower(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


@_method("upperAscii")
def _upper(text: str) -> str:
    return "".join(letter.upper() if letter.isascii() else letter for letter in text)


@_method("trim")
def _trim(text: str) -> str:
    return text.strip()


@_method("charAt")
def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise CelError(f"index out of range: {index}")
    return text[index : index + 1]


@_method("substring")
def _substring(text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    if not 0 <= start <= end <= len(text):
        raise CelError(f"index out of range: {start if not 0 <= start <= len(text) else end}")
    return text[start:end]


@_method("replace")
def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    return text.replace(old, new, count)


@_method("split")
def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if separator == "":
        letters = list(text)
        return letters if limit < 0 else [*letters[: limit - 1], "".join(letters[limit - 1 :])]
    return text.split(separator, limit - 1 if limit > 0 else -1)


@_method("join")
def _join(values: list[str], separator: str = "") -> str:
    _need(isinstance(values, list))
    return separator.join(values)


@_method("reverse")
def _reverse(value: Any) -> Any:
    return value[::-1]


@_function("strings.quote")
def _quote(text: str) -> str:
    return '"' + "".join({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(letter, letter) for letter in text) + '"'


@_method("format")
def _format(template: str, values: list[Any]) -> str:
    """``%s``, ``%d``, ``%f``, ``%e``, ``%x``, ``%X``, ``%o``, ``%b`` with a precision for the floats."""
    _need(isinstance(template, str) and isinstance(values, list))
    rest = iter(values)

    def one(match: re.Match[str]) -> str:
        if match[2] == "%":
            return "%"
        value: Any = next(rest, NONE)
        if value is NONE:
            raise CelError("index out of range in format arguments")
        if match[2] == "s":
            return _shown(value)
        if match[2] in "fe":
            return f"{float(value):.{match[1] or 6}{match[2]}}"
        return f"{int(value):{match[2]}}"

    return re.sub(r"%(?:\.(\d+))?([sdfexXob%])", one, template)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_shown(key)}: {_shown(value[key])}" for key in sorted(value, key=_shown)) + "}"
    return "null" if value is None else _string(value)


@_function("base64.encode")
def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode()


@_function("base64.decode")
def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise CelError("illegal base64 data") from error


# ---- lists -----------------------------------------------------------------------------------------------------------------------


@_method("isSorted")
def _is_sorted(values: list[Any]) -> bool:
    return all(compared(before, after) <= 0 for before, after in pairwise(values))


@_method("sum")
def _sum(values: list[Any]) -> Any:
    total: Any = values[0] if values else 0
    for value in values[1:]:
        total = _add(total, value)
    return total


def _extreme(sign: int, name: str) -> Callable[[list[Any]], Any]:
    def find(values: list[Any]) -> Any:
        if not values:
            raise CelError(f"{name} called on empty list")
        best = values[0]
        for value in values[1:]:
            if compared(value, best) * sign > 0:
                best = value
        return best

    return find


METHODS["min"], METHODS["max"] = _extreme(-1, "min"), _extreme(1, "max")
FUNCTIONS["math.least"] = lambda *values: _extreme(-1, "min")(values[0] if isinstance(values[0], list) else list(values))
FUNCTIONS["math.greatest"] = lambda *values: _extreme(1, "max")(values[0] if isinstance(values[0], list) else list(values))


@_method("indexOf")
def _index_of(values: Any, value: Any, start: int = 0) -> int:
    if isinstance(values, str):
        return values.find(value, start)
    return next((index for index, other in enumerate(values) if equal(other, value)), -1)


@_method("lastIndexOf")
def _last_index_of(values: Any, value: Any) -> int:
    if isinstance(values, str):
        return values.rfind(value)
    return next((index for index in range(len(values) - 1, -1, -1) if equal(values[index], value)), -1)


def _includes(values: list[Any], value: Any) -> bool:
    _need(isinstance(values, list))
    return any(equal(value, other) for other in values)


FUNCTIONS["sets.contains"] = lambda values, parts: all(_includes(values, part) for part in parts)
FUNCTIONS["sets.intersects"] = lambda values, parts: any(_includes(values, part) for part in parts)
FUNCTIONS["sets.equivalent"] = lambda left, right: all(_includes(left, v) for v in right) and all(_includes(right, v) for v in left)
METHODS["includes"] = _includes  # of attributes that are lists


# ---- optionals -------------------------------------------------------------------------------------------------------------------

FUNCTIONS["optional.none"] = lambda: NONE
FUNCTIONS["optional.of"] = lambda value: Optional((value,))
FUNCTIONS["optional.ofNonZeroValue"] = lambda value: Optional((value,)) if value else NONE
METHODS["hasValue"] = lambda found: bool(found.values)
METHODS["orValue"] = lambda found, other: found.values[0] if found.values else other
METHODS["or"] = lambda found, other: found if found.values else other


@_method("value")
def _value(found: Optional) -> Any:
    if not found.values:
        raise CelError("optional.none() dereference")
    return found.values[0]


# ---- times -----------------------------------------------------------------------------------------------------------------------


def _part(of: Callable[[str], int]) -> Callable[..., int]:
    def get(value: Any) -> int:
        _need(isinstance(value, Timestamp))
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
        _quotient(value.ns, unit_ns) if isinstance(value, Duration) else value.ns // unit_ns % wrap
    )


METHODS["getHours"], METHODS["getMinutes"] = _unit(3600 * SECOND, 24), _unit(60 * SECOND, 60)
METHODS["getSeconds"] = _unit(SECOND, 60)
METHODS["getMilliseconds"] = lambda value: value.ns // 1_000_000 % 1000
METHODS["getDayOfWeek"] = lambda value: (value.ns // DAY_NS + 4) % 7


# ---- quantities and versions -----------------------------------------------------------------------------------------------------


@_function("quantity")
def _quantity(text: str) -> Quantity:
    _need(isinstance(text, str))
    if not quantities.is_quantity(text):
        raise CelError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    return Quantity(text)


@_function("isQuantity")
def _is_quantity(text: str) -> bool:
    return quantities.is_quantity(text)


_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+([0-9A-Za-z.-]+))?"
)


def _semver_or_none(text: str, normalize: bool = False) -> Semver | None:
    if normalize:
        head, mark, tail = re.match(r"v?([\d.]*)([-+]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
        numbers = [part.lstrip("0") or "0" for part in head.split(".")] if head else []
        text = ".".join([*numbers, *["0"] * (3 - len(numbers))]) + mark + tail
    found = _SEMVER.fullmatch(text)
    if found is None:
        return None
    numbers_ = int(found[1]), int(found[2]), int(found[3])
    return Semver(numbers_, tuple(found[4].split(".")) if found[4] else (), found[5] or "")


@_function("semver")
def _semver(text: str, normalize: bool = False) -> Semver:
    _need(isinstance(text, str))
    found = _semver_or_none(text, normalize)
    if found is None:
        raise CelError("No Major.Minor.Patch elements found" if text.count(".") < 2 else f"Invalid character(s) found in version {text!r}")
    return found


@_function("isSemver")
def _is_semver(text: str, normalize: bool = False) -> bool:
    return _semver_or_none(text, normalize) is not None


def _comparing(test: Callable[[int], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        _need(type(left) is type(right) and isinstance(left, Quantity | Semver))
        return test(left.compare(right))

    return compare


METHODS["isGreaterThan"] = _comparing(lambda order: order > 0)
METHODS["isLessThan"] = _comparing(lambda order: order < 0)
METHODS["compareTo"] = lambda left, right: left.compare(right)
METHODS["major"] = lambda version: version.numbers[0]
METHODS["minor"] = lambda version: version.numbers[1]
METHODS["patch"] = lambda version: version.numbers[2]
METHODS["sign"] = lambda found: (quantities.compare(found.text, "0") > 0) - (quantities.compare(found.text, "0") < 0)


def _plain(value: Any) -> Quantity:
    return value if isinstance(value, Quantity) else Quantity(str(value))


METHODS["add"] = lambda left, right: Quantity(quantities.add(left.text, _plain(right).text))
METHODS["sub"] = lambda left, right: Quantity(quantities.subtract(left.text, _plain(right).text))
METHODS["asApproximateFloat"] = lambda found: quantities.milli_value(found.text) / 1000


@_method("isInteger")
def _is_integer(found: Quantity) -> bool:
    return quantities.compare(found.text, str(quantities.value(found.text))) == 0


@_method("asInteger")
def _as_integer(found: Quantity) -> int:
    if not _is_integer(found):
        raise CelError("cannot convert value to integer")
    return quantities.value(found.text)


