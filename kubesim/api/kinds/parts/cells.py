"""Makers of printer cells: a path, a count, an age of a path."""

from collections.abc import Callable
from typing import Any

from kubesim.api.kinds.contract import Column
from kubesim.api.kinds.parts.shape import get_in
from kubesim.api.kinds.parts.table import UNKNOWN, container_images, container_names, human_duration, selector_text
from kubesim.kernel.time import parse_time

Object = dict[str, Any]
Cell = Callable[[Object, int], Any]
SECOND_NS = 1_000_000_000


def at(*path: str, missing: Any = "") -> Cell:
    """The value at a path, or ``missing`` where there is none."""

    def cell(obj: Object, now_ns: int) -> Any:
        value = get_in(obj, *path)
        return missing if value is None else value

    return cell


def count(*path: str) -> Cell:
    """The number at a path, 0 where there is none."""
    return at(*path, missing=0)


def size(*path: str) -> Cell:
    """How many items the list or map at a path has."""
    return lambda obj, now_ns: len(get_in(obj, *path) or ())


def age(*path: str, missing: str = UNKNOWN) -> Cell:
    """How long ago the time at a path is."""

    def cell(obj: Object, now_ns: int) -> str:
        time = get_in(obj, *path)
        return human_duration((now_ns - parse_time(time)) // SECOND_NS) if time else missing

    return cell


def selector(*path: str) -> Cell:
    """A LabelSelector object as text."""
    return lambda obj, now_ns: selector_text(get_in(obj, *path))


TEMPLATE_COLUMNS = (Column("Containers", "string", container_names, 1), Column("Images", "string", container_images, 1))
