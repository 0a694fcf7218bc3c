"""Quantities: tables of upstream's texts, and exact arithmetic against fractions."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.api import quantity

CANONICAL = [
    ("0", "0"),
    ("0.0", "0"),
    ("0Ki", "0"),
    ("1", "1"),
    ("-1", "-1"),
    ("+5", "5"),
    ("007", "7"),
    ("100m", "100m"),
    ("0.1", "100m"),
    ("0.5", "500m"),
    (".5", "500m"),
    ("5.", "5"),
    ("1500m", "1500m"),
    ("1000m", "1"),
    ("1000k", "1M"),
    ("1e3", "1e3"),
    ("1E3", "1e3"),
    ("15e2", "1500"),
    ("1e0", "1"),
    ("1E", "1E"),
    ("1024", "1024"),
    ("1Ki", "1Ki"),
    ("1024Ki", "1Mi"),
    ("1.5Gi", "1536Mi"),
    ("0.5Ki", "512"),
    ("0.5Mi", "512Ki"),
    ("1.1Ki", "1126400m"),
    ("0.3Ki", "307200m"),
    ("100u", "100u"),
    ("1n", "1n"),
    ("0.1n", "1n"),
    ("1.5n", "2n"),
    ("-1.5n", "-2n"),
    ("9223372036854775807", "9223372036854775807"),
    ("99999999999999999999", "9223372036854775807"),
    ("8Ei", "9223372036854775807"),
]


@pytest.mark.parametrize(("text", "expected"), CANONICAL)
def test_canonical_text(text: str, expected: str) -> None:
    assert expected == quantity.canonical(text)
    assert expected == quantity.canonical(expected), "the canonical text of a canonical text is itself"


@pytest.mark.parametrize("text", ["", "1x", "1.1.M", "1+1.0M", "aoeu", "1mm1m", "1Ki Ki"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match=r"quantities must match the regular expression '\^\(\[\+-\]"):
        quantity.parse(text)
    assert not quantity.is_quantity(text)


@pytest.mark.parametrize("text", ["--1", "Mi1", "1i", ".5i", "1mi", "1KiM", "1e", "1K", "-3.01e-", "1e3Mi"])
def test_what_has_no_suffix_of_a_quantity(text: str) -> None:
    with pytest.raises(ValueError, match=r"unable to parse quantity's suffix|quantities must match"):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("text", "value", "milli"),
    [("1", 1, 1000), ("100m", 1, 100), ("1500m", 2, 1500), ("-1500m", -2, -1500), ("1u", 1, 1), ("1Ki", 1024, 1024000), ("0", 0, 0)],
)
def test_values_round_away_from_zero(text: str, value: int, milli: int) -> None:
    assert (value, milli) == (quantity.value(text), quantity.milli_value(text))


def test_sums_keep_the_format_of_the_left() -> None:
    assert quantity.add("1Gi", "1G") == "2073741824"
    assert quantity.add("1Gi", "1024Mi") == "2Gi"
    assert quantity.add("0", "1Gi") == "1Gi"
    assert quantity.add("100m", "900m") == "1"
    assert quantity.subtract("1", "300m") == "700m"
    assert (quantity.compare("1", "1000m"), quantity.compare("1Ki", "1k"), quantity.compare("1", "2")) == (0, 1, -1)


def test_numbers_of_json_are_quantities() -> None:
    assert quantity.canonical(quantity.as_text(0.5)) == "500m"
    assert quantity.as_text(2) == "2"
    for value in (True, None, [], {}):
        assert not quantity.is_quantity(value)


SUFFIXES = {
    **{suffix: Fraction(10) ** power for suffix, power in quantity._DECIMAL_EXPONENTS.items()},
    **{suffix: Fraction(2) ** power for suffix, power in quantity._BINARY_EXPONENTS.items()},
}
texts = st.builds(
    lambda sign, whole, fraction, suffix: f"{sign}{whole}.{fraction}{suffix}" if fraction else f"{sign}{whole}{suffix}",
    st.sampled_from(["", "+", "-"]),
    st.integers(0, 10**6).map(str),
    st.one_of(st.just(""), st.integers(0, 999).map(str)),
    st.sampled_from(sorted(SUFFIXES)),
)


def exact(text: str) -> Fraction:
    """What the text says, by the book."""
    suffix = text.lstrip("+-0123456789.")
    return Fraction(text.removesuffix(suffix) if suffix else text) * SUFFIXES[suffix]


@given(texts)
def test_parsing_is_exact(text: str) -> None:
    number = exact(text)
    if abs(number) > quantity.VALUE_MAX:
        number = Fraction(quantity.VALUE_MAX if number > 0 else -quantity.VALUE_MAX)
    nanos = ceil(abs(number) * quantity.NANO) * (1 if number >= 0 else -1)
    assert nanos == quantity.parse(text).nanos


@given(texts)
def test_canonical_keeps_the_amount(text: str) -> None:
    assert quantity.parse(text).nanos == quantity.parse(quantity.canonical(text)).nanos


@given(texts, texts)
def test_addition_and_comparison_agree_with_fractions(left: str, right: str) -> None:
    a, b = quantity.parse(left).nanos, quantity.parse(right).nanos
    assert quantity.compare(left, right) == (a > b) - (a < b)
    if abs(a + b) <= quantity.VALUE_MAX * quantity.NANO:
        assert quantity.parse(quantity.add(left, right)).nanos == a + b
