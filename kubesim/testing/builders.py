"""Build objects for tests: every argument that a test does not care about has a default. Plain dicts, not validated."""

from typing import Any

Object = dict[str, Any]
IMAGE = "docker.io/library/nginx:1.27"


def deployment(
    name: str = "web",
    replicas: int = 1,
    *,
    image: str = IMAGE,
    namespace: str = "default",
    cpu: str = "100m",
    memory: str = "64Mi",
    strategy: Object | None = None,
    pod: Object | None = None,
    **spec: Any,
) -> Object:
    """A Deployment of one container, labelled ``app: NAME``. ``pod`` is merged into the Pod's spec, ``spec`` into the Deployment's."""
    labels = {"app": name}
    body: Object = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": _pod_spec(image, cpu, memory, pod)},
        **spec,
    }
    if strategy is not None:
        body["strategy"] = strategy
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace}, "spec": body}


def rolling(surge: int | str, unavailable: int | str) -> Object:
    """A RollingUpdate strategy, for ``deployment(strategy=...)``."""
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def pod(
    name: str = "alone",
    *,
    image: str = IMAGE,
    namespace: str = "default",
    cpu: str = "100m",
    memory: str = "64Mi",
    labels: Object | None = None,
    **spec: Any,
) -> Object:
    """A Pod of one container; ``spec`` is merged into its spec."""
    metadata: Object = {"name": name, "namespace": namespace}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": _pod_spec(image, cpu, memory, spec)}


def service(name: str = "web", *, port: int = 80, namespace: str = "default", selector: Object | None = None, **spec: Any) -> Object:
    """A Service that selects ``app: NAME``."""
    body = {"selector": selector or {"app": name}, "ports": [{"port": port}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": body}


def namespace(name: str) -> Object:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def config_map(name: str = "settings", *, namespace: str = "default", **data: str) -> Object:
    """A ConfigMap with ``data``."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def node(name: str = "node-1", *, labels: Object | None = None, taints: list[Object] | None = None, **capacity: str) -> Object:
    """A Node; ``capacity`` (cpu, memory, pods, ...) replaces the defaults of kubesim.workload.nodes."""
    result: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels or {}}}
    if taints:
        result["spec"] = {"taints": taints}
    if capacity:
        result["status"] = {"capacity": capacity}
    return result


def _pod_spec(image: str, cpu: str, memory: str, extra: Object | None) -> Object:
    requests = {"cpu": cpu, "memory": memory}
    return {"containers": [{"name": "main", "image": image, "resources": {"requests": requests}}], **(extra or {})}
