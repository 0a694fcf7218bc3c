"""What the kubelets' room costs per Pod: from the bound Pod to Running, and back to gone, without the apiserver's share.

The link here answers every request at once with the object that was sent, so what is timed is the room and the agenda. Two containers
per Pod, no probes, the default model.
"""

from typing import Any

import pytest

from kubesim.drive import virtual
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import SECOND
from kubesim.kubelet.config import KubeletConfig
from kubesim.kubelet.kubelets import Kubelets

CONTAINERS = [
    {"name": "app", "image": "registry.example/app:1", "imagePullPolicy": "IfNotPresent", "resources": {"requests": {"cpu": "10m"}}},
    {"name": "log", "image": "registry.example/log:1", "imagePullPolicy": "IfNotPresent"},
]
SPEC: dict[str, Any] = {"containers": CONTAINERS, "restartPolicy": "Always", "terminationGracePeriodSeconds": 30}
SCHEDULED = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": "2026-01-01T00:00:00Z"}


class EchoLink:
    """A link whose apiserver agrees to everything and remembers nothing but the last status of each Pod."""

    user = "bench"

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.revision = 10
        self.statuses: dict[str, Any] = {}
        self.writes = 0

    @property
    def now_ns(self) -> int:
        return self.kernel.now_ns

    def send(self, request: Any, done: Any = None) -> None:
        self.writes += 1
        if done is None:
            return
        self.revision += 1
        answer = {**request.obj, "metadata": {**request.obj["metadata"], "uid": request.name, "resourceVersion": str(self.revision)}}
        if request.subresource == "status" and request.resource == "pods":
            self.statuses[request.name] = request.obj["status"]
        done(answer)

    def subscribe(self, resource: str, subscriber: Any, **selection: str) -> None:
        subscriber.on_list([], 1)

    def stand(self, request: Any, period_ns: int) -> Any:
        return None


def bound_pod(index: int, node: str) -> dict[str, Any]:
    metadata = {"name": f"pod-{index}", "namespace": "default", "uid": f"pod-{index}", "resourceVersion": "5", "generation": 1}
    status = {"phase": "Pending", "conditions": [SCHEDULED], "qosClass": "Burstable"}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {**SPEC, "nodeName": node}, "status": status}


@pytest.mark.parametrize("events", [False, True], ids=["without-events", "with-events"])
def test_pods_to_running(benchmark: Any, scale: Any, events: bool) -> None:
    node_count, pod_count = scale(20, 1000), scale(200, 10_000)

    def set_up() -> Any:
        kernel = Kernel(seed=1)
        link = EchoLink(kernel)
        kubelets = Kubelets(kernel, link, KubeletConfig())
        kubelets.start()
        for index in range(node_count):
            agent = kubelets.add_node({"metadata": {"name": f"node-{index}"}})
            if not events:
                agent.recorder = Mute()
        pods = [bound_pod(index, f"node-{index % node_count}") for index in range(pod_count)]
        return (kernel, link, kubelets, pods), {}

    def run(kernel: Kernel, link: EchoLink, kubelets: Kubelets, pods: list[Any]) -> EchoLink:
        def arrive() -> None:
            for pod in pods:
                kubelets._on_pod(None, pod)

        kernel.soon(arrive)
        virtual.run(kernel, until_ns=kernel.now_ns + 60 * SECOND)
        return link

    link = benchmark.pedantic(run, setup=set_up, rounds=3)
    assert len(link.statuses) == pod_count
    assert all(status["phase"] == "Running" and status["podIP"] for status in link.statuses.values())
    label = "Pods to Running" + (", with events" if events else "")
    benchmark.extra_info.update(room="kubelet", operation=label, count=pod_count, unit="Pods")


class Mute:
    """Says nothing."""

    def event(self, *_: Any) -> None:
        return
