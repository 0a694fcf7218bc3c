"""The binder: brings claims and volumes together, one to one, and says what becomes of a volume whose claim is gone.

Keys are ``claim namespace/name`` and ``volume name``. A binding is four writes, each of which can be the last one before a crash: the
volume gets ``claimRef``, then its phase; the claim gets ``volumeName``, then its phase. The volume's ``claimRef`` comes first and carries
the claim's uid, so a volume never serves two claims.

Upstream: pkg/controller/volume/persistentvolume/pv_controller.go. Left out: the resync every 15 s (a change of a volume or class looks at
the claims that wait), the recycler, in-tree provisioners and deleters but that of host paths below /tmp.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from kubesim.api.conditions import is_true
from kubesim.api.meta import key_of
from kubesim.apiserver.requests import Object, Request, delete, update
from kubesim.client.informer import IndexFunction
from kubesim.controllers.contract import DONE, Burst, ControllerBase, EventIntent, Intent, Mapper, Result, View
from kubesim.controllers.volume import (
    BETA_PROVISIONER,
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    CLAIMS,
    CLASSES,
    NO_PROVISIONER,
    PROVISIONED_BY,
    SELECTED_NODE,
    STORAGE_PROVISIONER,
    VOLUMES,
    annotations_of,
    best_match,
    claims_of_pod,
    class_of,
    is_bound_to,
    mismatch,
    waits_for_consumer,
)

CLAIM, VOLUME = "claim ", "volume "
DELETABLE_PATH = re.compile(r"/tmp/.+")


def class_index(obj: Object) -> tuple[str, ...]:
    """Index function: the class of a claim that is not bound."""
    return () if BIND_COMPLETED in annotations_of(obj) else (class_of(obj),)


def class_of_volume(volume: Object) -> tuple[str, ...]:
    """Index function: the class of a volume."""
    return (class_of(volume),)


def claim_to_keys(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The claim, and the volume that it has or had."""
    claim = new if new is not None else old
    if claim is None:
        return ()
    name = claim["spec"].get("volumeName")
    keys = [f"{CLAIM}{key_of(claim)}"] if new is not None else []
    return [*keys, f"{VOLUME}{name}"] if name else keys


