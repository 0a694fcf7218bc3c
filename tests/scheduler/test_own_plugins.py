"""A user's own plugins: every extension point in a cluster, scalar ones like vectorised ones, placements that are taken back."""

from typing import Any

import pytest

from kubesim.api.errors import ApiError, conflict
from kubesim.apiserver.requests import bind, delete, patch
from kubesim.kernel import MINUTE, SECOND
from kubesim.scheduler import ScalarPlugin, SchedulingEngine
from kubesim.scheduler.contract import ERROR, UNSCHEDULABLE, Rejection, Until, Wait
from kubesim.scheduler.engine import SCHEDULED, WAITING
from kubesim.scheduler.engine import UNSCHEDULABLE as RESULT_UNSCHEDULABLE
from kubesim.scheduler.profile import FIRST, SchedulerConfig, default_profile
from tests.scheduler.builders import node, pod
from tests.scheduler.test_scheduler import World

Object = dict[str, Any]


class Recorder(ScalarPlugin):
    """Has every point after the choice, and writes down when it is called; ``answers`` says what it answers."""

    name = "Recorder"
    calls: list[str]
    answers: dict[str, Any]

    def reserve(self, pod: Any, row: int) -> Any:
        self.calls.append("reserve")
        return self.answers.get("reserve")

    def unreserve(self, pod: Any, row: int) -> None:
        self.calls.append(f"unreserve {self.table.names[row]}")

    def permit(self, pod: Any, row: int) -> Any:
        self.calls.append("permit")
        return self.answers.get("permit")

    def pre_bind(self, pod: Any, row: int) -> Any:
        return self.steps(pod) if "pre_bind" in self.answers else None

    def steps(self, pod: Any) -> Any:
        body = {"metadata": {"annotations": {"prepared": "yes"}}}
        outcome = yield patch("pods", "default", pod.obj["metadata"]["name"], body)
        assert not isinstance(outcome, ApiError)
        self.calls.append("written")
        holds = yield Until(lambda: self.objects.get("namespaces", "ready") is not None, MINUTE)
        self.calls.append(f"held {holds}")
        return self.answers["pre_bind"] if holds else Rejection(ERROR, ("it took too long",))

    def post_bind(self, pod: Any, row: int) -> None:
        self.calls.append("post_bind")


def world_with(**answers: Any) -> tuple[World, list[str]]:
    Recorder.calls, Recorder.answers = [], answers
    world = World(SchedulerConfig(profiles=(default_profile([Recorder]),)), plugins=[Recorder])
    world.add_node("n1")
    world.add_pod("a", "100m")
    world.scheduler.start()
    world.run()
    return world, Recorder.calls


def test_every_point_is_called_in_order() -> None:
    world, calls = world_with()
    assert calls == ["reserve", "permit", "post_bind"]
    assert world.node_of("a") == "n1"
    world.check()


@pytest.mark.parametrize("point", ["reserve", "permit"])
@pytest.mark.parametrize(
    ("code", "reason", "message"),
    [
        (UNSCHEDULABLE, "Unschedulable", "0/1 nodes are available: 1 not today."),
        (ERROR, "SchedulerError", 'running {point} plugin "Recorder": not today'),
    ],
)
def test_who_says_no_after_the_choice_is_told_of_and_undone(point: str, code: str, reason: str, message: str) -> None:
    world, calls = world_with(**{point: Rejection(code, ("not today",))})
    assert calls[-1] == "unreserve n1"
    assert world.condition("a")["message"] == message.format(point=point.capitalize())
    assert world.condition("a")["reason"] == reason
    assert world.node_of("a") == ""
    assert len(world.scheduler.engine.cache) == 0
    world.check()


def test_a_permit_holds_the_pod_back_until_it_is_allowed() -> None:
    world, calls = world_with(permit=Wait(MINUTE))
    waiting = world.scheduler.engine.waiting
    assert [held.info.key for held in waiting] == ["default/a"]
    assert world.pod("a")["status"]["nominatedNodeName"] == "n1", "where it is going to be is written at once"
    waiting.allow(next(iter(waiting)).info.uid, "Recorder")
    world.run()
    assert world.node_of("a") == "n1"
    assert calls == ["reserve", "permit", "post_bind"]
    world.check()


def test_a_permit_that_is_never_given_ends_after_its_time() -> None:
    world, calls = world_with(permit=Wait(20 * SECOND))
    world.run(25 * SECOND)
    assert calls[:3] == ["reserve", "permit", "unreserve n1"]
    text = "0/1 nodes are available: 1 rejected due to timeout after waiting 20s at plugin Recorder."
    assert ("Warning", "FailedScheduling", text) in world.events()


def test_a_pod_that_is_deleted_while_it_waits_gives_everything_back() -> None:
    world, calls = world_with(permit=Wait(MINUTE))
    world.call(delete("pods", "default", "a", gracePeriodSeconds=0))
    world.run()
    assert calls == ["reserve", "permit", "unreserve n1"]
    assert len(world.scheduler.engine.waiting) == len(world.scheduler.engine.cache) == len(world.scheduler.queue) == 0
    world.check()


