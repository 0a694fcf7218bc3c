"""Preemption: which Pods of lower priority would have to go from which node, and which node is the least harm.

Upstream: pkg/scheduler/framework/preemption/preemption.go, plugins/defaultpreemption/default_preemption.go.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from kubesim.api import selectors
from kubesim.scheduler.contract import Rejection
from kubesim.scheduler.cycle import SignatureState
from kubesim.scheduler.diagnosis import Diagnosis
from kubesim.scheduler.nominator import Nominator
from kubesim.scheduler.objects import Objects
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.trial import Trial

PRIORITY_OFFSET = 2**31  # makes every priority positive, so that fewer victims have the lower sum
NO_START = "9999-12-31T23:59:59Z"  # a Pod that has not started counts as starting now


class Candidate(NamedTuple):
    """A node where the Pod would fit without ``victims`` (most important first)."""

    row: int
    node_name: str
    victims: tuple[PodInfo, ...]
    violation_count: int  # victims whose eviction violates a disruption budget


class Search(NamedTuple):
    """The candidates, and what was found on the nodes that are none: (rejection, rows)."""

    candidates: list[Candidate]
    rejections: list[tuple[Rejection, int]]


NO_VICTIMS = Rejection("UnschedulableAndUnresolvable", ("No preemption victims found for incoming pod",))


def start_time(info: PodInfo) -> str:
    """When the Pod started, as its status says; RFC 3339 texts of whole seconds compare as times do."""
    return (info.obj.get("status") or {}).get("startTime") or NO_START


def importance(info: PodInfo) -> tuple[int, str]:
    """Sorts the more important Pod first: higher priority, then earlier start."""
    return -info.facts.priority, start_time(info)


def search(pod: PodInfo, state: SignatureState, rows: Iterable[int], nominator: Nominator, objects: Objects, wanted: int) -> Search:
    """Try rows in their order until ``wanted`` candidates are found; those without violations count once one is there."""
    found = Search([], [])
    clean = 0
    for row in rows:
        outcome = _try(pod, state, row, nominator, objects)
        if isinstance(outcome, Candidate):
            found.candidates.append(outcome)
            clean += outcome.violation_count == 0
            if clean and len(found.candidates) >= wanted:
                break
        else:
            found.rejections.append((outcome, row))
    return found


def _try(pod: PodInfo, state: SignatureState, row: int, nominator: Nominator, objects: Objects) -> Candidate | Rejection:
    """Remove every Pod of lower priority, then put back whom the Pod can live with."""
    table = state.table
    lower = [info for info in table.pods[row].values() if info.facts.priority < pod.facts.priority]
    if not lower:
        return NO_VICTIMS
    trial = Trial(state, row, nominator, pod)
    for info in lower:
        trial.remove(info)
    found = trial.rejection()
    if found is not None:
        trial.restore()
        plugin, kept = state.filters[found[0]]
        return plugin.rejection(kept, found[1])
    lower.sort(key=importance)
    violating, others = split_by_budgets(lower, objects)
    victims: list[PodInfo] = []
    violation_count = 0
    for group in (violating, others):
        for info in group:
            trial.add(info)
            if trial.rejection() is not None:
                trial.remove(info)
                victims.append(info)
                violation_count += group is violating
    trial.restore()
    victims.sort(key=importance)
    return Candidate(row, table.names[row] or "", tuple(victims), violation_count)


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


def best_candidates(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that tie after every criterion: fewest violations, lowest highest priority, lowest sum, fewest, latest start."""
    measures: tuple[Callable[[Candidate], Any], ...] = (
        lambda candidate: candidate.violation_count,
        lambda candidate: candidate.victims[0].facts.priority,
        lambda candidate: sum(info.facts.priority + PRIORITY_OFFSET for info in candidate.victims),
        lambda candidate: len(candidate.victims),
    )
    left = list(candidates)
    for measure in measures:
        if len(left) > 1:
            lowest = min(map(measure, left))
            left = [candidate for candidate in left if measure(candidate) == lowest]
    if len(left) > 1:
        latest = max(map(_earliest_start, left))
        left = [candidate for candidate in left if _earliest_start(candidate) == latest]
    return left


def _earliest_start(candidate: Candidate) -> str:
    """The earliest start among the victims of the highest priority."""
    highest = candidate.victims[0].facts.priority
    return min(start_time(info) for info in candidate.victims if info.facts.priority == highest)


def is_terminating_by_preemption(info: PodInfo) -> bool:
    """Whether the scheduler is evicting the Pod already."""
    conditions = (info.obj.get("status") or {}).get("conditions") or ()
    return info.is_terminating and any(
        condition.get("type") == "DisruptionTarget"
        and condition.get("status") == "True"
        and condition.get("reason") == "PreemptionByScheduler"
        for condition in conditions
    )


def resolvable_rows(diagnosis: Diagnosis) -> list[int]:
    """The rows that were rejected for something that removing Pods may cure."""
    found = [rows for rejection, rows in diagnosis.groups() if rejection.is_resolvable]
    return sorted(row for rows in found for row in rows.tolist())
