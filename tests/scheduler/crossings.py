"""Random clusters and Pods by the ten thousand: what hypothesis drew once, crossed with one another by a seeded stream.

A Pod has a hundred places to draw, and drawing costs many times what deciding about it does. So a pool of Pods, nodes and arguments is
drawn, and each case takes a Pod's fields each from another one of the pool (that a field is not there, too): the values are the
strategies' own, the combinations new.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from kubesim.kernel.rng import Stream
from tests.scheduler.strategies import NAMES, nodes, pods

Object = dict[str, Any]
Case = tuple[tuple[list[Object], list[Object]], list[Object], dict[str, Any]]  # (cluster, Pods to compare, arguments of plugins)
POOL_SIZE = 400
PODS_PER_CLUSTER, BOUND_MAX = 10, 7


def cases(arguments: st.SearchStrategy[dict[str, Any]]) -> Iterator[Case]:
    """Without end; the same in every run."""
    stream = Stream(0, "crossings")
    node_pool, pod_pool, argument_pool = (drawn(found, POOL_SIZE) for found in (nodes(st.just("n")), pods(st.just("p")), arguments))
    while True:
        names = [name for name in NAMES if stream.below(4)]
        cluster_nodes = [_node(stream, node_pool, name) for name in names]
        places = [*names, "ghost"]
        bound = [_pod(stream, pod_pool, f"b{index}", places[stream.below(len(places))]) for index in range(stream.below(BOUND_MAX + 1))]
        candidates = [_pod(stream, pod_pool, f"p{index}") for index in range(PODS_PER_CLUSTER)]
        yield (cluster_nodes, bound), candidates, crossed(stream, argument_pool)


def drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """So many examples of a strategy, the same in every run."""
    found: list[Any] = []

    @seed(0)
    @settings(max_examples=count, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(strategy)
    def take(example: Any) -> None:
        found.append(example)

    take()
    return found


def crossed(stream: Stream, pool: Sequence[Object]) -> Object:
    """An object whose fields come each from another one of the pool; one that has no such field gives none."""
    keys = dict.fromkeys(key for example in pool for key in example)
    chosen = {key: pool[stream.below(len(pool))] for key in keys}
    return {key: example[key] for key, example in chosen.items() if key in example}


def _node(stream: Stream, pool: Sequence[Object], name: str) -> Object:
    found = {key: crossed(stream, [example[key] for example in pool]) for key in ("metadata", "spec", "status")}
    labels = {**found["metadata"]["labels"], "kubernetes.io/hostname": name}
    return {"apiVersion": "v1", "kind": "Node", **found, "metadata": {"name": name, "labels": labels}}


def _pod(stream: Stream, pool: Sequence[Object], name: str, on: str = "") -> Object:
    spec = crossed(stream, [example["spec"] for example in pool])
    if on:
        spec["nodeName"] = on
    labels = pool[stream.below(len(pool))]["metadata"]["labels"]
    return {**pool[0], "metadata": {**pool[0]["metadata"], "name": name, "uid": f"uid-{name}", "labels": labels}, "spec": spec}
