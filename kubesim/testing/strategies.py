"""Hypothesis strategies: what users and machines do to a cluster, as data that shrinks.

Needs hypothesis (``pip install kubesim[test]``). A history is a list of steps; ``play`` performs one on a cluster.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from kubesim.api.errors import ApiError
from kubesim.cluster.cluster import Cluster
from kubesim.testing.builders import deployment, rolling, service
from kubesim.testing.scripts import set_image

NAMES = ("a", "b", "c")
IMAGES = ("docker.io/library/nginx:1.27", "docker.io/library/redis:7.4", "docker.io/library/httpd:2.4")
REPLICAS_MAX = 6
PAUSES = ("0s", "1ms", "7ms", "50ms", "1s", "3s", "20s", "50s", "6m")
STRATEGIES: tuple[dict[str, Any] | None, ...] = (
    None,
    {"type": "Recreate"},
    rolling(1, 0),
    rolling(0, 1),
    rolling(2, 2),
    rolling("50%", "10%"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens: ``operation`` with its arguments, after a pause."""

    pause: str
    operation: str
    arguments: tuple[Any, ...]


def _step(operation: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.builds(Step, st.sampled_from(PAUSES), st.just(operation), st.tuples(*arguments))


def rollouts() -> st.SearchStrategy[dict[str, Any] | None]:
    """Update strategies of a Deployment."""
    return st.sampled_from(STRATEGIES)


def histories(node_count: int, steps_max: int = 12) -> st.SearchStrategy[list[Step]]:
    """Random interleavings of create, scale, update, delete, node failure and node return; the first step creates something."""
    names, replicas, nodes = st.sampled_from(NAMES), st.integers(0, REPLICAS_MAX), st.integers(1, node_count)
    create = _step("create", names, replicas, rollouts())
    any_step = st.one_of(
        create,
        _step("scale", names, replicas),
        _step("update", names, st.sampled_from(IMAGES)),
        _step("delete", names),
        _step("fail", nodes),
        _step("restore", nodes),
    )
    return st.builds(lambda first, rest: [first, *rest], create, st.lists(any_step, max_size=steps_max - 1))


def play(cluster: Cluster, step: Step) -> None:
    """Let the pause pass, then do it. What the apiserver refuses (a missing object, ...) has simply not happened."""
    cluster.run_for(step.pause)
    try:
        _OPERATIONS[step.operation](cluster, *step.arguments)
    except ApiError as error:
        if error.reason not in ("NotFound", "AlreadyExists", "Conflict"):
            raise


def _create(cluster: Cluster, name: str, replicas: int, strategy: dict[str, Any] | None) -> None:
    if cluster.apiserver.peek("deployments.apps", "default", name) is None:
        cluster.apply(deployment(name, replicas, strategy=strategy, cpu="200m"))
        cluster.apply(service(name))


def _scale(cluster: Cluster, name: str, replicas: int) -> None:
    cluster.scale("Deployment", name, replicas)


def _update(cluster: Cluster, name: str, image: str) -> None:
    set_image(cluster, "Deployment", name, image)


def _delete(cluster: Cluster, name: str) -> None:
    cluster.delete("Deployment", name)


def _fail(cluster: Cluster, index: int) -> None:
    cluster.fail_node(cluster.config.nodes[index - 1]["metadata"]["name"])


def _restore(cluster: Cluster, index: int) -> None:
    cluster.restore_node(cluster.config.nodes[index - 1]["metadata"]["name"])


_OPERATIONS: dict[str, Any] = {
    "create": _create,
    "scale": _scale,
    "update": _update,
    "delete": _delete,
    "fail": _fail,
    "restore": _restore,
}
