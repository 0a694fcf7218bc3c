"""Which Pods belong to which PodGroup (``spec.schedulingGroup``), and which of them have a node, bound or assumed.

The shell reports Pods as it sees them, GangScheduling those that it reserves. Pods without a group cost nothing.

Upstream: pkg/scheduler/backend/podgroupmanager.
"""

from collections.abc import Callable, Iterable

from kubesim.scheduler.pod_facts import PodInfo

GroupName = tuple[str, str]  # (namespace, name)


class Gang:
    """The Pods of one group by uid, in the order they came; ``placed`` are those that have a node."""

    __slots__ = ("members", "placed")

    def __init__(self) -> None:
        self.members: dict[str, None] = {}
        self.placed: dict[str, None] = {}


class Gangs:
    """The gangs of a cluster; every operation is O(1). ``activate`` is told of Pods that should be tried now."""

    def __init__(self) -> None:
        self._gangs: dict[GroupName, Gang] = {}
        self.activate: Callable[[Iterable[str]], object] = lambda uids: None

    def of(self, pod: PodInfo) -> Gang:
        """The gang of a Pod that has a group."""
        return self._gangs.setdefault((pod.namespace, pod.facts.group), Gang())

    def saw(self, pod: PodInfo) -> None:
        """A Pod exists."""
        if pod.facts.group:
            gang = self.of(pod)
            gang.members[pod.uid] = None
            if pod.node_name:
                gang.placed[pod.uid] = None

    def place(self, pod: PodInfo) -> None:
        """A Pod is going to have a node."""
        if pod.facts.group:
            gang = self.of(pod)
            gang.members[pod.uid] = gang.placed[pod.uid] = None

    def take_back(self, pod: PodInfo) -> None:
        """It is not, after all."""
        if pod.facts.group:
            self.of(pod).placed.pop(pod.uid, None)

    def lost(self, pod: PodInfo) -> None:
        """A Pod is gone, or has ended."""
        if pod.facts.group:
            gang = self.of(pod)
            gang.members.pop(pod.uid, None)
            gang.placed.pop(pod.uid, None)
            if not gang.members:
                del self._gangs[pod.namespace, pod.facts.group]
