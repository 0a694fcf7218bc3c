"""Gangs: who stays out of the queue, who waits for whom, what comes of it in a cluster; never less than ``minCount`` are bound."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubesim import Cluster
from kubesim.apiserver.requests import create, delete
from kubesim.scheduler import PluginConfig, Profile, SchedulerConfig, SchedulingEngine
from kubesim.scheduler.profile import DEFAULT_PLUGINS, FIRST
from tests.scheduler.builders import node, pod

Object = dict[str, Any]
CONFIG = SchedulerConfig(profiles=(Profile(plugins=(*DEFAULT_PLUGINS, PluginConfig("GangScheduling"))),), tie_break=FIRST)
GROUPS = "podgroups.scheduling.k8s.io"


def group(name: str = "g", count: int = 2, **policy: Any) -> Object:
    spec = {"schedulingPolicy": policy or {"gang": {"minCount": count}}}
    return {
        "apiVersion": "scheduling.k8s.io/v1alpha2",
        "kind": "PodGroup",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def member(name: str, of: str = "g", cpu: str = "1", **more: Any) -> Object:
    return pod(name, cpu, schedulingGroup={"podGroupName": of}, **more)


def engine_with(*groups: Object, cpu: str = "2") -> SchedulingEngine:
    engine = SchedulingEngine(CONFIG)
    engine.add_node(node("n1", cpu=cpu))
    for found in groups:
        engine.set_object("podgroups", found)
    return engine


NO_GROUP = 'waiting for pods\'s pod group "g" to appear in scheduling queue'
NO_QUORUM = "waiting for minCount pods from a gang to appear in scheduling queue"
DECISIONS: dict[str, tuple[list[Object], list[Object], list[str]]] = {
    "no group": ([], [member("a")], [NO_GROUP]),
    "one of two": ([group()], [member("a")], [NO_QUORUM]),
    "both": ([group()], [member("a"), member("b")], ["waiting", "scheduled"]),
    "more than needed": ([group()], [member("a"), member("b"), member("c", cpu="0")], ["waiting", "scheduled", "scheduled"]),
    "no gang": ([group(basic={})], [member("a")], ["scheduled"]),
    "no member": ([group()], [pod("a", "1")], ["scheduled"]),
    "no room for the second": ([group()], [member("a"), member("b", cpu="2")], ["waiting", "unschedulable"]),
    "of two groups": (
        [group(), group("h", 1)],
        [member("a"), member("b", "h"), member("c", cpu="0")],
        ["waiting", "scheduled", "scheduled"],
    ),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_decisions(name: str) -> None:
    groups, pods, expected = DECISIONS[name]
    decisions = engine_with(*groups).schedule_all(pods)
    assert [found.message if found.result == "gated" else found.result for found in decisions] == expected


def test_whoever_completes_the_gang_lets_the_others_go() -> None:
    engine = engine_with(group())
    settled: list[str] = []
    engine.waiting.on_settled = lambda found: settled.append(found.info.key)
    engine.schedule_all([member("a"), member("b")])
    assert (settled, len(engine.waiting)) == (["default/a"], 0)


class World:
    """A cluster whose scheduler knows gangs."""

    def __init__(self, cpu: str = "2", nodes: int = 1) -> None:
        self.cluster = Cluster(nodes=[node(f"n{index}", cpu=cpu) for index in range(nodes)], scheduler_config=CONFIG)

    def add(self, *objects: Object) -> None:
        for obj in objects:
            obj = {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "uid"}}
            self.cluster.apiserver.call(create("pods" if obj["kind"] == "Pod" else GROUPS, "default", obj))
        self.cluster.run_until_converged()

    def bound(self) -> list[str]:
        return sorted(found["metadata"]["name"] for found in self.cluster.list("pods") if found["spec"].get("nodeName"))


def test_a_gang_comes_piece_by_piece() -> None:
    world = World(cpu="4")
    world.add(member("a"))
    assert world.bound() == []
    world.add(group(count=3), member("b"))
    assert world.bound() == []
    world.add(member("c"))
    assert world.bound() == ["a", "b", "c"]
    world.add(member("d"))
    assert world.bound() == ["a", "b", "c", "d"]


def test_who_waits_gives_its_place_back_after_five_minutes() -> None:
    world = World(cpu="2")
    world.add(group(), member("a"), member("b", cpu="2"))
    assert world.bound() == []
    world.cluster.run_for("300500ms")
    messages = [event.get("note") or event.get("message", "") for event in world.cluster.list("events")]
    assert any("rejected due to timeout after waiting 5m0s at plugin GangScheduling" in message for message in messages)


def test_room_that_appears_lets_the_whole_gang_in() -> None:
    world = World(cpu="2")
    world.add(pod("other", "1"), group(), member("a"), member("b"))
    assert world.bound() == ["other"]
    world.cluster.apiserver.call(delete("pods", "default", "other"))
    world.cluster.run_for("600s")
    assert world.bound() == ["a", "b"]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_all_or_nothing(sizes: list[tuple[int, int]], random: Any) -> None:
    """(minCount, Pods) of each gang, on nodes that do not hold all of them: a gang has no Pod bound, or at least minCount."""
    world = World(cpu="2", nodes=2)
    objects = [group(f"g{index}", count) for index, (count, _) in enumerate(sizes)]
    objects += [member(f"g{index}-{number}", f"g{index}") for index, (_, pods) in enumerate(sizes) for number in range(pods)]
    random.shuffle(objects)
    world.add(*objects)
    world.cluster.run_for("700s")
    for index, (count, pods) in enumerate(sizes):
        bound = sum(name.startswith(f"g{index}-") for name in world.bound())
        assert bound == 0 or bound >= count, (index, count, pods, bound)
