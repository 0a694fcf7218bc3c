"""Image garbage collection: which images go when the disk is full. Pure.

Above the high threshold enough is freed to reach the low one: images that no container uses, the longest unused first; one younger than the
minimum age stays.

Upstream: pkg/kubelet/images/image_gc_manager.go.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Unused(NamedTuple):
    """An image that no container uses."""

    name: str
    size_bytes: int
    last_used_ns: int
    pulled_ns: int


def excess(capacity: int, available: int, high_percent: int, low_percent: int) -> int:
    """How many bytes are to be freed; 0 while the disk is less full than the high threshold."""
    available = max(min(available, capacity), 0)
    if not capacity or 100 - available * 100 // capacity < high_percent:
        return 0
    return capacity * (100 - low_percent) // 100 - available


def choose(images: Iterable[Unused], wanted_bytes: int | None, now_ns: int, age_ns_min: int) -> tuple[Sequence[str], int]:
    """The images to remove and what that frees; ``None`` wants everything. O(n log n)."""
    chosen: list[str] = []
    freed = 0
    for image in sorted(images, key=lambda each: (each.last_used_ns, each.pulled_ns, each.name)):
        if wanted_bytes is not None and freed >= wanted_bytes:
            break
        if now_ns - image.pulled_ns >= age_ns_min:
            chosen.append(image.name)
            freed += image.size_bytes
    return chosen, freed
