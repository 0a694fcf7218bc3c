"""Watches what a node has left, and acts: images are removed, Pods evicted, conditions reported, containers killed when memory is gone.

Upstream looks every 10 s. Here the same marks are used, but only those at which something can be seen: the times at which usage crosses a
threshold are computed from the curves, so a node whose containers use a steady amount costs nothing. A node without curves, reservations
or a full disk has no monitor.

Upstream: pkg/kubelet/eviction/eviction_manager.go (synchronize), nodestatus/setters.go, oom/oom_watcher_linux.go, qos/policy.go.
"""

from typing import TYPE_CHECKING

from kubesim.api import quantity
from kubesim.api.curve import NEVER_NS, Curve, first_at_least
from kubesim.kernel.loop import PRIORITY_NORMAL, PRIORITY_STANDING
from kubesim.kernel.time import SECOND
from kubesim.kubelet.eviction import images as image_gc
from kubesim.kubelet.eviction import ranking, thresholds
from kubesim.kubelet.eviction.limits import has_limits, oom_score_adjust, over_limit, request_of
from kubesim.kubelet.eviction.pressure import REPORTS, condition_of
from kubesim.kubelet.eviction.ranking import Candidate, Usage
from kubesim.kubelet.eviction.thresholds import RESOURCES, Observation, Threshold
from kubesim.kubelet.eviction.usage import DISK, MEMORY, NodeUsage, Running

if TYPE_CHECKING:
    from kubesim.kubelet.node_agent import NodeAgent
    from kubesim.kubelet.pod_worker import PodWorker

HARD_GRACE_NS = SECOND
CLEANUP_NS_MAX = 30 * SECOND
CLEANUP_POLL_NS = SECOND
GC_FAILED = "Failed to garbage collect required amount of images. Attempted to free %d bytes, but only found %d bytes eligible to free."


