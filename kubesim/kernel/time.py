"""Times and durations: integer nanoseconds inside, Kubernetes' text at the doors.

A time is ns since the Unix epoch, a duration a number of ns. There is no clock here: ``Kernel.now_ns`` is the time. The calendar is
computed (proleptic Gregorian, UTC, no leap seconds) for the years 1 to 9999. Texts are those of Go: RFC 3339 for
``metav1.Time`` (whole seconds) and ``metav1.MicroTime`` (six digits), and ``time.Duration``'s notation.
"""

import re
from functools import lru_cache

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

EPOCH_NS = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z, where a simulation starts
DURATION_NS_MAX = 2**63 - 1
SECOND_MIN, SECOND_MAX = -62_135_596_800, 253_402_300_799  # 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z
CACHE_SIZE = 4096

UNITS_NS = {"ns": 1, "us": MICROSECOND, "µs": MICROSECOND, "μs": MICROSECOND, "ms": MILLISECOND}
UNITS_NS |= {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
DURATION_UNITS = "ns, us, ms, s, m, h or d"
DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)", re.ASCII)
TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)
MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def format_time(time_ns: int) -> str:
    """Format as ``metav1.Time``, rounded down to the second: ``2026-01-01T00:00:00Z``. Cached per second.

    >>> format_time(EPOCH_NS + 1_999_999_999)
    '2026-01-01T00:00:01Z'
    """
    return _format_second(time_ns // SECOND)


def format_micro_time(time_ns: int) -> str:
    """Format as ``metav1.MicroTime``, rounded down to the microsecond: ``2026-01-01T00:00:00.000000Z``."""
    second, rest_ns = divmod(time_ns, SECOND)
    return f"{_format_second(second)[:-1]}.{rest_ns // MICROSECOND:06d}Z"


@lru_cache(CACHE_SIZE)
def parse_time(text: str) -> int:
    """Parse an RFC 3339 time, with or without a fraction and with any offset. Raises ValueError with the text and what was expected.

    >>> parse_time("2026-01-01T01:00:00.5+01:00") - EPOCH_NS
    500000000
    """
    match = TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"time {text!r} is not an RFC 3339 time; expected for example 2026-01-01T00:00:00Z")
    year, month, day, hour, minute, second = (int(part) for part in match.group(1, 2, 3, 4, 5, 6))
    offset_hour, offset_minute = int(match[9] or 0), int(match[10] or 0)
    if not (year and 1 <= month <= 12 and 1 <= day <= _days_of(year, month)):
        raise ValueError(f"time {text!r} names a day that does not exist; expected a date of the years 0001 to 9999")
    if hour > 23 or minute > 59 or second > 59 or offset_hour > 23 or offset_minute > 59:
        raise ValueError(f"time {text!r} names an hour, minute, second or offset that does not exist; expected at most 23:59:59")
    seconds = _days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
    offset = offset_hour * 3_600 + offset_minute * 60
    seconds += offset if match[8] == "-" else -offset
    return seconds * SECOND + int((match[7] or "0").ljust(9, "0"))


def parse_duration(text: str) -> int:
    """Parse Go's notation of a duration (``1h2m3.5s``, ``250ms``, ``-1m``, ``0``), and days (``1d``). Fractions of a ns are dropped.

    Raises ValueError with the text and what was expected, also beyond 2^63 - 1 ns (292 years).
    """
    sign = -1 if text[:1] == "-" else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    total, end = 0, 0
    while end < len(rest) and (match := DURATION_PART.match(rest, end)):
        whole, _, fraction = match[1].partition(".")
        unit_ns = UNITS_NS[match[2]]
        total += int(whole or 0) * unit_ns + (int(fraction) * unit_ns // 10 ** len(fraction) if fraction else 0)
        end = match.end()
    if not rest or end < len(rest):
        raise ValueError(
            f"duration {text!r} is not understood; expected numbers with the units {DURATION_UNITS}, for example 1m30s or 250ms"
        )
    if total > DURATION_NS_MAX:
        raise ValueError(f"duration {text!r} is too long; expected at most {format_duration(DURATION_NS_MAX)}")
    return sign * total


def format_duration(duration_ns: int) -> str:
    """Format as Go's ``Duration.String``: ``1h0m3.5s``, ``250ms``, ``1.5µs``, ``0s``.

    >>> format_duration(90 * SECOND)
    '1m30s'
    """
    sign, rest = ("-", -duration_ns) if duration_ns < 0 else ("", duration_ns)
    if rest == 0:
        return "0s"
    if rest < SECOND:
        unit, unit_ns = ("ns", 1) if rest < MICROSECOND else ("µs", MICROSECOND) if rest < MILLISECOND else ("ms", MILLISECOND)
        return f"{sign}{_decimal(rest, unit_ns)}{unit}"
    minutes, seconds_ns = divmod(rest, MINUTE)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(seconds_ns, SECOND)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else sign + text


def _decimal(value: int, unit: int) -> str:
    whole, part = divmod(value, unit)
    digits = len(str(unit)) - 1
    return f"{whole}.{part:0{digits}d}".rstrip("0") if part else str(whole)


@lru_cache(CACHE_SIZE)
def _format_second(second: int) -> str:
    # Days to (year, month, day) in eras of 400 years that begin on the 1st of March, so the leap day comes last.
    if not SECOND_MIN <= second <= SECOND_MAX:
        raise ValueError(f"time is {second} s after 1970; expected a time of the years 0001 to 9999")
    days, clock = divmod(second, 86_400)
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    year = era * 400 + year_of_era + (month <= 2)
    return f"{year:04d}-{month:02d}-{day:02d}T{clock // 3_600:02d}:{clock // 60 % 60:02d}:{clock % 60:02d}Z"


def _days_since_epoch(year: int, month: int, day: int) -> int:
    # The inverse of the computation in _format_second.
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def _days_of(year: int, month: int) -> int:
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if month == 2 and is_leap else MONTH_DAYS[month - 1]
