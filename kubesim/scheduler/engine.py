"""The scheduler as a library: nodes and Pods in, decisions out; no cluster needed, no time passes.

    engine = SchedulingEngine()
    engine.add_node(node); engine.add_pod(bound_pod)
    decision = engine.schedule(pod)          # decides and assumes
    decision.node_name, decision.message, decision.rejections()

The shell (scheduler.py) drives the same engine from a cluster. Decisions are read-only views: explanations cost only who asks.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from kubesim.kernel.rng import Stream
from kubesim.scheduler.cache import Cache
from kubesim.scheduler.contract import ERROR, Handle, Plugin, PostFilterResult
from kubesim.scheduler.cycle import SignatureState
from kubesim.scheduler.diagnosis import Diagnosis, fit_message
from kubesim.scheduler.explanation import Explanation
from kubesim.scheduler.extender import Door, named_plugin, nobody
from kubesim.scheduler.framework import Framework
from kubesim.scheduler.gangs import Gangs
from kubesim.scheduler.node_table import NodeTable
from kubesim.scheduler.nominator import Nominator
from kubesim.scheduler.objects import Objects
from kubesim.scheduler.pod_facts import FactsMemo, PodInfo
from kubesim.scheduler.profile import SEEDED, SchedulerConfig, default_profile
from kubesim.scheduler.sampling import ALL, Sampler
from kubesim.scheduler.trial import Trial, closed_by_nominated
from kubesim.scheduler.waiting_pods import WaitingPod, WaitingPods

Object = dict[str, Any]
STATES_MAX = 256
SCHEDULED, UNSCHEDULABLE, GATED, IGNORED, WAITING = "scheduled", "unschedulable", "gated", "ignored", "waiting"


class Decision:
    """What the scheduler decided about one Pod, at the time it did."""

    __slots__ = ("diagnosis", "is_nominated", "message", "node_name", "pod", "post_filter", "result", "unschedulable_plugins")

    def __init__(self, pod: PodInfo, result: str, node_name: str = "", message: str = "") -> None:
        self.pod = pod
        self.result = result
        self.node_name = node_name
        self.message = message  # of the event and the condition, when it was not scheduled
        self.is_nominated = False  # the node that it was nominated to was taken, without looking at others
        self.diagnosis: Diagnosis | None = None  # when it was unschedulable
        self.post_filter: PostFilterResult | None = None
        self.unschedulable_plugins: tuple[str, ...] = ()

    def of(self, pod: PodInfo) -> "Decision":
        """The same decision about another Pod."""
        other = Decision(pod, self.result, self.node_name, self.message)
        other.diagnosis, other.post_filter = self.diagnosis, self.post_filter
        other.unschedulable_plugins = self.unschedulable_plugins
        return other

    def __repr__(self) -> str:
        return f"<Decision {self.pod.key}: {self.result} {self.node_name or self.message}>"


class SchedulingEngine:
    """Table, cache, plugins and cycle of one scheduler; every profile has its framework over the one table.

    ``plugins`` are the user's own: without a ``config`` they join the default profile, with one they do what it says. ``door`` leads to the
    extenders of the ``config``.
    """

    def __init__(
        self,
        config: SchedulerConfig | None = None,
        *,
        stream: Stream | None = None,
        plugins: Iterable[type[Plugin]] = (),
        door: Door = nobody,
    ) -> None:
        plugins = tuple(plugins)
        self.config = config or SchedulerConfig(profiles=(default_profile(plugins),))
        self.table = NodeTable()
        self.objects = Objects()
        self.nominator = Nominator()
        self.cache = Cache(self.table)
        self.memo = FactsMemo()
        self._stream = (stream or Stream(0, "scheduler")) if self.config.tie_break == SEEDED else None
        self._below: Callable[[int], int] | None = None if self._stream is None else self._stream.below
        self.waiting = WaitingPods()
        self.gangs = Gangs()
        handle = Handle(
            self.table, self.objects, self.nominator, self.config.tries_all_nodes, self._below, gangs=self.gangs, waiting=self.waiting
        )
        own = {plugin.name: plugin for plugin in plugins}
        extenders = [named_plugin(number, found)(found, door, handle) for number, found in enumerate(self.config.extenders)]
        self.frameworks = {profile.scheduler_name: Framework(profile, handle, own, extenders) for profile in self.config.profiles}
        self._states: dict[Any, SignatureState] = {}
        percentages = {p.scheduler_name: self.config.percentage if p.percentage is None else p.percentage for p in self.config.profiles}
        self._percentages = {name: percentage for name, percentage in percentages.items() if percentage != ALL}
        self._sampler = Sampler(self.table) if self._percentages else None

    # ---- the cluster ---------------------------------------------------------------------------------------------------------

    def add_node(self, node: Object) -> None:
        """Add a node, or replace it by its new state."""
        self.table.set_node(node)
        if self._sampler is not None:
            self._sampler.order.set(node["metadata"]["name"], node["metadata"].get("labels") or {})

    def remove_node(self, name: str) -> None:
        """Take a node away; its Pods stay known until they are removed."""
        self.table.remove_node(name)
        if self._sampler is not None:
            self._sampler.order.remove(name)

    def add_pod(self, pod: Object) -> None:
        """Add a bound Pod (``spec.nodeName``)."""
        info = self.memo.info(pod)
        self.cache.add(info)
        self.gangs.saw(info)

    def remove_pod(self, pod: Object) -> None:
        """Take a bound Pod away."""
        info = self.memo.info(pod)
        self.cache.remove(info)
        self.gangs.lost(info)

    def set_object(self, resource: str, obj: Object) -> None:
        """Add or replace an object beside nodes and Pods, such as a "services" or a "persistentvolumeclaims"."""
        self.objects.set(resource, obj)

    def remove_object(self, resource: str, obj: Object) -> None:
        """Take it away."""
        self.objects.remove(resource, obj)

    def nominate(self, pod: Object, node_name: str) -> None:
        """Promise a node to a Pod that is not bound yet."""
        self.nominator.add(self.memo.info(pod), node_name)

    # ---- decisions -----------------------------------------------------------------------------------------------------------

    def schedule(self, pod: Object) -> Decision:
        """Decide about a Pod and, when a node takes it, assume it there. O(changed rows + N/64) for a signature seen before."""
        info = self.memo.info(pod)
        framework = self.frameworks.get(info.facts.scheduler_name)
        if framework is None:
            return Decision(info, IGNORED)
        self.gangs.saw(info)
        gate = framework.gate(info)
        if gate is not None:
            return Decision(info, GATED, message=gate[1])
        return self._taken(self.decide(info))

    def _taken(self, decision: Decision) -> Decision:
        """Assume and reserve what ``decide`` has chosen."""
        info = decision.pod
        if decision.node_name and info.row < 0:
            self.cache.assume(info, decision.node_name)
            framework = self.frameworks[info.facts.scheduler_name]
            if framework.acts_after(info):
                return self._reserved(framework, decision)
        return decision

    def _reserved(self, framework: Framework, decision: Decision) -> Decision:
        """Run Reserve and Permit for an assumed Pod. WAITING: ``self.waiting`` has it, and it keeps its place."""
        info, row = decision.pod, decision.pod.row
        refused = framework.run_reserve(info, row)
        if refused is None and framework.permit:
            outcome = framework.run_permit(info, row, 0)
            if isinstance(outcome, tuple):
                framework.run_unreserve(info, row)
                refused = outcome
            elif outcome:
                decision.result = WAITING
                self.waiting.add(WaitingPod(info, row, outcome))
        if refused is None:
            return decision
        self.cache.forget(info)
        taken_back = Decision(info, UNSCHEDULABLE, message=fit_message(1, "", dict.fromkeys(refused[1].reasons, 1), ""))
        taken_back.unschedulable_plugins = (refused[0],)
        return taken_back

    def schedule_all(self, pods: Iterable[Object]) -> list[Decision]:
        """``schedule`` for one Pod after the other; runs of Pods of one kind are placed at once, with the same outcome."""
        infos = [self.memo.info(pod) for pod in pods]
        for info in infos:
            self.gangs.saw(info)
        decisions: list[Decision] = []
        while len(decisions) < len(infos):
            first = infos[len(decisions)]
            framework = self.frameworks.get(first.facts.scheduler_name)
            if framework is None or framework.gate(first) is not None:
                decisions.append(self.schedule(first.obj))
            else:
                decisions += map(self._taken, self.decide_run(self.run_of(infos, len(decisions))))
        return decisions

    def decide_run(self, run: list[PodInfo]) -> list[Decision]:
        """Decide about the first Pods of a run (``run_of``), at least one. Either all of them are assumed already, or it is for the
        caller to assume the one that has a node."""
        decisions = self.place_run(run)
        if decisions:
            return decisions
        decision = self.decide(run[0])
        if not decision.node_name and len(run) > 1 and self._is_shared(decision):
            return [decision, *(decision.of(info) for info in run[1:])]
        return [decision]

    def _is_shared(self, decision: Decision) -> bool:
        """Whether all Pods of the run get this rejection: nothing changes by it."""
        outcome = decision.post_filter
        if outcome is not None and outcome.node_name:
            return False
        facts = decision.pod.facts
        is_signed = facts.state is not None and not facts.spec.get("resourceClaims")
        return is_signed and all(plugin.post_filter_is_shared for plugin in self.frameworks[facts.scheduler_name].post_filter)

    def run_of(self, infos: Sequence[PodInfo], start: int) -> list[PodInfo]:
        """The Pods from ``start`` on that nothing in a cycle can tell apart: one template, labels, namespace and owner. O(their number)."""
        first = infos[start]
        run = [first]
        if first.facts.scheduler_name not in self.frameworks or not _may_run(first):
            return run
        metadata = first.obj["metadata"]
        labels, owners = metadata.get("labels"), metadata.get("ownerReferences")
        facts, namespace = first.facts, first.namespace
        for index in range(start + 1, len(infos)):
            info = infos[index]
            metadata = info.obj["metadata"]
            if info.facts is not facts or info.namespace != namespace or metadata.get("labels") != labels:
                break
            if metadata.get("ownerReferences") != owners or not _may_run(info):
                break
            run.append(info)
        return run

    def place_run(self, run: list[PodInfo]) -> list[Decision]:
        """Decide about the first Pods of a run (``run_of``) and assume them, one after the other in compiled code.

        Stops where a Pod fits nowhere. None are decided where a placement changes more than amounts and counts, or a run is one Pod:
        ``decide`` does it then.
        """
        facts = run[0].facts
        if len(run) < 2 or len(self.nominator) or facts.host_ports or facts.claims:
            return []
        if facts.scheduler_name in self._percentages or self.frameworks[facts.scheduler_name].acts_after(run[0]):
            return []
        state = self._state(run[0])
        if facts.state is None or facts.state[1] is not state or not state.is_compiled:
            return []
        counted = self.table.index_of_pods.counted_by(run[0].group_key(), facts.terms(run[0].namespace))
        if counted is None:
            return []
        rows = state.place(self.table.demand(facts), [each.count_N for each in counted], len(run), self._stream)
        if rows:
            self.cache.assume_all(run[: len(rows)], rows)
            state.placed()
        return [Decision(info, SCHEDULED, info.node_name) for info in run[: len(rows)]]

    def decide(self, info: PodInfo) -> Decision:
        """Decide without changing anything; the Pod's profile must exist."""
        state = self._state(info)
        node_name = (info.obj.get("status") or {}).get("nominatedNodeName")
        if node_name and self._passes_nominated(info, state, node_name):
            decision = Decision(info, SCHEDULED, node_name)
            decision.is_nominated = True
            return decision
        plain = state
        if self._is_promised_away(info, state):
            state = self._with_nominated(info, state)
        percentage = self._percentages.get(info.facts.scheduler_name, ALL) if self._sampler is not None else ALL
        if percentage == ALL or self._sampler is None:
            row = state.choose(self._below)
        else:
            row = self._sampler.choose(state, info, percentage, self._below)
        if row >= 0:
            return Decision(info, SCHEDULED, self.table.names[row] or "")
        return self._unschedulable(info, self._with_nominated(info, state) if state is plain else state)

    def _passes_nominated(self, info: PodInfo, state: SignatureState, node_name: str) -> bool:
        """Whether the node that was promised to the Pod takes it; no other is looked at then."""
        row = self.table.find(node_name)
        if row < 0 or state.pre_filter is not None:
            return False
        if state.is_decided_by_kernels(row) and not self.nominator.before(info, node_name):
            return not any(kernel.at(row) for _, _, kernel in state.kernels_of_filters)
        state.update_filters()
        trial = Trial(state, row, self.nominator, info)
        found = trial.rejection()
        trial.restore()
        return found is None

    def _is_promised_away(self, info: PodInfo, state: SignatureState) -> bool:
        """Whether other Pods' nominations close a row that is open otherwise; else they change reasons, but no choice.
        O(nominated nodes), and a trial for each that is open."""
        nominator, find, ranking = self.nominator, self.table.find, state.ranking
        if not len(nominator):
            return False
        names = [name for name in nominator.nodes() if (row := find(name)) >= 0 and ranking[row] >= 0]
        if not names:
            return False
        state.update_filters()
        return bool(closed_by_nominated(state, info, nominator, names))

    def _with_nominated(self, info: PodInfo, state: SignatureState) -> SignatureState:
        """The state that respects other Pods' nominations; the same one where they change nothing."""
        if not len(self.nominator):
            return state
        state.update_filters()
        closed = closed_by_nominated(state, info, self.nominator)
        return SignatureState(state.framework, info, closed) if closed else state

    def state(self, pod: Object) -> SignatureState:
        """The masks, scores and reasons of a Pod as of now: for explanations."""
        info = self.memo.info(pod)
        self._framework(info)
        return self._with_nominated(info, self._state(info))

    def explain(self, pod: Object) -> dict[str, Any]:
        """Why where: ``rejected`` node -> (plugin, rejection), ``scores`` node -> plugin -> points, ``totals``, ``best``."""
        return self.explanation(pod).as_dict()

    def explanation(self, pod: Object) -> Explanation:
        """The same as an object that answers questions: top N, one node, this node and not that one. A bound Pod is seen without itself."""
        info = self.memo.info(pod)
        known = self.cache.get(info.uid)
        if known is None or self.table.find(known.node_name) < 0:
            return Explanation(info, self.state(pod), "")
        anew = self.memo.info({**pod, "spec": {name: value for name, value in pod["spec"].items() if name != "nodeName"}})
        with self.table.without(known):
            state = SignatureState(self._framework(anew), anew, is_plain=True)
            return Explanation(anew, state, known.node_name)

    def _framework(self, info: PodInfo) -> Framework:
        framework = self.frameworks.get(info.facts.scheduler_name)
        if framework is None:
            raise ValueError(f"pod {info.key}: there is no profile {info.facts.scheduler_name!r}")
        return framework

    def _unschedulable(self, info: PodInfo, state: SignatureState) -> Decision:
        diagnosis = state.diagnosis()
        decision = Decision(info, UNSCHEDULABLE)
        decision.diagnosis = diagnosis
        if self.table.node_count:
            decision.unschedulable_plugins = diagnosis.unschedulable_plugins
            decision.post_filter = self._post_filter(info, state, diagnosis)
        decision.message = diagnosis.message(decision.post_filter.message if decision.post_filter else "")
        return decision

    def _post_filter(self, info: PodInfo, state: SignatureState, diagnosis: Diagnosis) -> PostFilterResult | None:
        """Run PostFilter until one clears a node; otherwise all have had their say. None when there is no such plugin."""
        messages = []
        requests: tuple[Any, ...] = ()
        clears_nomination = False
        if not state.framework.post_filter:
            return None
        for plugin in state.framework.post_filter:
            if plugin.needs_pre_filter and plugin.name not in state.pre_filters_run:
                return PostFilterResult("not found", code=ERROR)  # upstream: its cycle state is not there
            outcome = plugin.post_filter(info, diagnosis, state)
            if outcome.node_name or outcome.code == ERROR:
                return outcome
            messages.append(outcome.message)
            requests += outcome.requests
            clears_nomination |= outcome.clears_nomination
        text = ", ".join(message for message in messages if message)
        return PostFilterResult(text, clears_nomination=clears_nomination, requests=requests)

    def _state(self, info: PodInfo) -> SignatureState:
        """The up-to-date state of the Pod's signature."""
        facts = info.facts
        identity = (self.table.index_of_pods.term_epoch, self.objects.signature_version, info.group_key(), info.owner())
        known = facts.state
        if known is not None and known[0] == identity and not known[1].is_evicted:
            state: SignatureState = known[1]
            state.is_used = True
            state.refresh()
            return state
        framework = self.frameworks[facts.scheduler_name]
        signature = framework.signature(info)
        if signature is None:
            return SignatureState(framework, info)
        key = (facts.scheduler_name, signature)
        found = self._states.get(key)
        if found is None:
            if len(self._states) >= STATES_MAX:
                self._evict()
            found = self._states[key] = SignatureState(framework, info)
        else:
            found.is_used = True
            found.refresh()
        facts.state = (identity, found)
        return found

    def _evict(self) -> None:
        """Drop a state that was not used since the last look at it; oldest first (second chance). O(STATES_MAX) at worst."""
        while True:
            key, state = next(iter(self._states.items()))
            del self._states[key]
            if not state.is_used:
                state.is_evicted = True
                return
            state.is_used = False
            self._states[key] = state

    def check(self) -> None:
        """Verify the table, the cache and every shared state against plain rebuilds. Raises AssertionError."""
        self.table.check()
        self.cache.check()
        for (_, signature), state in list(self._states.items()):
            # A term or a Service that came since then may have given these Pods another signature: nobody asks the old state again.
            if state.framework.signature(state.pod) == signature:
                state.check()

    def overcommitted(self) -> list[str]:
        """The names of nodes that hold more than they have: must be empty unless Pods were added as bound."""
        table = self.table
        count = table.row_count
        over_N = (table.used_NR[:count] > table.allocatable_NR[:count]).any(axis=1) | (
            table.pod_count_N[:count] > table.pod_count_max_N[:count]
        )
        return [str(table.names[row]) for row in np.flatnonzero(over_N)]


def _may_run(info: PodInfo) -> bool:
    """Whether the Pod can be one of a run: nothing about it is its own but name and uid."""
    obj = info.obj
    return "deletionTimestamp" not in obj["metadata"] and not (obj.get("status") or {}).get("nominatedNodeName")


__all__ = ["GATED", "IGNORED", "SCHEDULED", "UNSCHEDULABLE", "WAITING", "Decision", "SchedulingEngine"]
