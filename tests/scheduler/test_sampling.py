"""Sampling of nodes: upstream's numbers, order and rotating start; and the best of the sample against a plain search."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubesim.scheduler import Profile, SchedulerConfig, SchedulingEngine
from kubesim.scheduler.configuration import read_configuration
from kubesim.scheduler.profile import FIRST
from kubesim.scheduler.sampling import NodeOrder, wanted_count
from tests.scheduler.builders import node, pod

ZONE = "topology.kubernetes.io/zone"


@pytest.mark.parametrize(
    ("nodes", "percentage", "wanted"),
    [
        (0, 0, 0),
        (99, 10, 99),
        (100, 10, 100),
        (1000, 0, 420),  # 50 - 1000/125 = 42 %
        (5000, 0, 500),  # 50 - 40 = 10 %
        (6000, 0, 300),  # 50 - 48 = 2, at least 5 %
        (5625, 0, 281),
        (6000, 100, 6000),
        (1000, 40, 400),
        (1000, 1, 100),  # at least 100
    ],
)
def test_how_many_are_enough(nodes: int, percentage: int, wanted: int) -> None:
    """The table of upstream's Test_numFeasibleNodesToFind, as far as it is not about the same thing twice."""
    assert wanted_count(nodes, percentage) == wanted


def test_zones_take_turns_in_the_order_of_their_first_node() -> None:
    order = NodeOrder()
    for name, zone in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a"), ("none", ""), ("b2", "b")]:
        order.set(name, {ZONE: zone} if zone else {})
    assert order.names() == ["a1", "b1", "none", "a2", "b2", "a3"]
    order.remove("b1")
    order.set("a1", {ZONE: "b"})
    assert order.names() == ["a2", "b2", "none", "a3", "a1"]
    order.remove("a1")
    order.remove("b2")
    order.remove("gone before")
    assert order.names() == ["a2", "none", "a3"]


def test_a_configuration_means_a_sample_and_none_means_all_nodes() -> None:
    assert SchedulerConfig().percentage == 100
    assert read_configuration({}).percentage == 0
    config = read_configuration({"percentageOfNodesToScore": 30, "profiles": [{"percentageOfNodesToScore": 60}]})
    assert (config.percentage, config.profiles[0].percentage) == (30, 60)


def test_the_start_rotates() -> None:
    engine = SchedulingEngine(SchedulerConfig(tie_break=FIRST, percentage=50))
    for index in range(200):
        engine.add_node(node(f"n{index:03}", pods="1"))
    found = [engine.schedule(pod(f"p{index}", "1")).node_name for index in range(4)]
    assert found[0] == "n000", "of the first 100"
    assert found[1] == "n100", "of the next 100"
    assert found[2] == "n001", "and round again: n000 is full"
    assert engine._sampler is not None
    # n000 to n099; n100 to n199; n000 (full), n001 to n099, n100 (full), n101; n102 to n199 (98 feasible), n000, n001 (full), n002, n003.
    assert engine._sampler.next_start == 4


labels = st.sampled_from([{}, {ZONE: "a"}, {ZONE: "b"}])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(labels, st.sampled_from(["500m", "2", "4"]), st.booleans()), min_size=100, max_size=140),
    st.lists(st.tuples(st.sampled_from(["100m", "1", "3"]), st.booleans()), min_size=1, max_size=6),
    st.integers(0, 99),
)
def test_the_best_of_the_sample_is_that_of_a_plain_search(nodes: Any, pods: Any, percentage: int) -> None:
    engine = SchedulingEngine(SchedulerConfig(profiles=(Profile(),), tie_break=FIRST, percentage=percentage))
    order = NodeOrder()
    for index, (node_labels, cpu, tainted) in enumerate(nodes):
        obj = node(f"n{index}", cpu=cpu, labels=node_labels, taints=["a=b:PreferNoSchedule"] if tainted else [])
        engine.add_node(obj)
        order.set(f"n{index}", obj["metadata"]["labels"])
    start = 0
    for number, (cpu, prefers) in enumerate(pods):
        term = {"weight": 5, "preference": {"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["a"]}]}}
        affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}
        obj = pod(f"p{number}", cpu, **({"affinity": affinity} if prefers else {}))
        names = order.names()[start:] + order.names()[:start]
        feasible = {engine.table.names[row] for row in engine.state(obj).diagnosis().feasible_rows()}
        sample: list[str] = []
        looked_at = 0
        while looked_at < len(names) and len(sample) < wanted_count(len(names), percentage):
            sample += [names[looked_at]] if names[looked_at] in feasible else []
            looked_at += 1
        start = (start + looked_at) % len(names)
        only = SchedulingEngine(SchedulerConfig(tie_break=FIRST))  # a cluster of the sample alone
        for row in sorted(engine.table.find(name) for name in sample):
            only.add_node(engine.table.nodes[row])
            for info in engine.table.pods[row].values():
                only.add_pod({**info.obj, "spec": {**info.obj["spec"], "nodeName": engine.table.names[row]}})
        assert engine.schedule(obj).node_name == (only.schedule(obj).node_name if sample else "")
    assert np.all(engine.table.pod_count_N >= 0)
