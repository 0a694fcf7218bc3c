"""The engine as a library: decisions, ties, messages, the cache's rules, growth, eviction of states, a user's own plugin."""

from typing import Any

import numpy as np
import pytest

from kubesim.kernel.rng import Stream
from kubesim.scheduler import PluginConfig, Profile, SchedulerConfig, SchedulingEngine
from kubesim.scheduler.contract import UNSCHEDULABLE, Normalization, Plugin, Prepared, Rejection, Scope
from kubesim.scheduler.engine import STATES_MAX
from kubesim.scheduler.profile import DEFAULT_PLUGINS, FIRST
from tests.scheduler.builders import node, pod

Object = dict[str, Any]


def engine_of(*nodes: Object, **config: Any) -> SchedulingEngine:
    engine = SchedulingEngine(SchedulerConfig(**config))
    for obj in nodes:
        engine.add_node(obj)
    return engine


def test_ties_go_to_the_first_or_to_chance() -> None:
    nodes = [node(f"n{index}") for index in range(100)]
    assert engine_of(*nodes, tie_break=FIRST).schedule(pod("p")).node_name == "n0"
    chosen = set()
    for seed in range(20):
        engine = SchedulingEngine(stream=Stream(seed, "ties"))
        for obj in nodes:
            engine.add_node(obj)
        chosen.add(engine.schedule(pod("p")).node_name)
    assert len(chosen) > 10


def test_no_nodes() -> None:
    decision = engine_of().schedule(pod("p"))
    assert (decision.result, decision.message, decision.unschedulable_plugins) == (
        "unschedulable",
        "no nodes available to schedule pods",
        (),
    )


def test_counts_in_a_message_are_sorted_as_text() -> None:
    nodes = [node(f"n{index}", unschedulable=True) for index in range(10)] + [node(f"m{index}", cpu="1") for index in range(2)]
    message = engine_of(*nodes).schedule(pod("p", "2")).message
    assert message.startswith("0/12 nodes are available: 10 node(s) were unschedulable, 2 Insufficient cpu. ")


