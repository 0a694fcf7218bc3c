"""Cascades on the real apiserver: background, foreground, orphan, finalizers that block, owners that never were."""

from typing import Any

import pytest
from world import DEPLOYMENTS, REPLICA_SETS, World, deployment, pod

from kubesim.apiserver.requests import Object
from kubesim.controllers.deployment import DeploymentController
from kubesim.controllers.garbage_collector import GarbageCollector
from kubesim.controllers.replicaset import ReplicaSetController


def make_world(**options: Any) -> World:
    world = World([DeploymentController(), ReplicaSetController(), GarbageCollector()], **options)
    world.create("serviceaccounts", {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default", "namespace": "default"}})
    return world


def running(replicas: int = 2) -> World:
    world = make_world()
    world.create(DEPLOYMENTS, deployment("web", replicas))
    world.run_until_quiet()
    assert len(world.all("pods")) == replicas
    return world


def config_map(name: str, *owners: Object, **metadata: Any) -> Object:
    references = [
        {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        for owner in owners
    ]
    if metadata.pop("block", False):
        references = [{**reference, "blockOwnerDeletion": True} for reference in references]
    return {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default", "ownerReferences": references, **metadata},
    }


def counts(world: World) -> tuple[int, int, int]:
    return len(world.all(DEPLOYMENTS)), len(world.all(REPLICA_SETS)), len(world.all("pods"))


def deletions(world: World) -> list[str]:
    """Resources in the order in which their objects vanished."""
    gone: list[str] = []
    for request in world.writes:
        what = request[3].partition("/")[0]
        if request[2] == "delete" and what not in gone:
            gone.append(what)
    return gone


def test_background_deletes_the_owner_at_once_and_the_rest_after_it() -> None:
    world = running()
    world.delete(DEPLOYMENTS, "web", propagationPolicy="Background")
    assert counts(world) == (0, 1, 2)
    world.run_until_quiet()
    assert counts(world) == (0, 0, 0)


def test_foreground_deletes_the_owner_last() -> None:
    world = running()
    world.delete(DEPLOYMENTS, "web", propagationPolicy="Foreground")
    held = world.get(DEPLOYMENTS, "web")["metadata"]
    assert held["finalizers"] == ["foregroundDeletion"] and held["deletionTimestamp"]
    seen: list[tuple[int, int, int]] = []
    world.server.audit.append(lambda *_: seen.append(tuple(len(world.server.peek_all(r)) for r in (DEPLOYMENTS, REPLICA_SETS, "pods"))))
    world.run_until_quiet()
    assert counts(world) == (0, 0, 0)
    assert all(d >= r and (r or not p) for d, r, p in seen), "Pods go before their ReplicaSet, that before the Deployment"


def test_orphan_leaves_the_dependents_without_a_reference() -> None:
    world = running()
    world.delete(DEPLOYMENTS, "web", propagationPolicy="Orphan")
    world.run_until_quiet()
    assert counts(world) == (0, 1, 2)
    (replica_set,) = world.all(REPLICA_SETS)
    assert not replica_set["metadata"].get("ownerReferences")


def test_an_orphaned_replica_set_is_adopted_by_the_next_deployment() -> None:
    world = running()
    uid = world.all(REPLICA_SETS)[0]["metadata"]["uid"]
    world.delete(DEPLOYMENTS, "web", propagationPolicy="Orphan")
    world.run_until_quiet()
    world.create(DEPLOYMENTS, deployment("web", 2))
    world.run_until_quiet()
    assert [found["metadata"]["uid"] for found in world.all(REPLICA_SETS)] == [uid]
    assert counts(world) == (1, 1, 2)


def test_a_finalizer_on_a_pod_holds_a_foreground_deletion() -> None:
    world = running(1)
    name = world.all("pods")[0]["metadata"]["name"]
    world.merge("pods", name, {"metadata": {"finalizers": ["example.com/hold"]}})
    world.delete(DEPLOYMENTS, "web", propagationPolicy="Foreground")
    world.run_until_quiet()
    assert counts(world) == (1, 1, 1)
    owners = [*world.all(DEPLOYMENTS), *world.all(REPLICA_SETS)]
    assert [found["metadata"]["finalizers"] for found in owners] == [["foregroundDeletion"]] * 2
    world.merge("pods", name, {"metadata": {"finalizers": None}})
    world.run_until_quiet()
    assert counts(world) == (0, 0, 0)


def test_an_object_whose_owner_never_was_is_deleted() -> None:
    world = make_world()
    ghost = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ghost", "uid": "00000000-0000-4000-8000-000000000000"}}
    world.create("configmaps", config_map("child", ghost))
    world.run_until_quiet()
    assert world.find("configmaps", "child") is None


def test_an_owner_of_the_same_name_with_another_uid_is_no_owner() -> None:
    world = make_world()
    owner = world.create("configmaps", config_map("owner"))
    wrong = {**owner, "metadata": {**owner["metadata"], "uid": "00000000-0000-4000-8000-000000000000"}}
    world.create("configmaps", config_map("child", wrong))
    world.run_until_quiet()
    assert world.find("configmaps", "child") is None and world.find("configmaps", "owner") is not None


def test_one_living_owner_is_enough_and_the_dead_one_is_forgotten() -> None:
    world = make_world()
    first, second = world.create("configmaps", config_map("first")), world.create("configmaps", config_map("second"))
    world.create("configmaps", config_map("child", first, second))
    world.run_until_quiet()
    world.delete("configmaps", "first")
    world.run_until_quiet()
    assert [reference["name"] for reference in world.get("configmaps", "child")["metadata"]["ownerReferences"]] == ["second"]
    world.delete("configmaps", "second")
    world.run_until_quiet()
    assert world.find("configmaps", "child") is None


@pytest.mark.parametrize("block", [True, False])
def test_only_blocking_dependents_hold_a_foreground_deletion(block: bool) -> None:
    world = make_world()
    owner = world.create("configmaps", config_map("owner"))
    world.create("configmaps", config_map("child", owner, block=block, finalizers=["example.com/hold"]))
    world.run_until_quiet()
    world.delete("configmaps", "owner", propagationPolicy="Foreground")
    world.run_until_quiet()
    assert (world.find("configmaps", "owner") is not None) == block
    world.merge("configmaps", "child", {"metadata": {"finalizers": None}})
    world.run_until_quiet()
    assert world.all("configmaps") == [] or all(found["metadata"]["name"] == "kube-root-ca.crt" for found in world.all("configmaps"))


def test_a_circle_of_owners_goes_away_too() -> None:
    world = make_world()
    first = world.create("configmaps", config_map("first"))
    second = world.create("configmaps", config_map("second", first, block=True))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "second", "uid": second["metadata"]["uid"], "blockOwnerDeletion": True}
    world.merge("configmaps", "first", {"metadata": {"ownerReferences": [reference]}})
    world.run_until_quiet()
    world.delete("configmaps", "first", propagationPolicy="Foreground")
    world.run_until_quiet()
    assert world.find("configmaps", "first") is None and world.find("configmaps", "second") is None


def test_a_pod_without_owners_is_left_alone() -> None:
    world = make_world()
    world.create("pods", pod("alone", {}))
    world.run_until_quiet()
    assert world.find("pods", "alone") is not None
