"""From a decision to a bound Pod: assume, Reserve, Permit, the wait for it, PreBind, Bind, PostBind; and the way back.

A Pod without anything to reserve or to write is bound at once. Otherwise its flight lies here until the plugins that hold it back have
decided, or until what a PreBind waits for has happened. Whatever fails takes everything back, the last plugin first.

Upstream: pkg/scheduler/schedule_one.go (schedulingCycle, bindingCycle, handleBindingCycleError).
"""

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Object, Request, patch
from kubesim.client.contract import Link
from kubesim.kernel.loop import PRIORITY_STANDING, Kernel
from kubesim.kernel.time import format_duration
from kubesim.scheduler.contract import ERROR, UNSCHEDULABLE, Rejection, Until
from kubesim.scheduler.diagnosis import fit_message, histogram_of
from kubesim.scheduler.engine import SchedulingEngine
from kubesim.scheduler.framework import Framework
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.queue import QueuedPod
from kubesim.scheduler.waiting_pods import WaitingPod

Bound = Callable[[QueuedPod, str], object]  # (Pod, node name)
Failed = Callable[[QueuedPod, str, bool, tuple[str, ...]], object]  # (Pod, message, is an error, plugins that said no)


class Flight:
    """One Pod between its decision and its bind."""

    __slots__ = ("blocked_on", "framework", "info", "node_name", "queued", "row", "since_ns", "steps", "timer")

    def __init__(self, queued: QueuedPod, framework: Framework, node_name: str, now_ns: int) -> None:
        self.queued = queued
        self.info: PodInfo = queued.info  # as it was decided about; the queue may see newer ones
        self.framework = framework
        self.node_name = node_name
        self.row = -1
        self.since_ns = now_ns
        self.steps: Generator[Any, Any, tuple[str, Rejection] | None] | None = None
        self.blocked_on: Until | None = None
        self.timer = 0  # of the wait for a Permit, or of what a PreBind waits for


