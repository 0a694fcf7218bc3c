"""How a cluster is made to fail: the faults of ``kubesim.faults`` as methods of ``Cluster``."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kubesim.cluster.config import Duration
from kubesim.cluster.fault_target import ClusterTarget
from kubesim.faults.injector import Injector
from kubesim.faults.scenario import make_fault, read_scenario

if TYPE_CHECKING:
    from kubesim.cluster.cluster import Cluster


class Failing:
    """The part of ``Cluster`` that breaks things."""

    @cached_property
    def _target(self) -> ClusterTarget:
        return ClusterTarget(cast("Cluster", self))

    @cached_property
    def faults(self) -> Injector:
        """What has been made to fail; ``cluster.faults.log`` has every beginning and end."""
        return Injector(self._target)

    def inject(self, kind: str, *, at: Duration = 0, duration: Duration | None = None, seed: int = 0, **parameters: Any) -> int:
        """Have a fault (``kubesim.faults``) happen ``at`` this time from now on and end after ``duration``; returns its number.

        ``cluster.inject("partition", nodes=["node-1"], at="30s", duration="2m")``; ``cluster.faults.end(number)`` ends it. Raises
        ScenarioError that names field, value and what was expected.
        """
        times = {"at": at, **({} if duration is None else {"duration": duration})}
        return self.faults.schedule(make_fault(self._target, kind, seed=seed, **times, **parameters))

    def inject_file(self, path: str | Path) -> list[int]:
        """Have the faults of a scenario file happen, from now on. Raises ScenarioError for a file that cannot be."""
        return [self.faults.schedule(fault) for fault in read_scenario(path, self._target)]

    def _begin(self, kind: str, **parameters: Any) -> int:
        return self.faults.begin(make_fault(self._target, kind, **parameters))

    def partition(self, *nodes: str) -> int:
        """Cut nodes off from the apiserver and from all others, until ``cluster.faults.end(number)``. Raises ScenarioError."""
        return self._begin("partition", nodes=list(nodes))

    def crash(self, component: str, **where: str) -> int:
        """Kill kube-scheduler, kube-controller-manager, kube-apiserver, etcd (``host=``) or a kubelet (``node=``) until the fault ends."""
        return self._begin("crash", component=component, **where)

    def slow_disk(self, node: str, factor: int = 10) -> int:
        """Everything that a node does on its disk takes so many times longer, until the fault ends."""
        return self._begin("slow-disk", node=node, factor=factor)
