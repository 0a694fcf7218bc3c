"""When a schedule is due: the next time after a time, and the last one that was missed.

``next_time`` walks the fields from the month down, on the wall clock of the zone, as robfig/cron does: a time that daylight saving skips
does not occur, an hour that occurs twice occurs twice.

Upstream: robfig/cron v3 (spec.go, constantdelay.go), pkg/controller/cronjob/utils.go (mostRecentScheduleTime).
"""

from typing import NamedTuple

from kubesim.api.kinds.parts.cron import Schedule
from kubesim.controllers.cronjob.zones import Zone, instant, local

MINUTE_SECONDS, HOUR_SECONDS, DAY_SECONDS = 60, 3600, 86400
YEARS_MAX = 5
MISSED_MANY = 100


class Due(NamedTuple):
    """The most recent time that is due (None: none is), from when it was looked for, and how many were missed on the way."""

    time: int | None
    earliest: int
    missed: int


def next_time(schedule: Schedule, after: int, where: Zone) -> int | None:
    """The first time of a schedule after ``after``, None if there is none within five years. All in seconds."""
    if schedule.every_seconds:
        return after + schedule.every_seconds
    time = after + 1
    year_max = local(time, where).year + YEARS_MAX
    added = False
    while True:
        now = local(time, where)
        if now.year > year_max:
            return None
        if now.month not in schedule.months:
            time, added = instant(now.year, now.month + 1, 1, 0, where), True
            continue
        if not _is_day(schedule, now.day, now.isoweekday() % 7):
            time, added = _next_midnight(instant(now.year, now.month, now.day, 0, where), where), True
            continue
        if now.hour not in schedule.hours:
            if not added:
                time, added = time - now.minute * MINUTE_SECONDS - now.second, True
            time += HOUR_SECONDS
            continue
        if now.minute not in schedule.minutes:
            if not added:
                time, added = time - now.second, True
            time += MINUTE_SECONDS
            continue
        if now.second:
            time, added = time + MINUTE_SECONDS - now.second, True
            continue
        return time


def _is_day(schedule: Schedule, day: int, weekday: int) -> bool:
    of_month, of_week = day in schedule.days, weekday in schedule.weekdays
    return of_month and of_week if schedule.days_are_and else of_month or of_week


def _next_midnight(midnight: int, where: Zone) -> int:
    """The beginning of the next day; where daylight saving has none, the hour that the day begins with."""
    today = local(midnight, where)
    time = midnight + DAY_SECONDS
    found = local(time, where)
    if found.hour and found.hour <= 12:
        time -= found.hour * HOUR_SECONDS
        if local(time, where).day == today.day:
            time += HOUR_SECONDS
    elif found.hour > 12:
        time += (24 - found.hour) * HOUR_SECONDS
    return time


def most_recent(schedule: Schedule, earliest: int, now: int, where: Zone) -> Due:
    """The last time of a schedule in (earliest, now]. Raises ValueError for a schedule that is due twice a second."""
    first = next_time(schedule, earliest, where)
    if first is None or now < first:
        return Due(None, earliest, 0)
    second = next_time(schedule, first, where)
    if second is None or now < second:
        return Due(first, earliest, 0)
    between = second - first
    if between < 1:
        raise ValueError("time difference between two schedules is less than 1 second")
    missed = (now - first) // between + 1
    # Go back one interval more than the rough count says, and let the schedule find its times from there: intervals may differ.
    time = next_time(schedule, first + (missed - 2) * between, where)
    recent = None
    while time is not None and time <= now:
        recent, time = time, next_time(schedule, time, where)
    return Due(recent, earliest, missed)
