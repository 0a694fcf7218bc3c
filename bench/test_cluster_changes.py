"""What happens to a cluster that is up: a rolling update of every Pod, a tenth of the nodes lost and back.

The work is asserted; the build-up is not timed.
"""

import time
from typing import Any

import pytest

from kubesim import Cluster
from kubesim.testing.scripts import set_image
from kubesim.workload import generators

SMOKE_DIVISOR = 100
CASES = {  # operation -> (nodes, Pods, floor in seconds)
    "rolling update of 10,000 Pods": (1000, 10_000, 10),
    "loss of 10 % of 5,000 nodes until recovered": (5000, 50_000, 10),
}


@pytest.mark.parametrize("operation", CASES)
def test_change(benchmark, size: str, operation: str) -> None:
    nodes, pods, floor = CASES[operation]
    if size != "full":
        nodes, pods = nodes // SMOKE_DIVISOR, pods // SMOKE_DIVISOR
    cluster = Cluster(nodes=nodes, timeline_entries_max=0)
    cluster.apply(generators.deployments(pods, cluster.config.nodes, cluster.kernel.rng("workload")))
    cluster.run_until_converged()
    start = time.perf_counter()
    benchmark.pedantic(roll if operation.startswith("rolling") else lose, args=(cluster,), rounds=1)
    wall_seconds = time.perf_counter() - start
    assert sum(pod["status"]["phase"] == "Running" for pod in cluster.objects("pods")) == pods
    deployments = list(cluster.objects("deployments.apps"))
    assert sum(each["status"]["availableReplicas"] for each in deployments) == pods
    if operation.startswith("rolling"):
        assert sum(each["status"]["updatedReplicas"] for each in deployments) == pods
        assert {pod["spec"]["containers"][0]["image"] for pod in cluster.objects("pods")} == {"registry.example/new:2"}
    else:
        assert cluster.faults.counts() == {"fail-node": 1}
    benchmark.extra_info.update(room="cluster", operation=operation, count=pods, unit="Pods", floor={"wall_seconds": floor})
    benchmark.extra_info.update(digest=cluster.digest, wall_seconds=round(wall_seconds, 3))


def roll(cluster: Any) -> None:
    """Give every Deployment another image and wait until all of it runs."""
    for deployment in cluster.list("Deployment"):
        set_image(cluster, "Deployment", deployment["metadata"]["name"], "registry.example/new:2", deployment["metadata"]["namespace"])
    cluster.run_until_converged()


def lose(cluster: Any) -> None:
    """Cut the power of every tenth node for twenty minutes."""
    cluster.inject("fail-node", node=[node["metadata"]["name"] for node in cluster.config.nodes[::10]], duration="20m")
    cluster.run_until_converged()
