"""DefaultPreemption: what upstream says when no Pod can be evicted to make room.

Evicting is not done here yet: see ``post_filter``.

Upstream: plugins/defaultpreemption/default_preemption.go, framework/preemption/preemption.go.
"""

from kubesim.scheduler.contract import UNRESOLVABLE, UNSCHEDULABLE, Plugin, PostFilterResult, Rejection
from kubesim.scheduler.diagnosis import Diagnosis, fit_message, histogram_of
from kubesim.scheduler.pod_facts import PodInfo

NOT_HELPFUL = Rejection(UNRESOLVABLE, ("Preemption is not helpful for scheduling",))
NO_VICTIMS = Rejection(UNSCHEDULABLE, ("No preemption victims found for incoming pod",))


class DefaultPreemption(Plugin):
    """See the module."""

    name = "DefaultPreemption"
    extends = frozenset({"postFilter"})

    def post_filter(self, pod: PodInfo, diagnosis: Diagnosis) -> PostFilterResult:
        if pod.facts.preemption_policy == "Never":
            return PostFilterResult("preemption: not eligible due to preemptionPolicy=Never.")
        counted = []
        for rejection, rows in diagnosis.groups():
            counted.append((NO_VICTIMS if rejection.is_resolvable else NOT_HELPFUL, len(rows)))
        return PostFilterResult(f"preemption: {fit_message(self.table.node_count, '', histogram_of(counted), '')}")


PLUGIN = DefaultPreemption
