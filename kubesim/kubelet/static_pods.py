"""Static Pods: what a node runs by itself, and the mirror Pods that show them in the API.

A static Pod comes from the node (a file there), not from the apiserver: it runs whether the apiserver can be reached or not. Its mirror is
only a picture: the kubelet creates it, writes its status, and makes it anew when somebody deletes it; the containers never notice. A
mirror without its static Pod is deleted.

Upstream: pkg/kubelet/pod/mirror_client.go, kubelet.go (SyncPod, tryReconcileMirrorPods), config/common.go (applyDefaults).
"""

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Object, Request
from kubesim.kernel.time import format_time
from kubesim.kubelet.models.contract import PodBehaviour
from kubesim.kubelet.pod_state import GONE
from kubesim.kubelet.pod_worker import WRITE_RETRY_NS, PodWorker

if TYPE_CHECKING:
    from kubesim.kubelet.node_agent import NodeAgent

HASH, MIRROR = "kubernetes.io/config.hash", "kubernetes.io/config.mirror"
SEEN, SOURCE = "kubernetes.io/config.seen", "kubernetes.io/config.source"
TOLERATION = {"operator": "Exists", "effect": "NoExecute"}


def is_mirror(pod: Object) -> bool:
    """Whether a Pod of the API only shows a static one."""
    return MIRROR in (pod["metadata"].get("annotations") or {})


def static_pod(pod: Object, node_name: str, now_ns: int) -> Object:
    """A Pod from a file as the kubelet takes it: its name ends in that of the node, it tolerates everything. Raises ValueError."""
    metadata = pod.get("metadata") or {}
    if not metadata.get("name"):
        raise ValueError("static Pod: metadata.name: missing: expected a name")
    if not (pod.get("spec") or {}).get("containers"):
        raise ValueError(f"static Pod {metadata['name']!r}: spec.containers: missing: expected at least one container")
    digest = blake2b(f"{node_name}/{metadata}/{pod['spec']}".encode(), digest_size=16).hexdigest()
    annotations = {**(metadata.get("annotations") or {}), HASH: digest, SEEN: format_time(now_ns), SOURCE: "file"}
    spec = {**pod["spec"], "nodeName": node_name, "tolerations": [*(pod["spec"].get("tolerations") or ()), TOLERATION]}
    known = {key: metadata[key] for key in ("labels", "finalizers") if key in metadata}
    name, namespace = f"{metadata['name']}-{node_name}", metadata.get("namespace") or "default"
    full = {**known, "name": name, "namespace": namespace, "uid": digest, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": full, "spec": spec}


def mirror_of(pod: Object, node: Object) -> Object:
    """The Pod that is created in the API for a static one; the Node is its controller."""
    metadata = {key: value for key, value in pod["metadata"].items() if key != "uid"}
    metadata["annotations"] = {**metadata["annotations"], MIRROR: metadata["annotations"][HASH]}
    owner = {"apiVersion": "v1", "kind": "Node", "name": node["metadata"]["name"], "uid": node["metadata"]["uid"], "controller": True}
    return {**pod, "metadata": {**metadata, "ownerReferences": [owner]}}


class StaticPodWorker(PodWorker):
    """The worker of a static Pod; ``pod`` is its mirror once there is one."""

    __slots__ = ("source",)

    def __init__(self, node: "NodeAgent", pod: Object, facts: Any, behaviour: PodBehaviour) -> None:
        super().__init__(node, pod, facts, behaviour)
        self.is_static = True
        self.source = pod
        self.api_uid = ""

    def write(self) -> None:
        """Report the status in the mirror; make that first."""
        if self.api_uid:
            super().write()
            return
        self.queued = False
        if self.in_flight or self.state.gone or not self.node.connected:
            return
        if "uid" not in self.node.node["metadata"]:  # the node itself is not registered yet
            self.node.kernel.after(WRITE_RETRY_NS, self._queue)
            return
        self.in_flight = True
        body = mirror_of(self.source, self.node.node)
        self.node.link.send(Request("create", "pods", self.namespace, self.name, body, user=self.node.user), self._mirrored)

    def _mirrored(self, outcome: Any) -> None:
        self.in_flight = False
        if not isinstance(outcome, ApiError):
            self.take_mirror(outcome)
        elif outcome.reason != "AlreadyExists":  # then the informer will show it
            self.node.kernel.after(WRITE_RETRY_NS, self._queue)

    def take_mirror(self, mirror: Object) -> None:
        """This is the mirror from now on; one of another version of the Pod, or one that is being deleted, goes at once."""
        metadata = mirror["metadata"]
        self.api_uid = metadata["uid"]
        self.node.mirrors[self.api_uid] = self
        self.pod = mirror
        if "deletionTimestamp" in metadata or metadata["annotations"].get(MIRROR) != self.uid:
            delete_mirror(self.node, mirror)
        else:
            self._say_again()

    def observe_mirror(self, new: Object | None) -> None:
        """The informer shows the mirror, or that it is gone."""
        if new is None:
            self.node.mirrors.pop(self.api_uid, None)
            self.api_uid = ""
            self.pod = self.source
            self._say_again()
        elif int(new["metadata"]["resourceVersion"]) > int(self.pod["metadata"].get("resourceVersion", "0")):
            if "deletionTimestamp" in new["metadata"]:
                delete_mirror(self.node, new)
            self.pod = new

    def observe(self, new: Object) -> None:
        """A mirror that was read again."""
        self.observe_mirror(new)

    def _say_again(self) -> None:
        if not self.state.gone:
            self.state.dirty = True
            self._queue()

    def _write_failed(self, error: ApiError) -> None:
        if error.reason == "NotFound":  # the mirror has gone; the informer will say so
            self.state.dirty = False
            return
        super()._write_failed(error)

    def remove(self) -> None:
        """The file is gone: stop, and take the mirror away after that."""
        self.handle((GONE,))

    def forgotten(self) -> None:
        """Nothing of the Pod runs any more."""
        if self.api_uid and self.node.connected:
            self.node.mirrors.pop(self.api_uid, None)
            delete_mirror(self.node, self.pod)


def delete_mirror(node: "NodeAgent", mirror: Object) -> None:
    """Delete a mirror Pod at once."""
    metadata = mirror["metadata"]
    options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
    node.link.send(Request("delete", "pods", metadata["namespace"], metadata["name"], None, "", options, node.user))
