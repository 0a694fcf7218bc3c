"""What holds in a cluster that has come to rest: each function returns the rules that are broken, as sentences.

E1 what is desired is there; E10 nothing is left of owners that are gone; P1 EndpointSlices are the ready Pods of their Service.
"""

from collections.abc import Callable, Iterable
from typing import Any

from kubesim.testing.watchdog import is_over, is_owned, overcommitted

Object = dict[str, Any]
Lister = Callable[[str], Iterable[Object]]  # resource -> its objects, in all namespaces


def broken(objects: Lister) -> list[str]:
    """Every rule of this module that does not hold. O(objects)."""
    return [*replica_sets(objects), *deployments(objects), *dangling(objects), *endpoints(objects), *overcommits(objects)]


def replica_sets(objects: Lister) -> list[str]:
    """E1: a ReplicaSet's live Pods, its status and its spec agree; all its Pods are available."""
    pods: dict[str, int] = {}
    for pod in objects("pods"):
        if not is_over(pod) and "deletionTimestamp" not in pod["metadata"]:
            for reference in pod["metadata"].get("ownerReferences") or ():
                pods[reference["uid"]] = pods.get(reference["uid"], 0) + 1
    result = []
    for each in objects("replicasets.apps"):
        wanted, status = each["spec"]["replicas"], each.get("status") or {}
        counts = (pods.get(each["metadata"]["uid"], 0), status.get("replicas", 0), status.get("availableReplicas", 0))
        if counts != (wanted, wanted, wanted):
            result.append(f"E1: {_name(each)} wants {wanted} Pods; it has {counts[0]}, its status says {counts[1]}, available {counts[2]}")
    return result


def deployments(objects: Lister) -> list[str]:
    """E1: exactly one ReplicaSet of a Deployment has Pods, it is the one of the present template, and the status says so."""
    replica_set_list = list(objects("replicasets.apps"))
    result = []
    for each in objects("deployments.apps"):
        if each["spec"].get("paused"):
            continue
        wanted, status = each["spec"]["replicas"], each.get("status") or {}
        owned = [candidate for candidate in replica_set_list if is_owned(candidate, each)]
        sizes = sorted((candidate["spec"]["replicas"] for candidate in owned), reverse=True)
        if sum(sizes) != wanted or sizes[:1] != [wanted]:
            result.append(f"E1: {_name(each)} wants {wanted} Pods; its ReplicaSets want {sizes}")
        image = _images(each["spec"]["template"])
        for candidate in owned:
            if candidate["spec"]["replicas"] and _images(candidate["spec"]["template"]) != image:
                result.append(f"E1: {_name(candidate)} has Pods but not the images of {_name(each)}")
        found = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
        if found != [wanted] * 4 or status.get("observedGeneration") != each["metadata"]["generation"]:
            result.append(f"E1: {_name(each)} wants {wanted} Pods; its status says {found} (all, updated, ready, available)")
    return result


def dangling(objects: Lister) -> list[str]:
    """E10: every owner of a ReplicaSet or Pod exists."""
    uids = {each["metadata"]["uid"] for resource in ("deployments.apps", "replicasets.apps") for each in objects(resource)}
    return [
        f"E10: {_name(each)} belongs to {reference['kind']} {reference['name']}, which is gone"
        for resource in ("replicasets.apps", "pods")
        for each in objects(resource)
        for reference in each["metadata"].get("ownerReferences") or ()
        if reference["kind"] in ("Deployment", "ReplicaSet") and reference["uid"] not in uids
    ]


def endpoints(objects: Lister) -> list[str]:
    """P1: the ready addresses of a Service are those of the ready Pods that it selects, each once."""
    addresses: dict[tuple[str, str], list[str]] = {}
    for piece in objects("endpointslices.discovery.k8s.io"):
        key = (piece["metadata"]["namespace"], (piece["metadata"].get("labels") or {}).get("kubernetes.io/service-name", ""))
        for endpoint in piece.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready", True):
                addresses.setdefault(key, []).extend(endpoint["addresses"])
    pods = [pod for pod in objects("pods") if _is_ready(pod)]
    result = []
    for service in objects("services"):
        selector = service["spec"].get("selector")
        if not selector:
            continue
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        expected = sorted(pod["status"]["podIP"] for pod in pods if pod["metadata"]["namespace"] == namespace and _selects(selector, pod))
        found = sorted(addresses.get((namespace, name), []))
        if found != expected:
            result.append(f"P1: {_name(service)} has the endpoints {found}; its ready Pods are {expected}")
    return result


def overcommits(objects: Lister) -> list[str]:
    """C1: no node has given away more than it has."""
    by_node: dict[str, list[Object]] = {}
    for pod in objects("pods"):
        if pod["spec"].get("nodeName") and not is_over(pod):
            by_node.setdefault(pod["spec"]["nodeName"], []).append(pod)
    found = ((node, overcommitted(node, by_node.get(node["metadata"]["name"], []))) for node in objects("nodes"))
    return [f"C1: {_name(node)} is overcommitted: {what}" for node, what in found if what]


def _is_ready(pod: Object) -> bool:
    if is_over(pod) or "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _selects(selector: Object, pod: Object) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in selector.items())


def _images(template: Object) -> list[str]:
    return [container["image"] for container in template["spec"]["containers"]]


def _name(obj: Object) -> str:
    namespace = obj["metadata"].get("namespace")
    return f"{obj.get('kind', 'object')} {namespace}/{obj['metadata']['name']}" if namespace else f"{obj['kind']} {obj['metadata']['name']}"
