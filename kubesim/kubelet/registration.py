"""The Node and Lease objects that a kubelet writes about its node. Pure functions from what is asked for to objects.

Upstream: pkg/kubelet/kubelet_node_status.go, nodestatus/setters.go, component-helpers/apimachinery/lease.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from kubesim.apiserver.requests import Object
from kubesim.kernel.time import format_micro_time, format_time
from kubesim.kubelet.doors.cni import node_address, pod_cidr
from kubesim.kubelet.doors.cri import ImageService
from kubesim.kubelet.doors.simulated import repository_of

CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


def complete_node(node: Object, index: int, capacity: Mapping[str, str], version: str, now_ns: int) -> Object:
    """A Node as its kubelet registers it: what ``node`` leaves open is filled in. Raises ValueError without a name."""
    metadata = node.get("metadata") or {}
    name = metadata.get("name")
    if not name:
        raise ValueError("node: metadata.name: missing: expected the name of the node")
    spec = dict(node.get("spec") or {})
    spec.setdefault("podCIDR", pod_cidr(index))
    spec.setdefault("podCIDRs", [spec["podCIDR"]])
    labels = {
        "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **(metadata.get("labels") or {}),
    }  # fmt: skip
    status = node_status(node.get("status") or {}, name, index, capacity, version, now_ns)
    return {"apiVersion": "v1", "kind": "Node", "metadata": {**metadata, "labels": labels}, "spec": spec, "status": status}


def node_status(known: Object, name: str, index: int, capacity: Mapping[str, str], version: str, now_ns: int) -> Object:
    """The status of a healthy node; what ``known`` has stands, ``allocatable`` follows ``capacity``."""
    amounts = known.get("capacity") or known.get("allocatable") or dict(capacity)
    address = [{"type": "InternalIP", "address": node_address(index)}, {"type": "Hostname", "address": name}]
    identity = blake2b(name.encode(), digest_size=16).hexdigest()
    system = f"{identity[:8]}-{identity[8:12]}-{identity[12:16]}-{identity[16:20]}-{identity[20:]}"
    info = {
        "machineID": identity, "systemUUID": system, "bootID": system, "kernelVersion": "6.12.0", "osImage": "kubesim",
        "containerRuntimeVersion": "containerd://2.2.0", "kubeletVersion": version, "kubeProxyVersion": "", "operatingSystem": "linux",
        "architecture": "amd64",
    }  # fmt: skip
    status = {
        "capacity": amounts, "allocatable": known.get("allocatable") or amounts, "conditions": healthy(now_ns),
        "addresses": known.get("addresses") or address, "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {**info, **(known.get("nodeInfo") or {})},
    }  # fmt: skip
    return {**{key: value for key, value in known.items() if key not in status and key != "phase"}, **status}


def healthy(now_ns: int) -> list[Object]:
    """The four conditions of a node that is well, upstream's reasons and messages."""
    now = format_time(now_ns)
    return [
        {"type": type_, "status": status, "lastHeartbeatTime": now, "lastTransitionTime": now, "reason": reason, "message": message}
        for type_, status, reason, message in CONDITIONS
    ]


def ready_conditions(status: Object, now_ns: int) -> Object:
    """The status of a node that came back: well from now on; conditions that others set stay."""
    now = format_time(now_ns)
    old = {condition["type"]: condition for condition in status.get("conditions") or ()}
    own = []
    for condition in healthy(now_ns):
        known = old.pop(condition["type"], None)
        if known is not None and known["status"] == condition["status"]:
            condition["lastTransitionTime"] = known.get("lastTransitionTime", now)
        own.append(condition)
    return {**status, "conditions": [*own, *old.values()]}


def registered(existing: Object, wanted: Object) -> Object:
    """An existing Node taken over by a kubelet: its own labels are set again, the rest stays as it is."""
    labels = {**(existing["metadata"].get("labels") or {}), **wanted["metadata"]["labels"]}
    spec: dict[str, Any] = {**(existing.get("spec") or {})}
    spec.setdefault("podCIDR", wanted["spec"]["podCIDR"])
    spec.setdefault("podCIDRs", [spec["podCIDR"]])
    return {**existing, "metadata": {**existing["metadata"], "labels": labels}, "spec": spec}


def lease_of(node: Object, duration_seconds: int, now_ns: int) -> Object:
    """The Lease that is a node's heartbeat, owned by its Node."""
    metadata = node["metadata"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": metadata["name"], "uid": metadata["uid"]}
    spec = {"holderIdentity": metadata["name"], "leaseDurationSeconds": duration_seconds, "renewTime": format_micro_time(now_ns)}
    return {
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": metadata["name"], "namespace": "kube-node-lease", "ownerReferences": [owner]}, "spec": spec,
    }  # fmt: skip


def reported_images(images: ImageService, now_ns: int, count_max: int) -> list[Object]:
    """``status.images``: the largest first, each by digest and by tag."""
    return [
        {"names": [images.image_ref(name), _tagged(name)], "sizeBytes": size} for name, size in images.list_images(now_ns)[:count_max]
    ]


def _tagged(image: str) -> str:
    name = image.partition("@")[0]
    tag = name.rpartition("/")[2].partition(":")[2]
    return f"{repository_of(image)}:{tag or 'latest'}"


def address_of(node: Object) -> str:
    """The address that Pods report as ``hostIP``: the first InternalIP, else the first there is."""
    addresses = node["status"]["addresses"]
    internal = [each["address"] for each in addresses if each["type"] == "InternalIP"]
    return str((internal or [each["address"] for each in addresses])[0])
