"""The scheduler alone: whole cycles (pop is the list's; filter, score, choose, assume) over every node, nothing sampled.

Pods come from templates, as from Deployments, so their specs are shared; each row names how many nodes and templates.
"""

from collections.abc import Callable
from typing import Any

import pytest

from kubesim.kernel.rng import Stream
from kubesim.scheduler import SchedulingEngine

Object = dict[str, Any]


def node(index: int) -> Object:
    allocatable = {"cpu": "32", "memory": "256Gi", "pods": "110"}
    labels = {"kubernetes.io/hostname": f"node-{index}", "zone": f"z{index % 3}"}
    return {"metadata": {"name": f"node-{index}", "labels": labels}, "spec": {}, "status": {"allocatable": allocatable}}


def template(index: int, cpu_milli: int = 100, **more: Any) -> Object:
    requests = {"cpu": f"{cpu_milli + index}m", "memory": "500Mi"}
    return {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10", "resources": {"requests": requests}}], **more}


def pods_of(templates: list[Object], count: int) -> list[Object]:
    names = [{"name": f"pod-{index}", "namespace": "default", "uid": f"uid-{index}"} for index in range(count)]
    return [{"metadata": metadata, "spec": templates[index % len(templates)]} for index, metadata in enumerate(names)]


def prefers_zone(zone: str) -> Object:
    preference = {"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]}
    terms = [{"weight": 10, "preference": preference}]
    return {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}}}


def engine_with(node_count: int) -> SchedulingEngine:
    engine = SchedulingEngine(stream=Stream(1, "bench"))
    for index in range(node_count):
        engine.add_node(node(index))
    return engine


CASES = {
    "basic, 1 template": [template(0)],
    "basic, 20 templates": [template(index) for index in range(20)],
    "node affinity": [template(0, **prefers_zone("z1"))],
}


@pytest.mark.parametrize("nodes_full", [500, 1_000, 5_000, 15_000, 50_000])
@pytest.mark.parametrize("case", CASES)
def test_scheduling_cycle(benchmark: Any, scale: Callable[[int, int], int], nodes_full: int, case: str) -> None:
    nodes, count = scale(20, nodes_full), scale(100, 10_000)
    benchmark.extra_info.update(room="scheduler", operation=f"cycle: {case}, {nodes:,} nodes", count=count, unit="pods")

    def set_up() -> tuple[tuple[SchedulingEngine, list[Object]], dict[str, Any]]:
        engine = engine_with(nodes)
        warm = pods_of(CASES[case], len(CASES[case]))
        for pod in warm:
            pod["metadata"]["uid"] += "-warm"
            assert engine.schedule(pod).node_name
        return (engine, pods_of(CASES[case], count)), {}

    def run(engine: SchedulingEngine, pods: list[Object]) -> SchedulingEngine:
        for pod in pods:
            engine.schedule(pod)
        return engine

    engine = benchmark.pedantic(run, setup=set_up, rounds=3)
    assert len(engine.cache) == count + len(CASES[case])
    assert engine.overcommitted() == []


LABELS = {"app": "web"}
TERM = {"labelSelector": {"matchLabels": LABELS}, "topologyKey": "zone"}
BY_HOST = {**TERM, "topologyKey": "kubernetes.io/hostname"}
REQUIRED, PREFERRED = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"


def spread(when: str) -> Object:
    return {"topologySpreadConstraints": [{**TERM, "maxSkew": 5, "whenUnsatisfiable": when}]}


BETWEEN_PODS = {
    "Pod affinity": {"affinity": {"podAffinity": {REQUIRED: [TERM]}}},
    "Pod anti-affinity": {"affinity": {"podAntiAffinity": {REQUIRED: [BY_HOST]}}},
    "preferred Pod affinity": {"affinity": {"podAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": BY_HOST}]}}},
    "topology spread": spread("DoNotSchedule"),
    "preferred topology spread": spread("ScheduleAnyway"),
}


@pytest.mark.parametrize("case", BETWEEN_PODS)
def test_cycle_between_pods(benchmark: Any, scale: Callable[[int, int], int], case: str) -> None:
    """What a Pod wants of other Pods, over all nodes: each placement moves the counts of a domain."""
    nodes, count = scale(200, 5_000), scale(50, 1_000)
    benchmark.extra_info.update(room="scheduler", operation=f"cycle: {case}, {nodes:,} nodes", count=count, unit="pods")

    def set_up() -> tuple[tuple[SchedulingEngine, list[Object]], dict[str, Any]]:
        pods = pods_of([template(0, **BETWEEN_PODS[case])], count)
        for pod in pods:
            pod["metadata"]["labels"] = LABELS
        return (engine_with(nodes), pods), {}

    def run(engine: SchedulingEngine, pods: list[Object]) -> SchedulingEngine:
        for pod in pods:
            engine.schedule(pod)
        return engine

    engine = benchmark.pedantic(run, setup=set_up, rounds=3)
    assert len(engine.cache) == count


@pytest.mark.parametrize("nodes_full", [500, 5_000])
def test_unschedulable_pods(benchmark: Any, scale: Callable[[int, int], int], nodes_full: int) -> None:
    """Pods that fit nowhere, with their whole message, as in scheduler_perf's Unschedulable."""
    nodes, count = scale(20, nodes_full), scale(20, 2_000)
    benchmark.extra_info.update(room="scheduler", operation=f"cycle: unschedulable, {nodes:,} nodes", count=count, unit="pods")
    engine = engine_with(nodes)
    pods = pods_of([template(0, cpu_milli=64_000)], count)
    decisions = benchmark.pedantic(lambda: [engine.schedule(pod) for pod in pods], rounds=3)
    assert len({decision.message for decision in decisions}) == 1
    assert decisions[0].message.startswith(f"0/{nodes} nodes are available: {nodes} Insufficient cpu.")


EXPLAINED = {
    "pending, fits": (template(0, **BETWEEN_PODS["preferred topology spread"]), False),
    "pending, fits nowhere": (template(0, cpu_milli=64_000), False),
    "bound": (template(0, **BETWEEN_PODS["preferred topology spread"]), True),
}


@pytest.mark.parametrize("case", EXPLAINED)
def test_explain(benchmark: Any, scale: Callable[[int, int], int], case: str) -> None:
    """The whole answer about one Pod: every node's reason, or the points of every plugin, as ``kubesim explain --json`` has it."""
    spec, is_bound = EXPLAINED[case]
    nodes, count = scale(20, 5_000), scale(40, 10_000)
    benchmark.extra_info.update(room="scheduler", operation=f"explain: {case}, {nodes:,} nodes", count=1, unit="pods")
    engine = engine_with(nodes)
    engine.schedule_all(pods_of([template(0)], count))
    pod = {"metadata": {"name": "it", "namespace": "default", "uid": "it", "labels": LABELS}, "spec": spec}
    if is_bound:
        assert engine.schedule(pod).node_name
    explained = benchmark.pedantic(engine.explain, args=(pod,), rounds=20)
    assert len(explained["totals"]) + len(explained["rejected"]) == nodes
