"""The simulated side of every CSI driver outside the nodes: makes volumes for claims, and deletes those that are released.

Stands for the external-provisioner that runs beside a driver. Every provisioner named by a StorageClass is served, but
kubernetes.io/no-provisioner. A claim says with the annotation ``storage-provisioner`` that it is to be served, and with delayed binding,
on which node it will be used.

Upstream: kubernetes-csi/external-provisioner (controller.go), sig-storage-lib-external-provisioner.
"""

from collections.abc import Iterable, Mapping, Sequence

from kubesim.api.meta import key_of
from kubesim.apiserver.requests import Object, create, delete
from kubesim.controllers.contract import DONE, Burst, ControllerBase, EventIntent, Intent, Mapper, Result, View, nobody
from kubesim.controllers.volume import (
    CLAIMS,
    CLASSES,
    NO_PROVISIONER,
    PROVISIONED_BY,
    SELECTED_NODE,
    STORAGE_PROVISIONER,
    VOLUMES,
    annotations_of,
    class_of,
    waits_for_consumer,
)
from kubesim.kernel.time import MILLISECOND

CLAIM, VOLUME = "claim ", "volume "
PROVISION_NS = 500 * MILLISECOND  # what a storage backend takes to make a volume


def claim_to_key(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """A claim that asks for a volume."""
    if new is None or new["spec"].get("volumeName") or STORAGE_PROVISIONER not in annotations_of(new):
        return ()
    return (f"{CLAIM}{key_of(new)}",)


def volume_to_key(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """A volume that is released."""
    if new is None or (new.get("status") or {}).get("phase") != "Released" or PROVISIONED_BY not in annotations_of(new):
        return ()
    return (f"{VOLUME}{new['metadata']['name']}",)


class CsiProvisioner(ControllerBase):
    """Reconciles claims that ask for a volume, and volumes that are released."""

    name = "csi-provisioner"
    resource = CLAIMS
    watches: Mapping[str, Mapper] = {CLAIMS: claim_to_key, VOLUMES: volume_to_key, CLASSES: nobody}
    delays: Mapping[str, int] = {CLAIMS: PROVISION_NS}

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Make a volume, or delete one."""
        if key.startswith(VOLUME):
            volume = view.get(VOLUMES, key.removeprefix(VOLUME))
            if volume is None or volume["spec"].get("persistentVolumeReclaimPolicy") != "Delete":
                return DONE
            if (volume.get("status") or {}).get("phase") != "Released" or volume["metadata"].get("deletionTimestamp"):
                return DONE
            return Result([delete(VOLUMES, "", volume["metadata"]["name"])])
        claim = view.get(CLAIMS, key.removeprefix(CLAIM))
        if claim is None or claim["spec"].get("volumeName") or claim["metadata"].get("deletionTimestamp"):
            return DONE
        storage_class = view.get(CLASSES, class_of(claim))
        provisioner = annotations_of(claim).get(STORAGE_PROVISIONER)
        if storage_class is None or provisioner != storage_class["provisioner"] or provisioner == NO_PROVISIONER:
            return DONE
        if waits_for_consumer(claim, storage_class) and SELECTED_NODE not in annotations_of(claim):
            return DONE
        volume = new_volume(claim, storage_class)
        if view.get(VOLUMES, volume["metadata"]["name"]) is not None:
            return DONE

        def made(_: Object) -> Sequence[Intent]:
            text = f"Successfully provisioned volume {volume['metadata']['name']}"
            return [EventIntent(claim, "Normal", "ProvisioningSucceeded", text)]

        text = f'External provisioner is provisioning volume for claim "{key_of(claim)}"'
        begin = EventIntent(claim, "Normal", "Provisioning", text)
        return Result([begin, Burst([create(VOLUMES, "", volume)], on_success=made, expected=("AlreadyExists",))])


def new_volume(claim: Object, storage_class: Object) -> Object:
    """The volume of a claim, named after its uid and reserved for it."""
    metadata, spec = claim["metadata"], claim["spec"]
    name = f"pvc-{metadata['uid']}"
    reference = {"kind": "PersistentVolumeClaim", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}
    node = annotations_of(claim).get(SELECTED_NODE)
    volume: Object = {
        "kind": "PersistentVolume",
        "apiVersion": "v1",
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: storage_class["provisioner"]}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "claimRef": {**reference, "apiVersion": "v1", "resourceVersion": metadata["resourceVersion"]},
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "storageClassName": class_of(claim),
            "volumeMode": spec.get("volumeMode", "Filesystem"),
        },
    }
    if "/" in storage_class["provisioner"]:
        # A provisioner from before CSI, such as k8s.io/minikube-hostpath: it makes directories, and no driver attaches them.
        volume["spec"]["hostPath"] = {"path": f"/tmp/hostpath-provisioner/{metadata['namespace']}/{metadata['name']}", "type": ""}
    else:
        volume["spec"]["csi"] = {"driver": storage_class["provisioner"], "volumeHandle": name}
    if storage_class.get("mountOptions"):
        volume["spec"]["mountOptions"] = storage_class["mountOptions"]
    if node and storage_class["provisioner"].endswith("local-path"):
        terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]
        volume["spec"]["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
    return volume


CONTROLLER = CsiProvisioner