class BindingCycles:
    """The flights of one scheduler."""

    def __init__(self, kernel: Kernel, link: Link, engine: SchedulingEngine, bound: Bound, failed: Failed) -> None:
        self._kernel = kernel
        self._link = link
        self._engine = engine
        self._on_bound = bound
        self._on_failed = failed
        self._flights: dict[str, Flight] = {}  # those that wait for something
        engine.waiting.on_settled = self._settled

    def begin(self, queued: QueuedPod, node_name: str) -> None:
        """Assume the Pod on its node and bring it as far as it gets now."""
        info, engine = queued.info, self._engine
        engine.nominator.remove(info.uid)
        engine.cache.assume(info, node_name)
        framework = engine.frameworks[info.facts.scheduler_name]
        flight = Flight(queued, framework, node_name, self._kernel.now_ns)
        flight.row = info.row
        if not framework.acts_after(info):
            self._bind(flight)
            return
        refused = framework.run_reserve(info, flight.row)
        if refused is not None:
            self._undo(flight, "Reserve", *refused, is_reserved=False)
            return
        outcome = framework.run_permit(info, flight.row, self._kernel.now_ns) if framework.permit else {}
        if isinstance(outcome, tuple):
            self._undo(flight, "Permit", *outcome)
        elif outcome:
            self._hold(flight, outcome)
        else:
            self._pre_bind(flight, has_waited=False)

    # ---- Permit --------------------------------------------------------------------------------------------------------------

    def _hold(self, flight: Flight, plugins: dict[str, int]) -> None:
        pod = WaitingPod(flight.info, flight.row, plugins)
        self._flights[flight.info.uid] = flight
        self._engine.waiting.add(pod)
        # Standing: nothing is expected of a Pod whose companions never come, and a cluster with one comes to rest.
        flight.timer = self._kernel.at(pod.deadline_ns, self._give_up, flight, pod, priority=PRIORITY_STANDING)
        self._expect(flight)

    def _give_up(self, flight: Flight, pod: WaitingPod) -> None:
        flight.timer = 0
        plugin = min(pod.plugins, key=lambda name: pod.plugins[name])
        waited = format_duration(pod.plugins[plugin] - flight.since_ns)
        self._engine.waiting.reject(flight.info.uid, plugin, f"rejected due to timeout after waiting {waited} at plugin {plugin}")

    def _settled(self, pod: WaitingPod) -> None:
        """Every plugin lets the Pod go, or one ends its wait."""
        flight = self._flights.pop(pod.info.uid, None)
        if flight is None:
            return
        self._stop_timer(flight)
        if pod.refusal is not None:
            plugin, why = pod.refusal
            self._undo(flight, "Permit", plugin, Rejection(UNSCHEDULABLE, (why,)))
        else:
            self._pre_bind(flight, has_waited=True)

    # ---- PreBind -------------------------------------------------------------------------------------------------------------

    def _pre_bind(self, flight: Flight, *, has_waited: bool) -> None:
        flight.steps = flight.framework.run_pre_bind(flight.info, flight.row) if flight.framework.pre_bind else None
        if flight.steps is None:
            self._bind(flight)
            return
        if not has_waited:
            self._expect(flight)
        self._flights[flight.info.uid] = flight
        self._advance(flight, None)

    def _advance(self, flight: Flight, answer: Any) -> None:
        """Resume a PreBind until it has to wait, or is done."""
        if self._flights.get(flight.info.uid) is not flight or flight.steps is None:
            return  # the Pod went away meanwhile
        try:
            step = flight.steps.send(answer)
        except StopIteration as end:
            del self._flights[flight.info.uid]
            if end.value is not None:
                self._undo(flight, "PreBind", *end.value)
            else:
                self._bind(flight)
            return
        if isinstance(step, Request):
            self._link.send(step, partial(self._advance, flight))
        elif step.holds():
            self._advance(flight, True)
        else:
            flight.blocked_on = step
            deadline_ns = self._kernel.now_ns + step.timeout_ns
            flight.timer = self._kernel.at(deadline_ns, self._unblock, flight, False, priority=PRIORITY_STANDING)

    def _unblock(self, flight: Flight, holds: bool) -> None:
        if not holds:
            flight.timer = 0  # it has fired
        self._stop_timer(flight)
        flight.blocked_on = None
        self._advance(flight, holds)

    def poke(self) -> None:
        """An object changed: ask every PreBind that waits. O(Pods that wait)."""
        for flight in list(self._flights.values()) if self._flights else ():
            if flight.blocked_on is not None and flight.blocked_on.holds():
                self._unblock(flight, True)

    def _expect(self, flight: Flight) -> None:
        """Write where the Pod is going to be, since it takes a while: a nomination that other components can see."""
        metadata = flight.info.obj["metadata"]
        if (flight.info.obj.get("status") or {}).get("nominatedNodeName") != flight.node_name:
            body: Object = {"metadata": {"uid": flight.info.uid}, "status": {"nominatedNodeName": flight.node_name}}
            self._link.send(patch("pods", metadata["namespace"], metadata["name"], body, "strategic", "status"))

    # ---- Bind ----------------------------------------------------------------------------------------------------------------

    def _bind(self, flight: Flight) -> None:
        problem = flight.framework.bind_by_extender(flight.info, flight.node_name) if flight.framework.extenders else None
        if problem:
            self._undo(flight, "", "", Rejection(ERROR, (problem,)))
            return
        if problem == "":  # the watch is going to show it
            self._bound(flight, "", {})
            return
        plugin, request = flight.framework.run_bind(flight.info, flight.row)
        self._link.send(request, partial(self._bound, flight, plugin))

    def _bound(self, flight: Flight, plugin: str, outcome: Object | ApiError) -> None:
        if isinstance(outcome, ApiError):
            self._undo(flight, "Bind", plugin, Rejection(ERROR, (outcome.message,)))
            return
        if flight.framework.post_bind:
            flight.framework.run_post_bind(flight.info, flight.row)
        self._on_bound(flight.queued, flight.node_name)

    # ---- the way back --------------------------------------------------------------------------------------------------------

    def drop(self, uid: str) -> None:
        """The Pod is gone or bound by somebody else: give back what it held. Unknown Pods are ignored."""
        flight = self._flights.pop(uid, None) if self._flights else None
        if flight is not None:
            self._engine.waiting.remove(uid)
            self._stop_timer(flight)
            flight.framework.run_unreserve(flight.info, flight.row)

    def _undo(self, flight: Flight, point: str, plugin: str, rejection: Rejection, *, is_reserved: bool = True) -> None:
        """Take the placement back and say why."""
        if is_reserved:
            flight.framework.run_unreserve(flight.info, flight.row)
        self._engine.cache.forget(flight.info)
        if rejection.code == ERROR:
            where = f'running {point} plugin "{plugin}": ' if plugin else ""  # an extender is no plugin
            self._on_failed(flight.queued, where + ", ".join(rejection.reasons), True, ())
        else:
            self._on_failed(flight.queued, refusal_message(rejection), False, (plugin,))

    def _stop_timer(self, flight: Flight) -> None:
        if flight.timer:
            self._kernel.cancel(flight.timer)
            flight.timer = 0


def refusal_message(rejection: Rejection) -> str:
    """What is said of a Pod that the one node which was chosen for it did not get, after all."""
    return fit_message(1, "", histogram_of([(rejection, 1)]), "")
