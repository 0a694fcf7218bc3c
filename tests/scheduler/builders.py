"""Nodes and Pods for the scheduler's tests, in one line each."""

from typing import Any

Object = dict[str, Any]


def node(name: str, cpu: str = "4", memory: str = "16Gi", pods: str = "110", **more: Any) -> Object:
    """A node. ``labels``, ``taints`` (key=value:Effect texts), ``unschedulable``, ``images`` (name -> bytes), ``extra`` allocatable."""
    spec: Object = {}
    if more.get("taints"):
        spec["taints"] = [taint(text) for text in more["taints"]]
    if more.get("unschedulable"):
        spec["unschedulable"] = True
    allocatable = {"cpu": cpu, "memory": memory, "pods": pods, **more.get("extra", {})}
    status: Object = {"allocatable": allocatable, "capacity": allocatable}
    if more.get("images"):
        status["images"] = [{"names": [image], "sizeBytes": size} for image, size in more["images"].items()]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **more.get("labels", {})}},
        "spec": spec,
        "status": status,
    }


def taint(text: str) -> Object:
    """key=value:Effect."""
    head, _, effect = text.rpartition(":")
    key, _, value = head.partition("=")
    return {"key": key, "value": value, "effect": effect}


def pod(name: str, cpu: str = "", memory: str = "", *, on: str = "", **more: Any) -> Object:
    """A Pod of one container; ``on`` binds it, ``more`` goes into its spec (``ports``: host ports; ``extra``: requests)."""
    requests = {"cpu": cpu, "memory": memory, **more.pop("extra", {})}
    container: Object = {"name": "main", "image": more.pop("image", "app:1")}
    requests = {resource: amount for resource, amount in requests.items() if amount}
    if requests:
        container["resources"] = {"requests": requests}
    if "ports" in more:
        container["ports"] = [{"containerPort": port, "hostPort": port, "protocol": "TCP"} for port in more.pop("ports")]
    labels = more.pop("labels", {})
    spec: Object = {"containers": [container], **more}
    if on:
        spec["nodeName"] = on
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "labels": labels},
        "spec": spec,
        "status": {"phase": "Pending"},
    }
