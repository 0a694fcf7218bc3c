"""Single plugins, tables first: what rejects, with which code and reason, and what scores how much."""

from typing import Any

import pytest

from kubesim.scheduler import PluginConfig, Profile, SchedulerConfig, SchedulingEngine
from kubesim.scheduler.plugins import registry
from kubesim.scheduler.profile import DEFAULT_PLUGINS, FIRST
from tests.scheduler.builders import node, pod

Object = dict[str, Any]


def engine_with(nodes: list[Object], pods: list[Object] = [], arguments: dict[str, Any] | None = None) -> SchedulingEngine:  # noqa: B006
    plugins = tuple(PluginConfig(p.name, p.weight, (arguments or {}).get(p.name, {})) for p in DEFAULT_PLUGINS)
    engine = SchedulingEngine(SchedulerConfig(profiles=(Profile(plugins=plugins),), tie_break=FIRST))
    for obj in nodes:
        engine.add_node(obj)
    for obj in pods:
        engine.add_pod(obj)
    return engine


def affinity(*expressions: Object, field: str = "matchExpressions") -> Object:
    terms = {"nodeSelectorTerms": [{field: list(expressions)}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def expression(key: str, operator: str, *values: str) -> Object:
    return {"key": key, "operator": operator, "values": list(values)}


NODES = {
    "plain": node("n1"),
    "tainted": node("n1", taints=["a=b:NoSchedule"]),
    "avoided": node("n1", taints=["a=b:PreferNoSchedule"]),
    "evicting": node("n1", taints=["a=b:NoExecute"]),
    "cordoned": node("n1", unschedulable=True),
    "full": node("n1", pods="0"),
    "tiny": node("n1", cpu="100m", memory="100Mi"),
    "labelled": node("n1", labels={"size": "12", "zone": "a"}),
}
UNTOLERATED = ("TaintToleration", "UnschedulableAndUnresolvable", ("node(s) had untolerated taint(s)",))
UNMATCHED = ("NodeAffinity", "UnschedulableAndUnresolvable", ("node(s) didn't match Pod's node affinity/selector",))
CORDONED = ("NodeUnschedulable", "UnschedulableAndUnresolvable", ("node(s) were unschedulable",))


@pytest.mark.parametrize(
    ("where", "wanted", "expected"),
    [
        ("plain", pod("p"), None),
        ("tainted", pod("p"), UNTOLERATED),
        ("evicting", pod("p"), UNTOLERATED),
        ("avoided", pod("p"), None),
        ("tainted", pod("p", tolerations=[{"key": "a", "value": "b"}]), None),
        ("tainted", pod("p", tolerations=[{"key": "a", "value": "c"}]), UNTOLERATED),
        ("tainted", pod("p", tolerations=[{"key": "a", "operator": "Exists", "effect": "NoExecute"}]), UNTOLERATED),
        ("tainted", pod("p", tolerations=[{"operator": "Exists"}]), None),
        ("cordoned", pod("p"), CORDONED),
        ("cordoned", pod("p", tolerations=[{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]), None),
        ("full", pod("p"), ("NodeResourcesFit", "Unschedulable", ("Too many pods",))),
        (
            "tiny",
            pod("p", "1", "1Gi", extra={"example.com/gpu": "1"}),
            (
                "NodeResourcesFit",
                "UnschedulableAndUnresolvable",
                ("Insufficient cpu", "Insufficient memory", "Insufficient example.com/gpu"),
            ),
        ),
        ("labelled", pod("p", nodeSelector={"zone": "a"}), None),
        ("labelled", pod("p", nodeSelector={"zone": "b"}), UNMATCHED),
        ("labelled", pod("p", affinity=affinity(expression("zone", "In", "b", "a"))), None),
        ("labelled", pod("p", affinity=affinity(expression("zone", "NotIn", "b", "a"))), UNMATCHED),
        ("labelled", pod("p", affinity=affinity(expression("other", "NotIn", "b"))), None),
        ("labelled", pod("p", affinity=affinity(expression("size", "Gt", "11"))), None),
        ("labelled", pod("p", affinity=affinity(expression("size", "Lt", "11"))), UNMATCHED),
        ("labelled", pod("p", affinity=affinity(expression("zone", "Gt", "11"))), UNMATCHED),
        ("labelled", pod("p", affinity=affinity()), UNMATCHED),
        ("labelled", pod("p", affinity=affinity(expression("metadata.name", "In", "n1"), field="matchFields")), None),
        (
            "labelled",
            pod("p", affinity=affinity(expression("metadata.name", "In", "n2"), field="matchFields")),
            ("PreFilterResult", "UnschedulableAndUnresolvable", ("node(s) didn't satisfy plugin(s) [NodeAffinity]",)),
        ),
    ],
)
def test_a_node_is_rejected(where: str, wanted: Object, expected: tuple[str, str, tuple[str, ...]] | None) -> None:
    rejected = engine_with([NODES[where]]).explain(wanted)["rejected"]
    found = [(plugin, why.code, why.reasons) for plugin, why in rejected.values()]
    assert found == ([expected] if expected else [])


def test_contradicting_names_stop_the_pod_at_prefilter() -> None:
    names = [expression("metadata.name", "In", "n1"), expression("metadata.name", "In", "n2")]
    decision = engine_with([node("n1"), node("n2")]).schedule(pod("p", affinity=affinity(*names, field="matchFields")))
    # Upstream: PostFilter of DynamicResources misses the state that its PreFilter would have left.
    assert decision.message == "0/2 nodes are available: pod affinity terms conflict. not found"


def port(number: int, address: str = "", protocol: str = "TCP") -> Object:
    return {"hostPort": number, "hostIP": address, "protocol": protocol}


@pytest.mark.parametrize(
    ("taken", "wanted", "fits"),
    [
        (port(80), port(80), False),
        (port(80), port(81), True),
        (port(80), port(80, protocol="UDP"), True),
        (port(80, "10.0.0.1"), port(80, "10.0.0.2"), True),
        (port(80, "10.0.0.1"), port(80, "10.0.0.1"), False),
        (port(80, "10.0.0.1"), port(80), False),
        (port(80), port(80, "10.0.0.2"), False),
        (port(80, "::"), port(80, "10.0.0.2"), True),
        (port(80, "::"), port(80, "::"), False),
    ],
)
def test_host_ports_collide(taken: Object, wanted: Object, fits: bool) -> None:
    there, here = pod("a", on="n1"), pod("b")
    there["spec"]["containers"][0]["ports"], here["spec"]["containers"][0]["ports"] = [taken], [wanted]
    assert bool(engine_with([node("n1")], [there]).schedule(here).node_name) is fits


@pytest.mark.parametrize(
    ("arguments", "wanted", "expected"),
    [
        ({}, pod("p", "1", "4Gi"), 75),  # (75 + 75) / 2
        ({}, pod("p"), 97),  # nominal: 100m of 4000m leave 97, 200 MiB of 16 GiB leave 98; the mean is truncated
        ({"scoringStrategy": {"type": "MostAllocated"}}, pod("p", "1", "4Gi"), 25),
        ({"scoringStrategy": {"resources": [{"name": "cpu", "weight": 3}, {"name": "memory", "weight": 1}]}}, pod("p", "2", "4Gi"), 56),
        (
            {
                "scoringStrategy": {
                    "type": "RequestedToCapacityRatio",
                    "requestedToCapacityRatio": {"shape": [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}]},
                }
            },
            pod("p", "1", "8Gi"),
            38,  # (25 + 50) / 2 = 37.5, rounded half away from zero
        ),
    ],
)
def test_the_score_of_resources(arguments: Object, wanted: Object, expected: int) -> None:
    explained = engine_with([node("n1")], arguments={"NodeResourcesFit": arguments}).explain(wanted)
    assert explained["scores"]["n1"]["NodeResourcesFit"] == expected


def test_an_unchanged_balance_scores_75_and_a_better_one_more() -> None:
    engine = engine_with([node("even"), node("skewed")], [pod("b", "2", on="skewed")])
    scores = {name: points["NodeResourcesBalancedAllocation"] for name, points in engine.explain(pod("p", "1", "4Gi"))["scores"].items()}
    assert scores["even"] == 75
    helping = engine.explain(pod("p", extra={"memory": "8Gi"}))["scores"]
    assert helping["skewed"]["NodeResourcesBalancedAllocation"] == 87  # from 75 % balance to all: 50 + (50 + 25) / 2


def test_fewer_untolerated_soft_taints_score_more() -> None:
    taints = ["a=b:PreferNoSchedule", "c=d:PreferNoSchedule"]
    nodes = [node("none"), node("one", taints=taints[:1]), node("two", taints=taints)]
    scores = engine_with(nodes).explain(pod("p"))["scores"]
    assert {name: points["TaintToleration"] for name, points in scores.items()} == {"none": 300, "one": 150, "two": 0}


def test_images_that_more_nodes_have_count_more() -> None:
    images = {"app:1": 500 * 1024 * 1024}
    engine = engine_with([node("a", images=images), node("b", images=images), node("c")])
    scores = {name: points["ImageLocality"] for name, points in engine.explain(pod("p", image="app:1"))["scores"].items()}
    assert scores == {"a": 31, "b": 31, "c": 0}  # 500 MiB * 2/3 = 333 MiB: 100 * (333 - 23) / (1000 - 23)


def test_scheduler_enforced_affinity_comes_first() -> None:
    added = {"addedAffinity": affinity(expression("zone", "In", "a"))["nodeAffinity"]}
    engine = engine_with([node("n1"), node("n2", labels={"zone": "a"})], arguments={"NodeAffinity": added})
    decision = engine.schedule(pod("p"))
    assert decision.node_name == "n2"
    assert engine.explain(pod("q"))["rejected"]["n1"][1].reasons == ("node(s) didn't match scheduler-enforced node affinity",)


def test_preemption_is_not_tried_by_a_pod_that_never_preempts() -> None:
    decision = engine_with([node("n1", cpu="1")]).schedule(pod("p", "2", preemptionPolicy="Never"))
    assert decision.message == (
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never."
    )


@pytest.mark.parametrize(
    ("plugins", "message"),
    [
        ((PluginConfig("Nonsense"),), "profile 'default-scheduler': there is no plugin 'Nonsense'"),
        ((PluginConfig("NodeName"), PluginConfig("NodeName")), "profile 'default-scheduler': plugin 'NodeName' is enabled twice"),
        ((PluginConfig("NodeName", weight=-1),), "profile 'default-scheduler': weight -1 of plugin 'NodeName' is out of range"),
        (
            (PluginConfig("NodeResourcesFit", arguments={"scoringStrategy": {"type": "Best"}}),),
            "scoringStrategy.type: 'Best' is not one of LeastAllocated, MostAllocated, RequestedToCapacityRatio",
        ),
    ],
)
def test_a_wrong_profile_is_refused(plugins: tuple[PluginConfig, ...], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        SchedulingEngine(SchedulerConfig(profiles=(Profile(plugins=plugins),)))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tie_break": "luck"}, "tie_break: must be 'first' or 'seeded', got 'luck'"),
        ({"profiles": ()}, "profiles: one per scheduler name, at least one, got []"),
        ({"batch_max": 0}, "cycle_ns must not be negative and batch_max at least 1, got 0 and 0"),
    ],
)
def test_a_wrong_configuration_is_refused(wrong: Object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        SchedulerConfig(**wrong)
    assert str(caught.value) == message


def test_every_plugin_file_is_found_and_the_default_profile_names_them() -> None:
    alpha = ["GangScheduling"]
    assert sorted(registry()) == sorted([*alpha, *[config.name for config in DEFAULT_PLUGINS]])
