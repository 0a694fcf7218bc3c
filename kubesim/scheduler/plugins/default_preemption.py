"""DefaultPreemption: when a Pod fits nowhere, find the node where evicting Pods of lower priority makes room with the least harm.

Upstream: plugins/defaultpreemption/default_preemption.go, framework/preemption/preemption.go.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kubesim.scheduler.contract import (
    ASSIGNED_POD_DELETE,
    ERROR,
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
from kubesim.scheduler.dry_runs import DryRuns, Preemption
from kubesim.scheduler.extender_preemption import ExtenderFailed, asked, through_extenders
from kubesim.scheduler.nominator import Nominator
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.preemption import NO_VICTIMS, is_terminating_by_preemption

NOT_HELPFUL = Rejection(UNRESOLVABLE, ("Preemption is not helpful for scheduling",))
PERCENTAGE_DEFAULT, ABSOLUTE_DEFAULT = 10, 100


class DefaultPreemption(Plugin):
    """See the module."""

    name = "DefaultPreemption"
    extends = frozenset({"postFilter"})
    post_filter_is_shared = True

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
        if not has_victims:
            return PostFilterResult(f"preemption: {self._message(diagnosis, None)}", clears_nomination=True)
        runs, rows = self._dry_runs(pod, state), diagnosis.resolvable_rows()
        found = runs.search(pod, *self._order(rows))
        extenders = asked(pod, self.handle.extenders)
        if found is not None and extenders:
            try:
                left = through_extenders(pod, found.candidates, extenders, self.table)
            except ExtenderFailed as error:
                return PostFilterResult(f"preemption: {error}", code=ERROR)
            if not left:
                return PostFilterResult("preemption: no candidate node for preemption")
            best = [candidate for candidate in left if candidate.measures() == min(other.measures() for other in left)]
            found = Preemption(left, best, best[0])
        if found is None:
            return PostFilterResult(f"preemption: {self._message(diagnosis, runs.rejections(rows))}", clears_nomination=True)
        return PostFilterResult("", found.chosen.node_name, "Success", preemption=found)

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

    def _dry_runs(self, pod: PodInfo, state: Any) -> DryRuns:
        """The signature's outcomes for this priority, up to date."""
        key = (self.name, pod.facts.priority)
        runs: DryRuns | None = state.memo.get(key)
        if runs is None:
            runs = state.memo[key] = DryRuns(state, self._nominated, self.objects)
        runs.refresh()
        return runs

    def _order(self, rows: Any) -> tuple[Any, int]:
        """The nodes that it may help in the order of trying, and how many candidates are enough: all, or a tenth from a drawn one on."""
        if self.handle.tries_all_nodes:
            return rows, len(rows)
        wanted = min(max(len(rows) * self._percentage // 100, self._absolute), len(rows))
        start = self.handle.below(len(rows)) if self.handle.below is not None and len(rows) > wanted else 0
        return np.concatenate((rows[start:], rows[:start])), wanted

    def _message(self, diagnosis: Diagnosis, tried: list[tuple[Rejection, int]] | None) -> str:
        """Why no node helps: what each says without its Pods of lower priority; where nothing was tried, none has any."""
        counted = list(tried or ())
        for rejection, count in diagnosis.counted():
            if not rejection.is_resolvable:
                counted.append((NOT_HELPFUL, count))
            elif tried is None:
                counted.append((NOT_HELPFUL if diagnosis.pre_filter is not None else NO_VICTIMS, count))
        return fit_message(self.table.node_count, "", histogram_of(counted), "")

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return {ASSIGNED_POD_DELETE: always}


PLUGIN = DefaultPreemption
