"""The scheduler against the real apiserver: bindings, events, conditions, requeueing, failed binds."""

from collections.abc import Callable
from typing import Any

import pytest

from kubesim.api.errors import ApiError, conflict
from kubesim.apiserver.requests import Request, bind, create, delete, get, list_, patch
from kubesim.apiserver.server import ApiServer
from kubesim.client.link import DirectLink
from kubesim.drive import virtual
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel import MILLISECOND, MINUTE, SECOND, Kernel
from kubesim.scheduler import Scheduler, SchedulerConfig
from kubesim.scheduler.scheduler import truncated
from tests.scheduler.builders import node, pod

Object = dict[str, Any]


class World:
    """A kernel, an apiserver with a log of writes, and a scheduler."""

    def __init__(self, config: SchedulerConfig | None = None, seed: int = 1, plugins: Any = ()) -> None:
        self.kernel = Kernel(seed=seed)
        self.server = ApiServer(self.kernel, LocalEtcd(self.kernel), debug=True)
        self.user = DirectLink(self.kernel, self.server, "user")
        self.link = FaultyLink(self.kernel, self.server, "system:kube-scheduler")
        self.scheduler = Scheduler(self.kernel, self.link, config, plugins=plugins)
        self.writes: list[str] = []
        self.server.audit.append(self._audit)

    def _audit(self, now_ns: int, request: Request, obj: Object, revision: int) -> None:
        if request.user == self.link.user:
            self.writes.append(f"{request.verb} {request.resource}/{request.subresource}".rstrip("/"))

    def call(self, request: Request) -> Any:
        answers: list[Any] = []
        self.user.send(request, answers.append)
        if isinstance(answers[0], ApiError):
            raise answers[0]
        return answers[0]

    def add_node(self, *arguments: Any, **more: Any) -> None:
        """Create a node and, as the node lifecycle controller would, take away the taint that it is born with."""
        obj = node(*arguments, **more)
        self.call(create("nodes", "", obj))
        self.call(patch("nodes", "", obj["metadata"]["name"], {"spec": {"taints": obj["spec"].get("taints")}}))

    def add_pod(self, *arguments: Any, **more: Any) -> None:
        obj = pod(*arguments, **more)
        del obj["metadata"]["uid"], obj["status"]
        self.call(create("pods", "default", obj))

    def add_namespace(self, name: str) -> None:
        self.call(create("namespaces", "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))

    def run(self, duration_ns: int = SECOND // 10) -> None:
        virtual.run(self.kernel, until_ns=self.kernel.now_ns + duration_ns)

    def pod(self, name: str) -> Object:
        return self.call(get("pods", "default", name))

    def node_of(self, name: str) -> str:
        return self.pod(name)["spec"].get("nodeName", "")

    def condition(self, name: str) -> Object:
        found = [c for c in self.pod(name)["status"].get("conditions", []) if c["type"] == "PodScheduled"]
        return found[0] if found else {}

    def events(self) -> list[tuple[str, str, str]]:
        items = self.call(list_("events", "default"))["items"]
        items.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
        return [(event["type"], event["reason"], event["message"]) for event in items]

    def check(self) -> None:
        """Cache and apiserver agree (C4), nothing is overcommitted (C1), nothing is left in flight."""
        self.scheduler.engine.check()
        self.scheduler.queue.check()
        assert self.scheduler.engine.overcommitted() == []
        bound = {p["metadata"]["uid"] for p in self.call(list_("pods", ""))["items"] if p["spec"].get("nodeName")}
        cached = {uid for pods in self.scheduler.engine.table.pods for uid in pods}
        assert cached == bound


class FaultyLink(DirectLink):
    """A link that answers some binds with an error instead of sending them."""

    fault: Callable[[Request], ApiError | None] | None = None

    def send(self, request: Request, done: Callable[[Any], None] | None = None) -> None:
        error = self.fault(request) if self.fault is not None else None
        if error is None:
            super().send(request, done)
        elif done is not None:
            done(error)


@pytest.fixture
def world() -> World:
    return World()


def test_a_pod_is_bound_and_said_to_be(world: World) -> None:
    world.add_node("n1")
    world.add_pod("a", "100m")
    world.scheduler.start()
    world.run()
    assert world.node_of("a") == "n1"
    assert world.condition("a")["status"] == "True"
    assert world.events() == [("Normal", "Scheduled", "Successfully assigned default/a to n1")]
    assert world.writes == ["create pods/binding", "create events"]
    world.check()


def test_pods_that_come_later_are_spread_by_score(world: World) -> None:
    for name in ("n1", "n2", "n3"):
        world.add_node(name)
    world.scheduler.start()
    for index in range(9):
        world.add_pod(f"p{index}", "100m", "1Gi")
    world.run()
    assert sorted(world.node_of(f"p{index}") for index in range(9)) == ["n1"] * 3 + ["n2"] * 3 + ["n3"] * 3
    world.check()


def test_a_pod_that_fits_nowhere_is_told_once_and_retried_when_room_appears(world: World) -> None:
    world.add_node("n1", cpu="1")
    world.add_node("n2", taints=["only=db:NoSchedule"])
    world.add_pod("big", "2")
    world.scheduler.start()
    world.run()
    message = (
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). no new claims to deallocate, "
        "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    )
    condition = world.condition("big")
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", "Unschedulable", message)
    assert condition["observedGeneration"] == 1
    assert world.events() == [("Warning", "FailedScheduling", message)]
    assert world.writes == ["create events", "patch pods/status"]
    world.run(3 * SECOND)
    assert len(world.writes) == 2, "a waiting Pod costs nothing"
    world.add_node("n3", cpu="8")
    world.run(3 * SECOND)
    assert world.node_of("big") == "n3"
    world.check()


def test_the_same_failure_is_not_written_again(world: World) -> None:
    world.add_node("n1", cpu="1")
    world.add_pod("big", "2")
    world.scheduler.start()
    world.run(6 * MINUTE)
    assert world.scheduler.failed_count == 2, "tried again after five minutes"
    assert world.writes.count("patch pods/status") == 1


def test_a_deleted_pod_makes_room(world: World) -> None:
    world.add_node("n1", cpu="1")
    world.add_pod("first", "1")
    world.scheduler.start()
    world.run()
    world.add_pod("second", "1")
    world.run(2 * SECOND)
    assert world.node_of("second") == ""
    world.call(delete("pods", "default", "first", gracePeriodSeconds=0))
    world.run(2 * SECOND)
    assert world.node_of("second") == "n1"
    world.check()


def test_an_ended_pod_makes_room(world: World) -> None:
    world.add_node("n1", cpu="1")
    world.add_pod("job", "1")
    world.scheduler.start()
    world.run()
    world.add_pod("second", "1")
    world.run()
    world.call(patch("pods", "default", "job", {"status": {"phase": "Succeeded"}}, subresource="status"))
    world.run(2 * SECOND)
    assert world.node_of("second") == "n1"
    world.scheduler.engine.check()


def test_no_nodes_at_all_is_retried_with_backoff(world: World) -> None:
    world.add_pod("a")
    world.scheduler.start()
    world.run()
    assert world.events() == [("Warning", "FailedScheduling", "no nodes available to schedule pods")]
    world.add_node("n1")
    world.run(2 * SECOND)
    assert world.node_of("a") == "n1"


def test_a_gated_pod_waits_for_its_gates(world: World) -> None:
    world.add_node("n1")
    world.add_pod("gated", schedulingGates=[{"name": "example.com/a"}])
    world.scheduler.start()
    world.run()
    assert world.node_of("gated") == ""
    assert [queued.gate for queued in world.scheduler.queue] == [("SchedulingGates", "waiting for scheduling gates: [example.com/a]")]
    world.call(patch("pods", "default", "gated", {"spec": {"schedulingGates": None}}))
    world.run()
    assert world.node_of("gated") == "n1"


def test_a_pod_of_another_scheduler_is_left_alone(world: World) -> None:
    world.add_node("n1")
    world.add_pod("other", schedulerName="mine")
    world.scheduler.start()
    world.run()
    assert world.node_of("other") == "" and len(world.scheduler.queue) == 0


def test_a_pod_bound_by_hand_counts(world: World) -> None:
    world.add_node("n1", cpu="1")
    world.scheduler.start()
    world.run()
    world.add_pod("by-hand", "1", on="n1")
    world.run()
    world.add_pod("second", "1")
    world.run()
    assert world.node_of("second") == ""
    world.check()


def test_a_failed_bind_is_forgotten_and_retried_after_backoff(world: World) -> None:
    world.add_node("n1", cpu="1")
    world.add_pod("a", "1")
    faults = iter([conflict("pods/binding", "a", "try again")])
    world.link.fault = lambda request: next(faults, None) if request.subresource == "binding" else None
    world.scheduler.start()
    world.run(10 * MILLISECOND)
    message = 'running Bind plugin "DefaultBinder": Operation cannot be fulfilled on pods/binding "a": try again'
    assert world.events() == [("Warning", "FailedScheduling", message)]
    assert world.condition("a")["reason"] == "SchedulerError"
    world.check()
    world.run(2 * SECOND)
    assert world.node_of("a") == "n1"
    world.check()


def test_a_pod_that_went_away_is_not_requeued(world: World) -> None:
    world.add_node("n1")
    world.scheduler.start()
    world.run()
    world.add_pod("a")
    world.call(delete("pods", "default", "a", gracePeriodSeconds=0))
    world.run(3 * SECOND)
    assert len(world.scheduler.queue) == 0
    world.check()


def test_a_pod_that_somebody_else_binds_during_its_cycle() -> None:
    world = World(SchedulerConfig(cycle_ns=10 * MILLISECOND))
    world.add_node("n1")
    world.add_node("n2")
    world.add_pod("a")
    world.scheduler.start()
    world.run(2 * MILLISECOND)
    pod_a = world.pod("a")
    world.call(bind("default", "a", pod_a["metadata"]["uid"], "n2"))
    world.run(SECOND)
    assert world.node_of("a") == "n2"
    assert len(world.scheduler.queue) == 0
    world.check()


def test_cycles_take_time() -> None:
    world = World(SchedulerConfig(cycle_ns=SECOND))
    world.add_node("n1")
    for name in ("a", "b", "c"):
        world.add_pod(name)
    world.scheduler.start()
    world.run(2 * SECOND + SECOND // 2)
    assert [world.node_of(name) for name in ("a", "b", "c")] == ["n1", "n1", ""]


def test_a_node_that_goes_takes_no_more_pods(world: World) -> None:
    world.add_node("n1")
    world.add_node("n2")
    world.scheduler.start()
    world.run()
    world.call(delete("nodes", "", "n1"))
    world.run()
    for index in range(4):
        world.add_pod(f"p{index}")
    world.run()
    assert {world.node_of(f"p{index}") for index in range(4)} == {"n2"}
    world.check()


def test_a_cordoned_node_is_used_again_when_it_is_opened(world: World) -> None:
    world.add_node("n1", unschedulable=True)
    world.scheduler.start()
    world.add_pod("a")
    world.run(2 * SECOND)
    assert world.node_of("a") == ""
    world.call(patch("nodes", "", "n1", {"spec": {"unschedulable": None, "taints": None}}))
    world.run(2 * SECOND)
    assert world.node_of("a") == "n1"


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_gives_the_same_placement(seed: int) -> None:
    placements = []
    for _ in range(2):
        world = World(seed=seed)
        for index in range(7):
            world.add_node(f"n{index}")
        world.scheduler.start()
        for index in range(20):
            world.add_pod(f"p{index}", "100m")
        world.run()
        placements.append([world.node_of(f"p{index}") for index in range(20)])
    assert placements[0] == placements[1] and "" not in placements[0]


@pytest.mark.parametrize(
    ("message", "length"), [("x" * 1024, 1024), ("x" * 1025, 1024), ("é" * 600, 1024)], ids=["as it is", "cut", "cut at a character"]
)
def test_an_events_message_is_at_most_1024_bytes(message: str, length: int) -> None:
    short = truncated(message)
    assert len(short.encode()) <= length and (short == message or short.endswith(" ..."))