def test_a_pod_whose_resources_only_a_lower_use_would_free_may_preempt_nobody() -> None:
    engine = engine_of(node("n1", cpu="1"))
    engine.add_pod(pod("same", "1", on="n1"))
    assert engine.schedule(pod("p", "1")).message == (
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, "
        "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )


def test_the_table_grows_and_rows_are_reused_from_the_lowest() -> None:
    engine = engine_of(*[node(f"n{index}") for index in range(200)])
    engine.schedule(pod("p", "1"))
    for index in (5, 3):
        engine.remove_node(f"n{index}")
    engine.add_node(node("new"))
    assert engine.table.find("new") == 3
    engine.check()


def test_pods_may_be_there_before_their_node() -> None:
    engine = engine_of(node("n2", cpu="1"))
    engine.add_pod(pod("early", "3", on="n1"))
    assert engine.schedule(pod("p", "2")).node_name == ""
    engine.add_node(node("n1", cpu="4"))
    assert engine.schedule(pod("q", "2")).node_name == ""
    engine.remove_pod(pod("early", "3", on="n1"))
    assert engine.schedule(pod("r", "2")).node_name == "n1"
    engine.check()


def test_a_node_may_go_before_its_pods() -> None:
    engine = engine_of(node("n1"))
    bound = pod("b", "1", on="n1")
    engine.add_pod(bound)
    engine.remove_node("n1")
    assert engine.schedule(pod("p")).message == "no nodes available to schedule pods"
    engine.remove_pod(bound)
    engine.check()
    assert engine.table.names == [None]


def test_a_pod_is_assumed_once() -> None:
    engine = engine_of(node("n1"))
    assert engine.schedule(pod("p")).node_name == "n1"
    with pytest.raises(AssertionError, match="in the cache already"):
        engine.schedule(pod("p"))


def test_a_pod_is_not_added_twice_nor_updated_before_it_is_there() -> None:
    engine = engine_of(node("n1"))
    with pytest.raises(AssertionError, match="updated before it was added"):
        engine.cache.update(engine.memo.info(pod("p", on="n1")))
    engine.add_pod(pod("p", on="n1"))
    with pytest.raises(AssertionError, match="added twice"):
        engine.add_pod(pod("p", on="n1"))


def test_a_pod_that_was_bound_elsewhere_moves() -> None:
    engine = engine_of(node("n1", cpu="1"), node("n2", cpu="1"), tie_break=FIRST)
    assert engine.schedule(pod("p", "1")).node_name == "n1"
    engine.add_pod(pod("p", "1", on="n2"))
    assert engine.schedule(pod("q", "1")).node_name == "n1"
    engine.check()


def test_a_forgotten_pod_makes_room_and_forgetting_twice_does_nothing() -> None:
    engine = engine_of(node("n1", cpu="1"))
    decision = engine.schedule(pod("p", "1"))
    engine.cache.forget(decision.pod)
    engine.cache.forget(decision.pod)
    assert engine.schedule(pod("q", "1")).node_name == "n1"
    engine.check()


def test_more_signatures_than_are_kept() -> None:
    engine = engine_of(node("n1", cpu="1000", memory="1000Gi", pods="2000"))
    for index in range(STATES_MAX + 50):
        assert engine.schedule(pod(f"p{index}", f"{index + 1}m")).node_name == "n1"
    assert len(engine._states) == STATES_MAX
    assert engine.schedule(pod("again", "1m")).node_name == "n1"
    engine.table.check()


def test_a_resource_that_nobody_had_before() -> None:
    extra = {f"example.com/r{index}": "1" for index in range(20)}
    engine = engine_of(node("n1"))
    assert engine.schedule(pod("p", "1")).node_name == "n1"
    engine.add_node(node("n2", extra=extra))
    assert engine.schedule(pod("q", extra=extra)).node_name == "n2"
    assert "20 " not in engine.schedule(pod("r", extra=extra)).message
    engine.check()


class EvenRows(Plugin):
    """A user's own plugin, vectorised: even rows only, later rows better, and no two Pods of one cluster on a node."""

    name = "EvenRows"
    extends = frozenset({"preFilter", "filter", "preScore", "score"})
    filter_scope = Scope.ROW
    score_scope = Scope.ROW
    normalization = Normalization.BY_MAX

    def pre_filter(self, pod: Any) -> Prepared:
        return Prepared(None)

    def filter(self, state: Any, rows: Any) -> Any:
        index = self.table.index(rows)
        return (index % 2 | (self.table.pod_count_N[index] > 0)).astype(np.int64)

    def filter_row(self, state: Any, row: int) -> int:
        return int(row % 2 == 1 or self.table.pod_count_N[row] > 0)

    def rejection(self, state: Any, code: int) -> Rejection:
        return Rejection(UNSCHEDULABLE, ("node(s) were odd or taken",))

    def score(self, state: Any, rows: Any) -> Any:
        return self.table.index(rows) + self.table.pod_count_N[self.table.index(rows)]

    def score_row(self, state: Any, row: int) -> int:
        return row + int(self.table.pod_count_N[row])


def test_a_users_own_plugin() -> None:
    profile = Profile(plugins=(*DEFAULT_PLUGINS, PluginConfig("EvenRows", weight=100)))
    engine = SchedulingEngine(SchedulerConfig(profiles=(profile,)), plugins=[EvenRows])
    for index in range(6):
        engine.add_node(node(f"n{index}"))
    chosen = []
    for index in range(4):
        chosen.append(engine.schedule(pod(f"p{index}", "1")).node_name)
        engine.check()
    assert chosen == ["n4", "n2", "n0", ""]
    assert engine.schedule(pod("late", "1")).message.startswith("0/6 nodes are available: 6 node(s) were odd or taken. ")


def test_explain_names_everything() -> None:
    engine = engine_of(node("n1"), node("n2", unschedulable=True))
    explained = engine.explain(pod("p", "1"))
    assert explained["best"] == ["n1"]
    assert list(explained["scores"]["n1"]) == [
        "TaintToleration",
        "NodeResourcesFit",
        "DynamicResources",
        "NodeResourcesBalancedAllocation",
        "ImageLocality",
    ]
    assert explained["rejected"]["n2"][0] == "NodeUnschedulable"
    with pytest.raises(ValueError, match="there is no profile 'other'"):
        engine.explain(pod("p", schedulerName="other"))


def test_an_explanation_answers_questions_and_leaves_no_trace() -> None:
    engine = engine_of(node("n1", cpu="2"), node("n2"), node("n3", unschedulable=True))
    first, second = pod("p", "1"), pod("q", "1")
    assert [engine.schedule(each).node_name for each in (first, second)] == ["n2", "n2"]
    before = (engine.table.node_log.end, engine.table.pod_log.end, list(engine.table.pods[1]))
    found = engine.explanation({**first, "spec": {**first["spec"], "nodeName": "n2"}})
    assert (found.bound_to, found.best(), found.feasible_count) == ("n2", ["n2"], 2)
    assert [name for name, _, _ in found.top(5)] == ["n2", "n1"]
    assert found.rejections()[0][0] == "NodeUnschedulable"
    assert found.why("n2", "n1").startswith("n2 beats n1, ")
    assert found.why("n1", "n2").startswith("n1 loses to n2, ")
    assert found.why("n1", "n3").startswith("n3 is rejected by NodeUnschedulable: node(s) were unschedulable; n1 fits, with ")
    assert found.why("n3", "n1") == "n3 is rejected by NodeUnschedulable: node(s) were unschedulable"
    assert (engine.table.node_log.end, engine.table.pod_log.end, list(engine.table.pods[1])) == before
    engine.check()
    with pytest.raises(ValueError, match="there is no node 'n9'; expected one of 3 nodes"):
        found.node("n9")
