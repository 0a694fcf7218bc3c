"""Time zones by name, from the ``tzdata`` package, so that every machine has the same ones; from the system where it is not installed.

UTC needs neither. Times are seconds since the Unix epoch. Calendars only: nothing here asks what time it is.
"""

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

Zone = tzinfo


@lru_cache(256)
def zone(name: str) -> tzinfo:
    """The zone of an IANA name, UTC for an empty one. Raises ValueError with Go's words for an unknown one."""
    if name in ("", "UTC"):
        return UTC
    parts = name.split("/")
    if all(part and not part.startswith(".") for part in parts):
        try:
            with resources.files("tzdata.zoneinfo").joinpath(*parts).open("rb") as data:
                return ZoneInfo.from_file(data, key=name)
        except ModuleNotFoundError:
            try:
                return ZoneInfo(name)
            except (LookupError, OSError, ValueError):
                pass
        except (OSError, ValueError):
            pass
    raise ValueError(f"unknown time zone {name}")


def local(seconds: int, where: tzinfo) -> datetime:
    """The wall clock of a zone."""
    return datetime.fromtimestamp(seconds, where)


def rfc3339(seconds: int, where: tzinfo) -> str:
    """The text of a time in a zone, as Go's time.RFC3339 writes it."""
    text = local(seconds, where).isoformat(timespec="seconds")
    return f"{text.removesuffix('+00:00')}Z" if text.endswith("+00:00") else text


def rfc1123(seconds: int) -> str:
    """The text of a time in UTC, as Go's time.RFC1123Z writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")


def instant(year: int, month: int, day: int, hour: int, where: tzinfo) -> int:
    """The first second at which the wall clock shows this hour, as Go's time.Date resolves it (months and days may overflow)."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return int(datetime(year, month, day, hour, tzinfo=where).timestamp())
