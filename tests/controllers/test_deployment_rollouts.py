"""Deployments on the real apiserver: rollouts, scaling, pause, rollback, deadlines; texts and shapes are those of the recordings."""

from typing import Any

import pytest
from world import DEPLOYMENTS, REPLICA_SETS, World, deployment

from kubesim.apiserver.requests import Object
from kubesim.controllers.deployment import DeploymentController
from kubesim.controllers.deployment.revisions import rollback_request
from kubesim.controllers.deployment.rollout import replicas_of, status_of
from kubesim.controllers.replicaset import ReplicaSetController
from kubesim.kernel import SECOND

NEW = "registry.example/app:2"


def make_world(**options: Any) -> World:
    world = World([DeploymentController(), ReplicaSetController()], **options)
    world.create("serviceaccounts", {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default", "namespace": "default"}})
    return world


def set_image(world: World, name: str, image: str) -> None:
    world.merge(DEPLOYMENTS, name, {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})


def condition(obj: Object, type_: str) -> tuple[str, str, str]:
    found = next(known for known in obj["status"]["conditions"] if known["type"] == type_)
    return found["status"], found["reason"], found["message"]


def is_available(world: World, name: str) -> bool:
    obj = world.get(DEPLOYMENTS, name)
    desired = obj["spec"]["replicas"]
    counts = [status_of(obj, field) for field in ("replicas", "updatedReplicas", "availableReplicas")]
    return counts == [desired] * 3 and status_of(obj, "observedGeneration") == obj["metadata"]["generation"]


def rolled_out(world: World, name: str = "web") -> None:
    world.run_until(lambda: is_available(world, name))
    world.run_until_quiet()


def by_revision(world: World) -> dict[str, Object]:
    return {found["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: found for found in world.all(REPLICA_SETS)}


def test_a_deployment_becomes_running_pods_as_recorded() -> None:
    world = make_world()
    world.create(DEPLOYMENTS, deployment("web", 3))
    rolled_out(world)
    obj, (replica_set,) = world.get(DEPLOYMENTS, "web"), world.all(REPLICA_SETS)
    name = replica_set["metadata"]["name"]
    assert obj["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "1"}
    status, conditions = obj["status"], obj["status"]["conditions"]
    assert {key: value for key, value in status.items() if key != "conditions"} == {
        "observedGeneration": 1,
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "terminatingReplicas": 0,
    }
    assert [(found["type"], found["status"], found["reason"], found["message"]) for found in conditions] == [
        ("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
        ("Progressing", "True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.'),
    ]
    hash_ = name.removeprefix("web-")
    assert replica_set["metadata"]["labels"] == {"app": "web", "pod-template-hash": hash_}
    assert replica_set["spec"]["selector"] == {"matchLabels": {"app": "web", "pod-template-hash": hash_}}
    assert replica_set["metadata"]["annotations"] == {
        "deployment.kubernetes.io/desired-replicas": "3",
        "deployment.kubernetes.io/max-replicas": "4",
        "deployment.kubernetes.io/revision": "1",
    }
    assert replica_set["status"] == {
        "replicas": 3,
        "fullyLabeledReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "terminatingReplicas": 0,
        "observedGeneration": 1,
    }
    pods = world.all("pods")
    assert world.events("ScalingReplicaSet") == [f"Scaled up replica set {name} from 0 to 3"]
    assert sorted(world.events("SuccessfulCreate")) == sorted(f"Created pod: {pod['metadata']['name']}" for pod in pods)
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": replica_set["metadata"]["uid"]}
    assert pods[0]["metadata"]["ownerReferences"] == [{**owner, "controller": True, "blockOwnerDeletion": True}]


def test_a_converged_deployment_writes_nothing() -> None:
    world = make_world()
    world.create(DEPLOYMENTS, deployment("web", 3))
    rolled_out(world)
    revision = world.server.store.revision
    world.run(3600)
    assert world.server.store.revision == revision


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "pods_max", "available_min"),
    [
        (4, "25%", "25%", 5, 3),
        (6, "24%", "40%", 8, 4),
        (3, 1, 0, 4, 3),
        (3, 0, 1, 3, 2),
        (3, "10%", "10%", 4, 3),
        (1, "0%", "30%", 1, 0),
        (5, "100%", 0, 10, 5),
    ],
)
def test_a_rolling_update_keeps_its_bounds_at_every_write(
    replicas: int, surge: Any, unavailable: Any, pods_max: int, available_min: int
) -> None:
    world = make_world()
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    world.create(DEPLOYMENTS, deployment("web", replicas, strategy=rolling))
    rolled_out(world)
    seen: list[tuple[int, int]] = []

    def check(*_: Any) -> None:
        asked = sum(replicas_of(found) for found in world.server.peek_all(REPLICA_SETS))
        ready = [
            pod
            for pod in world.server.peek_all("pods")
            if not pod["metadata"].get("deletionTimestamp")
            and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
        ]
        seen.append((asked, len(ready)))

    world.kubelet.start_ns = SECOND  # slow Pods: the rollout goes to its limits
    world.server.audit.append(check)
    set_image(world, "web", NEW)
    rolled_out(world)
    assert max(asked for asked, _ in seen) == pods_max
    assert min(ready for _, ready in seen) == available_min
    new = by_revision(world)["2"]
    assert new["spec"]["template"]["spec"]["containers"][0]["image"] == NEW
    assert [replicas_of(found) for _, found in sorted(by_revision(world).items())] == [0, replicas]


def test_recreate_never_overlaps() -> None:
    world = make_world()
    world.create(DEPLOYMENTS, deployment("web", 3, strategy={"type": "Recreate"}))
    rolled_out(world)
    images: list[set[str]] = []
    world.server.audit.append(
        lambda *_: images.append({pod["spec"]["containers"][0]["image"] for pod in world.server.peek_all("pods")})
    )
    set_image(world, "web", NEW)
    rolled_out(world)
    assert {len(found) for found in images} == {0, 1}
    names = [found["metadata"]["name"] for _, found in sorted(by_revision(world).items())]
    assert world.events("ScalingReplicaSet") == [
        f"Scaled up replica set {names[0]} from 0 to 3",
        f"Scaled down replica set {names[0]} from 3 to 0",
        f"Scaled up replica set {names[1]} from 0 to 3",
    ]


def test_scaling_up_and_down_is_no_rollout() -> None:
    world = make_world()
    world.create(DEPLOYMENTS, deployment("web", 3))
    rolled_out(world)
    progressing = condition(world.get(DEPLOYMENTS, "web"), "Progressing")
    for replicas in (6, 1, 0, 2):
        world.merge(DEPLOYMENTS, "web", {"spec": {"replicas": replicas}})
        rolled_out(world)
        assert condition(world.get(DEPLOYMENTS, "web"), "Progressing") == progressing
    (replica_set,) = world.all(REPLICA_SETS)
    name = replica_set["metadata"]["name"]
    assert world.events("ScalingReplicaSet") == [
        f"Scaled up replica set {name} from 0 to 3",
        f"Scaled up replica set {name} from 3 to 6",
        f"Scaled down replica set {name} from 6 to 1",
        f"Scaled down replica set {name} from 1 to 0",
        f"Scaled up replica set {name} from 0 to 2",
    ]


def test_a_stuck_rollout_passes_its_deadline_and_recovers() -> None:
    world = make_world()
    world.create(DEPLOYMENTS, deployment("web", 3, progressDeadlineSeconds=4))
    rolled_out(world)
    world.kubelet.broken_images.add("registry.example/bad:1")
    set_image(world, "web", "registry.example/bad:1")
    world.run(3)
    assert condition(world.get(DEPLOYMENTS, "web"), "Progressing")[:2] == ("True", "ReplicaSetUpdated")
    world.run(4)
    bad = by_revision(world)["2"]["metadata"]["name"]
    timed_out = ("False", "ProgressDeadlineExceeded", f'ReplicaSet "{bad}" has timed out progressing.')
    assert condition(world.get(DEPLOYMENTS, "web"), "Progressing") == timed_out
    assert status_of(world.get(DEPLOYMENTS, "web"), "availableReplicas") == 3
    set_image(world, "web", NEW)
    rolled_out(world)
    assert condition(world.get(DEPLOYMENTS, "web"), "Progressing")[1] == "NewReplicaSetAvailable"
    assert sorted(by_revision(world)) == ["1", "2", "3"]


def test_a_paused_deployment_scales_and_does_not_roll_out() -> None:
    world = make_world()
    world.create(DEPLOYMENTS, deployment("web", 2))
    rolled_out(world)
    world.merge(DEPLOYMENTS, "web", {"spec": {"paused": True}})
    world.run_until_quiet()
    assert condition(world.get(DEPLOYMENTS, "web"), "Progressing") == ("Unknown", "DeploymentPaused", "Deployment is paused")
    set_image(world, "web", NEW)
    world.merge(DEPLOYMENTS, "web", {"spec": {"replicas": 3}})
    world.run_until_quiet()
    (replica_set,) = world.all(REPLICA_SETS)
    assert replicas_of(replica_set) == 3
    world.merge(DEPLOYMENTS, "web", {"spec": {"paused": None}})
    rolled_out(world)
    assert len(world.all(REPLICA_SETS)) == 2
    assert condition(world.get(DEPLOYMENTS, "web"), "Progressing")[1] == "NewReplicaSetAvailable"


def test_going_back_to_a_template_reuses_its_replica_set_with_a_new_revision() -> None:
    world = make_world()
    world.create(DEPLOYMENTS, deployment("web", 2, NEW))
    rolled_out(world)
    first = world.all(REPLICA_SETS)[0]["metadata"]["uid"]
    for image in ("registry.example/app:3", NEW, "registry.example/app:3", NEW):
        set_image(world, "web", image)
        rolled_out(world)
    replica_sets = by_revision(world)
    assert sorted(replica_sets) == ["4", "5"]
    assert replica_sets["5"]["metadata"]["uid"] == first
    assert replica_sets["5"]["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1,3"
    assert world.get(DEPLOYMENTS, "web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "5"


def test_rollback_sends_the_former_template() -> None:
    world = make_world()
    world.create(DEPLOYMENTS, deployment("web", 2))
    rolled_out(world)
    for image in (NEW, "registry.example/app:3"):
        set_image(world, "web", image)
        rolled_out(world)
    obj, replica_sets = world.get(DEPLOYMENTS, "web"), world.all(REPLICA_SETS)
    for to_revision, image in ((0, NEW), (2, NEW), (1, "registry.example/app:1")):
        request = rollback_request(obj, replica_sets, to_revision)
        assert request is not None and request.options == {"patchType": "json"}
        value = request.obj[0]["value"]
        assert value["spec"]["containers"][0]["image"] == image and value["metadata"]["labels"] == {"app": "web"}
    assert rollback_request(obj, replica_sets, 3) is None
    with pytest.raises(ValueError, match="unable to find specified revision 9 in history"):
        rollback_request(obj, replica_sets, 9)


def test_old_replica_sets_beyond_the_history_limit_are_deleted() -> None:
    world = make_world()
    world.create(DEPLOYMENTS, deployment("web", 1, revisionHistoryLimit=2))
    for number in range(2, 7):
        rolled_out(world)
        set_image(world, "web", f"registry.example/app:{number}")
    rolled_out(world)
    assert sorted(by_revision(world)) == ["4", "5", "6"]


def test_min_ready_seconds_delays_availability_and_the_rollout() -> None:
    world = make_world()
    world.create(DEPLOYMENTS, deployment("web", 2, minReadySeconds=5))
    world.run(4)
    assert status_of(world.get(DEPLOYMENTS, "web"), "readyReplicas") == 2
    assert status_of(world.get(DEPLOYMENTS, "web"), "availableReplicas") == 0
    world.run(2)
    assert status_of(world.get(DEPLOYMENTS, "web"), "availableReplicas") == 2


def test_a_hash_collision_is_counted_and_avoided() -> None:
    world = make_world()
    other = make_world()
    other.create(DEPLOYMENTS, deployment("web", 1))
    rolled_out(other)
    taken = other.all(REPLICA_SETS)[0]["metadata"]["name"]
    foreign = {"kind": "ReplicaSet", "apiVersion": "apps/v1", "metadata": {"name": taken, "namespace": "default"}}
    labels = {"app": "other"}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": deployment("other", 0)["spec"]["template"]}
    world.create(REPLICA_SETS, {**foreign, "spec": spec})
    world.create(DEPLOYMENTS, deployment("web", 1))
    rolled_out(world)
    assert world.get(DEPLOYMENTS, "web")["status"]["collisionCount"] == 1
    assert len(world.all(REPLICA_SETS)) == 2


def test_an_orphan_replica_set_is_adopted_and_a_stranger_released() -> None:
    world = make_world()
    world.create(DEPLOYMENTS, deployment("web", 2))
    rolled_out(world)
    obj, (replica_set,) = world.get(DEPLOYMENTS, "web"), world.all(REPLICA_SETS)
    name = replica_set["metadata"]["name"]
    world.merge(REPLICA_SETS, name, {"metadata": {"ownerReferences": None}})
    world.run_until_quiet()
    assert world.get(REPLICA_SETS, name)["metadata"]["ownerReferences"][0]["uid"] == obj["metadata"]["uid"]
    world.merge(REPLICA_SETS, name, {"metadata": {"labels": {"app": "stranger"}}})
    world.run_until_quiet()
    assert not world.get(REPLICA_SETS, name)["metadata"].get("ownerReferences")
