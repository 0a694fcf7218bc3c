"""Quantities ("100m", "1.5Gi", "3e2") as exact integers, and back to upstream's canonical text.

Upstream: apimachinery/pkg/api/resource/quantity.go. A quantity is a number of nanos (10^-9) and a format; both roundings of
upstream are kept: a text finer than a nano is rounded away from zero when parsed, and ``value``/``milli_value`` round
towards plus infinity away from zero as ScaledValue does. Texts are few and repeat, so every function of a text is memoised.
"""

import re
from functools import lru_cache
from typing import NamedTuple

BINARY, DECIMAL, EXPONENT = "BinarySI", "DecimalSI", "DecimalExponent"
NANO = 10**9
VALUE_MAX = 2**63 - 1  # a parsed magnitude beyond it is cut off (upstream's maxAllowed)
_TEXTS_MAX = 65536

FORMAT_WRONG = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
SUFFIX_WRONG = "unable to parse quantity's suffix"

_DECIMAL_EXPONENTS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_EXPONENTS = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIXES = {exponent: suffix for suffix, exponent in _DECIMAL_EXPONENTS.items()}
_BINARY_SUFFIXES = {0: "", **{exponent: suffix for suffix, exponent in _BINARY_EXPONENTS.items()}}
# Upstream's scanner by hand: digits, an optional point and digits, letters of suffixes, a signed number.
_PARTS = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*)([+-]?[0-9]*)\Z", re.ASCII)
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)\Z", re.ASCII)


class Quantity(NamedTuple):
    """An exact amount: ``nanos`` is the number times 10^9; ``format`` says how it is written."""

    nanos: int
    format: str


def _ceil(number: int, divisor: int) -> int:
    """Divide, rounding away from zero: what upstream's ScaledValue and parser do."""
    return -(-number // divisor) if number >= 0 else number // divisor


def _interpret(suffix: str) -> tuple[int, int, str] | None:
    """(base, exponent, format) of a suffix, or None when there is no such suffix."""
    if suffix in _DECIMAL_EXPONENTS:
        return 10, _DECIMAL_EXPONENTS[suffix], DECIMAL
    if suffix in _BINARY_EXPONENTS:
        return 2, _BINARY_EXPONENTS[suffix], BINARY
    match = _EXPONENT.match(suffix)
    return (10, int(match[1]), EXPONENT) if match and len(match[1]) < 10 else None


@lru_cache(_TEXTS_MAX)
def parse(text: str) -> Quantity:
    """Parse a quantity.

    Raises:
        ValueError: with upstream's message when the text is not a quantity.

    Example:
        >>> parse("1500m").nanos, parse("1Ki").nanos == 1024 * NANO
        (1500000000, True)
    """
    match = _PARTS.match(text)
    if match is None or not text:
        raise ValueError(FORMAT_WRONG)
    sign, whole, fraction, letters, number = match.groups()
    whole, fraction = whole.lstrip("0"), fraction or ""
    interpreted = _interpret(letters + number)
    if interpreted is None:
        raise ValueError(SUFFIX_WRONG)
    base, exponent, format_ = interpreted
    digits, scale = int(whole + fraction or "0"), len(fraction)
    if base == 2:
        nanos = _ceil((digits << exponent) * NANO, 10**scale)
    else:
        nanos = _shifted(digits, exponent - scale + 9)
    nanos = min(nanos, VALUE_MAX * NANO)
    if format_ == BINARY and 0 < nanos < NANO:
        format_ = DECIMAL
    return Quantity(-nanos if sign == "-" else nanos, format_)


def _shifted(digits: int, shift: int) -> int:
    """digits * 10^shift rounded up; a shift beyond every limit is not computed digit by digit."""
    if not digits:
        return 0
    if shift >= 0:
        return digits * 10**shift if shift < 40 else VALUE_MAX * NANO
    return _ceil(digits, 10**-shift) if -shift < len(str(digits)) + 1 else 1


def is_quantity(text: object) -> bool:
    """Whether ``parse`` accepts the value; a number counts as its decimal text."""
    try:
        parse(as_text(text))
    except ValueError:
        return False
    return True


def as_text(value: object) -> str:
    """The text of a JSON value that stands for a quantity: a string, or a number.

    Raises:
        ValueError: for any other type, with upstream's message.
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(value)
    raise ValueError(FORMAT_WRONG)


@lru_cache(_TEXTS_MAX)
def value(text: str) -> int:
    """The amount in whole units, rounded up (away from zero): bytes of "1Gi", 1 of "100m"."""
    return _ceil(parse(text).nanos, NANO)


@lru_cache(_TEXTS_MAX)
def milli_value(text: str) -> int:
    """The amount in thousandths, rounded up (away from zero): 100 of "100m", 2000 of "2"."""
    return _ceil(parse(text).nanos, NANO // 1000)


def compare(left: str, right: str) -> int:
    """-1, 0 or 1 as ``left`` is less than, equal to or greater than ``right``."""
    left_nanos, right_nanos = parse(left).nanos, parse(right).nanos
    return (left_nanos > right_nanos) - (left_nanos < right_nanos)


def add(left: str, right: str) -> str:
    """The canonical text of the sum; the format is that of ``left`` unless it is zero (upstream's Quantity.Add)."""
    a, b = parse(left), parse(right)
    return format_quantity(a.nanos + b.nanos, a.format if a.nanos else b.format)


def subtract(left: str, right: str) -> str:
    """The canonical text of the difference; the format is that of ``left`` unless it is zero (upstream's Quantity.Sub)."""
    a, b = parse(left), parse(right)
    return format_quantity(a.nanos - b.nanos, a.format if a.nanos else b.format)


@lru_cache(_TEXTS_MAX)
def canonical(text: str) -> str:
    """The one way upstream writes this amount in this format.

    Example:
        >>> canonical("0.5"), canonical("1024Mi"), canonical("1000k"), canonical("1e3")
        ('500m', '1Gi', '1M', '1e3')
    """
    return format_quantity(*parse(text))


def format_quantity(nanos: int, format_: str) -> str:
    """Write an amount with the largest suffix that leaves a whole number; BINARY below 1024 or with a fraction is written decimally."""
    if nanos == 0:
        return "0"
    if format_ == BINARY and abs(nanos) >= 1024 * NANO and nanos % NANO == 0:
        amount, exponent = nanos // NANO, 0
        while amount % 1024 == 0 and exponent < 60:
            amount //= 1024
            exponent += 10
        return f"{amount}{_BINARY_SUFFIXES[exponent]}"
    amount, exponent = nanos, -9
    while amount % 10 == 0:
        amount //= 10
        exponent += 1
    while exponent % 3 or exponent > 18:
        amount *= 10
        exponent -= 1
    if format_ == EXPONENT:
        return f"{amount}e{exponent}" if exponent else str(amount)
    return f"{amount}{_DECIMAL_SUFFIXES[exponent]}"


def from_milli(amount: int, format_: str = DECIMAL) -> str:
    """The text of a number of thousandths: "250m" of 250."""
    return format_quantity(amount * (NANO // 1000), format_)


def from_value(amount: int, format_: str = DECIMAL) -> str:
    """The text of a whole number: "1Gi" of 1073741824 in BINARY."""
    return format_quantity(amount * NANO, format_)
