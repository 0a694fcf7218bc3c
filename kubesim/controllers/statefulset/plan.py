"""What to do next about a StatefulSet's Pods: a pure function of the set, its revisions and its Pods.

One pass over the replicas from the lowest ordinal, then over the condemned (ordinals that are not wanted) from the highest, then the update
from the highest ordinal down to the partition. With OrderedReady the pass ends at the first Pod that is not as it should be: at
any time one Pod is on its way. With Parallel all are, and only the update waits for ``maxUnavailable``.

Upstream: pkg/controller/statefulset/stateful_set_control.go (updateStatefulSet, processReplica, processCondemned,
updateStatefulSetAfterInvariantEstablished).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kubesim.apiserver.requests import Object
from kubesim.controllers.statefulset.pods import (
    available_in_ns,
    is_created,
    is_healthy,
    is_running_and_ready,
    is_terminating,
    ordinal_of,
    phase_of,
    replicas_of,
    revision_of,
    start_of,
)

ENDED = ("Failed", "Succeeded")


class Plan(NamedTuple):
    """Ordinals to create, Pods to delete, Pods that lack their claims, Pods to mend; when to look again; ``outdated``: deleted to be
    updated.
    """

    create: list[int]
    delete: list[Object]
    unclaimed: list[Object]
    mend: list[Object]
    requeue_ns: int | None
    outdated: int = 0


class Pods(NamedTuple):
    """The Pods of a set: by place in the wanted range (None: not there), and the condemned, highest ordinal first."""

    replicas: list[Object | None]
    condemned: list[Object]


def sorted_out(stateful_set: Object, pods: Sequence[Object]) -> Pods:
    """Put the Pods of a set in their places. O(replicas + Pods)."""
    start, count = start_of(stateful_set), replicas_of(stateful_set)
    replicas: list[Object | None] = [None] * count
    condemned: list[tuple[int, Object]] = []
    for pod in pods:
        ordinal = ordinal_of(stateful_set, pod["metadata"]["name"])
        if start <= ordinal < start + count:
            replicas[ordinal - start] = pod
        elif ordinal >= 0:
            condemned.append((ordinal, pod))
    condemned.sort(key=lambda found: -found[0])
    return Pods(replicas, [pod for _, pod in condemned])


class _Pass:
    """One pass; ``step_*`` return whether it ends here."""

    def __init__(
        self, stateful_set: Object, pods: Pods, now_ns: int, is_mended: Callable[[Object], bool], may_create: Callable[[int], bool]
    ) -> None:
        self.set = stateful_set
        self.pods = pods
        self.now_ns = now_ns
        self.is_mended = is_mended
        self.may_create = may_create
        self.monotonic = stateful_set["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady"
        self.min_ready_seconds = stateful_set["spec"].get("minReadySeconds", 0)
        self.plan = Plan([], [], [], [], None)
        self.requeue_ns: int | None = None

    def wait_for_availability(self, pod: Object) -> bool:
        """Whether a ready Pod has to wait for ``minReadySeconds``; remember for how long."""
        wait_ns = available_in_ns(pod, self.min_ready_seconds, self.now_ns)
        if wait_ns:
            self.requeue_ns = wait_ns if self.requeue_ns is None else min(self.requeue_ns, wait_ns)
        return wait_ns != 0

    def step_replica(self, place: int) -> bool:
        """Look at one wanted Pod."""
        pod = self.pods.replicas[place]
        if pod is None:
            ordinal = start_of(self.set) + place
            if not self.may_create(ordinal):
                return True
            self.plan.create.append(ordinal)
            return self.monotonic
        if not is_created(pod):
            return self.monotonic
        phase = phase_of(pod)
        if phase in ENDED:
            if not is_terminating(pod):
                self.plan.delete.append(pod)
            return True
        if phase == "Pending":
            self.plan.unclaimed.append(pod)
        if self.monotonic and (is_terminating(pod) or not is_running_and_ready(pod) or self.wait_for_availability(pod)):
            return True
        if not self.monotonic and self.min_ready_seconds:
            self.wait_for_availability(pod)
        if not self.is_mended(pod):
            self.plan.mend.append(pod)
        return False

    def step_condemned(self, place: int, first_unhealthy: Object | None) -> bool:
        """Look at one Pod that is not wanted any more."""
        pod = self.pods.condemned[place]
        if is_terminating(pod):
            return self.monotonic
        if self.monotonic and pod is not first_unhealthy and (not is_running_and_ready(pod) or self.wait_for_availability(pod)):
            return True
        self.plan.delete.append(pod)
        return self.monotonic

    def first_unhealthy(self) -> Object | None:
        """The lowest of all Pods that is not healthy."""
        for pod in self.pods.replicas:
            if not is_healthy(pod):
                return pod
        for pod in reversed(self.pods.condemned):
            if not is_healthy(pod):
                return pod
        return None

    def run(self, update_revision: str) -> Plan:
        """The whole pass. O(Pods)."""
        for place in range(len(self.pods.replicas)):
            if self.step_replica(place):
                return self.done()
        for pod in self.pods.condemned:
            if not self.is_mended(pod):
                self.plan.mend.append(pod)
        first_unhealthy = self.first_unhealthy() if self.monotonic and self.pods.condemned else None
        for place in range(len(self.pods.condemned)):
            if self.step_condemned(place, first_unhealthy):
                return self.done()
        return self.done(self.update(update_revision))

    def update(self, update_revision: str) -> int:
        """Delete outdated Pods, the highest first, as many as may be unavailable; how many."""
        strategy = self.set["spec"].get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            return 0
        rolling = strategy.get("rollingUpdate") or {}
        room = max_unavailable(rolling.get("maxUnavailable"), replicas_of(self.set))
        room -= sum(1 for pod in self.pods.replicas if self.is_unavailable(pod))
        count = 0
        for place in range(len(self.pods.replicas) - 1, rolling.get("partition", 0) - 1, -1):
            pod = self.pods.replicas[place]
            if count >= room:
                break
            if pod is not None and revision_of(pod) != update_revision and not is_terminating(pod):
                self.plan.delete.append(pod)
                count += 1
        return count

    def is_unavailable(self, pod: Object | None) -> bool:
        """Whether a place counts against ``maxUnavailable``."""
        return not is_healthy(pod) or available_in_ns(pod, self.min_ready_seconds, self.now_ns) != 0

    def done(self, outdated: int = 0) -> Plan:
        """The plan with what is known at the end."""
        return self.plan._replace(requeue_ns=self.requeue_ns, outdated=outdated)


def plan(
    stateful_set: Object,
    pods: Pods,
    update_revision: str,
    now_ns: int,
    is_mended: Callable[[Object], bool],
    may_create: Callable[[int], bool],
) -> Plan:
    """What to do next. ``is_mended(pod)``: identity and claims are as they should be; ``may_create(ordinal)``: no claim of a former Pod is
    left.
    """
    return _Pass(stateful_set, pods, now_ns, is_mended, may_create).run(update_revision)


def max_unavailable(value: Any, replicas: int) -> int:
    """``maxUnavailable`` as a number: a percentage is rounded up; at least 1, and 1 if it is not set."""
    if value is None:
        return 1
    if isinstance(value, int):
        return max(value, 1)
    return max(-(-int(value.rstrip("%")) * replicas // 100), 1)
