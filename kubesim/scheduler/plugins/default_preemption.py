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
    Search,
    best_candidates,
    is_terminating_by_preemption,
    resolvable_rows,
    search,
)

NOT_HELPFUL = Rejection(UNRESOLVABLE, ("Preemption is not helpful for scheduling",))
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
        found = self._search(pod, diagnosis, state)
        if found.candidates:
            best = best_candidates(found.candidates)
            chosen = min(best, key=lambda candidate: candidate.row)
            return PostFilterResult("", chosen.node_name, "Success", preemption=(found.candidates, best, chosen))
        return PostFilterResult(f"preemption: {self._message(diagnosis, found)}", clears_nomination=True)

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

    def _search(self, pod: PodInfo, diagnosis: Diagnosis, state: Any) -> Search:
        """Dry runs. All of a signature's Pods of one priority find the same until something changes."""
        if diagnosis.pre_filter is not None:
            return Search([], [])
        rows = resolvable_rows(diagnosis)
        wanted = max(len(rows) * self._percentage // 100, self._absolute)
        key = ("preemption", pod.facts.priority, len(self._nominated))
        if key not in diagnosis.memo or len(self._nominated):
            limit = len(rows) if self.handle.tries_all_nodes else min(wanted, len(rows))
            diagnosis.memo[key] = search(pod, state, rows, self._nominated, self.objects, limit)
        found: Search = diagnosis.memo[key]
        return found

    def _message(self, diagnosis: Diagnosis, found: Search) -> str:
        """Why no node helps: what each says without its Pods of lower priority."""
        tried = {row for _, row in found.rejections}
        counted = [(rejection, 1) for rejection, _ in found.rejections]
        counted.append((NOT_HELPFUL, self.table.node_count - len(tried)))
        return fit_message(self.table.node_count, "", histogram_of((r, n) for r, n in counted if n), "")

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return {ASSIGNED_POD_DELETE: always}


PLUGIN = DefaultPreemption
