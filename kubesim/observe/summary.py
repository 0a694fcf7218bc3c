"""The state of a cluster in figures: one JSON-shaped dict from the stored objects and the metrics of the run."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from kubesim.observe.metrics import Metrics
from kubesim.observe.waits import Lister, Wait, endpoint_counts

Object = dict[str, Any]


def summarize(objects: Lister, metrics: Metrics, waiting: Sequence[Wait]) -> Object:
    """Nodes, Pods by phase, placements, Deployments, Services, waits, writes, latencies. O(objects)."""
    pods = list(objects("pods"))
    nodes = list(objects("nodes"))
    return {
        "nodes": {"count": len(nodes), "ready": sum(condition_is_true(node, "Ready") for node in nodes)},
        "pods": {"count": len(pods), "phases": phases(pods), "placements": placements(pods, len(nodes))},
        "deployments": [_deployment(obj) for obj in objects("deployments.apps")],
        "services": _services(objects),
        "waits": [wait.as_dict() for wait in waiting],
        "writes": metrics.writes(),
        "writes_by_component": metrics.writes_by_component(),
        "write_count": metrics.write_count,
        "latencies": metrics.latencies(),
    }


def condition_is_true(obj: Object, type_: str) -> bool:
    """Whether the condition of this type has the status True."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(condition["type"] == type_ and condition["status"] == "True" for condition in conditions)


def phases(pods: Iterable[Object]) -> dict[str, int]:
    """The number of Pods in each phase, in alphabetical order; a Pod that is being deleted counts as Terminating."""
    counts: Counter[str] = Counter()
    for pod in pods:
        counts["Terminating" if "deletionTimestamp" in pod["metadata"] else (pod.get("status") or {}).get("phase", "Pending")] += 1
    return dict(sorted(counts.items()))


def placements(pods: Iterable[Object], node_count: int) -> Object:
    """How the Pods lie on the nodes: nodes used, and the fewest, most and mean Pods of a node."""
    counts = Counter(pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName"))
    if not node_count:
        return {"nodes_used": 0, "pods_per_node_min": 0, "pods_per_node_max": 0, "pods_per_node_mean": 0.0}
    least = min(counts.values()) if len(counts) >= node_count else 0
    return {
        "nodes_used": len(counts),
        "pods_per_node_min": least,
        "pods_per_node_max": max(counts.values(), default=0),
        "pods_per_node_mean": round(counts.total() / node_count, 3),
    }


def _deployment(obj: Object) -> Object:
    status = obj.get("status") or {}
    return {
        "namespace": obj["metadata"]["namespace"],
        "name": obj["metadata"]["name"],
        "replicas": obj["spec"].get("replicas", 1),
        "available": status.get("availableReplicas", 0),
    }


def _services(objects: Lister) -> list[Object]:
    counts = endpoint_counts(objects)
    return [
        {
            "namespace": service["metadata"]["namespace"],
            "name": service["metadata"]["name"],
            "endpoints": counts.get((service["metadata"]["namespace"], service["metadata"]["name"]), 0),
        }
        for service in objects("services")
    ]
