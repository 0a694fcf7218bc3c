"""ReplicaSets: decisions from a view, and their life on the real apiserver."""

from typing import Any

import pytest
from world import REPLICA_SETS, World, pod, replica_set, template

from kubesim.apiserver.requests import Object, Request
from kubesim.client.informer import Informer
from kubesim.controllers.contract import Burst
from kubesim.controllers.replicaset import BURST_REPLICAS, ReplicaSetController
from kubesim.controllers.template_hash import fnv32a, safe_encode, template_hash
from kubesim.controllers.view import Caches
from kubesim.kernel import EPOCH_NS, SECOND, format_time


def make_view(*objects: Object) -> Caches:
    """A view on plain informers that were told of these objects."""
    informers: dict[str, Informer] = {}
    caches = Caches(lambda resource: informers.setdefault(resource, Informer(None, resource)))
    for resource, indexes in ReplicaSetController.indexes.items():
        for name, function in indexes.items():
            caches.informer(resource).add_index(name, function)
    by_resource: dict[str, list[Object]] = {"pods": [], REPLICA_SETS: []}
    for obj in objects:
        by_resource[REPLICA_SETS if obj["kind"] == "ReplicaSet" else "pods"].append(obj)
    for resource, items in by_resource.items():
        caches.informer(resource).on_list(items, 1)
    return caches


def stored(obj: Object, uid: str, **metadata: Any) -> Object:
    extra = {"uid": uid, "resourceVersion": "1", "generation": 1, "creationTimestamp": format_time(EPOCH_NS), **metadata}
    return {**obj, "metadata": {**obj["metadata"], **extra}, "status": obj.get("status", {"replicas": 0})}


def owned(
    name: str, owner: Object, *, labels: dict[str, str] | None = None, phase: str = "Running", ready: bool = True, **metadata: Any
) -> Object:
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": owner["metadata"]["uid"], "controller": True}
    obj = pod(name, labels or {"app": "web"}, nodeName="n1")
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": format_time(EPOCH_NS)}
    obj["status"] = {"phase": phase, "conditions": [condition]}
    return stored(obj, f"uid-{name}", ownerReferences=[reference], **metadata)


def decide(view: Caches, now_ns: int = EPOCH_NS + SECOND) -> tuple[list[Any], int | None]:
    result = ReplicaSetController().reconcile("default/web", view, now_ns)
    return list(result.intents), result.requeue_after_ns


def status_of(intents: list[Any]) -> Object:
    (request,) = (intent for intent in intents if isinstance(intent, Request) and intent.subresource == "status")
    status: Object = request.obj["status"]
    return status


WEB = stored(replica_set("web", 3), "rs")


def test_too_few_pods_are_created_in_one_burst_of_one_shared_request() -> None:
    (burst,), _ = decide(make_view(WEB, owned("a", WEB)))
    assert isinstance(burst, Burst) and len(burst.requests) == 2
    assert burst.requests[0] is burst.requests[1]
    made = burst.requests[0].obj
    assert made["metadata"]["generateName"] == "web-" and made["metadata"]["labels"] is WEB["spec"]["template"]["metadata"]["labels"]
    assert made["spec"] is WEB["spec"]["template"]["spec"]
    assert burst.after is not None
    assert status_of(list(burst.after(None)))["replicas"] == 1, "the status counts what was there before"


def test_a_burst_has_a_limit() -> None:
    big = stored(replica_set("web", 5000), "rs")
    (burst,), _ = decide(make_view(big))
    assert len(burst.requests) == BURST_REPLICAS


def test_too_many_pods_lose_the_least_missed() -> None:
    view = make_view(WEB, *(owned(name, WEB, ready=name != "c") for name in "abcde"))
    (burst,), _ = decide(view)
    assert [request.verb for request in burst.requests] == ["delete", "delete"]
    assert burst.requests[0].name == "c"


def test_finished_and_dying_pods_do_not_count_and_dying_ones_are_told() -> None:
    pods = [owned("a", WEB), owned("b", WEB, ready=False), owned("c", WEB), owned("d", WEB, phase="Failed")]
    pods.append(owned("e", WEB, deletionTimestamp=format_time(EPOCH_NS)))
    intents, _ = decide(make_view(WEB, *pods))
    assert status_of(intents) == {
        "replicas": 3,
        "fullyLabeledReplicas": 3,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "terminatingReplicas": 1,
        "observedGeneration": 1,
    }


