"""A small cluster whose controllers can be stopped, started again on an old list, kept from seeing, and replaced by faulty ones.

The rooms are the real ones; the controller manager talks through a ``FaultyLink``.
"""

from collections.abc import Callable, Sequence
from typing import Any

from kubesim.api.errors import ApiError
from kubesim.api.kinds import KINDS
from kubesim.apiserver.requests import Object, Request, create, delete, get, list_, patch
from kubesim.apiserver.server import ApiServer
from kubesim.client.link import DirectLink
from kubesim.controllers import all_controllers
from kubesim.controllers.contract import Controller
from kubesim.controllers.runner import ControllerManager
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import SECOND
from kubesim.kubelet.config import KubeletConfig
from kubesim.kubelet.kubelets import Kubelets
from kubesim.kubelet.models.recorded import RecordedModel
from kubesim.scheduler.scheduler import Scheduler
from kubesim.testing.faulty_link import FaultyLink


class Lab:
    """One cluster. ``mode`` is the controller manager's; ``faulty`` are controllers in the place of those of their name."""

    def __init__(self, mode: str = "1.36", nodes: int = 3, faulty: Sequence[Controller] = (), seed: int = 0) -> None:
        self.mode = mode
        self.faulty = {controller.name: controller for controller in faulty}
        self.kernel = Kernel(seed=seed)
        self.server = ApiServer(self.kernel, LocalEtcd(self.kernel))
        self.user = DirectLink(self.kernel, self.server, "user")
        self.writes: list[tuple[str, str, Object]] = []  # verb, resource (with its subresource), object
        self.server.audit.append(self._note)
        self.start_controllers()
        self.scheduler = Scheduler(self.kernel, DirectLink(self.kernel, self.server, "kube-scheduler"))
        self.scheduler.start()
        config = KubeletConfig(model=RecordedModel(self.kernel.seed))
        self.kubelets = Kubelets(self.kernel, DirectLink(self.kernel, self.server, "kubelet"), config)
        self.kubelets.start()
        for number in range(1, nodes + 1):
            self.kubelets.add_node({"kind": "Node", "apiVersion": "v1", "metadata": {"name": f"node-{number}"}})
        self.run(15)

    def _note(self, now_ns: int, request: Request, obj: Object, revision: int) -> None:
        resource = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
        self.writes.append((request.verb, resource, obj))

    def made(self, resource: str) -> int:
        """How many objects of a resource have been created."""
        return sum(1 for verb, written, _ in self.writes if (verb, written) == ("create", resource))

    def start_controllers(self, old_lists: dict[str, tuple[Sequence[Object], int]] | None = None) -> None:
        """Start a controller manager, on old lists if given."""
        self.link = FaultyLink(DirectLink(self.kernel, self.server, "kube-controller-manager"))
        self.link.old_lists.update(old_lists or {})
        controllers = [self.faulty.get(controller.name, controller) for controller in all_controllers()]
        self.manager = ControllerManager(self.kernel, self.link, controllers, mode=self.mode)
        self.manager.start()

    def stop_controllers(self) -> None:
        """Kill the controller manager: nothing more is heard of it."""
        self.link.cut = True

    def snapshot(self, resource: str) -> tuple[Sequence[Object], int]:
        """What a list of a resource would give now: for an apiserver that lags."""
        return self.server.peek_all(resource), self.server.store.revision

    # -- what a user does --

    def call(self, request: Request) -> Any:
        """The answer. Raises ApiError."""
        answers: list[Any] = []
        self.user.send(request, answers.append)
        if isinstance(answers[0], ApiError):
            raise answers[0]
        return answers[0]

    def create(self, obj: Object) -> Object:
        """Create an object in the namespace default."""
        kind = KINDS.by_gvk(obj["apiVersion"], obj["kind"])
        namespace = "default" if kind.namespaced else ""
        stored: Object = self.call(create(kind.resource, namespace, obj))
        return stored

    def merge(self, resource: str, name: str, body: Object, subresource: str = "") -> Object:
        """A merge patch."""
        stored: Object = self.call(patch(resource, "default", name, body, "merge", subresource))
        return stored

    def delete(self, resource: str, name: str, **options: Any) -> None:
        """Delete an object."""
        self.call(delete(resource, "default", name, **options))

    def get(self, resource: str, name: str) -> Object:
        """Read an object. Raises ApiError 404."""
        obj: Object = self.call(get(resource, "default", name))
        return obj

    def all(self, resource: str, **options: Any) -> list[Object]:
        """All objects of a resource in the namespace default."""
        items: list[Object] = self.call(list_(resource, "default", **options))["items"]
        return items

    def living(self) -> list[Object]:
        """The Pods that have not ended and are not being deleted."""
        return [
            pod
            for pod in self.all("pods")
            if not pod["metadata"].get("deletionTimestamp") and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        ]

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.kernel.run_due(self.kernel.now_ns + int(seconds * SECOND))

    def run_until(self, predicate: Callable[[], bool], seconds: float = 60) -> bool:
        """Run until something holds; whether it did."""
        deadline_ns = self.kernel.now_ns + int(seconds * SECOND)
        while not predicate():
            next_ns = self.kernel.next_time()
            if next_ns < 0 or next_ns > deadline_ns:
                self.kernel.run_due(deadline_ns)
                return predicate()
            self.kernel.run_due(next_ns)
        return True


def template(app: str, annotations: dict[str, str] | None = None, **spec: Any) -> Object:
    """A Pod template."""
    metadata: Object = {"labels": {"app": app}}
    if annotations:
        metadata["annotations"] = annotations
    return {
        "metadata": metadata,
        "spec": {"containers": [{"name": "main", "image": "registry.example/app:1"}], "terminationGracePeriodSeconds": 1, **spec},
    }


def workload(kind: str, name: str, **spec: Any) -> Object:
    """A workload of apps/v1 that selects its own Pods."""
    spec.setdefault("template", template(name))
    body = {"selector": {"matchLabels": {"app": name}}, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": body}


def job(name: str, annotations: dict[str, str] | None = None, **spec: Any) -> Object:
    """A Job whose Pods are not restarted in place."""
    body = {"template": template(name, annotations, restartPolicy="Never"), **spec}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "default"}, "spec": body}
