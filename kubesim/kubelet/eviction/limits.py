"""Limits of single containers and Pods: of local storage, and what the node's kernel thinks of each when memory is gone. Pure.

Upstream: pkg/kubelet/eviction/eviction_manager.go (localStorageEviction), qos/policy.go (GetContainerOOMScoreAdjust).
"""

from typing import TYPE_CHECKING

from kubesim.api import quantity
from kubesim.apiserver.requests import Object
from kubesim.kubelet.eviction.ranking import CRITICAL_PRIORITY, amount
from kubesim.kubelet.eviction.usage import DISK, MEMORY, Running
from kubesim.kubelet.facts import APP
from kubesim.kubelet.pod_state import RUNNING

if TYPE_CHECKING:
    from kubesim.kubelet.pod_worker import PodWorker

EMPTY_DIR = 'Usage of EmptyDir volume "%s" exceeds the limit "%s". '
POD_LIMIT = "Pod ephemeral local storage usage exceeds the total limit of containers %s. "
CONTAINER_LIMIT = 'Container %s exceeded its local ephemeral storage limit "%s". '


def request_of(spec: Object, resource: str) -> int:
    """What a container requests, in bytes."""
    requests = (spec.get("resources") or {}).get("requests") or {}
    return quantity.value(requests[resource]) if resource in requests else 0


def limit_of(spec: Object, resource: str) -> str:
    """A container's limit as it is written; "" without one."""
    return str(((spec.get("resources") or {}).get("limits") or {}).get(resource, ""))


def oom_score_adjust(running: Running, capacity: int) -> int:
    """What the kubelet adds to a container's score: by QoS class, and by the share of memory that a Burstable one requests."""
    facts = running.worker.state.facts
    is_critical = running.worker.is_static or (running.worker.pod["spec"].get("priority") or 0) >= CRITICAL_PRIORITY
    if is_critical or facts.qos == "Guaranteed":
        return -997
    if facts.qos == "BestEffort":
        return 1000
    asked = request_of(facts.containers[running.index].spec, MEMORY)
    return min(max(1000 - 1000 * asked // capacity, 3), 999)


def has_limits(worker: "PodWorker") -> bool:
    """Whether a Pod's local storage is limited at all."""
    volumes = worker.pod["spec"].get("volumes") or ()
    return any((volume.get("emptyDir") or {}).get("sizeLimit") for volume in volumes) or any(
        limit_of(container.spec, DISK) for container in worker.state.facts.containers
    )


def over_limit(worker: "PodWorker", running: list[Running], time_ns: int) -> str:
    """The message of an eviction for too much local storage, "" while all is within the limits; upstream's order of checks."""
    in_volume: dict[str, int] = {}
    for each in running:
        for name, curve in each.volumes.items():
            in_volume[name] = in_volume.get(name, 0) + curve.at(time_ns - each.started_ns)
    for volume in worker.pod["spec"].get("volumes") or ():
        limit = (volume.get("emptyDir") or {}).get("sizeLimit")
        if limit and 0 < quantity.value(limit) < in_volume.get(volume["name"], 0):
            return EMPTY_DIR % (volume["name"], quantity.canonical(limit))
    containers = worker.state.facts.containers
    limits = {each.index: limit_of(each.spec, DISK) for each in containers if each.kind == APP}
    if any(limits.values()):  # upstream sums the limits that there are, and holds all containers to it
        total = sum(quantity.value(text) for text in limits.values() if text)
        if sum(each.used(DISK, time_ns) for each in running) + sum(in_volume.values()) > total:
            return POD_LIMIT % amount(total)
    for each in running:
        text = limits.get(each.index)
        if text and worker.state.containers[each.index].status == RUNNING and each.used(DISK, time_ns) > quantity.value(text):
            return CONTAINER_LIMIT % (containers[each.index].name, quantity.canonical(text))
    return ""
