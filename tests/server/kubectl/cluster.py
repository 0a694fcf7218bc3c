"""A served cluster as the kubectl sessions were recorded on: the real server and control plane, three fake kubelets at the door.

Run as a module: ``python -m tests.server.kubectl.cluster DIRECTORY``. A line on standard input, "settled" or "watched", is repeated when
it holds, so that a test waits for the cluster and never for a time.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from kubesim.apiserver.requests import create
from kubesim.apiserver.server import ApiServer
from kubesim.client.link import DirectLink
from kubesim.kernel.time import format_time
from kubesim.server.apiserver.flags import Flags
from kubesim.server.apiserver.process import Process
from tests.fidelity.recorded_kubelets import RecordedKubelets

TIME_SCALE = 10.0
LOOK_SECONDS = 0.005
SECONDS_MAX = 60.0
CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)
Object = dict[str, Any]


def node(number: int, now_ns: int) -> Object:
    """A node as it was recorded."""
    name, now = f"node-{number}", format_time(now_ns)
    conditions = [
        {"type": type_, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": now, "lastTransitionTime": now}
        for type_, status, reason, message in CONDITIONS
    ]
    size = {"cpu": "4", "memory": "16Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    labels = {
        **({"d": "e"} if number == 3 else {}),
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": f"z{number % 3}",
    }
    info = {"machineID": "m", "systemUUID": "s", "bootID": "b", "kernelVersion": "6.1", "osImage": "fake", "operatingSystem": "linux"}
    info |= {"containerRuntimeVersion": "fake://1.0", "kubeletVersion": "v1.36.2", "kubeProxyVersion": "", "architecture": "amd64"}
    addresses = [{"type": "InternalIP", "address": f"10.0.0.{number}"}, {"type": "Hostname", "address": name}]
    status = {"capacity": size, "allocatable": size, "conditions": conditions, "addresses": addresses, "nodeInfo": info}
    return {"kind": "Node", "apiVersion": "v1", "metadata": {"name": name, "labels": labels}, "status": status}


def web() -> Object:
    """What stood in the namespace ``default``."""
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "nginx", "image": "nginx"}]}}
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    metadata = {"name": "web", "namespace": "default", "labels": {"app": "web"}}
    return {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": metadata, "spec": spec}


class RecordedProcess(Process):
    """``kubesim serve`` with the kubelets of the recordings instead of its own."""

    async def build(self, loop: asyncio.AbstractEventLoop) -> None:
        """Build the server, then what stood on the recorded cluster."""
        await super().build(loop)
        server = self.app.server
        self.app.operations.components = ()  # the recorded ones answered elsewhere than where the apiserver looks
        RecordedKubelets(server.kernel, server, node_of=node)
        DirectLink(server.kernel, server, "admin").send(create("deployments.apps", "default", web()))
        loop.add_reader(sys.stdin.fileno(), lambda: self._asked(loop))

    def _asked(self, loop: asyncio.AbstractEventLoop) -> None:
        line = sys.stdin.readline()
        if not line:
            loop.remove_reader(sys.stdin.fileno())
            self.app.stop()
        else:
            self._answering = loop.create_task(self._answer(line.strip()))

    async def _answer(self, question: str) -> None:
        holds = {"settled": lambda: is_settled(self.app.server), "watched": lambda: bool(self.app.streams)}[question]
        async with asyncio.timeout(SECONDS_MAX):
            while not holds():
                await asyncio.sleep(LOOK_SECONDS)
        print(question, flush=True)


def is_settled(server: ApiServer) -> bool:
    """Whether the controllers have done what the objects ask for: rollouts are over, Pods run, nothing is on its way out."""
    for workload in server.peek_all("deployments.apps"):
        spec, status = workload["spec"], workload.get("status") or {}
        counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")}
        if counts != {spec["replicas"]} or status.get("observedGeneration") != workload["metadata"]["generation"]:
            return False
    pods = server.peek_all("pods")
    active = sum((job.get("status") or {}).get("active", 0) for job in server.peek_all("jobs.batch"))
    if active != sum(any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences") or ()) for pod in pods):
        return False
    return all((pod.get("status") or {}).get("podIP") and "deletionTimestamp" not in pod["metadata"] for pod in pods)


def main(directory: Path) -> None:
    """Serve until standard input ends or a signal comes."""
    flags = Flags(port=0, time_scale=TIME_SCALE, components="apiserver,controller-manager,scheduler", nodes="0")
    flags.controllers = "*,-node-ipam-controller"  # the recorded one gave no ranges away
    flags.kubeconfig = str(directory / "kubeconfig")
    flags.token_auth_file = str(directory / "tokens.csv")
    process = RecordedProcess(flags)
    try:
        asyncio.run(process.run())
    finally:
        process.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
