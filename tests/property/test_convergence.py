"""Whatever happens, and in whatever order: afterwards everything is as desired, and nothing ever broke a rule on the way."""

from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kubesim import Cluster
from kubesim.testing.builders import deployment, service
from kubesim.testing.invariants import broken
from kubesim.testing.scripts import set_image
from kubesim.testing.strategies import IMAGES, Step, histories, play, rollouts
from kubesim.testing.watchdog import RollingUpdateBounds, Watchdog
from tests import tally

NODES = 3
QUIET = "48h"
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def watched(seed: int, **options: bool) -> Cluster:
    """A small cluster with a watchdog at every write."""
    cluster = Cluster(nodes=NODES, seed=seed, **options)
    cluster.apiserver.audit.append(Watchdog(cluster.apiserver))
    return cluster


def settle(cluster: Cluster) -> None:
    """Faults end: every node comes back, then time passes until nothing happens any more."""
    for node in cluster.config.nodes:
        cluster.restore_node(node["metadata"]["name"])
    cluster.run_until_converged(QUIET)


def assert_at_rest(cluster: Cluster) -> None:
    """What is desired is there, and nobody writes any more."""
    assert broken(cluster.objects) == []
    assert cluster.waits() == [] or all(wait.object.startswith("Service") for wait in cluster.waits()), cluster.waits()
    before = cluster.metrics.write_count
    cluster.run_for("1h")
    assert cluster.metrics.write_count == before, [str(entry) for entry in cluster.timeline()[-5:]]


@settings(SLOW, max_examples=200)
@given(histories(NODES), st.integers(0, 2**32), st.booleans())
@example([Step("0s", "create", ("a", 3, None)), Step("3s", "fail", (1,)), Step("6m", "update", ("a", IMAGES[1]))], 0, False)
@example([Step("0s", "create", ("a", 2, None)), Step("1ms", "delete", ("a",)), Step("0s", "create", ("a", 1, None))], 0, False)
def test_everything_reaches_the_desired_state(history: list[Step], seed: int, shuffle_ties: bool) -> None:
    cluster = watched(seed, shuffle_ties=shuffle_ties)
    for step in history:
        play(cluster, step)
        if step.operation == "fail":
            tally.fault("fail-node")
    settle(cluster)
    tally.passed(cluster.kernel.now_ns - cluster.start_ns)
    assert_at_rest(cluster)


@settings(SLOW, max_examples=60)
@given(st.integers(1, 12), rollouts(), st.integers(1, 3), st.integers(0, 2**32))
def test_a_rolling_update_keeps_its_bounds_at_every_write(replicas: int, strategy: dict[str, Any] | None, updates: int, seed: int) -> None:
    cluster = watched(seed)
    cluster.apply([deployment("web", replicas, strategy=strategy), service("web")])
    cluster.run_until_converged()
    bounds = RollingUpdateBounds(cluster.apiserver, "default", "web")
    cluster.apiserver.audit.append(bounds)
    for index in range(updates):
        set_image(cluster, "Deployment", "web", f"docker.io/library/nginx:1.{index}")
        cluster.run_until_converged()
    assert bounds.write_count > updates * replicas
    assert_at_rest(cluster)


@settings(SLOW, max_examples=30)
@given(st.integers(1, 60), st.integers(0, 2**32))
def test_what_does_not_fit_waits_and_no_node_is_overcommitted(replicas: int, seed: int) -> None:
    cluster = watched(seed)
    cluster.apply(deployment("web", replicas, cpu="1500m"))  # five Pods fit on a node
    cluster.run_until_converged(QUIET)
    fitting = min(replicas, NODES * 5)
    assert sum(pod["status"]["phase"] == "Running" for pod in cluster.list("Pod")) == fitting
    waiting = [wait for wait in cluster.waits() if "a node:" in wait.waits_for]
    assert sum(wait.count for wait in waiting) == replicas - fitting
    if waiting:
        assert "Insufficient cpu" in waiting[0].waits_for
        cluster.scale("Deployment", "web", fitting)
        cluster.run_until_converged(QUIET)
    assert_at_rest(cluster)
