"""GangScheduling: the Pods of a PodGroup with the policy ``gang`` are bound when ``minCount`` of them have a node, and not before.

A Pod stays out of the queue until its group and ``minCount`` Pods of it exist; one that has found a node waits there for the others, at
most five minutes. Alpha in v1.36: no default plugin; to enable it in a profile is its gate.

Upstream: plugins/gangscheduling/gangscheduling.go. The cycle for whole groups (schedule_one_podgroup.go) is not modelled: Pods are tried
one after the other.
"""

from collections.abc import Mapping
from typing import Any

from kubesim.kernel.time import MINUTE
from kubesim.scheduler.contract import ASSIGNED_POD_ADD, ERROR, POD_ADD, ClusterEvent, Hint, Plugin, Rejection, Wait
from kubesim.scheduler.pod_facts import PodInfo

PERMIT_TIMEOUT_NS = 5 * MINUTE
GROUPS = "podgroups"
GROUP_ADD, GROUP_UPDATE = ClusterEvent(GROUPS, "Add"), ClusterEvent(GROUPS, "Update")


class GangScheduling(Plugin):
    """See the module."""

    name = "GangScheduling"
    extends = frozenset({"preEnqueue", "reserve", "permit"})

    def concerns(self, pod: PodInfo) -> bool:
        return bool(pod.facts.group)

    def _min_count(self, pod: PodInfo) -> int | None:
        """The group's ``minCount``; 0 for one that is no gang, None when there is no such group."""
        group = self.objects.get(GROUPS, f"{pod.namespace}/{pod.facts.group}")
        return None if group is None else min_count_of(group)

    def pre_enqueue(self, pod: PodInfo) -> str | None:
        if not pod.facts.group:
            return None
        wanted = self._min_count(pod)
        if wanted is None:
            return f'waiting for pods\'s pod group "{pod.facts.group}" to appear in scheduling queue'
        if len(self.handle.gangs.of(pod).members) < wanted:
            return "waiting for minCount pods from a gang to appear in scheduling queue"
        return None

    def reserve(self, pod: PodInfo, row: int) -> Rejection | None:
        self.handle.gangs.place(pod)
        return None

    def unreserve(self, pod: PodInfo, row: int) -> None:
        self.handle.gangs.take_back(pod)

    def permit(self, pod: PodInfo, row: int) -> Rejection | Wait | None:
        if not pod.facts.group:
            return None
        wanted = self._min_count(pod)
        if wanted is None:
            key = f"{pod.namespace}/{pod.facts.group}"
            return Rejection(ERROR, (f'failed to get podGroup {key}: podgroup.scheduling.k8s.io "{pod.facts.group}" not found',))
        gang = self.handle.gangs.of(pod)
        if len(gang.placed) < wanted:
            self.handle.gangs.activate([uid for uid in gang.members if uid not in gang.placed])
            return Wait(PERMIT_TIMEOUT_NS)
        for uid in list(gang.placed):
            self.handle.waiting.allow(uid, self.name)
        return None

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return {POD_ADD: is_companion, ASSIGNED_POD_ADD: is_companion, GROUP_ADD: is_its_group, GROUP_UPDATE: has_become_smaller}


def min_count_of(group: Mapping[str, Any]) -> int:
    """How many Pods a group binds together; 0 when it is no gang."""
    return int((group["spec"]["schedulingPolicy"].get("gang") or {}).get("minCount") or 0)


def is_companion(pod: PodInfo, old: Any, new: Any) -> bool:
    """Whether the Pod that came is of the same group."""
    group = (new["spec"].get("schedulingGroup") or {}).get("podGroupName")
    return bool(group) and group == pod.facts.group and (new["metadata"].get("namespace") or "default") == pod.namespace


def is_its_group(pod: PodInfo, old: Any, new: Any) -> bool:
    """Whether the group is the Pod's."""
    return (new["metadata"]["namespace"], new["metadata"]["name"]) == (pod.namespace, pod.facts.group)


def has_become_smaller(pod: PodInfo, old: Any, new: Any) -> bool:
    """Whether the Pod's group asks for fewer Pods now."""
    if not is_its_group(pod, old, new):
        return False
    before, after = min_count_of(old), min_count_of(new)
    return not before or not after or after < before


PLUGIN = GangScheduling
