"""What a cluster has from the start: namespaces, the two system priority classes, the service of the apiserver itself.

Upstream: pkg/controlplane/controller/{systemnamespaces,kubernetesservice} and pkg/registry/scheduling/rest.
"""

from collections.abc import Iterator

from kubesim.apiserver.requests import Request, create

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
USER = "system:apiserver"
APISERVER_PORT = 6443
FIRST_SERVICE_IP = "10.96.0.1"
PRIORITY_CLASSES = (
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
)


def bootstrap_requests() -> Iterator[Request]:
    """The creates, in order."""
    for name in NAMESPACES:
        yield _create("namespaces", "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for name, value, description in PRIORITY_CLASSES:
        priority_class = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
        yield _create("priorityclasses.scheduling.k8s.io", "", {**priority_class, "value": value, "description": description})
    yield _create("services", "default", _kubernetes_service())


def _create(resource: str, namespace: str, obj: dict[str, object]) -> Request:
    request = create(resource, namespace, obj)
    request.user = USER
    return request


def _kubernetes_service() -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "clusterIP": FIRST_SERVICE_IP,
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": APISERVER_PORT}],
        },
    }
