"""One node: its resources, runtime, network and images, the workers of its Pods, and what the API knows of it.

A node that is not ``alive`` has no kubelet and no containers; one that is not ``connected`` runs on but hears and says nothing. What the
informer shows meanwhile is kept, and looked at on return.

Upstream: pkg/kubelet/kubelet.go (HandlePodAdditions and its siblings), kubelet_node_status.go.
"""

from typing import TYPE_CHECKING

from kubesim.api.errors import ApiError
from kubesim.api.quantity import value
from kubesim.apiserver.requests import Object, Request, get
from kubesim.client.contract import Standing
from kubesim.client.events import EventRecorder
from kubesim.kubelet.admission import NodeResources, Refusal, admit, tolerates
from kubesim.kubelet.doors.cni import CniPlugin
from kubesim.kubelet.doors.cri import PullOutcome
from kubesim.kubelet.doors.simulated import SimulatedImages, SimulatedRuntime
from kubesim.kubelet.eviction.monitor import NodeMonitor
from kubesim.kubelet.eviction.pressure import admit_under_pressure
from kubesim.kubelet.facts import TemplateFacts
from kubesim.kubelet.models.contract import PodBehaviour
from kubesim.kubelet.pod_state import GONE, REBOOT, REJECT, START, UPDATE
from kubesim.kubelet.pod_worker import PodWorker
from kubesim.kubelet.registration import address_of, lease_of, ready_conditions, registered, reported_images
from kubesim.kubelet.shutdown import REFUSAL, Shutdown
from kubesim.kubelet.static_pods import StaticPodWorker, delete_mirror, is_mirror, static_pod
from kubesim.kubelet.status import Host

if TYPE_CHECKING:
    from kubesim.kubelet.kubelets import Kubelets

TERMINAL = ("Succeeded", "Failed")
REGISTER_RETRY_MAX = 5


