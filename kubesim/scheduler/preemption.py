"""Preemption: which Pods of lower priority would have to go from which node, and which node is the least harm.

Upstream: pkg/scheduler/framework/preemption/preemption.go, plugins/defaultpreemption/default_preemption.go.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from kubesim.api import selectors
from kubesim.scheduler.contract import Rejection
from kubesim.scheduler.objects import Objects
from kubesim.scheduler.pod_facts import PodInfo

PRIORITY_OFFSET = 2**31  # makes every priority positive, so that fewer victims have the lower sum
WHOLE_SECONDS = 19  # characters
NO_START = "9999-12-31T23:59:59Z"  # a Pod that has not started counts as starting now


class Candidate(NamedTuple):
    """A node where the Pod would fit without ``victims`` (most important first; ``violation_count`` of them violate a budget)."""

    row: int
    node_name: str
    victims: "tuple[PodInfo, ...]"
    violation_count: int

    def measures(self) -> tuple[int, int, int, int, int]:
        """What candidates are compared by, each time the lowest is the best: violations, highest priority, sum, count, start backwards."""
        highest = self.victims[0].facts.priority
        priority_sum = sum(info.facts.priority + PRIORITY_OFFSET for info in self.victims)
        start = min(start_time(info) for info in self.victims if info.facts.priority == highest)
        return self.violation_count, highest, priority_sum, len(self.victims), -int("".join(filter(str.isdigit, start[:WHOLE_SECONDS])))


NO_VICTIMS = Rejection("UnschedulableAndUnresolvable", ("No preemption victims found for incoming pod",))


def start_time(info: PodInfo) -> str:
    """When the Pod started, as its status says; RFC 3339 texts of whole seconds compare as times do."""
    return (info.obj.get("status") or {}).get("startTime") or NO_START


def importance(info: PodInfo) -> tuple[int, str]:
    """Sorts the more important Pod first: higher priority, then earlier start."""
    return -info.facts.priority, start_time(info)


def split_by_budgets(pods: Sequence[PodInfo], objects: Objects) -> tuple[list[PodInfo], list[PodInfo]]:
    """(those whose eviction would violate a disruption budget, the others), each in the given order."""
    budgets = [_Budget(budget) for budget in objects.all("poddisruptionbudgets")]
    violating: list[PodInfo] = []
    others: list[PodInfo] = []
    for info in pods:
        hurts = [budget.takes(info) for budget in budgets] if info.labels else []
        (violating if any(hurts) else others).append(info)
    return violating, others


class _Budget:
    """One PodDisruptionBudget while victims are counted."""

    def __init__(self, budget: dict[str, Any]) -> None:
        self._namespace = budget["metadata"].get("namespace") or "default"
        self._selector = selectors.from_object((budget.get("spec") or {}).get("selector"))
        status = budget.get("status") or {}
        self._left: int = status.get("disruptionsAllowed") or 0
        self._disrupted = status.get("disruptedPods") or {}

    def takes(self, info: PodInfo) -> bool:
        """Count one eviction; whether it is one too many."""
        if info.namespace != self._namespace or self._selector.is_empty or not self._selector.matches(info.labels):
            return False
        if info.obj["metadata"]["name"] in self._disrupted:
            return False
        self._left -= 1
        return self._left < 0


def is_terminating_by_preemption(info: PodInfo) -> bool:
    """Whether the scheduler is evicting the Pod already."""
    conditions = (info.obj.get("status") or {}).get("conditions") or ()
    return info.is_terminating and any(
        condition.get("type") == "DisruptionTarget"
        and condition.get("status") == "True"
        and condition.get("reason") == "PreemptionByScheduler"
        for condition in conditions
    )
