"""Run one workload against a scheduler of its own: engine and queue, no apiserver, no time but the clock that is handed in.

A cycle is: pop, filter all nodes, score all feasible ones, choose, assume. Pods are made and queued before their cycles begin, so that
the time is that of the cycles. Preemption: the victims go at once, and the Pod is tried again at once on the node it was promised.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubesim.kernel.rng import Stream
from kubesim.scheduler import Decision, SchedulerConfig, SchedulingEngine
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.queue import QueuedPod, SchedulingQueue
from kubesim.workload.nodes import from_template
from kubesim.workload.scheduling.cases import Case, Workload

Object = dict[str, Any]
NODE_CAPACITY = {"cpu": "4", "memory": "32Gi", "pods": "110"}  # scheduler_perf's default node
CHURN_INTERVAL_PODS = 100
PERCENTS = (50, 90, 95, 99)
CHURN_NAMESPACE = "churn"
PREFIX = "scheduler-perf-"


@dataclass(slots=True)
class Outcome:
    """What a run did with its measured Pods. Times in ns."""

    name: str
    node_count: int
    pod_count: int  # measured
    scheduled_count: int
    unschedulable_count: int
    victim_count: int
    duration_ns: int
    latencies_ns: list[int]  # of each measured Pod: from its pop to its decision, with those decided in between
    digest: str  # of every measured Pod's node
    problems: list[str] = field(default_factory=list)  # where the work was not what the workload expects

    @property
    def pods_per_second(self) -> float:
        """Measured Pods over the time of their cycles."""
        return self.pod_count / max(self.duration_ns, 1) * 1e9

    def percentiles(self) -> dict[str, int]:
        """Latencies in ns: p50, p90, p95, p99, max. Nearest rank."""
        ordered = sorted(self.latencies_ns)
        if not ordered:
            return {}
        found = {f"p{percent}": ordered[(len(ordered) * percent + 99) // 100 - 1] for percent in PERCENTS}
        return {**found, "max": ordered[-1]}


def run(
    case: Case, workload: Workload, clock_ns: Callable[[], int], *, seed: int = 0, scale: float = 1.0, config: SchedulerConfig | None = None
) -> Outcome:
    """Do the operations of a case. ``scale`` multiplies every count, at least 1 is left of each."""
    return _Run(case, workload, clock_ns, seed, scale, config or SchedulerConfig()).run()


class _Run:
    def __init__(
        self, case: Case, workload: Workload, clock_ns: Callable[[], int], seed: int, scale: float, config: SchedulerConfig
    ) -> None:
        self._case, self._workload = case, workload
        self._clock_ns = clock_ns
        self._scale = scale
        self._config = config
        self.engine = SchedulingEngine(config, stream=Stream(seed, "bench"))
        self.queue = SchedulingQueue(config, self._gate, {})
        self._node_count = self._pod_number = 0
        self._churns: list[_Churn] = []
        self._decided: list[tuple[list[Decision], int]] = []
        self._hash = hashlib.sha256()
        self._is_measured = False
        self.outcome = Outcome(f"{case.name}/{workload.name}", 0, 0, 0, 0, 0, 0, [], "")

    def run(self) -> Outcome:
        """Every operation in order."""
        steps = {
            "createNodes": self._create_nodes,
            "createNamespaces": self._create_namespaces,
            "createPods": self._create_pods,
            "churn": lambda operation: self._churns.append(_Churn(self, operation)),
            "barrier": lambda operation: self._drain(),
        }
        for operation in self._case.operations:
            steps[operation["opcode"]](operation)
        outcome = self.outcome
        outcome.node_count = self.engine.table.node_count
        outcome.digest = self._hash.hexdigest()
        self._verify()
        return outcome

    def _verify(self) -> None:
        """The work must be what the workload expects, and no node may hold more than it has."""
        outcome = self.outcome
        expected = {"scheduled": outcome.pod_count, "unschedulable": 0}
        if self._workload.expect:
            expected = {"scheduled": 0, "unschedulable": 0}
            expected |= {name: self._scaled(count) for name, count in self._workload.expect.items()}
        for name, found in (("scheduled", outcome.scheduled_count), ("unschedulable", outcome.unschedulable_count)):
            if found != expected[name]:
                outcome.problems.append(f"{found} Pods {name}; expected {expected[name]}")
        outcome.problems += [f"node {name} holds more than it has" for name in self.engine.overcommitted()]

    def _gate(self, info: PodInfo) -> tuple[str, str] | None:
        framework = self.engine.frameworks.get(info.facts.scheduler_name)
        return framework.gate(info) if framework is not None else None

    def _scaled(self, count: int) -> int:
        return max(1, round(count * self._scale)) if count else 0

    def _count(self, operation: Object) -> int:
        name = operation.get("countParam")
        return self._scaled(operation["count"] if name is None else self._workload.params[name.removeprefix("$")])

    # ---- operations ----------------------------------------------------------------------------------------------------------

    def _create_nodes(self, operation: Object) -> None:
        strategy = operation.get("labelNodePrepareStrategy")
        for index in range(self._count(operation)):
            labels = {strategy["labelKey"]: strategy["labelValues"][index % len(strategy["labelValues"])]} if strategy else {}
            self.add_node(operation["nodeTemplate"], labels)

    def add_node(self, template: Mapping[str, Any], labels: Mapping[str, str]) -> str:
        """One more node; its name."""
        metadata = template.get("metadata") or {}
        status = template.get("status") or {"capacity": NODE_CAPACITY}
        like = {**template, "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), **labels}}, "status": status}
        name = f"{PREFIX}{self._node_count}"
        self._node_count += 1
        self.engine.add_node(from_template(like, name))
        return name

    def _create_namespaces(self, operation: Object) -> None:
        for index in range(self._scaled(operation.get("count", 1)) if "countParam" not in operation else self._count(operation)):
            metadata = {"name": f"{operation.get('prefix', 'namespace')}-{index}", "labels": operation.get("labels") or {}}
            self.engine.set_object("namespaces", {"metadata": metadata})

    def _create_pods(self, operation: Object) -> None:
        namespace = operation.get("namespace") or f"namespace-{self._case.operations.index(operation)}"
        count = self._count(operation)
        for _ in range(count):
            self.add_pod(operation["podTemplate"], namespace)
        if operation.get("skipWaitToCompletion"):
            return
        self._is_measured = bool(operation.get("collectMetrics"))
        self._drain()
        self._is_measured = False

    def add_pod(self, template: Mapping[str, Any], namespace: str) -> PodInfo:
        """One more Pod in the queue. All Pods of a template share its spec, as the Pods of a ReplicaSet do."""
        name = f"pod-{self._pod_number}"
        self._pod_number += 1
        metadata = {**(template.get("metadata") or {}), "name": name, "namespace": namespace, "uid": f"uid-{name}"}
        info = self.engine.memo.info({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
        self.queue.add(info, 0)
        return info

    # ---- cycles --------------------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Try every Pod of the queue once; the time is that of the cycles."""
        batch_max = self._config.batch_max
        started_ns = self._clock_ns()
        idle_ns = 0  # spent on churn, which is not a cycle's work
        while True:
            popped_ns = self._clock_ns()
            batch: list[QueuedPod] = []
            while len(batch) < batch_max and (queued := self.queue.pop(0)) is not None:
                batch.append(queued)
            if not batch:
                break
            self._decide(batch, popped_ns)
            before_ns = self._clock_ns()
            for churn in self._churns if self._is_measured else ():
                churn.follow(len(batch))
            idle_ns += self._clock_ns() - before_ns
        if self._is_measured:
            self.outcome.duration_ns += self._clock_ns() - started_ns - idle_ns
        self._record()

    def _decide(self, batch: list[QueuedPod], popped_ns: int) -> None:
        engine = self.engine
        infos = [queued.info for queued in batch]
        decided = 0
        while decided < len(batch):
            end = decided + len(engine.run_of(infos, decided))
            while decided < end:
                decisions = engine.decide_run(infos[decided:end])
                if len(decisions) == 1:
                    decisions = [self._taken(decisions[0])]
                self._decided.append((decisions, self._clock_ns() - popped_ns))
                for queued, decision in zip(batch[decided:], decisions):
                    if decision.node_name:
                        self.queue.done(queued.info.uid)
                    else:
                        self.queue.fail(queued, decision.unschedulable_plugins, 0)
                decided += len(decisions)

    def _taken(self, decision: Decision) -> Decision:
        """The decision, assumed; after a preemption that it brought about, the next one."""
        engine, info, outcome = self.engine, decision.pod, decision.post_filter
        if outcome is not None and outcome.preemption is not None:
            self._preempt(info, outcome.preemption.chosen)
            info.obj = {**info.obj, "status": {"nominatedNodeName": outcome.node_name}}
            decision = engine.decide(info)
            engine.nominator.remove(info.uid)
        if decision.node_name and info.row < 0:
            engine.cache.assume(info, decision.node_name)
        return decision

    def _preempt(self, info: PodInfo, candidate: Any) -> None:
        engine = self.engine
        for other in engine.nominator.on(candidate.node_name):
            if other.facts.priority < info.facts.priority:
                engine.nominator.remove(other.uid)
        engine.nominator.add(info, candidate.node_name)
        for victim in candidate.victims:
            engine.cache.remove(victim)
        if self._is_measured:
            self.outcome.victim_count += len(candidate.victims)

    def _record(self) -> None:
        """Count what was decided since the last time, outside the time of the cycles."""
        outcome = self.outcome
        for found, latency_ns in self._decided if self._is_measured else ():
            decisions = [decision for decision in found if decision.pod.namespace != CHURN_NAMESPACE]
            for decision in decisions:
                outcome.scheduled_count += bool(decision.node_name)
                outcome.unschedulable_count += not decision.node_name
                self._hash.update(f"{decision.pod.key} {decision.node_name}\n".encode())
            outcome.pod_count += len(decisions)
            outcome.latencies_ns += [latency_ns] * len(decisions)
        self._decided = []


