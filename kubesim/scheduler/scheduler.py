"""kube-scheduler in a cluster: informers in, bind requests, events and conditions out. The decisions are the engine's.

A Pod without a node enters the queue; an agenda event pops a batch, decides, assumes and binds. A cycle takes ``cycle_ns`` of virtual
time: with 0 a batch is decided in one instant, else one Pod after the other. A bind that fails takes the assumption back and the
Pod waits for its back-off.

Upstream: pkg/scheduler (schedule_one.go, eventhandlers.go).
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

from kubesim.api.conditions import FALSE, get_condition
from kubesim.apiserver.requests import Object, patch
from kubesim.client.contract import Link
from kubesim.client.events import SeriesRecorder
from kubesim.client.informer import InformerFactory
from kubesim.kernel.loop import PRIORITY_NORMAL, PRIORITY_STANDING, Kernel
from kubesim.kernel.time import format_time
from kubesim.kernel.wake import Wakeup
from kubesim.scheduler.binding_cycle import BindingCycles
from kubesim.scheduler.changes import assigned_pod_changes, node_changes, waiting_pod_changes
from kubesim.scheduler.contract import ASSIGNED_POD_ADD, ASSIGNED_POD_DELETE, NODE_ADD, POD_ADD, ClusterEvent, Plugin
from kubesim.scheduler.engine import Decision, SchedulingEngine
from kubesim.scheduler.eviction import evictions, preempted_message, take_back
from kubesim.scheduler.extender import Door, nobody
from kubesim.scheduler.pod_facts import DEFAULT_SCHEDULER_NAME, PodInfo, is_terminal
from kubesim.scheduler.preemption import Candidate
from kubesim.scheduler.profile import SchedulerConfig
from kubesim.scheduler.queue import QueuedPod, SchedulingQueue

EVENT_MESSAGE_BYTES_MAX = 1024
ELLIPSIS = " ..."
REASON_UNSCHEDULABLE, REASON_ERROR = "Unschedulable", "SchedulerError"


# What plugins look at beside nodes and Pods, by the apiserver's name.
WATCHED = {
    "namespaces": "namespaces",
    "services": "services",
    "replicationcontrollers": "replicationcontrollers",
    "replicasets.apps": "replicasets",
    "statefulsets.apps": "statefulsets",
    "persistentvolumes": "persistentvolumes",
    "persistentvolumeclaims": "persistentvolumeclaims",
    "storageclasses.storage.k8s.io": "storageclasses",
    "csinodes.storage.k8s.io": "csinodes",
    "csidrivers.storage.k8s.io": "csidrivers",
    "csistoragecapacities.storage.k8s.io": "csistoragecapacities",
    "volumeattachments.storage.k8s.io": "volumeattachments",
    "deviceclasses.resource.k8s.io": "deviceclasses",
    "resourceslices.resource.k8s.io": "resourceslices",
    "resourceclaims.resource.k8s.io": "resourceclaims",
    "poddisruptionbudgets.policy": "poddisruptionbudgets",
}
WATCHED_FOR = {"GangScheduling": {"podgroups.scheduling.k8s.io": "podgroups"}}  # only where a profile has the plugin


class Scheduler:
    """One scheduler process; ``plugins`` may add the user's own. ``engine`` answers questions about why and where."""

    def __init__(
        self,
        kernel: Kernel,
        link: Link,
        config: SchedulerConfig | None = None,
        *,
        plugins: Iterable[type[Plugin]] = (),
        door: Door = nobody,
        name: str = "kube-scheduler",
    ) -> None:
        self.kernel = kernel
        self.link = link
        self.engine = SchedulingEngine(config, stream=kernel.rng(f"{name}/ties"), plugins=plugins, door=door)
        self.config = self.engine.config
        frameworks = self.engine.frameworks
        hints = {scheduler_name: framework.hints() for scheduler_name, framework in frameworks.items()}
        sort = next(iter(frameworks.values())).queue_sort  # all profiles have the same
        self.queue = SchedulingQueue(self.config, self._gate, hints, kernel.now_ns, None if sort is None else sort.sort_key)
        self.engine.gangs.activate = self.queue.activate
        self.bindings = BindingCycles(kernel, link, self.engine, self._bound, self._unbound)
        self.scheduled_count = 0
        self.failed_count = 0
        self._factory = InformerFactory(link)
        self._recorders = {scheduler_name: SeriesRecorder(link, scheduler_name) for scheduler_name in frameworks}
        self._wakeup = Wakeup(kernel, self._run)
        self._timer = 0  # the agenda's handle of the next flush of the queue
        self._timer_ns = -1
        self._timer_priority = PRIORITY_NORMAL
        self._is_busy = False  # a cycle that takes time is under way
        self._is_synced = False  # everything is listed

    def start(self) -> None:
        """List and watch; scheduling begins when everything is listed."""
        self._factory.informer("nodes").add_handler(self._on_node)
        self._factory.informer("pods").add_handler(self._on_pod)
        alpha = [found for plugin, found in WATCHED_FOR.items() if self.config.enables(plugin)]
        for resource, known_as in [item for found in (WATCHED, *alpha) for item in found.items()]:
            self._factory.informer(resource).add_handler(partial(self._on_object, known_as))
        self._factory.start()
        self._factory.when_synced(self._go)

    def _go(self) -> None:
        self._is_synced = True
        self._wakeup.set()

    def _gate(self, info: PodInfo) -> tuple[str, str] | None:
        return self.engine.frameworks[info.facts.scheduler_name].gate(info)

    # ---- what the informers show ---------------------------------------------------------------------------------------------

    def _on_node(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            assert old is not None
            self.engine.remove_node(old["metadata"]["name"])
            return
        self.engine.add_node(new)
        for event in (NODE_ADD,) if old is None else node_changes(old, new):
            self._happened(event, old, new)

    def _on_object(self, resource: str, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self.engine.set_object(resource, new)
        elif old is not None:
            self.engine.remove_object(resource, old)
        action = "Add" if old is None else "Update" if new is not None else "Delete"
        self._happened(ClusterEvent(resource, action), old, new)
        self.bindings.poke()

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        """Sort a change by where the Pod was and is: bound (and not ended), ours to schedule, or neither."""
        old_node = old is not None and old["spec"].get("nodeName") and not is_terminal(old)
        new_node = new is not None and new["spec"].get("nodeName") and not is_terminal(new)
        if old_node and new_node:
            assert old is not None and new is not None
            self._update_bound(old, new)
        elif new_node:
            assert new is not None
            self._add_bound(new)
        elif old_node:
            assert old is not None
            self._remove_bound(old)
        elif old is not None or new is not None:
            self._on_waiting(old, new)

    def _add_bound(self, pod: Object) -> None:
        if not self.engine.cache.confirm(pod):
            self.engine.cache.add(self.engine.memo.info(pod))
        if "schedulingGroup" in pod["spec"]:
            self.engine.gangs.saw(self.engine.memo.info(pod))
        self.engine.nominator.remove(pod["metadata"]["uid"])
        self.bindings.drop(pod["metadata"]["uid"])
        self.queue.remove(pod["metadata"]["uid"])  # somebody else bound it, or the answer to our bind is slower than the watch
        self._happened(ASSIGNED_POD_ADD, None, pod)

    def _update_bound(self, old: Object, new: Object) -> None:
        if old["spec"] is new["spec"]:  # by far the most: a new status
            self.engine.cache.touch(new)
            if old["metadata"].get("labels") is new["metadata"].get("labels"):
                return
        else:
            self.engine.cache.update(self.engine.memo.info(new))
        for event in assigned_pod_changes(old, new):
            self._happened(event, old, new)

    def _remove_bound(self, pod: Object) -> None:
        self._forget(self.engine.memo.info(pod))
        self._happened(ASSIGNED_POD_DELETE, pod, None)

    def _forget(self, info: PodInfo) -> PodInfo | None:
        """The Pod is gone: what the cache held of it."""
        self.engine.gangs.lost(info)
        return self.engine.cache.remove(info)

    def _on_waiting(self, old: Object | None, new: Object | None) -> None:
        """A Pod without a node came, changed or went."""
        if new is None or is_terminal(new):
            if old is None:  # it had ended before this scheduler started
                return
            uid = old["metadata"]["uid"]
            self.bindings.drop(uid)
            self.queue.remove(uid)
            self.engine.nominator.remove(uid)
            known = self._forget(self.engine.memo.info(old))
            if known is not None:  # it was deleted while its bind was on its way
                self._happened(ASSIGNED_POD_DELETE, known.obj, None)
            return
        if (new["spec"].get("schedulerName") or DEFAULT_SCHEDULER_NAME) not in self.engine.frameworks:
            return
        info = self.engine.memo.info(new)
        promised = (new.get("status") or {}).get("nominatedNodeName") or ""
        if promised and not self.engine.nominator.node_of(info.uid) and not self.engine.cache.is_assumed(info.uid):
            self.engine.nominator.add(info, promised)
        if self.queue.get(info.uid) is not None:
            changes = waiting_pod_changes(old, new) if old is not None else []
            self.queue.update(info, changes, old, self.kernel.now_ns)
        elif not self.engine.cache.is_assumed(info.uid):
            self.engine.gangs.saw(info)
            self.queue.add(info, self.kernel.now_ns)
            self._happened(POD_ADD, None, new)
        self._wakeup.set()

    def _happened(self, event: Any, old: Any, new: Any) -> None:
        """Tell the queue; wake up when that moved a Pod."""
        if self.queue.event(event, old, new, self.kernel.now_ns):
            self._wakeup.set()

    # ---- cycles --------------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        """Try a batch of Pods; the rest of the queue comes after whatever else happens at this instant."""
        if self._is_busy or not self._is_synced:
            return
        now_ns = self.kernel.now_ns
        for _ in range(self.config.batch_max):
            queued = self.queue.pop(now_ns)
            if queued is None:
                break
            if self.config.cycle_ns:
                self._is_busy = True
                self.kernel.after(self.config.cycle_ns, self._end_cycle, queued, self._decide(queued))
                return
            self._apply(queued, self._decide(queued))
        if self.queue.has_ready(now_ns):
            self._wakeup.set()
        self._set_timer()

    def _decide(self, queued: QueuedPod) -> Decision | None:
        """The engine's decision; None for a Pod that is being deleted."""
        if queued.info.obj["metadata"].get("deletionTimestamp"):
            return None
        return self.engine.decide(queued.info)

    def _end_cycle(self, queued: QueuedPod, decision: Decision | None) -> None:
        self._is_busy = False
        self._apply(queued, decision)
        self._wakeup.set()

    def _apply(self, queued: QueuedPod, decision: Decision | None) -> None:
        """Assume and bind, or say why not. A Pod that went away during its cycle is dropped."""
        info = queued.info
        if self.queue.get(info.uid) is not queued:
            return
        if decision is None:
            message = f"skip schedule deleting pod: {info.key}"
            self._recorder(info).event(info.obj, "Warning", "FailedScheduling", message, "Scheduling")
            self.queue.done(info.uid)
        elif decision.node_name:
            self.bindings.begin(queued, decision.node_name)
        else:
            self._reject(queued, decision)

    def _reject(self, queued: QueuedPod, decision: Decision) -> None:
        """The Pod fits nowhere: tell, and make room for it where preemption found some."""
        outcome = decision.post_filter
        nominated: str | None = None  # no change
        if outcome is not None and outcome.preemption is not None:
            nominated = outcome.node_name
        elif outcome is not None and outcome.clears_nomination:
            nominated = ""
            self.engine.nominator.remove(queued.info.uid)
        self._fail(queued, decision.message, REASON_UNSCHEDULABLE, decision.unschedulable_plugins, nominated)
        for request in outcome.requests if outcome is not None else ():
            self.link.send(request)
        if outcome is not None and outcome.preemption is not None:
            self._preempt(queued.info, outcome.preemption.chosen)

    def _preempt(self, info: PodInfo, chosen: Candidate) -> None:
        """Promise the node and evict the victims; the Pod waits for them to go."""
        nominator = self.engine.nominator
        for request in take_back(nominator, info, chosen.node_name):
            self.link.send(request)
        nominator.add(info, chosen.node_name)
        for victim in chosen.victims:
            for request in evictions(info, victim, self.kernel.now_ns):
                self.link.send(request)
            message = preempted_message(info, chosen.node_name)
            self._recorder(info).event(victim.obj, "Normal", "Preempted", message, "Preempting")

    def _bound(self, queued: QueuedPod, node_name: str) -> None:
        info = queued.info
        self.scheduled_count += 1
        self.queue.done(info.uid)
        message = f"Successfully assigned {info.key} to {node_name}"
        self._recorder(info).event(info.obj, "Normal", "Scheduled", message, "Binding")

    def _unbound(self, queued: QueuedPod, message: str, is_error: bool, plugins: tuple[str, ...]) -> None:
        """A placement was taken back. The room it had is free again, for everybody but itself."""
        self._fail(queued, message, REASON_ERROR if is_error else REASON_UNSCHEDULABLE, plugins, "")
        if self.queue.event(ASSIGNED_POD_DELETE, queued.info.obj, None, self.kernel.now_ns, but=queued.info.uid):
            self._wakeup.set()
        self._set_timer()

    # ---- failures ------------------------------------------------------------------------------------------------------------

    def _fail(self, queued: QueuedPod, message: str, reason: str, plugins: tuple[str, ...], nominated: str | None = None) -> None:
        """Requeue, and tell: an event always, the condition when it changes. ``nominated``: a new promise, "" for none any more."""
        info = queued.info
        self.failed_count += 1
        self.queue.fail(queued, plugins, self.kernel.now_ns)
        self._recorder(info).event(info.obj, "Warning", "FailedScheduling", truncated(message), "Scheduling")
        if self.queue.get(info.uid) is queued:
            self._set_condition(info, reason, message, nominated)

    def _set_condition(self, info: PodInfo, reason: str, message: str, nominated: str | None) -> None:
        """Patch PodScheduled=False and the nomination; nothing is sent when the Pod has both already."""
        status: Object = {}
        known = get_condition(info.obj, "PodScheduled")
        if known is None or (known["status"], known.get("reason"), known.get("message")) != (FALSE, reason, message):
            status["conditions"] = [self._condition(info, known, reason, message)]
        before = (info.obj.get("status") or {}).get("nominatedNodeName") or ""
        if nominated is not None and nominated != before:
            status["nominatedNodeName"] = nominated or None
        if status:
            metadata = info.obj["metadata"]
            body = {"metadata": {"uid": info.uid}, "status": status}
            self.link.send(patch("pods", metadata["namespace"], metadata["name"], body, "strategic", "status"))

    def _condition(self, info: PodInfo, known: Object | None, reason: str, message: str) -> Object:
        time = format_time(self.kernel.now_ns)
        if known is not None and known["status"] == FALSE:
            time = known.get("lastTransitionTime", time)
        condition: Object = {"type": "PodScheduled"}
        generation = info.obj["metadata"].get("generation")
        if generation:
            condition["observedGeneration"] = generation
        condition |= {"status": FALSE, "lastProbeTime": None, "lastTransitionTime": time, "reason": reason, "message": message}
        return condition

    def _recorder(self, info: PodInfo) -> SeriesRecorder:
        return self._recorders[info.facts.scheduler_name]

    def _set_timer(self) -> None:
        """Wake up when the queue has something to flush."""
        deadline_ns = self.queue.next_deadline_ns()
        # The flush of what has been unschedulable for long stands: it is a safety net, and nothing is expected of it. Nor is anything
        # of the back-off of Pods that no plugin has rejected because there is not one node.
        waits = self.queue.backs_off and self.engine.table.node_count > 0
        priority = PRIORITY_NORMAL if waits else PRIORITY_STANDING
        if (deadline_ns, priority) == (self._timer_ns, self._timer_priority) or (deadline_ns is None and self._timer_ns < 0):
            return
        if self._timer_ns >= 0:
            self.kernel.cancel(self._timer)
            self._timer_ns = -1
        if deadline_ns is not None:
            self._timer_ns, self._timer_priority = deadline_ns, priority
            self._timer = self.kernel.at(max(deadline_ns, self.kernel.now_ns), self._on_timer, priority=priority)

    def _on_timer(self) -> None:
        self._timer_ns = -1
        self._run()


def truncated(message: str) -> str:
    """An event's message: at most 1024 bytes, as upstream cuts it."""
    encoded = message.encode()
    if len(encoded) <= EVENT_MESSAGE_BYTES_MAX:
        return message
    return encoded[: EVENT_MESSAGE_BYTES_MAX - len(ELLIPSIS)].decode(errors="ignore") + ELLIPSIS