class NodeMonitor:
    """The eviction manager, the image collector and the OOM killer of one node."""

    def __init__(self, agent: "NodeAgent") -> None:
        self.agent = agent
        self.kernel = agent.kernel
        self.config = agent.kubelets.config
        self.usage = NodeUsage()
        self.conditions: tuple[str, ...] = ()  # that hold, as the node's status says
        self._thresholds = agent.kubelets.thresholds
        self._since: dict[Threshold, int] = {}
        self._met: list[Threshold] = []  # whose grace period is over
        self._last_observed_ns: dict[str, int] = {}
        self._evicted: PodWorker | None = None
        self._evicted_ns = 0
        self._look = self._oom = self._collect = 0  # handles of the next times
        self._collect_failed = False

    # News

    def begin(self, worker: "PodWorker", index: int, started_ns: int, curves: dict[str, Curve], volumes: dict[str, Curve]) -> None:
        """A container that uses something has started."""
        self.usage.running[worker.uid, index] = Running(worker, index, started_ns, curves, volumes)
        self.plan()

    def end(self, worker: "PodWorker", index: int) -> None:
        """A container has ended, or what it was going to use is told anew."""
        if self.usage.running.pop((worker.uid, index), None) is not None:
            self.plan()

    def reserve(self, resource: str, amount: int) -> None:
        """The system (or a fault) takes this much of ``memory`` or ``ephemeral-storage`` from now on."""
        self.usage.reserved[resource] = amount
        self.plan()

    def torn_down(self, worker: "PodWorker") -> None:
        """A Pod has left the node."""
        if worker is self._evicted:
            polls = -(-(self.kernel.now_ns - self._evicted_ns) // CLEANUP_POLL_NS)
            self._look_at(self._evicted_ns + max(polls, 1) * CLEANUP_POLL_NS)

    def reset(self) -> None:
        """The node has stopped: nothing runs, and its kubelet forgets."""
        for handle in (self._look, self._oom, self._collect):
            self.kernel.cancel(handle)
        self._look = self._oom = self._collect = 0
        self.usage.running.clear()
        self._since, self._met, self._last_observed_ns, self.conditions, self._evicted = {}, [], {}, (), None

    # When to look

    def capacity(self, resource: str) -> int:
        """What the node has in all; 0 when it does not say."""
        text = (self.agent.node["status"].get("capacity") or {}).get(resource)
        return 0 if text is None else quantity.value(text)

    def observe(self, time_ns: int) -> dict[str, Observation]:
        """What is left, by signal."""
        seen = {}
        for signal, resource in RESOURCES.items():
            capacity = self.capacity(resource)
            seen[signal] = Observation(capacity - self.usage.total(resource, time_ns), capacity)
        return seen

    def _counted(self) -> list[Threshold]:
        return [threshold for threshold in self._thresholds if self.capacity(RESOURCES[threshold.signal])]

    def plan(self) -> None:
        """Work out anew when to look next. O(containers with a curve * log of the time), so only on changes."""
        if not self.agent.alive:
            return
        self.usage.images_bytes = self.agent.images.total_bytes
        now_ns = self.kernel.now_ns
        self._plan_oom(now_ns)
        self._plan_collection(now_ns)
        if self._evicted is not None:
            return
        counted = self._counted()
        current = thresholds.met(counted, self.observe(now_ns))
        times = [self._crossing(each, now_ns) for each in counted if each not in current]
        times += [self._since[each] + each.grace_ns for each in current if each in self._since and each not in self._met]
        observed = {thresholds.CONDITIONS[each.signal] for each in current}
        period_ns = self.config.eviction_transition_ns
        times += [last_ns + period_ns for name, last_ns in self._last_observed_ns.items() if name not in observed]
        times += [self._limit_crossing(uid, now_ns) for uid in self._uids()]
        if set(current) != set(self._since):
            times.append(now_ns)
        soonest_ns = min(times, default=NEVER_NS)
        if soonest_ns < NEVER_NS:
            self._look_at(self._mark(soonest_ns))
        elif self._met and self.usage.is_changing(now_ns):
            self._look_at(self._mark(now_ns + 1), PRIORITY_STANDING)
        else:
            self.kernel.cancel(self._look)
            self._look = 0

    def _mark(self, time_ns: int) -> int:
        """The first regular time at or after a time, later than now."""
        start_ns, period_ns = self.agent.registered_ns, self.config.eviction_monitor_ns
        return start_ns + -(-(max(time_ns, self.kernel.now_ns + 1) - start_ns) // period_ns) * period_ns

    def _look_at(self, time_ns: int, priority: int = PRIORITY_NORMAL) -> None:
        self.kernel.cancel(self._look)
        self._look = self.kernel.at(time_ns, self._synchronize, priority=priority)

    def _crossing(self, threshold: Threshold, now_ns: int) -> int:
        resource = RESOURCES[threshold.signal]
        return self.usage.reaches(resource, now_ns, thresholds.used_at(threshold, self.capacity(resource)))

    def _uids(self) -> list[str]:
        return list(dict.fromkeys(uid for uid, _ in self.usage.running))

    # Eviction

    def _synchronize(self) -> None:
        """One look at everything."""
        self._look = 0
        agent, now_ns = self.agent, self.kernel.now_ns
        if not agent.alive:
            return
        self._evicted = None
        self.usage.images_bytes = agent.images.total_bytes
        seen = self.observe(now_ns)
        counted = self._counted()
        current = thresholds.met(counted, seen)
        current += [each for each in thresholds.met(self._met, seen, enforce_reclaim=True) if each not in current]
        self._since = thresholds.first_seen(current, self._since, now_ns)
        self._hold_conditions({thresholds.CONDITIONS[each.signal] for each in current}, now_ns)
        self._met = thresholds.due(self._since, now_ns)
        victim = self._evict_by_limit(now_ns) or (self._reclaim(seen, now_ns) if self._met else None)
        if victim is not None:
            self._evicted, self._evicted_ns = victim, now_ns
            self._look_at(now_ns + CLEANUP_NS_MAX)
            if victim.state.done:
                self.torn_down(victim)
        self.plan()

    def _hold_conditions(self, observed: set[str], now_ns: int) -> None:
        """A condition holds while it was observed within the transition period; a change is reported at once."""
        self._last_observed_ns.update(dict.fromkeys(sorted(observed), now_ns))
        period_ns = self.config.eviction_transition_ns
        self._last_observed_ns = {
            name: last_ns for name, last_ns in self._last_observed_ns.items() if name in observed or now_ns - last_ns < period_ns
        }
        held = tuple(name for name in REPORTS if name in self._last_observed_ns)
        changed = [name for name in REPORTS if (name in held) != (name in self.conditions)]
        self.conditions = held
        if changed and self.agent.connected:
            for name in changed:
                event = REPORTS[name][0 if name in held else 1][2]
                self.agent.recorder.event(self.agent.node, "Normal", event, f"Node {self.agent.name} status is now: {event}")
            self.agent.write_conditions({name: condition_of(name, name in held, now_ns) for name in changed})

    def _reclaim(self, seen: dict[str, Observation], now_ns: int) -> "PodWorker | None":
        """Remove what no Pod needs; when that is not enough, evict the Pod whose turn it is. Returns it."""
        threshold = self._met[0]
        resource = RESOURCES[threshold.signal]
        self.agent.event("Warning", "EvictionThresholdMet", f"Attempting to reclaim {resource}")
        if resource == DISK:
            self._remove_images(None, now_ns)
            seen = self.observe(now_ns)
            if not thresholds.met(self._counted(), seen, enforce_reclaim=True):
                return None
        workers = [worker for worker in self.agent.workers.values() if not worker.state.closing]
        for candidate in ranking.rank(self._candidates(workers, resource, now_ns)):
            if not candidate.is_critical:
                worker = workers[candidate.order]
                why = ranking.message(resource, candidate, self._met, seen)
                limit_ns = self.config.eviction_pod_grace_ns_max
                worker.evict(why, HARD_GRACE_NS if not threshold.grace_ns else limit_ns, why)
                return worker
        return None

    def _candidates(self, workers: "list[PodWorker]", resource: str, now_ns: int) -> list[Candidate]:
        found = []
        for order, worker in enumerate(workers):
            facts = worker.state.facts
            usages = tuple(
                Usage(container.name, self._used(worker, container.index, resource, now_ns), request_of(container.spec, resource))
                for container in facts.containers
                if (worker.uid, container.index) in self.usage.running
            )
            asked = facts.memory if resource == MEMORY else facts.ephemeral
            found.append(Candidate(order, worker.pod["spec"].get("priority") or 0, worker.is_static, usages, asked))
        return found

    def _used(self, worker: "PodWorker", index: int, resource: str, now_ns: int) -> int:
        running = self.usage.running[worker.uid, index]
        return running.used(resource, now_ns) + (running.in_volumes(now_ns) if resource == DISK else 0)

    # Limits of local storage

    def _evict_by_limit(self, now_ns: int) -> "PodWorker | None":
        for uid in self._uids():
            running = self.usage.of_pod(uid)
            worker = running[0].worker
            text = "" if worker.state.closing or worker.is_static else over_limit(worker, running, now_ns)
            if text:
                worker.evict(text, HARD_GRACE_NS, "")
                return worker
        return None

    def _limit_crossing(self, uid: str, now_ns: int) -> int:
        """When a Pod will have used more local storage than it may; now if it has."""
        running = self.usage.of_pod(uid)
        worker = running[0].worker
        if worker.state.closing or worker.is_static or not has_limits(worker):
            return NEVER_NS
        breaks = self.usage.breaks(DISK, now_ns)
        return first_at_least(lambda time_ns: int(bool(over_limit(worker, running, time_ns))), breaks, now_ns, 1)

    # Images

    def _plan_collection(self, now_ns: int) -> None:
        self.kernel.cancel(self._collect)
        self._collect = 0
        capacity = self.capacity(DISK)
        if not capacity:
            return
        full = -(-capacity * self.config.image_gc_high_percent // 100)
        full_ns = self.usage.reaches(DISK, now_ns, full)
        if full_ns < NEVER_NS and not (self._collect_failed and full_ns == now_ns and not self._unused()):
            start_ns, period_ns = self.agent.registered_ns, self.config.image_gc_period_ns
            time_ns = start_ns + ((max(full_ns - 1, now_ns) - start_ns) // period_ns + 1) * period_ns
            self._collect = self.kernel.at(time_ns, self._collect_images)

    def _collect_images(self) -> None:
        self._collect = 0
        now_ns = self.kernel.now_ns
        capacity, config = self.capacity(DISK), self.config
        available = capacity - self.usage.total(DISK, now_ns)
        wanted = image_gc.excess(capacity, available, config.image_gc_high_percent, config.image_gc_low_percent)
        freed = self._remove_images(wanted, now_ns) if wanted > 0 else 0
        failed = freed < wanted
        if failed:
            self.agent.event("Warning", "FreeDiskSpaceFailed", GC_FAILED % (wanted, freed))
            if self._collect_failed:
                self.agent.event("Warning", "ImageGCFailed", GC_FAILED % (wanted, freed))
        self._collect_failed = failed
        self.plan()

    def _unused(self) -> list[image_gc.Unused]:
        used = {facts.image for worker in self.agent.workers.values() if not worker.state.done for facts in worker.state.facts.containers}
        return [image for image in self.agent.images.unused(self.kernel.now_ns) if image.name not in used]

    def _remove_images(self, wanted: int | None, now_ns: int) -> int:
        names, freed = image_gc.choose(self._unused(), wanted, now_ns, self.config.image_gc_age_ns_min)
        for name in names:
            self.agent.images.remove_image(name)
        if names:
            self.agent.images_changed(now_ns)
        self.usage.images_bytes = self.agent.images.total_bytes
        return freed

    # Out of memory

    def _plan_oom(self, now_ns: int) -> None:
        self.kernel.cancel(self._oom)
        self._oom = 0
        capacity = self.capacity(MEMORY)
        if capacity and self.usage.running:
            time_ns = self.usage.reaches(MEMORY, now_ns, capacity)
            if time_ns < NEVER_NS:
                self._oom = self.kernel.at(time_ns, self._kill_largest)

    def _kill_largest(self) -> None:
        """The kernel of the node kills the container with the highest score, as Linux does."""
        self._oom = 0
        now_ns, capacity = self.kernel.now_ns, self.capacity(MEMORY)
        if not self.agent.alive or self.usage.total(MEMORY, now_ns) < capacity:
            return
        alive = [each for each in self.usage.running.values() if each.used(MEMORY, now_ns)]
        if not alive:
            return
        victim = max(alive, key=lambda each: each.used(MEMORY, now_ns) * 1000 // capacity + oom_score_adjust(each, capacity))
        name = victim.worker.state.facts.containers[victim.index].name
        process = 1 + victim.worker.state.containers[victim.index].started_ns % 32767
        self.agent.event("Warning", "SystemOOM", f"System OOM encountered, victim process: {name}, pid: {process}")
        victim.worker.kill_for_memory(victim.index)
        self.plan()
