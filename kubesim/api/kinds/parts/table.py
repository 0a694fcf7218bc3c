"""Cells of printer columns: ages, counts, lists. Upstream: pkg/printers/internalversion/printers.go."""

from collections.abc import Iterable
from typing import Any

from kubesim.kernel.time import parse_time

Object = dict[str, Any]
NONE = "<none>"
UNKNOWN = "<unknown>"
NAME_FORMAT = "name"


def name_cell(obj: Object, now_ns: int) -> str:
    """The object's name."""
    name: str = obj["metadata"].get("name", "")
    return name


def age_cell(obj: Object, now_ns: int) -> str:
    """The time since creation, as ``kubectl get`` writes it."""
    created = obj["metadata"].get("creationTimestamp")
    return human_duration((now_ns - parse_time(created)) // 1_000_000_000) if created else UNKNOWN


def human_duration(seconds: int) -> str:
    """A duration in the style of ``kubectl``: ever coarser, two units at most (apimachinery/pkg/util/duration)."""
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    minutes, hours, days, years = seconds // 60, seconds // 3600, seconds // 86400, seconds // 86400 // 365
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    return _two(years, "y", days % 365, "d") if years < 8 else f"{years}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def joined(values: Iterable[str]) -> str:
    """Values with commas between, or ``<none>``."""
    return ",".join(values) or NONE


def labels_text(labels: Object | None) -> str:
    """A map as ``a=b,c=d`` in the order of its keys, or ``<none>``."""
    return joined(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def selector_text(selector: Object | None) -> str:
    """A LabelSelector object as ``kubectl`` writes it, or ``<none>``."""
    from kubesim.api import selectors

    if not selector:
        return NONE
    try:
        return str(selectors.from_object(selector)) or NONE
    except ValueError:
        return "<error>"


def _template_containers(obj: Object) -> list[Object]:
    template = (obj.get("spec") or {}).get("template") or {}
    return (template.get("spec") or {}).get("containers") or []


def container_names(obj: Object, now_ns: int) -> str:
    """The container names of a Pod template."""
    return ",".join(container["name"] for container in _template_containers(obj))


def container_images(obj: Object, now_ns: int) -> str:
    """The images of a Pod template."""
    return ",".join(container.get("image", "") for container in _template_containers(obj))
