"""The fake kubelets of the recorded runs, rebuilt: they set status only, a tenth of a second after a Pod is bound, and obey ``fake/...``.

What they wrote is in every recording, oddities included (the patches are strategic merges, so a reason once written stays).
"""

from collections.abc import Callable, Sequence
from typing import Any

from kubesim.api.errors import ApiError
from kubesim.api.meta import key_of
from kubesim.apiserver.requests import Object, create, delete, patch
from kubesim.client.informer import Informer
from kubesim.client.link import DirectLink
from kubesim.kernel import MILLISECOND, SECOND, Kernel, format_micro_time, format_time

START_NS, STOP_NS = 100 * MILLISECOND, 300 * MILLISECOND
BAD_IMAGE, NOT_READY = "bad-image", "ContainersNotReady"
INDEX = "batch.kubernetes.io/job-completion-index"
CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


def node(number: int, now_ns: int) -> Object:
    """A node as the recorded clusters had them."""
    name = f"node-{number}"
    now = format_time(now_ns)
    conditions = [
        {"type": type_, "status": status, "reason": "Fake", "lastHeartbeatTime": now, "lastTransitionTime": now}
        for type_, status in (("MemoryPressure", "False"), ("DiskPressure", "False"), ("PIDPressure", "False"), ("Ready", "True"))
    ]
    size = {"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": f"z{number % 2}"}
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": labels},
        "status": {"capacity": size, "allocatable": size, "conditions": conditions},
    }


