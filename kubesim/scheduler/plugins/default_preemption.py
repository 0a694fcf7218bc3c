"""DefaultPreemption: when a Pod fits nowhere, find the node where evicting Pods of lower priority makes room with the least harm.

Upstream: plugins/defaultpreemption/default_preemption.go, framework/preemption/preemption.go.
"""

from collections.abc import Mapping
from typing import Any

from kubesim.scheduler.contract import (
    ASSIGNED_POD_DELETE,
    UNRESOLVABLE,
    ClusterEvent,
    Handle,
    Hint,
    Plugin,
    PostFilterResult,
    Rejection,
    always,
)
from kubesim.scheduler.diagnosis import Diagnosis, fit_message, histogram_of
from kubesim.scheduler.nominator import Nominator
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.preemption import (
    NO_VICTIMS,
    Search,
    best_candidates,
    is_terminating_by_preemption,
    resolvable_rows,
    search,
)

NOT_HELPFUL = Rejection(UNRESOLVABLE, ("Preemption is not helpful for scheduling",))
NO_SEARCH = Search([], [])
PERCENTAGE_DEFAULT, ABSOLUTE_DEFAULT = 10, 100


class DefaultPreemption(Plugin):
    """See the module."""

    name = "DefaultPreemption"
    extends = frozenset({"postFilter"})

    def __init__(self, arguments: Mapping[str, Any], handle: Handle) -> None:
        super().__init__(arguments, handle)
        percentage, absolute = arguments.get("minCandidateNodesPercentage"), arguments.get("minCandidateNodesAbsolute")
        self._percentage = PERCENTAGE_DEFAULT if percentage is None else percentage
        self._absolute = ABSOLUTE_DEFAULT if absolute is None else absolute
        self._nominated = Nominator() if handle.nominated is None else handle.nominated

    def post_filter(self, pod: PodInfo, diagnosis: Diagnosis, state: Any) -> PostFilterResult:
        reason = self._ineligible(pod, diagnosis)
        if reason:
            return PostFilterResult(f"preemption: {reason}")
        if diagnosis.pre_filter is not None or not self.table.has_pods_below(pod.facts.priority):
            key: tuple[str, int | None] = ("preempts nobody", None)
        else:
            key = ("preempts", pod.facts.priority)
        # All of a signature's Pods of one priority find the same until something changes; nominations are no part of a diagnosis.
        if key not in diagnosis.memo or (key[1] is not None and len(self._nominated)):
            diagnosis.memo[key] = self._outcome(pod, diagnosis, state, key[1] is not None)
        outcome: PostFilterResult = diagnosis.memo[key]
        return outcome

    def _outcome(self, pod: PodInfo, diagnosis: Diagnosis, state: Any, has_victims: bool) -> PostFilterResult:
        found = self._dry_runs(pod, state, resolvable_rows(diagnosis)) if has_victims else NO_SEARCH
        if not found.candidates:
            return PostFilterResult(f"preemption: {self._message(diagnosis, found)}", clears_nomination=True)
        best = best_candidates(found.candidates)
        chosen = min(best, key=lambda candidate: candidate.row)
        return PostFilterResult("", chosen.node_name, "Success", preemption=(found.candidates, best, chosen))

    def _ineligible(self, pod: PodInfo, diagnosis: Diagnosis) -> str:
        """Why the Pod may not preempt, or ""."""
        if pod.facts.preemption_policy == "Never":
            return "not eligible due to preemptionPolicy=Never."
        row = self.table.find((pod.obj.get("status") or {}).get("nominatedNodeName") or "")
        if row < 0:
            return ""
        rejected = diagnosis.rejection(row)
        if rejected is not None and not rejected[1].is_resolvable:
            return ""
        for info in self.table.pods[row].values():
            if info.facts.priority < pod.facts.priority and is_terminating_by_preemption(info):
                return "not eligible due to a terminating pod on the nominated node."
        return ""

    def _dry_runs(self, pod: PodInfo, state: Any, rows: list[int]) -> Search:
        """Try every node that it may help, or enough of them, from a drawn one on."""
        if self.handle.tries_all_nodes:
            return search(pod, state, rows, self._nominated, self.objects, len(rows))
        wanted = min(max(len(rows) * self._percentage // 100, self._absolute), len(rows))
        start = self.handle.below(len(rows)) if self.handle.below is not None and len(rows) > wanted else 0
        return search(pod, state, rows[start:] + rows[:start], self._nominated, self.objects, wanted)

    def _message(self, diagnosis: Diagnosis, found: Search) -> str:
        """Why no node helps: what each says without its Pods of lower priority; without a search, none has any."""
        counted: list[tuple[Rejection, int]] = [(rejection, 1) for rejection, _ in found.rejections]
        for rejection, rows in diagnosis.groups():
            if not rejection.is_resolvable:
                counted.append((NOT_HELPFUL, len(rows)))
            elif found is NO_SEARCH:
                counted.append((NOT_HELPFUL if diagnosis.pre_filter is not None else NO_VICTIMS, len(rows)))
        return fit_message(self.table.node_count, "", histogram_of(counted), "")

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return {ASSIGNED_POD_DELETE: always}


PLUGIN = DefaultPreemption
