"""A small world for kubelet tests: the real kernel, etcd, apiserver and link; a test is the scheduler and the user."""

from typing import Any

from kubesim.apiserver.requests import Request, bind, create, delete, get, update
from kubesim.apiserver.server import ApiServer
from kubesim.client.link import DirectLink
from kubesim.drive import virtual
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import EPOCH_NS, MILLISECOND, SECOND
from kubesim.kubelet.config import KubeletConfig
from kubesim.kubelet.kubelets import Kubelets
from kubesim.kubelet.models.default import DefaultModel, Latencies

Object = dict[str, Any]

# Round numbers, so that a test can say when things happen: sandbox 200 ms, start 100 ms, resolve 300 ms, stop 100 ms, 100 MiB/s.
STEADY = Latencies(
    sandbox_ns=(200 * MILLISECOND,) * 2,
    start_ns=(100 * MILLISECOND,) * 2,
    resolve_ns=(300 * MILLISECOND,) * 2,
    stop_ns=(100 * MILLISECOND,) * 2,
    hook_ns=(50 * MILLISECOND,) * 2,
    init_run_ns=(SECOND,) * 2,
    work_run_ns=(5 * SECOND,) * 2,
)


def container(name: str = "app", image: str = "registry.example/app:1", **fields: Any) -> Object:
    return {"name": name, "image": image, "imagePullPolicy": "IfNotPresent", **fields}


def pod(name: str = "web", *, annotations: dict[str, str] | None = None, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    metadata: Object = {"name": name, "namespace": "default"}
    if annotations:
        metadata["annotations"] = annotations
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container()], **spec}}


class World:
    """Nodes ``node-0`` ... and whatever the test creates."""

    def __init__(
        self, nodes: int = 1, *, images: dict[str, Any] | None = None, seed: int = 0, node: Object | None = None, **config: Any
    ) -> None:
        self.kernel = Kernel(seed=seed)
        self.server = ApiServer(self.kernel, LocalEtcd(self.kernel), debug=True)
        self.link = DirectLink(self.kernel, self.server, "system:kubelets")
        model = config.pop("model", None) or DefaultModel(seed, STEADY, images or {})
        self.kubelets = Kubelets(self.kernel, self.link, KubeletConfig(model=model, **config))
        self.writes: list[tuple[int, str, str, Object]] = []  # of Pods: time, verb, subresource, object
        self.write_count = 0  # of everything
        self.server.audit.append(self._audit)
        self.kubelets.start()
        for index in range(nodes):
            self.kubelets.add_node({"metadata": {"name": f"node-{index}"}, **(node or {})})

    def _audit(self, time_ns: int, request: Request, obj: Object, revision: int) -> None:
        self.write_count += 1
        if request.resource == "pods":
            self.writes.append((time_ns - EPOCH_NS, request.verb, request.subresource, obj))

    def send(self, request: Request) -> Any:
        return self.server.call(request)

    def create(self, obj: Object, resource: str = "pods") -> Object:
        created: Object = self.send(create(resource, obj["metadata"].get("namespace", ""), obj))
        return created

    def place(self, obj: Object, node: str = "node-0") -> Object:
        """Create a Pod and bind it, as a scheduler would."""
        made = self.create(obj)
        self.send(bind("default", made["metadata"]["name"], made["metadata"]["uid"], node))
        return made

    def send_update(self, obj: Object, subresource: str = "") -> Object:
        updated: Object = self.send(update("pods", obj, subresource))
        return updated

    def delete(self, name: str = "web", **options: Any) -> None:
        self.send(delete("pods", "default", name, **options))

    def get(self, name: str = "web", resource: str = "pods") -> Object:
        namespace = "" if resource == "nodes" else "kube-node-lease" if resource.startswith("leases") else "default"
        found: Object = self.send(get(resource, namespace, name))
        return found

    def has(self, name: str = "web") -> bool:
        return any(obj["metadata"]["name"] == name for obj in self.send(Request("list", "pods", "default"))["items"])

    def run(self, seconds: float) -> None:
        virtual.run(self.kernel, until_ns=self.kernel.now_ns + int(seconds * SECOND))

    def converge(self, seconds_max: float = 1000) -> bool:
        """Run until only standing events are left; returns whether that came within ``seconds_max``."""
        until_ns = self.kernel.now_ns + int(seconds_max * SECOND)
        return virtual.run(self.kernel, until_ns=until_ns, until_quiet=True) == virtual.QUIET

    def status(self, name: str = "web") -> Object:
        status: Object = self.get(name)["status"]
        return status

    def conditions(self, name: str = "web") -> dict[str, str]:
        return {each["type"]: each["status"] for each in self.status(name)["conditions"]}

    def phases(self, name: str = "web") -> list[str]:
        """The phases that the kubelet reported, each once, in order."""
        found: list[str] = []
        for _, verb, subresource, obj in self.writes:
            if verb == "update" and subresource == "status" and obj["metadata"]["name"] == name:
                phase = obj["status"]["phase"]
                if not found or found[-1] != phase:
                    found.append(phase)
        return found

    def reports(self, name: str = "web") -> list[tuple[float, Object]]:
        """(seconds since the beginning, status) of every status write."""
        return [
            (time_ns / SECOND, obj["status"])
            for time_ns, verb, subresource, obj in self.writes
            if verb == "update" and subresource == "status" and obj["metadata"]["name"] == name
        ]

    def events(self, name: str = "web") -> list[tuple[str, str, str]]:
        """(type, reason, message) of the events about an object, in the order they were first recorded."""
        items = self.send(Request("list", "events", "default"))["items"]
        about = [event for event in items if event["involvedObject"]["name"] == name]
        about.sort(key=lambda event: event["metadata"]["name"])
        return [(event["type"], event["reason"], event["message"]) for event in about]
