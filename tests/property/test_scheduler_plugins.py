"""Every vectorised plugin equals its scalar twin, row by row, on random clusters and Pods; and so do arguments and subsets of rows."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubesim.scheduler import PluginConfig, Profile, SchedulerConfig, SchedulingEngine
from kubesim.scheduler.contract import Plugin, Prepared, Skip
from kubesim.scheduler.framework import Framework
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.profile import DEFAULT_PLUGINS, FIRST
from kubesim.scheduler.scored import normalized
from tests.fidelity.test_scheduler_recordings import RECORDINGS
from tests.scheduler.strategies import clusters, expressions, pods
from tests.scheduler.twins import replay

resources = st.lists(
    st.builds(
        lambda name, weight: {"name": name, "weight": weight},
        st.sampled_from(["cpu", "memory", "ephemeral-storage", "example.com/gpu"]),
        st.integers(1, 5),
    ),
    max_size=4,
    unique_by=lambda resource: resource["name"],
)
shapes = st.lists(st.integers(0, 100), min_size=1, max_size=4, unique=True).flatmap(
    lambda points: st.tuples(*[st.integers(0, 10) for _ in points]).map(
        lambda scores: [{"utilization": x, "score": y} for x, y in zip(sorted(points), scores)]
    )
)
arguments = st.fixed_dictionaries(
    {
        "NodeResourcesFit": st.fixed_dictionaries(
            {
                "scoringStrategy": st.fixed_dictionaries(
                    {
                        "type": st.sampled_from(["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"]),
                        "resources": resources,
                        "requestedToCapacityRatio": st.builds(lambda shape: {"shape": shape}, shapes),
                    }
                ),
                "ignoredResourceGroups": st.sampled_from([[], ["example.com"]]),
            }
        ),
        "NodeResourcesBalancedAllocation": st.fixed_dictionaries({"resources": resources}),
        "NodeAffinity": st.one_of(
            st.just({}),
            st.builds(
                lambda expression: {
                    "addedAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
                    }
                },
                expressions,
            ),
        ),
    }
)


def engine_of(cluster: Any, given_arguments: dict[str, Any]) -> SchedulingEngine:
    plugins = tuple(PluginConfig(p.name, p.weight, given_arguments.get(p.name, {})) for p in DEFAULT_PLUGINS)
    engine = SchedulingEngine(SchedulerConfig(profiles=(Profile(plugins=plugins),), tie_break=FIRST))
    for node in cluster[0]:
        engine.add_node(node)
    for pod in cluster[1]:
        engine.add_pod(pod)
    return engine


def row_sets(engine: SchedulingEngine) -> list[tuple[Any, list[int], list[int]]]:
    """(rows to ask, the same listed, places that count: where a node is): all rows, and every second one backwards."""
    count, alive = engine.table.row_count, dict.fromkeys(engine.table.node_rows())
    some = list(range(count))[::-2]
    asked = [(None, list(range(count))), (np.array(some, np.int64), some)]
    return [(rows, listed, [place for place, row in enumerate(listed) if row in alive]) for rows, listed in asked]


def check_filter(plugin: Plugin, info: PodInfo, engine: SchedulingEngine) -> None:
    outcome = plugin.pre_filter(info)
    if isinstance(outcome, Prepared):
        for rows, listed, places in row_sets(engine):
            codes = plugin.filter(outcome.state, rows)
            assert codes.dtype == np.int64
            assert codes[places].tolist() == [plugin.filter_row(outcome.state, listed[place]) for place in places], plugin.name
        for code in sorted(set(codes[places].tolist()) - {0}):
            assert plugin.rejection(outcome.state, code).reasons


def check_score(plugin: Plugin, info: PodInfo, engine: SchedulingEngine) -> None:
    state = plugin.pre_score(info, np.arange(engine.table.row_count))
    if not isinstance(state, Skip):
        for rows, listed, places in row_sets(engine):
            scores = plugin.score(state, rows)
            assert scores.dtype == np.int64
            assert scores[places].tolist() == [plugin.score_row(state, listed[place]) for place in places], plugin.name


def plain_decision(framework: Framework, info: PodInfo, engine: SchedulingEngine) -> dict[str, int]:
    """Totals by node from the twins alone, one node after the other: the cycle of the textbook."""
    outcomes = [(plugin, plugin.pre_filter(info)) for plugin in framework.pre_filter]
    if any(not isinstance(outcome, (Prepared, Skip)) for _, outcome in outcomes):
        return {}
    prepared = [(plugin, outcome) for plugin, outcome in outcomes if isinstance(outcome, Prepared)]
    rows = [
        row
        for row in engine.table.node_rows()
        if all(outcome.node_names is None or engine.table.names[row] in outcome.node_names for _, outcome in prepared)
        and all(not plugin.filter_row(outcome.state, row) for plugin, outcome in prepared)
    ]
    totals = dict.fromkeys(rows, 0)
    for plugin in framework.score:
        state = plugin.pre_score(info, np.array(rows, np.int64))
        if isinstance(state, Skip):
            continue
        raw = [plugin.score_row(state, row) for row in rows]
        kind = plugin.normalization.value
        if kind == "custom" and raw:
            raw = plugin.normalize(state, np.array(raw, np.int64)).tolist()
        best = max(raw, default=0)
        for row, score in zip(rows, raw):
            if kind in ("by-max", "reversed"):
                score = score * 100 // best if best else 0
                score = 100 - score if kind == "reversed" else score
            totals[row] += score * framework.weights[plugin.name]
    return {str(engine.table.names[row]): total for row, total in totals.items()}


def check_pair(engine: SchedulingEngine, pod: Any) -> None:
    """One Pod against one cluster: every plugin and its twin, the totals, the choice."""
    info = engine.memo.info(pod)
    framework = engine.frameworks["default-scheduler"]
    for plugin in framework.filter:
        check_filter(plugin, info, engine)
    for plugin in framework.score:
        check_score(plugin, info, engine)
    explained = engine.explain(pod)
    assert explained["totals"] == plain_decision(framework, info, engine)
    decision = engine.decide(info)
    assert decision.node_name == (explained["best"][0] if explained["best"] else "")


def compare(pair_count: int) -> int:
    """Compare on random clusters, several Pods each, until there are so many pairs; how many there were. Hypothesis draws, and shrinks."""
    count = 0

    @settings(max_examples=max(1, pair_count // 3), deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(clusters(), st.lists(pods(st.just("p")), min_size=4, max_size=8), arguments)
    def some(cluster: Any, candidates: list[Any], given_arguments: dict[str, Any]) -> None:
        nonlocal count
        if count < pair_count:
            count += check_pairs(cluster, candidates, given_arguments)

    some()
    return count


def check_pairs(cluster: Any, candidates: list[Any], given_arguments: dict[str, Any]) -> int:
    """Several Pods against one cluster; how many."""
    engine = engine_of(cluster, given_arguments)
    for pod in candidates:
        check_pair(engine, pod)
    return len(candidates)


def test_vector_and_twin_agree() -> None:
    """``make soak`` has 20,000 pairs."""
    assert compare(600) >= 600


@pytest.mark.shared
@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings of kube-scheduler are not beside the checkout")
def test_the_twins_decide_as_the_real_scheduler_did() -> None:
    """``make soak`` has every family."""
    assert replay(("nominated", "preemptties")) >= 400


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 300), min_size=1), st.sampled_from(["by-max", "reversed"]))
def test_normalization_is_upstreams(raw: list[int], kind: str) -> None:
    """Against upstream's DefaultNormalizeScore, in its own integer steps."""
    best = max(raw)
    expected = []
    for score in raw:
        if best == 0:
            expected.append(100 if kind == "reversed" else 0)
        else:
            expected.append(100 - 100 * score // best if kind == "reversed" else 100 * score // best)
    kinds = {found.normalization.value: found.normalization for found in engine_of(([], []), {}).frameworks["default-scheduler"].score}
    assert normalized(np.array(raw, np.int64), best, kinds[kind]).tolist() == expected
