"""What the containers of one node use, over time: memory and disk as sums of curves, with exact answers to "when does it reach this".

Only containers whose behaviour says that they use something are here; ``images_bytes`` and ``reserved`` (what the system takes, or a
fault) are added to the sums. Disk is one file system for images, writable layers and emptyDir volumes.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kubesim.api.curve import Curve, first_at_least

if TYPE_CHECKING:
    from kubesim.kubelet.pod_worker import PodWorker

MEMORY, DISK = "memory", "ephemeral-storage"
PAGE_BYTES = 4096  # of memory and of the disk: nothing smaller is seen from outside


class Running:
    """A running container that uses something; ``curves`` by resource, ``volumes`` by the name of an emptyDir."""

    __slots__ = ("curves", "index", "started_ns", "volumes", "worker")

    def __init__(self, worker: "PodWorker", index: int, started_ns: int, curves: dict[str, Curve], volumes: dict[str, Curve]) -> None:
        self.worker = worker
        self.index = index
        self.started_ns = started_ns
        self.curves = curves
        self.volumes = volumes

    def used(self, resource: str, time_ns: int) -> int:
        """What it uses at a time, its volumes not included."""
        curve = self.curves.get(resource)
        return 0 if curve is None else curve.at(time_ns - self.started_ns) // PAGE_BYTES * PAGE_BYTES

    def in_volumes(self, time_ns: int) -> int:
        """What it has written into emptyDir volumes."""
        return sum(curve.at(time_ns - self.started_ns) // PAGE_BYTES * PAGE_BYTES for curve in self.volumes.values())

    def lines(self, resource: str) -> Iterator[Curve]:
        """Its curves of a resource, volumes included."""
        if resource in self.curves:
            yield self.curves[resource]
        if resource == DISK:
            yield from self.volumes.values()


class NodeUsage:
    """The running containers by (uid, index), in the order in which they started."""

    def __init__(self) -> None:
        self.running: dict[tuple[str, int], Running] = {}
        self.reserved = {MEMORY: 0, DISK: 0}
        self.images_bytes = 0

    def total(self, resource: str, time_ns: int) -> int:
        """What the whole node uses at a time. O(containers with a curve)."""
        used = self.reserved[resource] + sum(each.used(resource, time_ns) for each in self.running.values())
        if resource == DISK:
            used += self.images_bytes + sum(each.in_volumes(time_ns) for each in self.running.values())
        return used

    def reaches(self, resource: str, from_ns: int, level: int) -> int:
        """When the node's usage is ``level`` or more for the first time; NEVER_NS if it stays below."""
        return first_at_least(lambda time_ns: self.total(resource, time_ns), self.breaks(resource, from_ns), from_ns, level)

    def breaks(self, resource: str, from_ns: int) -> list[int]:
        """The later times at which one of the curves bends."""
        found = {
            each.started_ns + offset_ns
            for each in self.running.values()
            for curve in each.lines(resource)
            for offset_ns in curve.breaks_after(from_ns - each.started_ns)
        }
        return sorted(found)

    def is_changing(self, time_ns: int) -> bool:
        """Whether anything on the node will use another amount later by itself."""
        return any(
            curve.changes_after(time_ns - each.started_ns)
            for each in self.running.values()
            for resource in (MEMORY, DISK)
            for curve in each.lines(resource)
        )

    def of_pod(self, uid: str) -> list[Running]:
        """The containers of one Pod. O(containers with a curve)."""
        return [each for each in self.running.values() if each.worker.uid == uid]
