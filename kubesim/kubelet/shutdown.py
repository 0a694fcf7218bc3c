"""Graceful shutdown of a node: it takes no more Pods, ends those it has in order of priority, each with its grace, then the power is off.

Upstream: pkg/kubelet/nodeshutdown/nodeshutdown_manager_linux.go (processShutdownEvent, groupByPriority, migrateConfig).
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kubesim.kernel.time import SECOND, format_time
from kubesim.kubelet.pod_state import KILL

if TYPE_CHECKING:
    from kubesim.kubelet.node_agent import NodeAgent
    from kubesim.kubelet.pod_worker import PodWorker

CRITICAL_PRIORITY = 2_000_000_000
MESSAGE = "Pod was terminated in response to imminent node shutdown."
REFUSAL = ("NodeShutdown", "Pod was rejected as the node is shutting down.")
Period = tuple[int, int]  # (priority from which on it counts, ns)


def periods_of(total_ns: int, critical_ns: int) -> tuple[Period, ...]:
    """The periods by priority that ``shutdownGracePeriod`` and ``shutdownGracePeriodCriticalPods`` mean. Raises ValueError."""
    if not 0 <= critical_ns <= total_ns:
        values = f"{total_ns} and {critical_ns}"
        raise ValueError(f"shutdown_grace_ns, shutdown_critical_grace_ns: {values}: expected 0 <= the second <= the first")
    return ((0, total_ns - critical_ns), (CRITICAL_PRIORITY, critical_ns)) if total_ns else ()


def group_of(periods: Sequence[Period], priority: int) -> int:
    """The index of the period that a priority falls under; one below the lowest belongs to the lowest. O(log n)."""
    return max(bisect_right([start for start, _ in periods], priority) - 1, 0)


class Shutdown:
    """One shutdown of one node, under way until ``agent.alive`` is False."""

    def __init__(self, agent: "NodeAgent", periods: Sequence[Period]) -> None:
        self.agent = agent
        self._periods = periods
        self._group = -1
        self._left: list[PodWorker] = []
        self._timer = 0
        agent.event("Normal", "NodeShutdown", "Shutdown manager detected shutdown event")
        now = format_time(agent.kernel.now_ns)
        text = {"reason": "KubeletNotReady", "message": "node is shutting down"}
        ready = {"type": "Ready", "status": "False", "lastHeartbeatTime": now, "lastTransitionTime": now, **text}
        agent.event("Normal", "NodeNotReady", f"Node {agent.name} status is now: NodeNotReady")
        if agent.connected:
            agent.write_conditions({"Ready": ready})
        self._next()

    def _next(self) -> None:
        """End the Pods of the next group; when there is none the power goes off."""
        agent = self.agent
        if not agent.alive:
            return
        agent.kernel.cancel(self._timer)
        while self._group < len(self._periods) - 1:
            self._group += 1
            grace_ns = self._periods[self._group][1]
            self._left = [worker for worker in agent.workers.values() if not worker.state.done and self._index(worker) == self._group]
            if self._left:
                self._timer = agent.kernel.after(grace_ns, self._next)
                for worker in list(self._left):
                    own_ns = min(worker.state.facts.grace_ns, grace_ns)
                    worker.handle((KILL, "Terminated", MESSAGE, own_ns // SECOND * SECOND, MESSAGE))
                return
        agent.kernel.after(0, agent.fail)

    def _index(self, worker: "PodWorker") -> int:
        return group_of(self._periods, worker.pod["spec"].get("priority") or 0)

    def torn_down(self, worker: "PodWorker") -> None:
        """A Pod has left the node: the last one of a group lets the next begin."""
        if worker in self._left:
            self._left.remove(worker)
            if not self._left:
                self.agent.kernel.soon(self._next)
