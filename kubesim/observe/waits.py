"""Say what waits for what: a pure function of the stored objects.

Pods that are not Running and why, claims without a volume, volumes without a driver, workloads without a controller, Deployments with
too few Pods, Services without endpoints. Pods of one owner that wait for the same thing are one entry with a count.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
Lister = Callable[[str], Iterable[Object]]  # resource -> its objects, in all namespaces

# Kinds that do nothing by themselves: upstream's controller that brings them to life.
CONTROLLERS = {
    "cronjobs.batch": "cronjob-controller",
    "daemonsets.apps": "daemonset-controller",
    "horizontalpodautoscalers.autoscaling": "horizontal-pod-autoscaler-controller",
    "jobs.batch": "job-controller",
    "replicationcontrollers": "replicationcontroller-controller",
    "statefulsets.apps": "statefulset-controller",
}
CLAIM_CONTROLLER = "persistentvolume-binder-controller"
# Volumes that the kubelet makes from what it has: everything else needs a driver on the node.
LOCAL_VOLUMES = frozenset(("configMap", "downwardAPI", "emptyDir", "hostPath", "image", "projected", "secret"))


@dataclass(frozen=True, slots=True)
class Wait:
    """``count`` Pods of (or simply) ``object`` wait for something."""

    object: str  # 'Pod default/web' or 'Deployment default/web'
    waits_for: str
    count: int = 1

    def __str__(self) -> str:
        if self.count > 1:
            return f"{self.count} Pods of {self.object} wait for {self.waits_for}"
        return f"{self.object} waits for {self.waits_for}"

    def as_dict(self) -> Object:
        """For JSON."""
        return {"object": self.object, "waits_for": self.waits_for, "count": self.count}


def waits(objects: Lister, kinds: Mapping[str, str], controllers: Collection[str], drivers: Collection[str] = ()) -> list[Wait]:
    """Everything that waits, in a fixed order: workloads, claims, Pods, Services.

    ``kinds`` maps the resources that this cluster stores to their kinds; ``controllers`` names the controllers that run,
    ``drivers`` the volume types beyond ``LOCAL_VOLUMES`` that the nodes can mount. O(objects).
    """
    result = list(_without_controller(objects, kinds, controllers))
    if "persistentvolumeclaims" in kinds:
        result.extend(_claims(objects, controllers))
    result.extend(_pods(objects, drivers))
    if "deployments.apps" in kinds:
        result.extend(_deployments(objects))
    result.extend(_services(objects))
    return result


def name_of(kind: str, obj: Object) -> str:
    """``Pod default/web``."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{kind} {namespace}/{metadata['name']}" if namespace else f"{kind} {metadata['name']}"


def _without_controller(objects: Lister, kinds: Mapping[str, str], controllers: Collection[str]) -> Iterable[Wait]:
    for resource, controller in CONTROLLERS.items():
        if controller in controllers or resource not in kinds:
            continue
        for obj in objects(resource):
            yield Wait(name_of(kinds[resource], obj), f"the {controller}, which this version does not have: it makes no Pods")


def _claims(objects: Lister, controllers: Collection[str]) -> Iterable[Wait]:
    for claim in objects("persistentvolumeclaims"):
        if (claim.get("status") or {}).get("phase") == "Bound":
            continue
        spec = claim.get("spec") or {}
        class_name = spec.get("storageClassName")
        volume = f'a PersistentVolume of class "{class_name}"' if class_name else "a PersistentVolume"
        missing = "" if CLAIM_CONTROLLER in controllers else f" and for the {CLAIM_CONTROLLER}, which this version does not have"
        yield Wait(name_of("PersistentVolumeClaim", claim), volume + missing)


def _pods(objects: Lister, drivers: Collection[str]) -> Iterable[Wait]:
    counts: dict[tuple[str, str], int] = {}
    owners = _Owners(objects)
    for pod in objects("pods"):
        reason = pod_reason(pod, drivers)
        if reason:
            key = (owners.of(pod), reason)
            counts[key] = counts.get(key, 0) + 1
    return [Wait(owner, reason, count) for (owner, reason), count in counts.items()]


