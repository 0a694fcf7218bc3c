"""Times and durations as text, against the standard library's calendar and Go's notation."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.kernel.time import (
    DAY,
    EPOCH_NS,
    HOUR,
    MICROSECOND,
    MILLISECOND,
    MINUTE,
    SECOND,
    SECOND_MAX,
    SECOND_MIN,
    format_duration,
    format_micro_time,
    format_time,
    parse_duration,
    parse_time,
)

TIMES_NS = st.integers(SECOND_MIN * SECOND, SECOND_MAX * SECOND + SECOND - 1)


@given(TIMES_NS)
def test_the_calendar_is_the_standard_librarys(time_ns: int) -> None:
    expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time_ns // SECOND)
    assert format_time(time_ns) == expected.isoformat().removesuffix("+00:00") + "Z"
    assert parse_time(format_time(time_ns)) == time_ns // SECOND * SECOND
    assert parse_time(format_micro_time(time_ns)) == time_ns // MICROSECOND * MICROSECOND


@given(st.datetimes(timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))))
def test_parse_time_is_the_standard_librarys(moment: datetime) -> None:
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    assert parse_time(moment.isoformat()) == expected


@pytest.mark.parametrize(
    ("time_ns", "text", "micro_text"),
    [
        (0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
        (EPOCH_NS, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z"),
        (EPOCH_NS + 1_234_567_899, "2026-01-01T00:00:01Z", "2026-01-01T00:00:01.234567Z"),
        (-1, "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.999999Z"),
        (EPOCH_NS + 789 * DAY, "2028-02-29T00:00:00Z", "2028-02-29T00:00:00.000000Z"),
    ],
)
def test_format_time(time_ns: int, text: str, micro_text: str) -> None:
    assert format_time(time_ns) == text
    assert format_micro_time(time_ns) == micro_text


@pytest.mark.parametrize(
    ("text", "after_ns"),
    [
        ("2026-01-01T00:00:00Z", 0),
        ("2026-01-01t00:00:00z", 0),
        ("2026-01-01T00:00:00.1Z", 100 * MILLISECOND),
        ("2026-01-01T00:00:00.1234567899Z", 123_456_789),
        ("2026-01-01T02:00:00+02:00", 0),
        ("2025-12-31T22:30:00-01:30", 0),
    ],
)
def test_parse_time(text: str, after_ns: int) -> None:
    assert parse_time(text) == EPOCH_NS + after_ns


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-01-01", "2026-01-01T00:00:00", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-00T00:00:00Z"]
    + ["2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z", "0000-01-01T00:00:00Z", "2026-01-01T00:00:00+24:00"]
    + ["2026-01-01T00:00:00Z ", "2026-01-01T00:00:00.Z", "٢٠٢٦-01-01T00:00:00Z"],
)
def test_a_bad_time_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"time {text!r}") + ".*expected"):
        parse_time(text)


@pytest.mark.parametrize("second", [SECOND_MIN - 1, SECOND_MAX + 1])
def test_a_time_outside_the_calendar_is_refused(second: int) -> None:
    with pytest.raises(ValueError, match="years 0001 to 9999"):
        format_time(second * SECOND)


DURATIONS = [
    ("0s", 0),
    ("1ns", 1),
    ("1.5µs", 1_500),
    ("250ms", 250 * MILLISECOND),
    ("1s", SECOND),
    ("3.5s", 3_500 * MILLISECOND),
    ("1m30s", 90 * SECOND),
    ("1m0s", MINUTE),
    ("1h0m0s", HOUR),
    ("1h2m3.5s", HOUR + 2 * MINUTE + 3_500 * MILLISECOND),
    ("24h0m0.000000001s", DAY + 1),
    ("-1m30s", -90 * SECOND),
]


@pytest.mark.parametrize(("text", "duration_ns"), DURATIONS)
def test_a_duration_is_written_and_read_as_go_does(text: str, duration_ns: int) -> None:
    assert format_duration(duration_ns) == text
    assert parse_duration(text) == duration_ns


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("0", 0),
        ("-0", 0),
        ("+5s", 5 * SECOND),
        ("1d", DAY),
        ("1d12h", 36 * HOUR),
        ("90s", 90 * SECOND),
        ("5us", 5_000),
        ("5μs", 5_000),
        ("1.s", SECOND),
        (".5s", 500 * MILLISECOND),
        ("1s1m", 61 * SECOND),
        ("0.0000000019s", 1),
        ("9223372036854775807ns", 2**63 - 1),
    ],
)
def test_other_spellings_of_a_duration(text: str, duration_ns: int) -> None:
    assert parse_duration(text) == duration_ns


@pytest.mark.parametrize(
    "text", ["", "-", "+", "5", "s", ".s", "1.5", "1x", "1m30", "1 m", " 1m", "1m ", "--1s", "1e3s", "1,5s", "-5", "٣s", "1w", "1S"]
)
def test_a_bad_duration_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"duration {text!r} is not understood; expected numbers with the units")):
        parse_duration(text)


def test_a_duration_is_at_most_what_go_can_hold() -> None:
    with pytest.raises(ValueError, match=r"is too long; expected at most 2562047h47m16\.854775807s"):
        parse_duration("9223372036854775808ns")


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_what_is_written_is_read_back(duration_ns: int) -> None:
    assert parse_duration(format_duration(duration_ns)) == duration_ns
