"""Cron schedules as upstream reads them (robfig/cron v3, five fields or a descriptor): which minutes match.

A field is ``*``, numbers, ranges, steps and names in commas; ``@hourly`` and the like, and ``@every <duration>``.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from kubesim.kernel.time import parse_duration

_MONTHS = {
    "jan": 1,
    "feb": 2,
    "mar": 3,
    "apr": 4,
    "may": 5,
    "jun": 6,
    "jul": 7,
    "aug": 8,
    "sep": 9,
    "oct": 10,
    "nov": 11,
    "dec": 12,
}
_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = ((0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, _MONTHS), (0, 6, _DAYS))
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_DURATION = re.compile(r"[+-]?(?:\d+\.?\d*(?:ns|us|µs|ms|s|m|h))+\Z")


class Schedule(NamedTuple):
    """The sets of a schedule; ``every_seconds`` > 0 replaces them. A star in a day field matters: see ``days_are_and``."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    days_are_and: bool
    every_seconds: int = 0


@lru_cache(1024)
def parse(text: str) -> Schedule:
    """Parse a schedule.

    Raises:
        ValueError: with upstream's message.
    """
    if text.startswith("@every "):
        rest = text.removeprefix("@every ")
        if not _DURATION.match(rest):
            raise ValueError(f'failed to parse duration {text}: time: invalid duration "{rest}"')
        every = max(1, parse_duration(rest) // 1_000_000_000)
        empty: frozenset[int] = frozenset()
        return Schedule(empty, empty, empty, empty, empty, False, every)
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = _DESCRIPTORS[text]
    parts = text.split()
    if len(parts) != 5:
        raise ValueError(f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]")
    sets = [_field(part, *bounds) for part, bounds in zip(parts, _FIELDS)]
    stars = [any(term.partition("/")[0] in ("*", "?") for term in part.split(",")) for part in parts]
    return Schedule(sets[0], sets[1], sets[2], sets[3], sets[4], stars[2] or stars[4])


def _field(text: str, low: int, high: int, known: dict[str, int]) -> frozenset[int]:
    return frozenset(number for term in text.split(",") for number in _term(term, low, high, known))


def _number(text: str, known: dict[str, int]) -> int:
    if text.lower() in known:
        return known[text.lower()]
    if not text.isdecimal():
        if re.fullmatch(r"-\d+", text):
            raise ValueError(f"negative number ({text}) not allowed: {text}")
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


def _term(term: str, low: int, high: int, known: dict[str, int]) -> range:
    span, slash, step_text = term.partition("/")
    if "/" in step_text:
        raise ValueError(f"too many slashes: {term}")
    if span in ("*", "?"):
        start, end = low, high
    else:
        first, dash, last = span.partition("-")
        if "-" in last:
            raise ValueError(f"too many hyphens: {term}")
        start = _number(first, known)
        end = _number(last, known) if dash else high if slash else start
    step = _number(step_text, {}) if slash else 1
    if start < low:
        raise ValueError(f"beginning of range ({start}) below minimum ({low}): {term}")
    if end > high:
        raise ValueError(f"end of range ({end}) above maximum ({high}): {term}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {term}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {term}")
    return range(start, end + 1, step)