class _Owners:
    """Whose Pod it is: its Deployment, else its controller, else itself."""

    def __init__(self, objects: Lister) -> None:
        self._objects = objects
        self._parents: dict[tuple[str, str], str] | None = None

    def of(self, pod: Object) -> str:
        reference = _controller_of(pod)
        if reference is None:
            return name_of("Pod", pod)
        namespace = pod["metadata"]["namespace"]
        if reference["kind"] == "ReplicaSet":
            if self._parents is None:
                self._parents = dict(self._deployments())
            found = self._parents.get((namespace, reference["name"]))
            if found:
                return found
        return f"{reference['kind']} {namespace}/{reference['name']}"

    def _deployments(self) -> Iterable[tuple[tuple[str, str], str]]:
        for replica_set in self._objects("replicasets.apps"):
            reference = _controller_of(replica_set)
            if reference is not None:
                namespace = replica_set["metadata"]["namespace"]
                yield (namespace, replica_set["metadata"]["name"]), f"{reference['kind']} {namespace}/{reference['name']}"


def _controller_of(obj: Object) -> Object | None:
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return reference
    return None


def pod_reason(pod: Object, drivers: Collection[str] = ()) -> str:
    """What a Pod waits for; empty when it runs, has ended, or is being deleted on a node."""
    status = pod.get("status") or {}
    phase = status.get("phase", "Pending")
    if phase in ("Succeeded", "Failed"):
        return ""
    if not pod["spec"].get("nodeName"):
        return _unscheduled(pod, status)
    if phase == "Pending":
        for volume in pod["spec"].get("volumes") or ():
            source = next((key for key in volume if key != "name"), "")
            if source and source not in LOCAL_VOLUMES and source not in drivers:
                claim = f' "{volume[source].get("claimName")}"' if source == "persistentVolumeClaim" else ""
                return f'its volume "{volume["name"]}": no node has a driver for {source}{claim}'
    ready = _ready(status)
    if phase == "Running" and ready is not None and ready["status"] == "True":
        return ""  # by far the most
    return _containers(status, phase, ready)


def _unscheduled(pod: Object, status: Object) -> str:
    if pod["spec"].get("schedulingGates"):
        gates = ", ".join(gate["name"] for gate in pod["spec"]["schedulingGates"])
        return f"its scheduling gates to be removed: {gates}"
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"a node: {condition.get('message') or condition.get('reason')}"
    return "the scheduler"


def _ready(status: Object) -> Object | None:
    for condition in status.get("conditions") or ():
        if condition["type"] == "Ready":
            return condition
    return None


def _containers(status: Object, phase: str, ready: Object | None) -> str:
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (container.get("state") or {}).get("waiting")
        if waiting:
            message = f" ({waiting['message']})" if waiting.get("message") else ""
            return f'its container "{container["name"]}": {waiting.get("reason", "Waiting")}{message}'
    if phase == "Pending":
        return "its kubelet"
    if ready is not None and ready["status"] != "True":
        return f"its containers to be ready: {ready.get('message') or ready.get('reason') or 'not ready'}"
    return ""


def _deployments(objects: Lister) -> Iterable[Wait]:
    for deployment in objects("deployments.apps"):
        spec, status = deployment["spec"], deployment.get("status") or {}
        wanted, available = spec.get("replicas", 1), status.get("availableReplicas", 0)
        name = name_of("Deployment", deployment)
        if spec.get("paused") and status.get("updatedReplicas", 0) < wanted:
            yield Wait(name, "being resumed: it is paused")
        elif available < wanted:
            yield Wait(name, f"{wanted - available} more of its {wanted} Pods to be available")


def _services(objects: Lister) -> Iterable[Wait]:
    endpoints = endpoint_counts(objects)
    for service in objects("services"):
        spec = service["spec"]
        key = (service["metadata"]["namespace"], service["metadata"]["name"])
        name = name_of("Service", service)
        if spec.get("selector") and not endpoints.get(key):
            selector = ",".join(f"{label}={value}" for label, value in spec["selector"].items())
            yield Wait(name, f"a ready Pod that matches its selector {selector}")
        if spec.get("type") == "LoadBalancer" and not ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress"):
            yield Wait(name, "an external address from the service-lb-controller, which this version does not have")


def endpoint_counts(objects: Lister) -> dict[tuple[str, str], int]:
    """The number of ready addresses of each Service, by (namespace, name), from its EndpointSlices."""
    addresses: dict[tuple[str, str], set[str]] = {}
    for piece in objects("endpointslices.discovery.k8s.io"):
        service = (piece["metadata"].get("labels") or {}).get("kubernetes.io/service-name")
        if service is None:
            continue
        found = addresses.setdefault((piece["metadata"]["namespace"], service), set())
        for endpoint in piece.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready", True):
                found.update(endpoint.get("addresses") or ())
    return {key: len(found) for key, found in addresses.items()}
