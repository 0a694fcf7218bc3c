"""Make work: a given number of Pods as Deployments that fit on the nodes.

Names are counted, images and requests are drawn from small fixed sets with a named stream, so a seed gives one workload.
Requests are sized so that the sum of all Pods takes at most ``FILL`` of the nodes; more Pods than the nodes have room for
(``status.allocatable.pods``) stay Pending, as they would anywhere.
"""

from collections.abc import Sequence
from typing import Any

from kubesim.api import quantity
from kubesim.kernel.rng import Stream

Object = dict[str, Any]
REPLICAS = 100  # Pods of one Deployment; the last one takes the rest
FILL = 0.7
CPU_MILLI = (5, 10, 20, 25, 50, 100, 200, 250, 500)
MEMORY_MIB = (8, 16, 32, 64, 128, 256, 512)
IMAGES = (
    "docker.io/library/haproxy:3.0",
    "docker.io/library/httpd:2.4",
    "docker.io/library/memcached:1.6",
    "docker.io/library/nginx:1.27",
    "docker.io/library/postgres:17",
    "docker.io/library/python:3.13-slim",
    "docker.io/library/redis:7.4",
    "registry.k8s.io/pause:3.10",
)


def deployments(pod_count: int, nodes: Sequence[Object], stream: Stream, namespace: str = "default") -> list[Object]:
    """Deployments with ``pod_count`` replicas in all, ``REPLICAS`` each, for a cluster of ``nodes`` (Node objects)."""
    if pod_count < 0:
        raise ValueError(f"the number of Pods is {pod_count}; expected 0 or more")
    cpus = _ladder(CPU_MILLI, _share(nodes, "cpu", pod_count) * 1000)
    memories = _ladder(MEMORY_MIB, _share(nodes, "memory", pod_count) / 2**20)
    count = -(-pod_count // REPLICAS)
    width = len(str(count))
    result = []
    for index in range(count):
        replicas = min(REPLICAS, pod_count - index * REPLICAS)
        name = f"load-{index + 1:0{width}}"
        requests = {"cpu": f"{stream.choice(cpus)}m", "memory": f"{stream.choice(memories)}Mi"}
        result.append(deployment(name, replicas, stream.choice(IMAGES), requests, namespace))
    return result


def deployment(name: str, replicas: int, image: str, requests: Object | None = None, namespace: str = "default") -> Object:
    """A Deployment of one container, labelled ``app: NAME``."""
    labels = {"app": name}
    container: Object = {"name": "main", "image": image}
    if requests:
        container["resources"] = {"requests": requests}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def _share(nodes: Sequence[Object], resource: str, pod_count: int) -> float:
    """What one Pod may take of ``resource`` so that all of them take ``FILL`` of the nodes; infinite without nodes."""
    if not nodes or not pod_count:
        return float("inf")
    amounts = [quantity.parse(str(_allocatable(node).get(resource, "0"))).nanos for node in nodes]
    return FILL * sum(amounts) / pod_count / quantity.NANO


def _allocatable(node: Object) -> Object:
    status = node.get("status") or {}
    return status.get("allocatable") or status.get("capacity") or {}


def _ladder(steps: Sequence[int], limit: float) -> list[int]:
    """The four highest steps up to ``limit``; the lowest step when even that is too much."""
    return ([step for step in steps if step <= limit] or [steps[0]])[-4:]
