"""The TTL annotation follows the size of the cluster, and node lifecycle keeps the labels' old names."""

import pytest
from world import World

from kubesim.controllers import all_controllers
from kubesim.controllers.node_lifecycle import NodeLifecycleController, old_labels
from kubesim.controllers.ttl import ANNOTATION, TtlController


@pytest.mark.parametrize(("nodes", "seconds"), [(3, "0"), (100, "0"), (101, "15")])
def test_larger_clusters_allow_more_staleness(nodes: int, seconds: str) -> None:
    world = World([TtlController()], nodes=nodes)
    world.run()
    world.merge("nodes", "node-0", {"metadata": {"labels": {"touched": "1"}}}, "")
    world.run()
    assert world.get("nodes", "node-0", "")["metadata"]["annotations"][ANNOTATION] == seconds


def test_it_runs_where_clients_can_see_it() -> None:
    assert TtlController.name in [each.name for each in all_controllers(for_clients=True)]
    assert TtlController.name not in [each.name for each in all_controllers()]


def test_a_node_is_registered_once_and_keeps_its_old_labels() -> None:
    world = World([NodeLifecycleController()], nodes=0)
    labels = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}
    node = world.create("nodes", {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "new", "labels": labels}})
    assert old_labels(node) == {"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "arm64"}
    world.run()
    assert old_labels(world.get("nodes", "new", "")) == {}
    assert len(world.events("RegisteredNode")) == 1
