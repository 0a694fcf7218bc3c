"""Who is evicted first, and what is said about it. Pure functions of what Pods ask for and use.

    order: uses more than it requested, then lower priority, then larger (usage - request); equals in order of arrival

Upstream: pkg/kubelet/eviction/helpers.go (rankMemoryPressure, rankDiskPressureFunc, evictionMessage).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kubesim.api.quantity import BINARY, NANO, format_quantity
from kubesim.kubelet.eviction.thresholds import RESOURCES, Observations, Threshold

CRITICAL_PRIORITY = 2_000_000_000
LOW = "The node was low on resource: %s. "
THRESHOLD = "Threshold quantity: %s, available: %s. "
CONTAINER = "Container %s was using %s, request is %s, has larger consumption of %s. "


class Usage(NamedTuple):
    """One container: what it uses and requests of the resource in question, in bytes."""

    container: str
    used: int
    requested: int


class Candidate(NamedTuple):
    """One Pod that might be evicted; ``order`` tells it from others and is the order of arrival."""

    order: int
    priority: int
    is_static: bool
    usages: tuple[Usage, ...]
    requested: int  # of the whole Pod

    @property
    def used(self) -> int:
        """By all containers."""
        return sum(usage.used for usage in self.usages)

    @property
    def is_critical(self) -> bool:
        """Whether it is never evicted: a static Pod, or one of a system priority."""
        return self.is_static or self.priority >= CRITICAL_PRIORITY


def rank(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Sort by whose turn it is. O(n log n)."""
    return sorted(candidates, key=lambda each: (each.used <= each.requested, each.priority, each.requested - each.used, each.order))


def message(resource: str, candidate: Candidate, thresholds: Sequence[Threshold], seen: Observations) -> str:
    """The message of an eviction, upstream's words."""
    text = LOW % resource
    for threshold in thresholds:
        if RESOURCES[threshold.signal] == resource:
            observation = seen[threshold.signal]
            text += THRESHOLD % (amount(threshold.least.of(observation.capacity)), amount(max(observation.available, 0)))
            break
    for usage in candidate.usages:
        if usage.used > usage.requested:
            text += CONTAINER % (usage.container, amount(usage.used), amount(usage.requested), resource)
    return text


def amount(number: int) -> str:
    """Bytes as upstream writes them."""
    return format_quantity(number * NANO, BINARY)
