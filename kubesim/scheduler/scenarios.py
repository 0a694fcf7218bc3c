"""Scenarios of the recordings' format: a cluster and the Pods to schedule in, every decision out.

One scenario is a JSON object (nodes, pods, pending, storage, configuration ...); the answer has for every pending Pod what was rejected
and why, every score, the choice, preemption and volume bindings. Pods are scheduled strictly in their order, one attempt each, and
bound at once; so are their volumes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from kubesim.api.kinds.pod import KIND as POD
from kubesim.scheduler.configuration import read_configuration
from kubesim.scheduler.contract import Plugin
from kubesim.scheduler.engine import GATED, IGNORED, SCHEDULED, Decision, SchedulingEngine
from kubesim.scheduler.objects import NAMESPACE_LABEL
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.preemption import Candidate
from kubesim.scheduler.profile import FIRST, SchedulerConfig
from kubesim.scheduler.queue import SchedulingQueue
from kubesim.scheduler.scenario_checks import POD_LISTS, pod_problems, problems
from kubesim.scheduler.scenario_volumes import ScenarioVolumes

Object = dict[str, Any]
RECORD, NOMINATE, EVICT = "record", "nominate", "evict"
LISTS = {
    "pvs": "persistentvolumes",
    "pvcs": "persistentvolumeclaims",
    "storageClasses": "storageclasses",
    "csiNodes": "csinodes",
    "csiDrivers": "csidrivers",
    "csiStorageCapacities": "csistoragecapacities",
    "volumeAttachments": "volumeattachments",
    "services": "services",
    "replicaSets": "replicasets",
    "statefulSets": "statefulsets",
    "replicationControllers": "replicationcontrollers",
    "deviceClasses": "deviceclasses",
    "resourceSlices": "resourceslices",
    "resourceClaims": "resourceclaims",
    "pdbs": "poddisruptionbudgets",
    "namespaces": "namespaces",
}
PREFIXES = {"pvcs": "pvc", "pvs": "pv"}
BOUND_START = "2026-01-01T00:00:00Z"


def run_scenario(scenario: Object) -> Object:
    """Schedule the pending Pods of one scenario.

    Raises:
        ValueError: if the scenario, its configuration or a Pod is not valid.
    """
    found = problems(scenario)
    if found:
        raise ValueError("\n".join(f"scenario: {problem}" for problem in found))
    return ScenarioRun(scenario).run()


class ScenarioRun:
    """One scenario in an engine; ``plugins`` take the place of those of their names."""

    def __init__(self, scenario: Object, plugins: Iterable[type[Plugin]] = ()) -> None:
        self._scenario = scenario
        config = SchedulerConfig(tie_break=FIRST)
        if "config" in scenario:
            config = replace(read_configuration(_configuration(scenario["config"]), FIRST), percentage=100)
        self.engine = SchedulingEngine(replace(config, tries_all_nodes=True), plugins=plugins)
        classes = scenario.get("priorityClasses") or ()
        self._classes = {found["metadata"]["name"]: found for found in classes}
        self._default_class = next((found for found in classes if found.get("globalDefault")), None)
        self._bound_count = 0
        self._mode: str = scenario.get("preemption") or RECORD
        self._fill()
        self._volumes = ScenarioVolumes(self.engine.objects)

    def _fill(self) -> None:
        scenario, engine = self._scenario, self.engine
        for field, resource in LISTS.items():
            for obj in scenario.get(field) or ():
                engine.set_object(resource, _named(obj, PREFIXES.get(field, field)) if resource != "namespaces" else _namespace(obj))
        for node in scenario["nodes"]:
            engine.add_node(node)
        self._pending, bound, nominated = (self._admitted_list(field) for field in POD_LISTS)
        known = ("default", *[pod["metadata"]["namespace"] for pod in (*bound, *nominated, *self._pending)])
        for name in dict.fromkeys(known):
            if engine.objects.get("namespaces", name) is None:
                engine.set_object("namespaces", _namespace({"metadata": {"name": name}}))
        for pod in bound:
            status = pod.get("status") or {}
            engine.add_pod({**pod, "status": {**status, "startTime": status.get("startTime") or BOUND_START}})
        for pod in (*nominated, *self._pending):
            node_name = (pod.get("status") or {}).get("nominatedNodeName")
            if node_name:
                engine.nominate(pod, node_name)

    def _admitted_list(self, field: str) -> list[Object]:
        """The Pods of a list after admission. Raises ValueError with everything that is wrong with them."""
        pods = [self._admitted(pod) for pod in self._scenario.get(field) or ()]
        found = [problem for index, pod in enumerate(pods) for problem in pod_problems(pod, field, index)]
        if found:
            raise ValueError("\n".join(f"scenario: {problem}" for problem in found))
        return pods

    def _admitted(self, pod: Object) -> Object:
        """A Pod after admission: defaults, priority, selectors merged. Raises ValueError for an unknown PriorityClass."""
        spec = dict(pod["spec"])
        name = spec.get("priorityClassName")
        if name and name not in self._classes:
            raise ValueError(f"scenario: pod {pod['metadata']['name']}: no PriorityClass with name {name} was found")
        found = self._classes[name] if name else self._default_class
        spec["priority"] = found["value"] if found is not None else spec.get("priority") or 0
        if found is not None and found.get("preemptionPolicy") and "preemptionPolicy" not in spec:
            spec["preemptionPolicy"] = found["preemptionPolicy"]
        metadata = {"namespace": "default", **pod["metadata"]}
        metadata.setdefault("uid", f"pod-{metadata['namespace']}-{metadata['name']}")
        return with_merged_keys(POD.default({**pod, "metadata": metadata, "spec": spec}))

    # ---- running -------------------------------------------------------------------------------------------------------------

    def run(self) -> Object:
        """Schedule every pending Pod once."""
        answer: Object = {"id": self._scenario["id"], "pods": [self._schedule(pod) for pod in self._pending]}
        order = self._queue_order()
        if order is not None:
            answer["queueOrder"] = order
        return answer

    def _queue_order(self) -> list[str] | None:
        """The order in which the queue hands the Pods out; None when it is the given one anyway."""
        frameworks = self.engine.frameworks
        infos = [self.engine.memo.info(pod) for pod in self._pending]
        if len({info.facts.priority for info in infos}) < 2 and not any(info.facts.gates for info in infos):
            return None
        queue = SchedulingQueue(self.engine.config, lambda info: frameworks[info.facts.scheduler_name].gate(info), {})
        for now_ns, info in enumerate(infos):
            if info.facts.scheduler_name in frameworks:
                queue.add(info, now_ns)
        order = []
        while (queued := queue.pop(len(infos))) is not None:
            order.append(queued.info.key)
        return order

    def _schedule(self, pod: Object) -> Object:
        info = self.engine.memo.info(pod)
        framework = self.engine.frameworks.get(info.facts.scheduler_name)
        if framework is None:
            return {"pod": info.key, "result": IGNORED}
        gate = framework.gate(info)
        if gate is not None:
            return {"pod": info.key, "result": GATED, "gatePlugin": gate[0], "gateMessage": gate[1]}
        record = self._attempt(info)
        if record.get("nominatedNode") and self._mode != RECORD:
            self._nominate(info, record["nominatedNode"])
            if self._mode == EVICT:
                for victim in self._victims:
                    self.engine.cache.remove(victim)
                status = {**(pod.get("status") or {}), "nominatedNodeName": record["nominatedNode"]}
                record["retry"] = self._attempt(self.engine.memo.info({**pod, "status": status}))
        return record

    def _nominate(self, info: PodInfo, node_name: str) -> None:
        """Promise the node; Pods of lower priority lose their promises there."""
        nominator = self.engine.nominator
        for other in nominator.on(node_name):
            if other.facts.priority < info.facts.priority:
                nominator.remove(other.uid)
        nominator.add(info, node_name)

    def _attempt(self, info: PodInfo) -> Object:
        decision = self.engine.decide(info)
        record: Object = {"pod": info.key, "result": decision.result}
        self._describe_filters(record, info)
        if decision.result == SCHEDULED:
            self._describe_scores(record, info, decision)
            self._bind(record, info, decision.node_name)
        else:
            self._describe_failure(record, decision)
        return record

    def _bind(self, record: Object, info: PodInfo, node_name: str) -> None:
        engine = self.engine
        record.update(self._volumes.bind(engine, info, node_name))
        engine.nominator.remove(info.uid)
        minutes, seconds = divmod(self._bound_count, 60)
        start = f"2026-01-01T{12 + minutes // 60:02}:{minutes % 60:02}:{seconds:02}Z"
        self._bound_count += 1
        obj = {**info.obj, "status": {**(info.obj.get("status") or {}), "startTime": start}}
        engine.cache.assume(engine.memo.info(obj), node_name)

    # ---- describing ----------------------------------------------------------------------------------------------------------

    def _describe_filters(self, record: Object, info: PodInfo) -> None:
        state = self._state = self.engine.state(info.obj)
        diagnosis = state.diagnosis()
        if not self.engine.table.node_count:
            return
        if state.pre_filter is not None:
            plugin, rejection = state.pre_filter
            record["preFilter"] = {"code": rejection.code, "plugin": plugin, "reasons": list(rejection.reasons)}
            return
        if state.node_names is not None:
            record["preFilterNodes"] = sorted(state.node_names)
        names = self.engine.table.names
        rejected = {}
        for row in self.engine.table.node_rows():
            why = diagnosis.rejection(row)
            if why is not None:
                rejected[names[row]] = {"code": why[1].code, "plugin": why[0], "reasons": list(why[1].reasons)}
        if rejected:
            record["rejected"] = rejected

    def _describe_scores(self, record: Object, info: PodInfo, decision: Decision) -> None:
        state, table = self._state, self.engine.table
        feasible = [table.names[row] for row in state.diagnosis().feasible_rows()]
        record["feasible"] = feasible
        if decision.is_nominated:
            record["nominatedFastPath"] = decision.node_name
        scores = state.scores()
        points = {name: [int(points_N[table.find(name)]) for points_N in scores.values()] for name in feasible}
        if scores:
            record["scorePlugins"] = list(scores)
        record["scores"] = points
        record["totals"] = totals = {name: sum(row) for name, row in points.items()}
        highest = max(totals.values())
        record["best"] = [name for name, total in totals.items() if total == highest]
        record["chosen"] = decision.node_name

    def _describe_failure(self, record: Object, decision: Decision) -> None:
        record["conditionReason"] = "Unschedulable"
        record["message"] = decision.message
        record["unschedulablePlugins"] = list(decision.unschedulable_plugins)
        outcome = decision.post_filter
        if outcome is None:
            return
        record["postFilterCode"] = outcome.code
        if outcome.message:
            record["postFilterMessage"] = outcome.message
        if outcome.clears_nomination:
            record["clearNomination"] = True
            self.engine.nominator.remove(decision.pod.uid)
        if outcome.preemption is not None:
            found, chosen = outcome.preemption, outcome.preemption.chosen
            self._victims = chosen.victims
            record["candidates"] = [_candidate(candidate) for candidate in found.candidates]
            record["bestCandidates"] = [candidate.node_name for candidate in found.best]
            record["nominatedNode"] = chosen.node_name
            record["victims"] = [victim.key for victim in chosen.victims]


def _configuration(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError as error:
        raise ValueError(f"scenario: config: not JSON: {error}") from error


def _candidate(candidate: Candidate) -> Object:
    victims = [victim.key for victim in candidate.victims]
    return {"node": candidate.node_name, "victims": victims, "pdbViolations": candidate.violation_count}


def _named(obj: Object, prefix: str) -> Object:
    """An object with its namespace and uid, where it has none."""
    metadata = dict(obj["metadata"])
    if prefix != "pv":
        metadata.setdefault("namespace", "default")
    metadata.setdefault("uid", f"{prefix}-{metadata.get('namespace', '')}-{metadata['name']}".replace("--", "-"))
    return {**obj, "metadata": metadata}


def _namespace(obj: Object) -> Object:
    name = obj["metadata"]["name"]
    labels = {**(obj["metadata"].get("labels") or {}), NAMESPACE_LABEL: name}
    return {**obj, "metadata": {**obj["metadata"], "labels": labels}}


# ---- what the apiserver does to selectors on create ------------------------------------------------------------------------------


def with_merged_keys(pod: Object) -> Object:
    """matchLabelKeys and mismatchLabelKeys of affinity terms and spread constraints, merged into their selectors."""
    labels = pod["metadata"].get("labels") or {}
    spec = dict(pod["spec"])
    if spec.get("topologySpreadConstraints"):
        spec["topologySpreadConstraints"] = [_with_keys(c, labels) for c in spec["topologySpreadConstraints"]]
    if spec.get("affinity"):
        spec["affinity"] = {kind: _affinity_with_keys(kind, found, labels) for kind, found in spec["affinity"].items()}
    return {**pod, "spec": spec}


def _affinity_with_keys(kind: str, affinity: Object, labels: Mapping[str, str]) -> Object:
    if kind == "nodeAffinity" or not affinity:
        return affinity
    found = {}
    for when, terms in affinity.items():
        found[when] = [_term_with_keys(term, labels) for term in terms]
    return found


def _term_with_keys(term: Object, labels: Mapping[str, str]) -> Object:
    """A term, or a weighted one."""
    if "podAffinityTerm" in term:
        return {**term, "podAffinityTerm": _with_keys(term["podAffinityTerm"], labels)}
    return _with_keys(term, labels)


def _with_keys(term: Object, labels: Mapping[str, str]) -> Object:
    """Add an In or NotIn of the Pod's own value for every key that the Pod has; a missing selector stays missing."""
    added = []
    for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
        for key in term.get(field) or ():
            if key in labels:
                added.append({"key": key, "operator": operator, "values": [labels[key]]})
    selector = term.get("labelSelector")
    if not added or selector is None:
        return term
    known = selector.get("matchExpressions") or []
    return {**term, "labelSelector": {**selector, "matchExpressions": [*known, *[e for e in added if e not in known]]}}
