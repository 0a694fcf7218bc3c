"""The attach-detach controller: a VolumeAttachment for every volume of a driver and node with a Pod that needs it there.

A volume that no living Pod of the node uses any more is detached: its attachment is deleted. A Pod that has ended needs its volumes no
more.

Upstream: pkg/controller/volume/attachdetach (attach_detach_controller.go, reconciler). Left out: ``status.volumesAttached`` of nodes, the
forced detach after six minutes, the multi-attach error (the driver is simulated and refuses nothing).
"""

from collections.abc import Iterable, Mapping

from kubesim.api.csi import ATTACHMENTS, CsiVolume, attachment_name, csi_volume
from kubesim.api.meta import key_of
from kubesim.apiserver.requests import Object, Request, create, delete
from kubesim.client.informer import IndexFunction, looks_at
from kubesim.controllers.contract import DONE, Burst, ControllerBase, Mapper, Result, View, nobody
from kubesim.controllers.owned_pods import ENDED
from kubesim.controllers.volume import CLAIMS, VOLUMES, claims_of_pod

POD, ATTACHMENT = "pod ", "attachment "


def needs_volumes(pod: Object) -> bool:
    """Whether a Pod is on a node and uses its volumes there."""
    spec = pod["spec"]
    return bool(spec.get("volumes") and spec.get("nodeName")) and (pod.get("status") or {}).get("phase") not in ENDED


@looks_at("spec.volumes", "spec.nodeName", "status.phase")
def by_node(pod: Object) -> tuple[str, ...]:
    """Index function: the node of a Pod with volumes of drivers."""
    if not needs_volumes(pod) or not (claims_of_pod(pod) or any(csi_volume(volume) for volume in pod["spec"]["volumes"])):
        return ()
    return (pod["spec"]["nodeName"],)


@looks_at("spec")
def attachments_of_node(attachment: Object) -> tuple[str, ...]:
    """Index function: the node of an attachment."""
    return (attachment["spec"]["nodeName"],)


@looks_at("spec.nodeName", "status.phase")
def pod_to_keys(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """A Pod that has come to its node; the attachments of a node that a Pod has left."""
    if not (new if new is not None else old or {})["spec"].get("volumes"):  # they never change
        return ()
    keys: list[str] = []
    if new is not None and by_node(new) and (old is None or not by_node(old)):
        keys.append(f"{POD}{key_of(new)}")
    if old is not None and by_node(old) and (new is None or not by_node(new)):
        attachments = view.indexed(ATTACHMENTS, "node", old["spec"]["nodeName"])
        keys += [f"{ATTACHMENT}{name}" for name in attachments]
    return keys


def claim_to_pods(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The Pods that wait for a claim that has got its volume."""
    if new is None or not new["spec"].get("volumeName") or (old is not None and old["spec"].get("volumeName")):
        return ()
    return [f"{POD}{key}" for key in view.indexed("pods", "claim", key_of(new))]


class AttachDetachController(ControllerBase):
    """Reconciles Pods (attach) and VolumeAttachments (detach)."""

    name = "persistentvolume-attach-detach-controller"
    component = "attachdetach-controller"
    resource = ATTACHMENTS
    watches: Mapping[str, Mapper] = {
        ATTACHMENTS: nobody,
        "pods": pod_to_keys,
        CLAIMS: claim_to_pods,
        VOLUMES: nobody,
    }
    indexes: Mapping[str, Mapping[str, IndexFunction]] = {
        "pods": {"claim": claims_of_pod, "volumes-on-node": by_node},
        ATTACHMENTS: {"node": attachments_of_node},
    }

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Attach what a Pod needs, or detach what nobody needs."""
        if key.startswith(ATTACHMENT):
            return self._detach(key.removeprefix(ATTACHMENT), view)
        pod = view.get("pods", key.removeprefix(POD))
        if pod is None or not by_node(pod):
            return DONE
        requests: list[Request] = []
        for source, volume in volumes_of(pod, view):
            name = attachment_name(volume, pod["spec"]["nodeName"])
            if view.get(ATTACHMENTS, name) is None:
                requests.append(create(ATTACHMENTS, "", new_attachment(name, volume, source, pod["spec"]["nodeName"])))
        return Result([Burst(requests, expected=("AlreadyExists",))]) if requests else DONE

    def _detach(self, name: str, view: View) -> Result:
        attachment = view.get(ATTACHMENTS, name)
        if attachment is None or attachment["metadata"].get("deletionTimestamp"):
            return DONE
        node = attachment["spec"]["nodeName"]
        for pod in view.indexed("pods", "volumes-on-node", node).values():
            if any(attachment_name(volume, node) == name for _, volume in volumes_of(pod, view)):
                return DONE
        return Result([delete(ATTACHMENTS, "", name)])


def volumes_of(pod: Object, view: View) -> list[tuple[Object, CsiVolume]]:
    """The volumes of drivers that a Pod uses: (source of the attachment, volume)."""
    found: list[tuple[Object, CsiVolume]] = []
    for volume in pod["spec"].get("volumes") or ():
        inline = csi_volume(volume)
        if inline is not None:
            found.append(({"inlineVolumeSpec": {key: value for key, value in volume.items() if key != "name"}}, inline))
    for key in claims_of_pod(pod):
        claim = view.get(CLAIMS, key)
        name = claim["spec"].get("volumeName") if claim is not None else None
        persistent = view.get(VOLUMES, name) if name else None
        bound = csi_volume(persistent["spec"]) if persistent is not None else None
        if bound is not None and name:
            found.append(({"persistentVolumeName": name}, bound))
    return found


def new_attachment(name: str, volume: CsiVolume, source: Object, node: str) -> Object:
    """The attachment of a volume to a node."""
    if "inlineVolumeSpec" in source:
        attributes = {"driver": volume.driver, "volumeHandle": volume.handle}
        source = {"inlineVolumeSpec": {"accessModes": ["ReadWriteOnce"], "csi": attributes}}
    spec = {"attacher": volume.driver, "nodeName": node, "source": source}
    return {"kind": "VolumeAttachment", "apiVersion": "storage.k8s.io/v1", "metadata": {"name": name}, "spec": spec}


CONTROLLER = AttachDetachController
