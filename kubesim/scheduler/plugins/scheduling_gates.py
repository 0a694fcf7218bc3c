"""SchedulingGates: a Pod with gates does not enter the queue.

Upstream: plugins/schedulinggates/scheduling_gates.go.
"""

from collections.abc import Mapping

from kubesim.scheduler.contract import POD_GATES_ELIMINATED, ClusterEvent, Hint, Plugin, always
from kubesim.scheduler.pod_facts import PodInfo


class SchedulingGates(Plugin):
    """See the module."""

    name = "SchedulingGates"
    extends = frozenset({"preEnqueue"})

    def pre_enqueue(self, pod: PodInfo) -> str | None:
        gates = pod.facts.gates
        return f"waiting for scheduling gates: [{' '.join(gates)}]" if gates else None

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return {POD_GATES_ELIMINATED: always}


PLUGIN = SchedulingGates
