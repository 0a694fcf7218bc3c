"""Claims that wait for a consumer, in a cluster: what PreBind writes, what it waits for, how it ends. The test plays the controllers."""

from typing import Any

import pytest

from kubesim.apiserver.requests import create, delete, get, patch
from kubesim.kernel import MINUTE, SECOND
from kubesim.scheduler.volumes import BIND_COMPLETED, SELECTED_NODE
from tests.scheduler.builders import pod
from tests.scheduler.test_scheduler import World

Object = dict[str, Any]
CLAIMS, VOLUMES = "persistentvolumeclaims", "persistentvolumes"


def with_claim(provisioner: str) -> World:
    """Two nodes, a class that waits, a claim of it, and a Pod that uses the claim."""
    world = World()
    for name in ("n1", "n2"):
        world.add_node(name)
    metadata = {"name": "local"}
    world.call(
        create(
            "storageclasses.storage.k8s.io",
            "",
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": metadata,
                "provisioner": provisioner,
                "volumeBindingMode": "WaitForFirstConsumer",
            },
        )
    )
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "local"}
    world.call(create(CLAIMS, "default", {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": spec}))
    return world


def add_volume(world: World, node_name: str) -> None:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node_name]}
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "2Gi"},
        "storageClassName": "local",
        "local": {"path": "/disk"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
    }
    world.call(create(VOLUMES, "", {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": spec}))
    world.call(patch(VOLUMES, "", "v", {"status": {"phase": "Available"}}, subresource="status"))


def start(world: World) -> None:
    claim = pod("a", "100m", volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}])
    del claim["metadata"]["uid"], claim["status"]
    world.call(create("pods", "default", claim))
    world.scheduler.start()
    world.run()


def complete(world: World, volume: str) -> None:
    """What the volume controller does with a claim."""
    body = {"metadata": {"annotations": {BIND_COMPLETED: "yes"}}, "spec": {"volumeName": volume}}
    world.call(patch(CLAIMS, "default", "c", body))
    world.run()


def test_a_matching_volume_is_promised_and_the_pod_bound_when_the_claim_is() -> None:
    world = with_claim("kubernetes.io/no-provisioner")
    add_volume(world, "n2")
    start(world)
    reference = world.call(get(VOLUMES, "", "v"))["spec"]["claimRef"]
    assert (reference["namespace"], reference["name"]) == ("default", "c")
    assert reference["uid"] == world.call(get(CLAIMS, "default", "c"))["metadata"]["uid"]
    assert world.node_of("a") == ""
    assert world.pod("a")["status"]["nominatedNodeName"] == "n2"
    complete(world, "v")
    assert world.node_of("a") == "n2"
    assert "nominatedNodeName" not in world.pod("a")["status"], "the bind ends the nomination"
    world.check()


def test_a_claim_to_be_provisioned_gets_the_node_and_the_pod_waits_for_it() -> None:
    world = with_claim("example.com/disks")
    start(world)
    selected = world.call(get(CLAIMS, "default", "c"))["metadata"]["annotations"][SELECTED_NODE]
    assert selected in ("n1", "n2")
    add_volume(world, selected)
    complete(world, "v")
    assert world.node_of("a") == selected
    world.check()


@pytest.mark.parametrize(
    ("happens", "message"),
    [
        (lambda world: world.run(10 * MINUTE + SECOND // 2), "binding volumes: context deadline exceeded"),
        (
            lambda world: world.call(patch(CLAIMS, "default", "c", {"metadata": {"annotations": {SELECTED_NODE: None}}})),
            'binding volumes: provisioning failed for PVC "c"',
        ),
    ],
    ids=["in vain", "given back"],
)
def test_a_wait_for_a_volume_that_ends_badly_is_an_error(happens: Any, message: str) -> None:
    world = with_claim("example.com/disks")
    start(world)
    happens(world)
    world.run()
    assert world.condition("a")["message"] == f'running PreBind plugin "VolumeBinding": {message}'
    assert world.condition("a")["reason"] == "SchedulerError"
    world.check()


def test_a_pod_that_goes_away_leaves_the_claim_to_others() -> None:
    world = with_claim("example.com/disks")
    start(world)
    world.call(delete("pods", "default", "a", gracePeriodSeconds=0))
    world.run()
    assert len(world.scheduler.engine.cache) == 0
    world.check()
