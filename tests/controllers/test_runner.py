"""The controller manager: order, bursts, conflicts, back-off, expectations, with answers in place and answers that come late."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from world import World

from kubesim.api.errors import ApiError, already_exists, conflict
from kubesim.apiserver.requests import Object, Request, create, update
from kubesim.client.link import DirectLink
from kubesim.controllers.contract import DONE, Again, Burst, ControllerBase, EventIntent, Result, View, own_key
from kubesim.controllers.runner import ControllerManager
from kubesim.kernel import MILLISECOND, SECOND

Reconcile = Callable[[str, View, int], Result]


class Scripted(ControllerBase):
    """A controller of ConfigMaps whose reconcile is given."""

    name = "scripted-controller"
    resource = "configmaps"
    watches = {"configmaps": own_key}  # noqa: RUF012

    def __init__(self, reconcile: Reconcile) -> None:
        self._reconcile = reconcile
        self.calls: list[tuple[int, str]] = []

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        self.calls.append((now_ns, key))
        return self._reconcile(key, view, now_ns)


class LateLink(DirectLink):
    """A link whose answers take time, and that may fail requests by name."""

    delay_ns = 0

    def __init__(self, world: World, failures: dict[str, list[ApiError]]) -> None:
        super().__init__(world.kernel, world.server, "late")
        self.failures = failures
        self.sent: list[str] = []

    def send(self, request: Request, done: Callable[[Any], None] | None = None) -> None:
        if request.resource != "events":
            self.sent.append(request.name)
        waiting = self.failures.get(request.name)
        if waiting and done is not None:
            error = waiting.pop(0)
            self._answer(lambda: done(error))
        else:
            self._answer(lambda: super(LateLink, self).send(request, done))

    def _answer(self, function: Callable[[], None]) -> None:
        if self.delay_ns:
            self.kernel.after(self.delay_ns, function)
        else:
            function()


def config_map(name: str, value: str = "") -> Object:
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, "namespace": "default"}, "data": {"v": value}}


def make(reconcile: Reconcile, late_ns: int = 0, failures: dict[str, list[ApiError]] | None = None) -> tuple[World, Scripted, LateLink]:
    world = World([], nodes=1)
    link = LateLink(world, failures or {})
    link.delay_ns = late_ns
    controller = Scripted(reconcile)
    ControllerManager(world.kernel, link, [controller]).start()
    return world, controller, link


def children(names: Sequence[str], **hooks: Any) -> Reconcile:
    """Create ConfigMaps in a burst for the key ``default/parent``, once."""

    def reconcile(key: str, view: View, now_ns: int) -> Result:
        if key != "default/parent":
            return DONE
        missing = [name for name in names if view.get("configmaps", f"default/{name}") is None]
        return Result([Burst([create("configmaps", "default", config_map(name)) for name in missing], **hooks)] if missing else [])

    return reconcile


NAMES = [f"c{index}" for index in range(10)]
LATE = pytest.mark.parametrize("late_ns", [0, 3 * MILLISECOND], ids=["in place", "late"])


@LATE
def test_a_burst_is_sent_once_however_often_the_key_is_touched(late_ns: int) -> None:
    world, controller, link = make(children(NAMES), late_ns)
    world.create("configmaps", config_map("parent"))
    world.run()
    assert link.sent == NAMES
    assert sorted(obj["metadata"]["name"] for obj in world.all("configmaps") if obj["metadata"]["name"].startswith("c")) == NAMES
    assert [key for _, key in controller.calls].count("default/parent") >= 1


@LATE
def test_slow_start_drops_the_rest_at_the_first_failure_and_tries_again(late_ns: int) -> None:
    after: list[str] = []
    hooks = {"after": lambda error: after.append(error.reason if error else "ok") or ()}
    failures = {"c4": [already_exists("configmaps", "c4")]}
    world, _, link = make(children(NAMES, **hooks), late_ns, failures)
    world.create("configmaps", config_map("parent"))
    world.run(5)
    assert link.sent[:7] == NAMES[:7], "batches of 1, 2 and 4: the third one has the failure, and is finished"
    assert link.sent[7:] == ["c4", *NAMES[7:]], "the rest comes in the next try"
    assert after == ["AlreadyExists", "ok"]


def test_hooks_speak_about_every_outcome() -> None:
    parent = config_map("parent")
    hooks = {
        "on_success": lambda obj: [EventIntent(parent, "Normal", "Made", f"made {obj['metadata']['name']}")],
        "on_failure": lambda error: [EventIntent(parent, "Warning", "Failed", error.message)],
    }
    world, _, _ = make(children(["c0", "c1"], **hooks), failures={"c1": [already_exists("configmaps", "c1")]})
    world.create("configmaps", parent)
    world.run()
    assert world.events() == ["made c0", 'configmaps "c1" already exists', "made c1"]


def test_a_conflict_ends_the_reconcile_and_backs_off_5_ms_doubling() -> None:
    failures = {"a": [conflict("configmaps", "a", "stale") for _ in range(4)]}

    def reconcile(key: str, view: View, now_ns: int) -> Result:
        obj = view.get("configmaps", key)
        if obj is None or obj["data"]["v"] == "done" or key != "default/a":
            return DONE
        return Result([update("configmaps", {**obj, "data": {"v": "done"}}), create("configmaps", "default", config_map("follow-up"))])

    world, controller, link = make(reconcile, failures=failures)
    world.create("configmaps", config_map("a"))
    world.run()
    assert link.sent == ["a"] * 5 + ["follow-up"], "what was to follow a failed write is not done"
    times = [now_ns for now_ns, key in controller.calls if key == "default/a"][:5]
    waits = [(later - earlier) // MILLISECOND for earlier, later in pairwise(times)]
    assert waits == [10, 10, 20, 40], "busy for 10 ms at least"


def test_a_key_is_not_worked_on_before_the_cache_shows_its_own_writes() -> None:
    stale: list[str] = []

    def reconcile(key: str, view: View, now_ns: int) -> Result:
        obj = view.get("configmaps", key)
        if obj is None or key != "default/a":
            return DONE
        if obj["data"]["v"] != str(len(stale)):
            stale.append(f"saw {obj['data']['v']} after {len(stale)} writes")
        if len(written) >= 5:
            return DONE
        written.append(1)
        return Result([update("configmaps", {**obj, "data": {"v": str(len(written))}})], 0)

    written: list[int] = []
    world = World([], nodes=1)
    link = DirectLink(world.kernel, world.server, "far", watch_latency_ns=700 * MILLISECOND)
    controller = Scripted(reconcile)
    manager = ControllerManager(world.kernel, link, [controller], busy_ns=0)
    manager.start()
    world.create("configmaps", config_map("a", "0"))
    world.run(10)
    assert world.get("configmaps", "a")["data"]["v"] == "5"
    assert len([1 for _, key in controller.calls if key == "default/a"]) <= 7
    assert manager.worker("scripted-controller").expectations.waits_for("default/a", world.kernel.now_ns) is None


def test_requeues_replace_one_another_and_again_speaks_last() -> None:
    plan = [Result((), 5 * SECOND), Result((), None), Result([Again(2 * SECOND)], 9 * SECOND)]

    def reconcile(key: str, view: View, now_ns: int) -> Result:
        return plan.pop(0) if plan and key == "default/a" else DONE

    world, controller, _ = make(reconcile)
    obj = world.create("configmaps", config_map("a"))
    start_ns = world.kernel.now_ns
    world.run(1)
    world.call(update("configmaps", {**obj, "data": {"v": "1"}}))
    world.run(8)
    obj = world.get("configmaps", "a")
    world.call(update("configmaps", {**obj, "data": {"v": "2"}}))
    world.run(20)
    seconds = [(now_ns - start_ns) // SECOND for now_ns, key in controller.calls if key == "default/a"]
    assert seconds == [0, 1, 9, 11], "the first delay was taken back by the second reconcile"


def test_expected_errors_are_answers() -> None:
    seen: list[str] = []

    def reconcile(key: str, view: View, now_ns: int) -> Result:
        if key != "default/a":
            return DONE
        hooks = {"on_failure": lambda error: seen.append(error.reason) or (), "expected": ("AlreadyExists",)}
        return Result([Burst([create("configmaps", "default", config_map("a"))], **hooks)])

    world, controller, _ = make(reconcile)
    world.create("configmaps", config_map("a"))
    world.run(2)
    assert seen == ["AlreadyExists"] and [key for _, key in controller.calls].count("default/a") == 1


def test_two_controllers_of_one_name_are_refused() -> None:
    world = World([], nodes=1)
    twins = [Scripted(lambda *_: DONE), Scripted(lambda *_: DONE)]
    with pytest.raises(ValueError, match="every name may occur once"):
        ControllerManager(world.kernel, world.user, twins)