class RecordedKubelets:
    """The kubelets of ``count`` nodes, on one informer."""

    def __init__(
        self, kernel: Kernel, server: Any, count: int = 3, jitter_ns: int = 0, node_of: Callable[[int, int], Object] = node
    ) -> None:
        self.kernel = kernel
        self.node_of = node_of  # number and time -> the Node object
        self.jitter_ns = jitter_ns  # a kubelet that is busy writes a little later
        self.stream = kernel.rng("recorded-kubelets")
        self.link = DirectLink(kernel, server, "kubelet")
        self.restarts: dict[str, int] = {}  # Pod uid -> restarts of its container
        self.started: dict[str, str] = {}  # Pod uid -> when its container last started
        self.tries: dict[str, int] = {}  # owner uid -> how many of its Pods have started: what the exit codes go by
        self.try_of: dict[str, int] = {}
        self.addresses = 0
        self.leases = {}
        for number in range(1, count + 1):
            self.link.send(create("nodes", "", node_of(number, kernel.now_ns)))
            self.leases[f"node-{number}"] = self._lease(f"node-{number}")
        self.informer = Informer(self.link, "pods")
        self.informer.add_handler(self._on_pod)
        self.informer.start()

    def _lease(self, name: str) -> Any:
        now = format_micro_time(self.kernel.now_ns)
        lease = {
            "kind": "Lease",
            "apiVersion": "coordination.k8s.io/v1",
            "metadata": {"name": name, "namespace": "kube-node-lease"},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now},
        }
        return self.link.stand(create("leases.coordination.k8s.io", "kube-node-lease", lease), 10 * SECOND)

    def stop_node(self, name: str) -> None:
        """The kubelet of a node falls silent."""
        lease = self.leases.pop(name, None)
        if lease is not None:
            lease.cancel()

    def start_node(self, name: str) -> None:
        """It is back: it renews its lease, says it is ready, and does what it has missed."""
        if name in self.leases:
            return
        self.leases[name] = self._lease(name)
        status = {"status": {"conditions": self.node_of(int(name.rpartition("-")[2]), self.kernel.now_ns)["status"]["conditions"]}}
        self.link.send(patch("nodes", "", name, status, "strategic", "status"))
        for pod in list(self.informer.objects.values()):
            self._on_pod(None, pod)

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        if new is None or new["spec"].get("nodeName") not in self.leases:
            return
        metadata, uid = new["metadata"], new["metadata"]["uid"]
        ours = annotations(new)
        if metadata.get("deletionTimestamp"):
            if old is None or not old["metadata"].get("deletionTimestamp"):
                delay = ours.get("stop-delay", "0.3")
                if delay != "never":
                    self._after(seconds(delay), self._stop, new)
        elif (old is None or not old["spec"].get("nodeName")) and uid not in self.try_of:
            owner = (metadata.get("ownerReferences") or [{"uid": uid}])[0]["uid"]
            self.try_of[uid] = self.tries.get(owner, 0)
            self.tries[owner] = self.try_of[uid] + 1
            self._after(START_NS + seconds(ours.get("start-delay", "0")), self._start, new)

    def _after(self, delay_ns: int, function: Callable[[Object], None], pod: Object) -> None:
        if self.jitter_ns:
            delay_ns += self.stream.below(self.jitter_ns)
        self.kernel.after(delay_ns, self._due, function, pod["metadata"]["uid"], key_of(pod))

    def _due(self, function: Callable[[Object], None], uid: str, key: str) -> None:
        """Call ``function`` with the Pod as it is now, if it is still there and its node alive."""
        pod = self.informer.objects.get(key)
        if pod is not None and pod["metadata"]["uid"] == uid and pod["spec"]["nodeName"] in self.leases:
            function(pod)

    def _write(self, pod: Object, status: Object) -> bool:
        metadata = pod["metadata"]
        outcome: list[Any] = []
        self.link.send(patch("pods", metadata["namespace"], metadata["name"], {"status": status}, "strategic", "status"), outcome.append)
        return not isinstance(outcome[0], ApiError)

    def _start(self, pod: Object) -> None:
        if pod["metadata"].get("deletionTimestamp"):
            return
        ours, uid = annotations(pod), pod["metadata"]["uid"]
        now = format_time(self.kernel.now_ns)
        if any(BAD_IMAGE in container["image"] for container in pod["spec"]["containers"]):
            waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
            none = {"state": waiting, "lastState": {}, "ready": False, "restartCount": 0, "imageID": ""}
            containers = [{"name": each["name"], "image": each["image"], **none} for each in pod["spec"]["containers"]]
            self._write(pod, {"conditions": self._conditions(pod, False, NOT_READY), "startTime": now, "containerStatuses": containers})
            return
        self.started[uid] = now
        self.restarts[uid] = 0
        ready_after = ours.get("ready-after", "0")
        ready = ready_after != "never" and seconds(ready_after) == 0
        self.addresses += 1
        address = f"10.244.{self.addresses >> 8}.{self.addresses & 255}"
        host = f"10.0.0.{pod['spec']['nodeName'].rpartition('-')[2]}"
        status = {
            "observedGeneration": pod["metadata"].get("generation", 1),
            "phase": "Running",
            "conditions": self._conditions(pod, ready, "" if ready else NOT_READY),
            "hostIP": host,
            "hostIPs": [{"ip": host}],
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": now,
            "containerStatuses": self._containers(pod, {"running": {"startedAt": now}}, ready=ready),
        }
        self._write(pod, status)
        if not ready and ready_after != "never":
            self._after(seconds(ready_after), self._become_ready, pod)
        if "run-for" in ours:
            self._after(seconds(ours["run-for"]), self._end, pod)

    def _become_ready(self, pod: Object) -> None:
        if pod["metadata"].get("deletionTimestamp") or (pod.get("status") or {}).get("phase") != "Running":
            return
        running = {"running": {"startedAt": self.started[pod["metadata"]["uid"]]}}
        self._write(pod, {"conditions": self._conditions(pod, True), "containerStatuses": self._containers(pod, running, ready=True)})

    def _end(self, pod: Object) -> None:
        """The containers end by themselves: they are started again, or the Pod has ended."""
        if pod["metadata"].get("deletionTimestamp") or (pod.get("status") or {}).get("phase") != "Running":
            return
        uid, policy = pod["metadata"]["uid"], pod["spec"].get("restartPolicy", "Always")
        code = self._exit_code(pod)
        now = format_time(self.kernel.now_ns)
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "startedAt": self.started[uid], "finishedAt": now}
        if policy == "Always" or (policy == "OnFailure" and code):
            self.restarts[uid] += 1
            self.started[uid] = now
            running = {"running": {"startedAt": now}}
            self._write(pod, {"containerStatuses": self._containers(pod, running, ready=True, last=ended, restarts=self.restarts[uid])})
            self._after(seconds(annotations(pod)["run-for"]), self._end, pod)
        else:
            self._finish(pod, ended)

    def _finish(self, pod: Object, ended: Object) -> None:
        failed = bool(ended["exitCode"])
        status = {
            "phase": "Failed" if failed else "Succeeded",
            "conditions": self._conditions(pod, False, "PodFailed" if failed else "PodCompleted"),
            "containerStatuses": self._containers(pod, {"terminated": ended}, ready=False),
        }
        self._write(pod, status)

    def _stop(self, pod: Object) -> None:
        """What was deleted ends; a Pod that is not to be restarted fails first."""
        metadata, uid = pod["metadata"], pod["metadata"]["uid"]
        if (pod.get("status") or {}).get("phase") == "Running" and pod["spec"].get("restartPolicy", "Always") != "Always":
            now = format_time(self.kernel.now_ns)
            self._finish(pod, {"exitCode": 137, "reason": "Error", "startedAt": self.started[uid], "finishedAt": now})
        self.link.send(delete("pods", metadata["namespace"], metadata["name"], gracePeriodSeconds=0))

    def _exit_code(self, pod: Object) -> int:
        ours, uid = annotations(pod), pod["metadata"]["uid"]
        if "exit-codes" not in ours:
            return int(ours.get("exit-code", "0"))
        codes = [int(text) for text in ours["exit-codes"].split(",")]
        index = (pod["metadata"].get("annotations") or {}).get(INDEX)
        place = int(index) if index is not None else max(self.restarts[uid], self.try_of[uid])
        return codes[min(place, len(codes) - 1)]

    def _conditions(self, pod: Object, ready: bool, reason: str = "") -> list[Object]:
        now, generation = format_time(self.kernel.now_ns), pod["metadata"].get("generation", 1)
        found = []
        for type_ in CONDITIONS:
            good = ready or type_ in CONDITIONS[:2]
            condition = {"type": type_, "status": "True" if good else "False", "observedGeneration": generation, "lastTransitionTime": now}
            found.append({**condition, "reason": reason} if reason and not good else condition)
        return found

    def _containers(self, pod: Object, state: Object, *, ready: bool, last: Object | None = None, restarts: int = 0) -> Sequence[Object]:
        container_id = f"fake://{pod['metadata']['uid'][:8]}"
        if "terminated" in state:
            state = {"terminated": {**state["terminated"], "containerID": container_id}}
        last_state = {"terminated": {**last, "containerID": container_id}} if last else {}
        return [
            {
                "name": container["name"],
                "state": state,
                "lastState": last_state,
                "ready": ready,
                "restartCount": restarts,
                "image": container["image"],
                "imageID": f"fake://{container['image']}",
                "containerID": container_id,
                "started": True,
            }
            for container in pod["spec"]["containers"]
        ]


def annotations(pod: Object) -> dict[str, str]:
    """The ``fake/...`` annotations without their prefix."""
    found = pod["metadata"].get("annotations") or {}
    return {key[5:]: value for key, value in found.items() if key.startswith("fake/")}


def seconds(text: str) -> int:
    """ns."""
    return int(float(text) * SECOND)
