"""A small cluster for the controllers' tests: the real kernel, etcd and apiserver, and at the door a binder and kubelet of 40 lines.

The kubelet sets status only: a Pod is bound ``bind_ns`` after it appears, Running and Ready ``start_ns`` later unless its image
is in ``broken_images``, and gone ``stop_ns`` after it was deleted. What the scheduler and the kubelets do besides is not needed here.
"""

from collections.abc import Callable, Sequence
from typing import Any

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Object, Request, bind, create, delete, get, list_, patch, update
from kubesim.apiserver.server import ApiServer
from kubesim.client.informer import Informer
from kubesim.client.link import DirectLink
from kubesim.controllers.contract import Controller
from kubesim.controllers.runner import ControllerManager
from kubesim.drive import virtual
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel import MILLISECOND, SECOND, Kernel, format_time

DEPLOYMENTS, REPLICA_SETS = "deployments.apps", "replicasets.apps"
SLICES = "endpointslices.discovery.k8s.io"


class TinyKubelet:
    """Binds, starts and stops Pods by writing their status."""

    def __init__(self, world: "World", nodes: Sequence[str]) -> None:
        self.world = world
        self.nodes = nodes
        self.bind_ns, self.start_ns, self.stop_ns = MILLISECOND, 5 * MILLISECOND, 30 * MILLISECOND
        self.spread_ns = 0  # between the starts of two Pods
        self.broken_images: set[str] = set()
        self.bound_count = self.seen_count = self.ip_count = 0
        self.link = DirectLink(world.kernel, world.server, "kubelet")
        self.informer = Informer(self.link, "pods")
        self.informer.add_handler(self.on_pod)
        self.informer.start()

    def on_pod(self, old: Object | None, new: Object | None) -> None:
        kernel = self.world.kernel
        if new is None:
            return
        metadata = new["metadata"]
        name = (metadata["namespace"], metadata["name"])
        if metadata.get("deletionTimestamp"):
            if old is None or not old["metadata"].get("deletionTimestamp"):
                kernel.after(self.stop_ns, self.stop, *name)
        elif not new["spec"].get("nodeName"):
            if old is None:
                kernel.after(self.bind_ns, self.bind, *name, metadata["uid"])
        elif old is None or not old["spec"].get("nodeName"):
            self.seen_count += 1
            kernel.after(self.start_ns + self.spread_ns * self.seen_count, self.start, *name)

    def bind(self, namespace: str, name: str, uid: str) -> None:
        self.bound_count += 1
        self.link.send(bind(namespace, name, uid, self.nodes[self.bound_count % len(self.nodes)]))

    def start(self, namespace: str, name: str) -> None:
        pod = self.informer.objects.get(f"{namespace}/{name}")
        if pod is not None and not pod["metadata"].get("deletionTimestamp"):
            ready = pod["spec"]["containers"][0]["image"] not in self.broken_images
            self.set_ready(namespace, name, ready)

    def set_ready(self, namespace: str, name: str, ready: bool) -> None:
        now = format_time(self.world.kernel.now_ns)
        self.ip_count += 1
        address = f"10.{self.ip_count >> 16}.{self.ip_count >> 8 & 255}.{self.ip_count & 255}"
        condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": now}
        pod = self.world.get("pods", name, namespace)
        others = [known for known in (pod.get("status") or {}).get("conditions", []) if known["type"] != "Ready"]
        status: Object = {**pod["status"], "phase": "Running" if ready else "Pending", "conditions": [*others, condition], "startTime": now}
        if ready:
            status |= {"podIP": address, "podIPs": [{"ip": address}], "hostIP": "192.168.0.1"}
        self.link.send(update("pods", {**pod, "status": status}, "status"))

    def stop(self, namespace: str, name: str) -> None:
        self.link.send(delete("pods", namespace, name, gracePeriodSeconds=0))


