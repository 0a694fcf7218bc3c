"""What the controllers of volumes share: annotations, classes, and which volume fits a claim.

Upstream: component-helpers/storage/volume (helpers.go, pv_helpers.go).
"""

from collections.abc import Iterable

from kubesim.api import quantity
from kubesim.api.selectors import from_object
from kubesim.apiserver.requests import Object
from kubesim.client.informer import looks_at

VOLUMES, CLAIMS, CLASSES = "persistentvolumes", "persistentvolumeclaims", "storageclasses.storage.k8s.io"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
STORAGE_PROVISIONER, BETA_PROVISIONER = "volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
NO_PROVISIONER = "kubernetes.io/no-provisioner"


def annotations_of(obj: Object) -> Object:
    """The annotations, empty if there are none."""
    return obj["metadata"].get("annotations") or {}


def class_of(obj: Object) -> str:
    """The name of the storage class of a claim or volume, empty for none."""
    name: str = annotations_of(obj).get(BETA_CLASS) or obj["spec"].get("storageClassName") or ""
    return name


def waits_for_consumer(claim: Object, storage_class: Object | None) -> bool:
    """Whether a claim is bound only once a Pod that uses it has a node."""
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def is_bound_to(volume: Object, claim: Object) -> bool:
    """Whether a volume is reserved for a claim (also by name only)."""
    reference = volume["spec"].get("claimRef")
    if reference is None:
        return False
    metadata = claim["metadata"]
    if (reference.get("namespace"), reference.get("name")) != (metadata["namespace"], metadata["name"]):
        return False
    return not reference.get("uid") or reference["uid"] == metadata["uid"]


def size_of(obj: Object) -> int:
    """The bytes that a volume has or a claim asks for."""
    spec = obj["spec"]
    asked = (spec.get("capacity") or (spec.get("resources") or {}).get("requests") or {}).get("storage", "0")
    return quantity.value(quantity.as_text(asked))


def mismatch(volume: Object, claim: Object) -> str:
    """Why a volume that a claim names does not satisfy it, empty if it does."""
    if size_of(volume) < size_of(claim):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if volume["spec"].get("volumeMode", "Filesystem") != claim["spec"].get("volumeMode", "Filesystem"):
        return "incompatible volumeMode"
    if not set(claim["spec"].get("accessModes") or ()) <= set(volume["spec"].get("accessModes") or ()):
        return "incompatible accessMode"
    return ""


def best_match(claim: Object, volumes: Iterable[Object], delayed: bool) -> Object | None:
    """The smallest volume that satisfies a claim, one that is reserved for it before all; fewer access modes win. O(volumes)."""
    selector = claim["spec"].get("selector")
    matches = from_object(selector).matches if selector else None
    best: Object | None = None
    best_key: tuple[int, int] = (0, 0)
    for volume in volumes:
        if volume["metadata"].get("deletionTimestamp"):
            continue
        reserved = is_bound_to(volume, claim)
        if size_of(volume) < size_of(claim) or volume["spec"].get("volumeMode") != claim["spec"].get("volumeMode"):
            continue
        if reserved:
            return volume
        if delayed or volume["spec"].get("claimRef") is not None or (volume.get("status") or {}).get("phase") != "Available":
            continue
        if matches is not None and not matches(volume["metadata"].get("labels") or {}):
            continue
        if class_of(volume) != class_of(claim) or mismatch(volume, claim):
            continue
        key = (len(volume["spec"].get("accessModes") or ()), size_of(volume))
        if best is None or key < best_key:
            best, best_key = volume, key
    return best


@looks_at("spec.volumes")
def claims_of_pod(pod: Object) -> tuple[str, ...]:
    """Index function: the keys of the claims that a Pod uses, also those made for it."""
    volumes = pod["spec"].get("volumes")
    if not volumes:
        return ()
    namespace, found = pod["metadata"].get("namespace", ""), []
    for volume in volumes:
        if "persistentVolumeClaim" in volume:
            found.append(f"{namespace}/{volume['persistentVolumeClaim']['claimName']}")
        elif "ephemeral" in volume:
            found.append(f"{namespace}/{pod['metadata'].get('name', '')}-{volume['name']}")
    return tuple(found)
