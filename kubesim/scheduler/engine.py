"""The scheduler as a library: nodes and Pods in, decisions out; no cluster needed, no time passes.

    engine = SchedulingEngine()
    engine.add_node(node); engine.add_pod(bound_pod)
    decision = engine.schedule(pod)          # decides and assumes
    decision.node_name, decision.message, decision.rejections()

The shell (scheduler.py) drives the same engine from a cluster. Decisions are read-only views: explanations cost only who asks.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kubesim.kernel.rng import Stream
from kubesim.scheduler.cache import Cache
from kubesim.scheduler.contract import Plugin, PostFilterResult
from kubesim.scheduler.cycle import SignatureState
from kubesim.scheduler.diagnosis import Diagnosis
from kubesim.scheduler.framework import Framework
from kubesim.scheduler.node_table import NodeTable
from kubesim.scheduler.pod_facts import FactsMemo, PodInfo
from kubesim.scheduler.profile import SEEDED, SchedulerConfig

Object = dict[str, Any]
STATES_MAX = 256
SCHEDULED, UNSCHEDULABLE, GATED, IGNORED = "scheduled", "unschedulable", "gated", "ignored"


class Decision:
    """What the scheduler decided about one Pod, at the time it did."""

    __slots__ = ("diagnosis", "message", "node_name", "pod", "post_filter", "result", "unschedulable_plugins")

    def __init__(self, pod: PodInfo, result: str, node_name: str = "", message: str = "") -> None:
        self.pod = pod
        self.result = result
        self.node_name = node_name
        self.message = message  # of the event and the condition, when it was not scheduled
        self.diagnosis: Diagnosis | None = None  # when it was unschedulable
        self.post_filter: PostFilterResult | None = None
        self.unschedulable_plugins: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Decision {self.pod.key}: {self.result} {self.node_name or self.message}>"


class SchedulingEngine:
    """Table, cache, plugins and cycle of one scheduler; every profile has its framework over the one table."""

    def __init__(
        self, config: SchedulerConfig | None = None, *, stream: Stream | None = None, plugins: Mapping[str, type[Plugin]] | None = None
    ) -> None:
        self.config = config or SchedulerConfig()
        self.table = NodeTable()
        self.cache = Cache(self.table)
        self.memo = FactsMemo()
        self.frameworks = {profile.scheduler_name: Framework(profile, self.table, plugins) for profile in self.config.profiles}
        self._below: Callable[[int], int] | None = None
        if self.config.tie_break == SEEDED:
            self._below = (stream or Stream(0, "scheduler")).below
        self._states: dict[Any, SignatureState] = {}

    # ---- the cluster ---------------------------------------------------------------------------------------------------------

    def add_node(self, node: Object) -> None:
        """Add a node, or replace it by its new state."""
        self.table.set_node(node)

    def remove_node(self, name: str) -> None:
        """Take a node away; its Pods stay known until they are removed."""
        self.table.remove_node(name)

    def add_pod(self, pod: Object) -> None:
        """Add a bound Pod (``spec.nodeName``)."""
        self.cache.add(self.memo.info(pod))

    def remove_pod(self, pod: Object) -> None:
        """Take a bound Pod away."""
        self.cache.remove(self.memo.info(pod))

    # ---- decisions -----------------------------------------------------------------------------------------------------------

    def schedule(self, pod: Object) -> Decision:
        """Decide about a Pod and, when a node takes it, assume it there. O(changed rows + N/64) for a signature seen before."""
        info = self.memo.info(pod)
        framework = self.frameworks.get(info.facts.scheduler_name)
        if framework is None:
            return Decision(info, IGNORED)
        gate = framework.gate(info)
        if gate is not None:
            return Decision(info, GATED, message=gate[1])
        decision = self.decide(info)
        if decision.node_name:
            self.cache.assume(info, decision.node_name)
        return decision

    def decide(self, info: PodInfo) -> Decision:
        """Decide without changing anything; the Pod's profile must exist."""
        state = info.facts.state
        if state is None or state.is_evicted:
            state = self._state(info)
        else:
            state.is_used = True
            state.refresh()
        row = state.choose(self._below)
        if row >= 0:
            return Decision(info, SCHEDULED, self.table.names[row])
        return self._unschedulable(info, state)

    def state(self, pod: Object) -> SignatureState:
        """The masks, scores and reasons of a Pod as of now: for explanations."""
        info = self.memo.info(pod)
        if info.facts.scheduler_name not in self.frameworks:
            raise ValueError(f"pod {info.key}: there is no profile {info.facts.scheduler_name!r}")
        return self._state(info)

    def explain(self, pod: Object) -> dict[str, Any]:
        """Why where: ``rejected`` node -> (plugin, rejection), ``scores`` node -> plugin -> points, ``totals``, ``best``."""
        state = self.state(pod)
        diagnosis = state.diagnosis()
        names = self.table.names
        rejected = {names[row]: diagnosis.rejection(row) for row in self.table.node_rows() if diagnosis.filter_N[row] != -1}
        by_plugin = state.scores()
        feasible = diagnosis.feasible_rows()
        points = zip(*[points_N[feasible].tolist() for points_N in by_plugin.values()]) if by_plugin else [()] * len(feasible)
        scores = {names[row]: dict(zip(by_plugin, row_points)) for row, row_points in zip(feasible.tolist(), points)}
        totals = {name: sum(points.values()) for name, points in scores.items()}
        highest = max(totals.values(), default=0)
        best = [name for name, total in totals.items() if total == highest]
        return {"rejected": rejected, "scores": scores, "totals": totals, "best": best}

    def _unschedulable(self, info: PodInfo, state: SignatureState) -> Decision:
        diagnosis = state.diagnosis()
        decision = Decision(info, UNSCHEDULABLE)
        decision.diagnosis = diagnosis
        if self.table.node_count:
            decision.unschedulable_plugins = diagnosis.unschedulable_plugins
            decision.post_filter = self._post_filter(info, state, diagnosis)
        decision.message = diagnosis.message(decision.post_filter.message if decision.post_filter else "")
        return decision

    def _post_filter(self, info: PodInfo, state: SignatureState, diagnosis: Diagnosis) -> PostFilterResult:
        """Run PostFilter until one clears a node; otherwise all have had their say."""
        messages = []
        for plugin in state.framework.post_filter:
            outcome = plugin.post_filter(info, diagnosis)
            if outcome.node_name:
                return outcome
            messages.append(outcome.message)
        return PostFilterResult(", ".join(message for message in messages if message))

    def _state(self, info: PodInfo) -> SignatureState:
        """The up-to-date state of the Pod's signature."""
        facts = info.facts
        framework = self.frameworks[facts.scheduler_name]
        signature = framework.signature(info)
        if signature is None:
            return SignatureState(framework, info)
        key = (facts.scheduler_name, signature)
        state = self._states.get(key)
        if state is None:
            if len(self._states) >= STATES_MAX:
                self._evict()
            state = self._states[key] = SignatureState(framework, info)
        else:
            state.is_used = True
            state.refresh()
        facts.state = state
        return state

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
        for state in list(self._states.values()):
            state.check()

    def overcommitted(self) -> list[str]:
        """The names of nodes that hold more than they have: must be empty unless Pods were added as bound."""
        table = self.table
        count = table.row_count
        over_N = (table.used_NR[:count] > table.allocatable_NR[:count]).any(axis=1) | (
            table.pod_count_N[:count] > table.pod_count_max_N[:count]
        )
        return [str(table.names[row]) for row in np.flatnonzero(over_N)]


__all__ = ["GATED", "IGNORED", "SCHEDULED", "UNSCHEDULABLE", "Decision", "SchedulingEngine"]