def volume_to_keys(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The volume, its claim, and the claims that may want it."""
    volume = new if new is not None else old
    if volume is None:
        return ()
    keys = [f"{VOLUME}{volume['metadata']['name']}"] if new is not None else []
    reference = volume["spec"].get("claimRef")
    if reference is not None:
        keys.append(f"{CLAIM}{reference['namespace']}/{reference['name']}")
    elif new is not None and (new.get("status") or {}).get("phase") == "Available":
        keys += [f"{CLAIM}{key}" for key in view.indexed(CLAIMS, "unbound", class_of(new))]
    return keys


def class_to_claims(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The claims that wait for a class."""
    return [f"{CLAIM}{key}" for key in view.indexed(CLAIMS, "unbound", new["metadata"]["name"])] if new is not None and old is None else ()


class PersistentVolumeBinder(ControllerBase):
    """Reconciles claims and volumes."""

    name = "persistentvolume-binder-controller"
    component = "persistentvolume-controller"
    resource = CLAIMS
    watches: Mapping[str, Mapper] = {CLAIMS: claim_to_keys, VOLUMES: volume_to_keys, CLASSES: class_to_claims}
    indexes: Mapping[str, Mapping[str, IndexFunction]] = {
        CLAIMS: {"unbound": class_index},
        VOLUMES: {"class": class_of_volume},
        "pods": {"claim": claims_of_pod},
    }

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Take the next step of a claim or a volume."""
        if key.startswith(VOLUME):
            volume = view.get(VOLUMES, key.removeprefix(VOLUME))
            return DONE if volume is None else Result(sync_volume(volume, view))
        claim = view.get(CLAIMS, key.removeprefix(CLAIM))
        if claim is None:
            return DONE
        bound = BIND_COMPLETED in annotations_of(claim)
        return Result(sync_bound_claim(claim, view) if bound else sync_unbound_claim(claim, view))


# Claims


def sync_unbound_claim(claim: Object, view: View) -> Sequence[Intent]:
    """A claim without a volume: find one, have one made, or wait."""
    name = claim["spec"].get("volumeName")
    if not name:
        return _find_volume(claim, view)
    volume = view.get(VOLUMES, name)
    if volume is None:
        return _claim_phase(claim, "Pending", None)
    if volume["spec"].get("claimRef") is None:
        why = mismatch(volume, claim)
        if why:
            text = f'Cannot bind to requested volume "{name}": {why}'
            return [EventIntent(claim, "Warning", "VolumeMismatch", text), *_claim_phase(claim, "Pending", None)]
        return bind(volume, claim)
    if is_bound_to(volume, claim):
        return bind(volume, claim)
    if BOUND_BY_CONTROLLER in annotations_of(claim):
        return ()
    text = f'volume "{name}" already bound to a different claim.'
    return [EventIntent(claim, "Warning", "FailedBinding", text), *_claim_phase(claim, "Pending", None)]


def _find_volume(claim: Object, view: View) -> Sequence[Intent]:
    class_name = class_of(claim)
    storage_class = view.get(CLASSES, class_name) if class_name else None
    delayed = waits_for_consumer(claim, storage_class)
    volume = best_match(claim, view.indexed(VOLUMES, "class", class_name).values(), delayed)
    if volume is not None:
        return bind(volume, claim)
    pending = _claim_phase(claim, "Pending", None)
    if delayed and SELECTED_NODE not in annotations_of(claim):
        return [_waiting_event(claim, view), *pending]
    if not class_name:
        text = "no persistent volumes available for this claim and no storage class is set"
        return [EventIntent(claim, "Normal", "FailedBinding", text), *pending]
    if storage_class is None:
        text = f'storageclass.storage.k8s.io "{class_name}" not found'
        return [EventIntent(claim, "Warning", "ProvisioningFailed", text), *pending]
    return _provision(claim, storage_class["provisioner"])


def _waiting_event(claim: Object, view: View) -> Intent:
    """Why a claim with delayed binding waits."""
    names = [
        pod["metadata"]["name"]
        for pod in view.indexed("pods", "claim", key_of(claim)).values()
        if not is_true(pod, "PodScheduled") and not pod["spec"].get("nodeName")
    ]
    if names:
        return EventIntent(claim, "Normal", "WaitForPodScheduled", f"waiting for pod {','.join(names)} to be scheduled")
    return EventIntent(claim, "Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding")


def _provision(claim: Object, provisioner: str) -> Sequence[Intent]:
    """Hand a claim to its external provisioner."""
    if provisioner == NO_PROVISIONER:
        text = f"no volume plugin matched name: {provisioner}"
        return [EventIntent(claim, "Warning", "ProvisioningFailed", text)]
    annotations = annotations_of(claim)
    wanted = {STORAGE_PROVISIONER: provisioner, BETA_PROVISIONER: provisioner}
    text = (
        f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator. "
        "If volume creation is delayed, please verify that the provisioner is running and correctly registered."
    )
    event = EventIntent(claim, "Normal", "ExternalProvisioning", text)
    if wanted.items() <= annotations.items():
        return [event]
    metadata = {**claim["metadata"], "annotations": {**annotations, **wanted}}
    return [Burst([update(CLAIMS, {**claim, "metadata": metadata})]), event]


def sync_bound_claim(claim: Object, view: View) -> Sequence[Intent]:
    """A claim that was bound: keep it so, or say that its volume is lost."""
    name = claim["spec"].get("volumeName")
    if not name:
        return _lost(claim, "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
    volume = view.get(VOLUMES, name)
    if volume is None:
        return _lost(claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
    reference = volume["spec"].get("claimRef")
    if reference is None or reference.get("uid") == claim["metadata"]["uid"]:
        return bind(volume, claim)
    return _lost(claim, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")


def _lost(claim: Object, reason: str, message: str) -> Sequence[Intent]:
    writes = _claim_phase(claim, "Lost", None)
    return [*writes, EventIntent(claim, "Warning", reason, message)] if writes else ()


def bind(volume: Object, claim: Object) -> Sequence[Intent]:
    """The four writes of a binding, each on the answer of the one before; those that are done already are left out."""

    def claim_status(stored: Object) -> Sequence[Intent]:
        return _claim_phase(stored, "Bound", volume)

    def to_claim(_: Object) -> Sequence[Intent]:
        fresh = _with_volume(claim, volume)
        return claim_status(claim) if fresh is claim else [Burst([update(CLAIMS, fresh)], on_success=claim_status)]

    def volume_status(stored: Object) -> Sequence[Intent]:
        writes = _volume_phase(stored, "Bound", "")
        return [Burst(writes, on_success=to_claim)] if writes else to_claim(stored)

    fresh = _with_claim(volume, claim)
    if fresh is not volume:
        return [Burst([update(VOLUMES, fresh)], on_success=volume_status)]
    return volume_status(volume)


def _with_claim(volume: Object, claim: Object) -> Object:
    """The volume with its ``claimRef``; the same object if it has it."""
    metadata = claim["metadata"]
    reference = volume["spec"].get("claimRef")
    if reference is not None and reference.get("uid") == metadata["uid"]:
        return volume
    own = volume["metadata"]
    if not is_bound_to(volume, claim):
        own = {**own, "annotations": {**annotations_of(volume), BOUND_BY_CONTROLLER: "yes"}}
    full = {"kind": "PersistentVolumeClaim", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}
    full |= {"apiVersion": "v1", "resourceVersion": metadata["resourceVersion"]}
    return {**volume, "metadata": own, "spec": {**volume["spec"], "claimRef": full}}


def _with_volume(claim: Object, volume: Object) -> Object:
    """The claim with its ``volumeName``; the same object if it has it."""
    name, annotations = volume["metadata"]["name"], annotations_of(claim)
    wanted = dict(annotations)
    if claim["spec"].get("volumeName") != name:
        wanted[BOUND_BY_CONTROLLER] = "yes"
    wanted[BIND_COMPLETED] = "yes"
    if wanted == annotations and claim["spec"].get("volumeName") == name:
        return claim
    return {**claim, "metadata": {**claim["metadata"], "annotations": wanted}, "spec": {**claim["spec"], "volumeName": name}}


def _claim_phase(claim: Object, phase: str, volume: Object | None) -> list[Intent]:
    """The update of a claim's status, if it says something else."""
    status = {**(claim.get("status") or {}), "phase": phase}
    if volume is None:
        if phase == "Pending":
            status.pop("accessModes", None)
            status.pop("capacity", None)
    else:
        status |= {"accessModes": volume["spec"].get("accessModes"), "capacity": volume["spec"].get("capacity")}
    return [] if status == claim.get("status") else [update(CLAIMS, {**claim, "status": status}, "status")]


# Volumes


def sync_volume(volume: Object, view: View) -> Sequence[Intent]:
    """A volume is available, bound, or released and reclaimed."""
    reference = volume["spec"].get("claimRef")
    if reference is None or not reference.get("uid"):
        return _volume_phase(volume, "Available", "")
    claim = view.get(CLAIMS, f"{reference['namespace']}/{reference['name']}")
    if claim is not None and claim["metadata"]["uid"] != reference["uid"]:
        claim = None
    if claim is None:
        phase = (volume.get("status") or {}).get("phase")
        if phase not in ("Released", "Failed"):
            return _volume_phase(volume, "Released", "")
        return _reclaim(volume)
    name = claim["spec"].get("volumeName")
    if not name:
        return ()  # the claim's own sync goes on with it
    if name == volume["metadata"]["name"]:
        return _volume_phase(volume, "Bound", "")
    if PROVISIONED_BY in annotations_of(volume) and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
        return _volume_phase(volume, "Released", "") or _reclaim(volume)
    return _unbind(volume)


def _unbind(volume: Object) -> Sequence[Intent]:
    """Give back a volume whose claim is bound elsewhere; a reservation that a user made stays, without the uid."""
    annotations, spec = annotations_of(volume), {**volume["spec"]}
    metadata = {**volume["metadata"]}
    if BOUND_BY_CONTROLLER in annotations:
        del spec["claimRef"]
        metadata["annotations"] = {key: value for key, value in annotations.items() if key != BOUND_BY_CONTROLLER}
    else:
        spec["claimRef"] = {key: value for key, value in spec["claimRef"].items() if key not in ("uid", "resourceVersion")}
    return [update(VOLUMES, {**volume, "metadata": metadata, "spec": spec})]


def _reclaim(volume: Object) -> Sequence[Intent]:
    """What the reclaim policy says about a released volume; a volume that a driver made is its driver's to delete."""
    policy = volume["spec"].get("persistentVolumeReclaimPolicy")
    if (
        policy != "Delete"
        or "csi" in volume["spec"]
        or PROVISIONED_BY in annotations_of(volume)
        or volume["metadata"].get("deletionTimestamp")
    ):
        return ()
    path = (volume["spec"].get("hostPath") or {}).get("path")
    if path is None:
        message = "error getting deleter volume plugin: no deletable volume plugin matched"
    elif DELETABLE_PATH.match(path):
        return [delete(VOLUMES, "", volume["metadata"]["name"])]
    else:
        message = f"host_path deleter only supports /tmp/.+ but received provided {path}"
    writes = _volume_phase(volume, "Failed", message)
    return [*writes, EventIntent(volume, "Warning", "VolumeFailedDelete", message)] if writes else ()


def _volume_phase(volume: Object, phase: str, message: str) -> list[Request]:
    """The update of a volume's status, if it says something else."""
    status = {key: value for key, value in (volume.get("status") or {}).items() if key != "message"}
    if status.get("phase") == phase:
        return []
    status.pop("lastPhaseTransitionTime", None)
    status = {"phase": phase, **({"message": message} if message else {}), **{k: v for k, v in status.items() if k != "phase"}}
    return [update(VOLUMES, {**volume, "status": status}, "status")]


CONTROLLER = PersistentVolumeBinder