class NodeAgent:
    """A node of a simulated cluster, kubelet and runtime included."""

    __slots__ = (
        "alive", "awaited_images", "connected", "host", "images", "images_bytes_max", "inbox", "kernel", "kubelets", "lease", "link",
        "mirrors", "model", "monitor", "name", "network", "node", "recorder", "registered_ns", "report_is_due", "reported", "resources",
        "runtime", "shutdown", "static", "stream", "user", "workers",
    )  # fmt: skip

    def __init__(self, kubelets: "Kubelets", node: Object) -> None:
        self.kubelets = kubelets
        self.kernel = kubelets.kernel
        self.link = kubelets.link
        self.model = kubelets.model
        self.node = node
        self.name: str = node["metadata"]["name"]
        self.user = f"system:node:{self.name}"
        self.stream = kubelets.kernel.rng(f"kubelet/{self.name}")
        self.resources = NodeResources(node)
        self.host = Host(address_of(node))
        self.network = CniPlugin(node["spec"]["podCIDR"])
        self.images_bytes_max = self._images_bytes_max()
        serialize = kubelets.config.serialize_image_pulls
        self.images = SimulatedImages(self.model, self.stream, kubelets.image_refs, serialize, kubelets.image_errors)
        self.runtime = SimulatedRuntime(self.model, self.stream, self.network, self.host.ip)
        self.recorder = EventRecorder(kubelets.link, "kubelet", self.name)
        self.workers: dict[str, PodWorker] = {}
        self.inbox: dict[str, Object | None] = {}  # by uid, while nobody listens: the last seen, None when it was deleted
        self.awaited_images: dict[str, list[tuple[PodWorker, int]]] = {}
        self.alive = self.connected = True
        self.lease: Standing | None = None
        self.report_is_due = False
        self.reported: list[Object] = []
        self.registered_ns = self.kernel.now_ns
        self.static: dict[tuple[str, str], StaticPodWorker] = {}
        self.mirrors: dict[str, StaticPodWorker] = {}  # by the mirror's uid
        self.shutdown: Shutdown | None = None
        self.monitor: NodeMonitor | None = None  # made when something on the node uses what the node can run out of

    # Pods

    def observe(self, uid: str, old: Object | None, new: Object | None) -> None:
        """The informer shows a Pod of this node: new, changed or (``new`` is None) gone."""
        if not (self.alive and self.connected):
            self.inbox[uid] = new
            return
        worker = self.workers.get(uid)
        if worker is not None:
            if new is None:
                worker.handle((GONE,))
            else:
                worker.observe(new)
        elif uid in self.mirrors:
            self.mirrors[uid].observe_mirror(new)
        elif new is not None:
            self._arrive(uid, new)

    def _arrive(self, uid: str, pod: Object) -> None:
        """A Pod was bound to this node: admit or refuse it. One that has ended already has nothing left here."""
        metadata, spec = pod["metadata"], pod["spec"]
        if "annotations" in metadata and is_mirror(pod):
            static = self.static.get((metadata["namespace"], metadata["name"]))
            if static is None:
                delete_mirror(self, pod)
            else:
                static.take_mirror(pod)
            return
        is_deleted = "deletionTimestamp" in metadata
        if (pod.get("status") or {}).get("phase") in TERMINAL and not is_deleted:
            return
        facts = self.kubelets.facts.of(spec)
        behaviour = self.adopt_behaviour(pod)
        worker = self.workers[uid] = PodWorker(self, pod, facts, behaviour)
        for problem in behaviour.problems:
            worker.record("Warning", "InvalidBehaviour", problem)
        if is_deleted:
            worker.handle((UPDATE, pod, facts))
            return
        self._admit(worker, facts, spec)

    def _admit(self, worker: PodWorker, facts: TemplateFacts, spec: Object) -> None:
        refusal = self._under_pressure(facts, worker) or admit(facts, spec, self.resources)
        if refusal is None and self.shutdown is not None:
            refusal = REFUSAL
        if refusal is not None:
            worker.handle((REJECT, *refusal))
            return
        self.resources.take(facts)
        worker.taken = facts
        worker.handle((START,))

    def add_static(self, pod: Object) -> None:
        """Run a Pod that the node has from a file. Raises ValueError for one that is none, or is here already."""
        full = static_pod(pod, self.name, self.kernel.now_ns)
        metadata, spec = full["metadata"], full["spec"]
        key = (metadata["namespace"], metadata["name"])
        if key in self.static:
            raise ValueError(f"static Pod {key[1]!r}: node {self.name!r} has it already")
        facts = self.kubelets.facts.of(spec)
        worker = StaticPodWorker(self, full, facts, self.adopt_behaviour(full))
        self.workers[worker.uid] = self.static[key] = worker
        self._admit(worker, facts, spec)

    def remove_static(self, name: str, namespace: str = "default") -> None:
        """The file of a static Pod is gone: it stops, and its mirror goes. Raises ValueError when there is none of this name."""
        key = (namespace, f"{name}-{self.name}")
        if key not in self.static:
            raise ValueError(f"static Pod {name!r}: node {self.name!r} has none of this name")
        self.static.pop(key).remove()

    def _under_pressure(self, facts: TemplateFacts, worker: PodWorker) -> Refusal | None:
        if self.monitor is None or not self.monitor.conditions:
            return None
        spec = worker.pod["spec"]
        tolerant = tolerates(spec, {"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"})
        why = admit_under_pressure(self.monitor.conditions, facts.qos, spec.get("priority") or 0, worker.is_static, tolerant)
        return ("Evicted", why) if why else None

    def watch(self) -> NodeMonitor:
        """The monitor of what the node has left; made with the first question."""
        if self.monitor is None:
            self.monitor = NodeMonitor(self)
        return self.monitor

    def event(self, type_: str, reason: str, message: str) -> None:
        """Record an event about the node, if the apiserver can be reached."""
        if self.connected:
            self.recorder.event(self.node, type_, reason, message)

    def adopt_behaviour(self, pod: Object) -> PodBehaviour:
        """Ask the model about a Pod, and let the runtime know."""
        behaviour = self.model.behaviour(pod).settled(self.stream)
        for tamper in self.kubelets.tampers:
            behaviour = tamper(pod, behaviour)
        self.runtime.behaviours[pod["metadata"]["uid"]] = behaviour
        return behaviour

    def forget(self, worker: PodWorker) -> None:
        """A Pod is gone from the API and from the node."""
        self.workers.pop(worker.uid, None)
        if isinstance(worker, StaticPodWorker):
            worker.forgotten()
        self.runtime.behaviours.pop(worker.uid, None)

    # Images

    def pull(self, image: str) -> PullOutcome:
        """Pull an image now; the node's status will name it."""
        outcome = self.images.pull_image(image, self.kernel.now_ns)
        if self.images.changed:
            done_ns = self.kernel.now_ns + outcome.waited_ns + outcome.duration_ns
            if image in self.awaited_images:
                self.kernel.at(done_ns, self._image_arrived, image)
            self.images_changed(done_ns)
            if self.monitor is not None:
                self.monitor.plan()
            elif self.images.total_bytes > self.images_bytes_max:
                self.watch().plan()
        return outcome

    def images_changed(self, done_ns: int) -> None:
        """Images have come or gone: the node's status will say so."""
        self.images.changed = False
        self._report_images(done_ns)

    def await_image(self, image: str, worker: PodWorker, index: int) -> None:
        """A container may not pull its image: tell its worker when another one has."""
        self.awaited_images.setdefault(image, []).append((worker, index))

    def _image_arrived(self, image: str) -> None:
        if self.images.has_image(image, self.kernel.now_ns):
            for worker, index in self.awaited_images.pop(image, ()):
                worker.retry_image(index)

    def _report_images(self, done_ns: int) -> None:
        """Write the node's status at its next regular time after an image has arrived."""
        if self.kubelets.config.report_images and not self.report_is_due:
            self._report_at_next_mark(done_ns)

    def _report_at_next_mark(self, after_ns: int) -> None:
        self.report_is_due = True
        period_ns = self.kubelets.config.node_status_period_ns
        ticks = (after_ns - self.registered_ns) // period_ns + 1
        self.kernel.at(self.registered_ns + ticks * period_ns, self._report)

    def _report(self) -> None:
        self.report_is_due = False
        if self.alive and self.connected:
            if self._is_given_up(self.node) and self.shutdown is None:
                self._write_status(ready_conditions(self.node["status"], self.kernel.now_ns))
            if not self.kubelets.config.report_images:
                return
            images = reported_images(self.images, self.kernel.now_ns, self.kubelets.config.node_status_images_max)
            if images != self.reported:
                self.reported = images
                self._write_status({**self.node["status"], "images": images})
            if len(images) < min(len(self.images.list_images(1 << 62)), self.kubelets.config.node_status_images_max):
                self._report_images(self.kernel.now_ns)  # some are still on their way

    # The Node object

    def register(self) -> None:
        """Create the Node, or take over the one that exists."""
        self.registered_ns = self.kernel.now_ns
        known = self.node["metadata"]
        metadata = {key: known[key] for key in ("name", "labels", "annotations") if key in known}
        body = {**self.node, "metadata": metadata}
        self.link.send(Request("create", "nodes", "", self.name, body, user=self.user), self._registered)

    def _registered(self, outcome: Object | ApiError) -> None:
        if not isinstance(outcome, ApiError):
            self.observe_node(outcome)
            self._renew_lease()
        elif outcome.reason == "AlreadyExists":
            self._take_over(REGISTER_RETRY_MAX)
        else:
            raise ValueError(f"node {self.name!r} cannot be registered: {outcome}")

    def _take_over(self, tries: int) -> None:
        request = get("nodes", "", self.name)
        request.user = self.user
        status = self.node["status"]

        def found(outcome: Object | ApiError) -> None:
            if isinstance(outcome, ApiError):
                raise ValueError(f"node {self.name!r} cannot be registered: {outcome}")
            merged = registered(outcome, self.node)
            self.link.send(Request("update", "nodes", "", self.name, merged, user=self.user), updated)

        def updated(outcome: Object | ApiError) -> None:
            if isinstance(outcome, ApiError):
                if tries and outcome.reason == "Conflict":
                    self._take_over(tries - 1)
                    return
                raise ValueError(f"node {self.name!r} cannot be registered: {outcome}")
            self.observe_node(outcome)
            self._write_status(status)
            self._renew_lease()

        self.link.send(request, found)

    def observe_node(self, node: Object) -> None:
        """The Node object changed, here or elsewhere: labels, taints and allocatable count from now on."""
        if node is not self.node:
            self.node = node
            self.resources.update(node)
            self.images_bytes_max = self._images_bytes_max()
            if not self.report_is_due and self._is_given_up(node):
                self._report_at_next_mark(self.kernel.now_ns)

    def _is_given_up(self, node: Object) -> bool:
        """Whether somebody wrote that nothing is heard of this node, which is not so."""
        conditions = (node.get("status") or {}).get("conditions") or ()
        return any(each["type"] == "Ready" and each["status"] == "Unknown" for each in conditions)

    def _images_bytes_max(self) -> int:
        """Images that need more than this are a matter for the monitor: half of what fills the disk up to the lowest threshold."""
        text = (self.node["status"].get("capacity") or {}).get("ephemeral-storage")
        return 1 << 62 if text is None else value(text) * self.kubelets.config.image_gc_low_percent // 200

    def write_conditions(self, changed: dict[str, Object]) -> None:
        """Report some of the node's conditions, by type; the others stay."""
        conditions = [changed.get(each["type"], each) for each in self.node["status"]["conditions"]]
        self._write_status({**self.node["status"], "conditions": conditions})

    def _write_status(self, status: Object, tries: int = REGISTER_RETRY_MAX) -> None:
        body = {**self.node, "status": status}

        def done(outcome: Object | ApiError) -> None:
            if not isinstance(outcome, ApiError):
                self.observe_node(outcome)
            elif outcome.reason == "Conflict" and tries:
                request = get("nodes", "", self.name)
                request.user = self.user
                self.link.send(request, again)

        def again(found: Object | ApiError) -> None:
            if not isinstance(found, ApiError):
                self.observe_node(found)
                self._write_status(status, tries - 1)

        self.link.send(Request("update", "nodes", "", self.name, body, "status", user=self.user), done)

    def _renew_lease(self) -> None:
        config = self.kubelets.config
        lease = lease_of(self.node, config.lease_duration_seconds, self.kernel.now_ns)
        request = Request("create", "leases.coordination.k8s.io", "kube-node-lease", self.name, lease, user=self.user)
        self.lease = self.link.stand(request, config.lease_renew_ns)

    def _end_lease(self) -> None:
        if self.lease is not None:
            self.lease.cancel()
            self.lease = None

    # Faults

    def stop_lease(self) -> None:
        """The Lease is not renewed any more; everything else goes on."""
        self._end_lease()

    def resume_lease(self) -> None:
        """Undo ``stop_lease``."""
        if self.alive and self.connected and self.lease is None:
            self._renew_lease()

    def slow_down(self, factor: int) -> None:
        """What the node does on its disk takes so many times longer from now on: sandboxes, pulls, starts."""
        self.runtime.slowness = self.images.slowness = factor

    # Failure and return

    def shut_down(self) -> None:
        """Power off in an orderly way, if the kubelet's configuration gives it time; else at once."""
        periods = self.kubelets.shutdown_periods
        if not periods:
            self.fail()
        elif self.alive and self.shutdown is None:
            self.shutdown = Shutdown(self, periods)

    def fail(self) -> None:
        """Power off: the kubelet and all containers stop at once."""
        if not self.alive:
            return
        self.alive = False
        self.shutdown = None
        self._end_lease()
        now_ns = self.kernel.now_ns
        self.images.abort(now_ns)
        if self.monitor is not None:
            self.monitor.reset()
        for worker in self.workers.values():
            worker.sync_id += 1
            for index in range(len(worker.state.containers)):
                worker.close_files(index, now_ns)

    def restore(self) -> None:
        """Power on: register again, end what was deleted meanwhile, start the rest anew."""
        if self.alive:
            return
        self.alive = self.connected = True
        self.network.reset()
        self.awaited_images.clear()
        self._come_back()
        boot_id = self.node["status"]["nodeInfo"]["bootID"]
        self.recorder.event(self.node, "Warning", "Rebooted", f"Node {self.name} has been rebooted, boot id: {boot_id}")
        self.recorder.event(self.node, "Normal", "NodeReady", f"Node {self.name} status is now: NodeReady")
        inbox, self.inbox = self.inbox, {}
        for uid, worker in list(self.workers.items()):
            latest = inbox.pop(uid, worker.pod)
            if latest is None:
                worker.state.gone = True
            elif latest is not worker.pod:
                worker.observe(latest)
            worker.handle((REBOOT,))
            if latest is None:
                worker.handle((GONE,))
            worker.reconnect()
        self._read(inbox)
        if self.monitor is not None:
            self.monitor.plan()

    def disconnect(self) -> None:
        """Cut the node off from the apiserver: its Pods run on."""
        if self.alive and self.connected:
            self.connected = False
            self._end_lease()

    def reconnect(self) -> None:
        """The apiserver can be reached again: catch up in both directions."""
        if not self.alive or self.connected:
            return
        self.connected = True
        self._come_back()
        inbox, self.inbox = self.inbox, {}
        for worker in list(self.workers.values()):
            worker.reconnect()
        self._read(inbox)

    def _come_back(self) -> None:
        """Say that the node is ready again."""
        status = ready_conditions(self.node["status"], self.kernel.now_ns)
        self.node = {**self.node, "status": status}
        self.register()

    def _read(self, inbox: dict[str, Object | None]) -> None:
        for uid, pod in inbox.items():
            self.observe(uid, None, pod)

    def stop(self) -> None:
        """The machine is taken away for good."""
        self.fail()
        self.workers.clear()

