"""Objects for tests, as a client would send them."""

from typing import Any

Object = dict[str, Any]
SPEC: Object = {"containers": [{"name": "app", "image": "app:1"}]}


def config_map(name: str = "a", **metadata: Any) -> Object:
    """A ConfigMap with one key."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"k": "v"}}


def pod(name: str = "p", spec: Object | None = None, **metadata: Any) -> Object:
    """A Pod of one container."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": {**SPEC, **(spec or {})}}


def namespace(name: str) -> Object:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def deployment(name: str = "web", replicas: int = 1) -> Object:
    """A Deployment."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": SPEC}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def service(name: str = "s", **spec: Any) -> Object:
    """A Service with one port."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}], **spec},
    }


def changed(obj: Object, **parts: Any) -> Object:
    """A copy with top-level parts replaced; ``metadata`` is merged."""
    metadata = {**obj["metadata"], **parts.pop("metadata", {})}
    return {**obj, **parts, "metadata": metadata}