class World:
    """Everything at once; ``run`` lets virtual time pass."""

    def __init__(
        self,
        controllers: Sequence[Controller],
        *,
        seed: int = 1,
        nodes: int = 3,
        busy_ns: int = 10 * MILLISECOND,
        watch_latency_ns: int = MILLISECOND,
        debug: bool = True,
    ) -> None:
        self.kernel = Kernel(seed=seed)
        self.server = ApiServer(self.kernel, LocalEtcd(self.kernel), debug=debug)
        self.writes: list[tuple[int, str, str, str]] = []  # time, user, verb, what
        self.server.audit.append(self._audit)
        self.user = DirectLink(self.kernel, self.server, "user")
        for index in range(nodes):
            labels = {"kubernetes.io/hostname": f"node-{index}", "topology.kubernetes.io/zone": f"z{index % 2}"}
            self.create("nodes", {"kind": "Node", "apiVersion": "v1", "metadata": {"name": f"node-{index}", "labels": labels}})
        self.kubelet = TinyKubelet(self, [f"node-{index}" for index in range(nodes)])
        link = DirectLink(self.kernel, self.server, "kube-controller-manager", watch_latency_ns)
        self.manager = ControllerManager(self.kernel, link, controllers, busy_ns=busy_ns)
        self.manager.start()

    def _audit(self, now_ns: int, request: Request, obj: Object, revision: int) -> None:
        what = f"{request.resource}/{obj['metadata'].get('name', request.name)}/{request.subresource}".rstrip("/")
        self.writes.append((now_ns, request.user, request.verb, what))

    def call(self, request: Request) -> Any:
        """Send as a user; the answer, or the ApiError raised."""
        answers: list[Any] = []
        self.user.send(request, answers.append)
        if isinstance(answers[0], ApiError):
            raise answers[0]
        return answers[0]

    def create(self, resource: str, obj: Object) -> Object:
        namespace = "" if resource in ("nodes", "namespaces") else obj["metadata"].get("namespace", "default")
        return self.call(create(resource, namespace, obj))

    def merge(self, resource: str, name: str, body: Object, namespace: str = "default", subresource: str = "") -> Object:
        return self.call(patch(resource, namespace, name, body, "merge", subresource))

    def delete(self, resource: str, name: str, namespace: str = "default", **options: Any) -> Object:
        return self.call(delete(resource, namespace, name, **options))

    def get(self, resource: str, name: str, namespace: str = "default") -> Object:
        return self.call(get(resource, namespace, name))

    def find(self, resource: str, name: str, namespace: str = "default") -> Object | None:
        try:
            return self.get(resource, name, namespace)
        except ApiError as error:
            assert error.code == 404, error
            return None

    def all(self, resource: str, namespace: str = "default", **options: Any) -> list[Object]:
        return self.call(list_(resource, namespace, **options))["items"]

    def events(self, reason: str = "", namespace: str = "default") -> list[str]:
        """Messages of the events, in the order they were first said."""
        found = sorted(self.all("events", namespace), key=lambda event: int(event["metadata"]["resourceVersion"]))
        return [event["message"] for event in found if reason in ("", event["reason"])]

    def run(self, seconds: float = 1.0) -> None:
        virtual.run(self.kernel, until_ns=self.kernel.now_ns + int(seconds * SECOND))

    def run_until(self, predicate: Callable[[], bool], seconds: float = 60.0) -> None:
        """Run until something holds; fails when it does not within the time."""
        outcome = virtual.run(self.kernel, until_ns=self.kernel.now_ns + int(seconds * SECOND), predicate=predicate)
        assert outcome == virtual.PREDICATE or predicate(), f"did not happen within {seconds} s"

    def run_until_quiet(self, quiet_seconds: float = 2.0, seconds: float = 300.0) -> None:
        """Run until nothing is written for a while."""
        deadline_ns = self.kernel.now_ns + int(seconds * SECOND)
        while True:
            before = self.server.store.revision
            self.run(quiet_seconds)
            if self.server.store.revision == before:
                return
            assert self.kernel.now_ns < deadline_ns, f"still writing after {seconds} s: {self.writes[-5:]}"


def template(app: str, image: str = "registry.example/app:1", **spec: Any) -> Object:
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {"containers": [{"name": "c", "image": image}], "terminationGracePeriodSeconds": 5, **spec},
    }


def deployment(name: str, replicas: int, image: str = "registry.example/app:1", **spec: Any) -> Object:
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template(name, image), **spec},
    }


def replica_set(name: str, replicas: int, **spec: Any) -> Object:
    return {
        "kind": "ReplicaSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template(name), **spec},
    }


def pod(name: str, labels: dict[str, str], namespace: str = "default", **spec: Any) -> Object:
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "registry.example/app:1"}], **spec},
    }