def test_a_pre_bind_writes_and_waits() -> None:
    world, calls = world_with(pre_bind=None)
    assert calls == ["reserve", "permit", "written"]
    assert world.pod("a")["metadata"]["annotations"] == {"prepared": "yes"}
    assert world.node_of("a") == ""
    world.add_namespace("ready")
    world.run()
    assert calls == ["reserve", "permit", "written", "held True", "post_bind"]
    assert world.node_of("a") == "n1"
    world.check()


def test_a_pre_bind_that_waits_in_vain_fails() -> None:
    world, calls = world_with(pre_bind=None)
    world.run(MINUTE + SECOND // 2)
    assert calls[:5] == ["reserve", "permit", "written", "held False", "unreserve n1"]
    assert world.condition("a")["message"] == 'running PreBind plugin "Recorder": it took too long'


def test_a_failed_bind_unreserves() -> None:
    Recorder.calls, Recorder.answers = [], {}
    world = World(SchedulerConfig(profiles=(default_profile([Recorder]),)), plugins=[Recorder])
    world.link.fault = lambda request: conflict("pods", "a", "no") if request.subresource == "binding" else None
    world.add_node("n1")
    world.add_pod("a", "100m")
    world.scheduler.start()
    world.run()
    assert Recorder.calls == ["reserve", "permit", "unreserve n1"]
    assert world.condition("a")["message"].startswith('running Bind plugin "DefaultBinder": ')
    world.check()


class Backwards(ScalarPlugin):
    """Sorts the queue by name, the last first."""

    name = "Backwards"

    def sort_key(self, pod: Any, timestamp_ns: int) -> Any:
        return [-ord(letter) for letter in pod.obj["metadata"]["name"]]


class OwnBinder(ScalarPlugin):
    """Binds Pods that ask for it, with a label."""

    name = "OwnBinder"

    def bind(self, pod: Any, row: int) -> Any:
        if "own" not in pod.labels:
            return None
        request = bind(pod.namespace, pod.obj["metadata"]["name"], pod.uid, self.table.names[row])
        request.obj["metadata"]["labels"] = {"bound-by": "own"}
        return request


def test_queue_sort_and_bind_are_plugins_too() -> None:
    plugins = [{"name": "Backwards"}], [{"name": "PrioritySort"}]
    sets = {
        "queueSort": {"enabled": plugins[0], "disabled": plugins[1]},
        "bind": {"enabled": [{"name": "OwnBinder"}, {"name": "DefaultBinder"}], "disabled": [{"name": "*"}]},
    }
    from kubesim.scheduler.configuration import read_configuration

    config = read_configuration({"profiles": [{"plugins": sets}]}, plugins={"Backwards": Backwards, "OwnBinder": OwnBinder})
    world = World(config, plugins=[Backwards, OwnBinder])
    world.add_node("n1")
    for name in ("a", "c", "b"):
        world.add_pod(name, "100m", labels={"own": ""} if name == "b" else {})
    world.scheduler.start()
    world.run()
    scheduled = [message.split()[2] for _, reason, message in world.events() if reason == "Scheduled"]
    assert scheduled == ["default/c", "default/b", "default/a"]
    assert {name: world.pod(name)["metadata"].get("labels", {}).get("bound-by") for name in "abc"} == {"a": None, "b": "own", "c": None}


class FewPods(ScalarPlugin):
    name = "FewPods"

    def filter_node(self, pod: Object, node: Any) -> str | None:
        return "node(s) had two Pods" if len(node.pods) >= 2 else None

    def score_node(self, pod: Object, node: Any) -> int:
        return 100 if node.name == "n2" else 0

    def permit(self, pod: Any, row: int) -> Any:
        name = pod.obj["metadata"]["name"]
        return Rejection(UNSCHEDULABLE, ("unlucky",)) if name == "p13" else Wait(SECOND) if name == "p2" else None


def test_a_scalar_plugin_in_the_library() -> None:
    engine = SchedulingEngine(SchedulerConfig(profiles=(default_profile([FewPods]),), tie_break=FIRST), plugins=[FewPods])
    for name in ("n1", "n2"):
        engine.add_node(node(name))
    found = [engine.schedule(pod(f"p{index}")) for index in range(3)]
    assert [decision.node_name for decision in found] == ["n2", "n2", "n1"]
    assert [decision.result for decision in found] == [SCHEDULED, SCHEDULED, WAITING]
    refused = engine.schedule(pod("p13"))
    assert (refused.result, refused.message) == (RESULT_UNSCHEDULABLE, "0/1 nodes are available: 1 unlucky.")
    assert refused.unschedulable_plugins == ("FewPods",)
    assert engine.schedule(pod("p5")).node_name == "n1", "the refused Pod keeps nothing"
    full = engine.schedule(pod("p6"))
    assert full.message.startswith("0/2 nodes are available: 2 node(s) had two Pods.")
    engine.check()