class _Churn:
    """Objects that come, and with ``recreate`` go again, while Pods are measured: one every ``intervalPods`` Pods."""

    def __init__(self, owner: _Run, operation: Object) -> None:
        self._owner = owner
        self._templates = operation["templates"]
        self._interval = operation.get("intervalPods", CHURN_INTERVAL_PODS)
        self._recreates = operation["mode"] == "recreate"
        self._number = operation.get("number", 1 if self._recreates else 0)  # alive at a time, or made in all; 0: any number
        self._alive: list[Callable[[], None]] = []
        self._made = self._pods = 0

    def follow(self, pod_count: int) -> None:
        """So many Pods more were tried."""
        self._pods += pod_count
        while self._pods >= self._interval:
            self._pods -= self._interval
            self._step()

    def _step(self) -> None:
        if self._recreates and len(self._alive) >= self._number:
            self._alive.pop(0)()
        elif not self._recreates and self._number and self._made >= self._number:
            return
        template = self._templates[self._made % len(self._templates)]
        self._made += 1
        owner = self._owner
        if template["kind"] == "Node":
            name = owner.add_node(template, {})
            self._alive.append(lambda: owner.engine.remove_node(name))
        else:
            info = owner.engine.memo.info(_churned(template, self._made))
            owner.queue.add(info, 0)
            self._alive.append(lambda: self._remove(info))

    def _remove(self, info: PodInfo) -> None:
        self._owner.queue.remove(info.uid)
        self._owner.engine.cache.remove(info)


def _churned(template: Object, number: int) -> Object:
    metadata = {**(template.get("metadata") or {}), "name": f"churn-{number}", "namespace": CHURN_NAMESPACE, "uid": f"churn-{number}"}
    return {**template, "metadata": metadata}