def test_a_status_that_stands_is_not_written() -> None:
    status = {"replicas": 3, "fullyLabeledReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}
    done = {**WEB, "status": {**status, "terminatingReplicas": 0, "observedGeneration": 1}}
    assert decide(make_view(done, *(owned(name, done) for name in "abc"))) == ([], None)


def test_available_is_ready_for_longer_than_min_ready_seconds() -> None:
    slow = stored(replica_set("web", 1, minReadySeconds=10), "rs")
    view = make_view(slow, owned("a", slow))
    intents, wait_ns = decide(view, EPOCH_NS + 4 * SECOND)
    assert "availableReplicas" not in status_of(intents) and wait_ns == 6 * SECOND + 1
    intents, wait_ns = decide(view, EPOCH_NS + 10 * SECOND + 1)
    assert status_of(intents)["availableReplicas"] == 1 and wait_ns is None


def test_a_dying_replica_set_only_counts() -> None:
    dying = stored(replica_set("web", 3), "rs", deletionTimestamp=format_time(EPOCH_NS))
    intents, _ = decide(make_view(dying, owned("a", dying), stored(pod("orphan", {"app": "web"}), "o")))
    assert [type(intent) for intent in intents] == [Request]
    assert status_of(intents)["replicas"] == 1


def test_orphans_are_adopted_only_after_a_live_look() -> None:
    view = make_view(WEB, stored(pod("orphan", {"app": "web"}), "o"), stored(pod("other", {"app": "db"}), "p"))
    (burst,), _ = decide(view)
    assert [request.verb for request in burst.requests] == ["get"] and burst.on_success is not None
    (adoption,) = burst.on_success(WEB)
    assert (adoption.verb, adoption.name) == ("patch", "orphan")
    assert list(burst.on_success(stored(replica_set("web", 3), "another"))) == []
    assert list(burst.on_success(stored(replica_set("web", 3), "rs", deletionTimestamp="2026-01-01T00:00:00Z"))) == []


def test_a_pod_that_no_longer_matches_is_released() -> None:
    view = make_view(WEB, owned("a", WEB), owned("b", WEB, labels={"app": "other"}))
    (release,), _ = decide(view)
    assert release.name == "b" and release.obj["metadata"]["ownerReferences"][0]["$patch"] == "delete"


def test_a_template_hash_is_stable_and_another_for_every_collision() -> None:
    one, same, other = template("web"), template("web"), template("db")
    assert template_hash(one) == template_hash(same) != template_hash(other)
    assert len({template_hash(one, count) for count in (None, 0, 1, 2)}) == 4
    assert set(template_hash(one)) <= set("bcdfghjklmnpqrstvwxz2456789")
    assert fnv32a(b"foobar") == 0xBF9CF968, "the published vector of FNV-1a"
    assert safe_encode("0123456789") == "4567" + "89bcdf"


# -- on the real apiserver --


def make_world() -> World:
    world = World([ReplicaSetController()])
    world.create("serviceaccounts", {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default", "namespace": "default"}})
    return world


def names(world: World) -> set[str]:
    return {found["metadata"]["name"] for found in world.all("pods") if not found["metadata"].get("deletionTimestamp")}


def test_scaling_down_takes_the_unready_then_the_cheap_then_spares_the_dear_as_recorded() -> None:
    world = make_world()
    world.create(REPLICA_SETS, replica_set("web", 5))
    world.run_until_quiet()
    unready, dear, _, cheap, _ = sorted(names(world))
    for name, cost in ((cheap, "-10"), (dear, "10")):
        world.merge("pods", name, {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": cost}}})
    world.kubelet.set_ready("default", unready, False)
    world.run_until_quiet()
    world.merge(REPLICA_SETS, "web", {"spec": {"replicas": 4}})
    world.run_until_quiet()
    assert unready not in names(world)
    world.merge(REPLICA_SETS, "web", {"spec": {"replicas": 3}})
    world.run_until_quiet()
    assert cheap not in names(world)
    world.merge(REPLICA_SETS, "web", {"spec": {"replicas": 1}})
    world.run_until_quiet()
    assert names(world) == {dear}
    assert len(world.events("SuccessfulDelete")) == 4


def test_adopt_release_and_adopt_again_as_recorded() -> None:
    world = make_world()
    for name in ("lone-a", "lone-b"):
        world.create("pods", pod(name, {"app": "web"}))
    world.create("pods", pod("other", {"app": "zzz"}))
    world.run()
    world.create(REPLICA_SETS, replica_set("web", 3))
    world.run_until_quiet()
    assert {"lone-a", "lone-b", "other"} < names(world) and len(names(world)) == 4
    world.merge("pods", "lone-a", {"metadata": {"labels": {"app": "released"}}})
    world.run_until_quiet()
    assert not world.get("pods", "lone-a")["metadata"].get("ownerReferences") and len(names(world)) == 5
    world.merge("pods", "lone-a", {"metadata": {"labels": {"app": "web"}}})
    world.run_until_quiet()
    assert len(names(world)) == 4, "adopted again, and one too many deleted"
    assert world.get(REPLICA_SETS, "web")["status"]["replicas"] == 3


def test_pods_that_may_not_be_created_are_a_condition_and_an_event_until_they_may() -> None:
    world = make_world()
    world.create(REPLICA_SETS, replica_set("web", 2, template=template("web", serviceAccountName="bot")))
    world.run(0.5)
    message = 'is forbidden: error looking up service account default/bot: serviceaccount "bot" not found'
    (condition,) = world.get(REPLICA_SETS, "web")["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("ReplicaFailure", "True", "FailedCreate")
    assert condition["message"].endswith(message)
    assert all(text.startswith('Error creating: pods "web-') and text.endswith(message) for text in world.events("FailedCreate"))
    world.create("serviceaccounts", {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "bot", "namespace": "default"}})
    world.run_until(lambda: len(world.all("pods")) == 2)
    world.run_until_quiet()
    assert "conditions" not in world.get(REPLICA_SETS, "web")["status"]


@pytest.mark.parametrize("replicas", [1, 700])
def test_any_number_of_replicas_and_no_event_storm(replicas: int) -> None:
    world = make_world()
    world.create(REPLICA_SETS, replica_set("web", replicas))
    world.run_until_quiet()
    assert world.get(REPLICA_SETS, "web")["status"]["availableReplicas"] == replicas
    assert len(world.events("SuccessfulCreate")) <= 10, "from the tenth on they are combined in one"
    group = world.manager.caches.derived(ReplicaSetController.derives[0]).group(world.get(REPLICA_SETS, "web")["metadata"]["uid"])
    group.check(world.manager.caches.informer("pods").objects)
