"""Claims, volumes and classes as the volume plugins see them: which claims a Pod has, whether they are bound, what a volume fits.

Upstream: component-helpers/storage/{volume,ephemeral}, pkg/scheduler/framework/plugins/volumebinding.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from kubesim.api import quantity, selectors
from kubesim.scheduler.node_selector import compile_terms, term_matches
from kubesim.scheduler.objects import Objects
from kubesim.scheduler.pod_facts import PodInfo

Object = dict[str, Any]
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
WAIT_FOR_CONSUMER = "WaitForFirstConsumer"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
EXCLUSIVE = "ReadWriteOncePod"


class ClaimUse(NamedTuple):
    """A volume of a Pod that is a claim; an ephemeral one is made for the Pod by its own controller."""

    name: str
    is_ephemeral: bool


def claim_uses(pod: PodInfo) -> list[ClaimUse]:
    """The claims of a Pod, in the order of its volumes."""
    found = []
    for volume in pod.facts.spec.get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            found.append(ClaimUse(volume["persistentVolumeClaim"]["claimName"], False))
        elif "ephemeral" in volume:
            found.append(ClaimUse(f"{pod.obj['metadata']['name']}-{volume['name']}", True))
    return found


def has_storage(spec: Mapping[str, Any]) -> bool:
    """Whether a spec has a volume that any of the volume plugins looks at."""
    kinds = ("persistentVolumeClaim", "ephemeral", "gcePersistentDisk", "awsElasticBlockStore", "iscsi", "rbd")
    return any(kind in volume for volume in spec.get("volumes") or () for kind in kinds)


def claim_of(objects: Objects, namespace: str, name: str) -> Object | None:
    """The PersistentVolumeClaim, or None."""
    return objects.get("persistentvolumeclaims", f"{namespace}/{name}")


def not_found(kind: str, name: str) -> str:
    """The apiserver's words."""
    return f'{kind} "{name}" not found'


def class_name_of(obj: Mapping[str, Any]) -> str:
    """The storage class of a claim or a volume, "" when there is none."""
    annotation = (obj["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION)
    return annotation if annotation is not None else (obj.get("spec") or {}).get("storageClassName") or ""


def class_of(objects: Objects, claim: Mapping[str, Any]) -> Object | None:
    """The StorageClass of a claim, or None."""
    name = class_name_of(claim)
    return objects.get("storageclasses", name) if name else None


def is_bound(claim: Mapping[str, Any]) -> bool:
    """Whether a claim is bound for good: it names a volume and the binder says that it is done."""
    return bool(claim["spec"].get("volumeName")) and BIND_COMPLETED in (claim["metadata"].get("annotations") or {})


def waits_for_consumer(objects: Objects, claim: Mapping[str, Any]) -> bool:
    """Whether the claim is bound only when a Pod that uses it is scheduled."""
    storage_class = class_of(objects, claim)
    return storage_class is not None and storage_class.get("volumeBindingMode") == WAIT_FOR_CONSUMER


def requested_bytes(claim: Mapping[str, Any]) -> int:
    """What a claim asks for, 0 when it does not say."""
    return quantity.value(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage") or "0")


def node_matches(volume: Mapping[str, Any], labels: Mapping[str, str], name: str) -> bool:
    """Whether a volume's node affinity admits a node."""
    terms = compile_terms((volume["spec"].get("nodeAffinity") or {}).get("required"))
    return terms is None or any(term_matches(term, labels, name) for term in terms)


def is_promised_to(volume: Mapping[str, Any], claim: Mapping[str, Any]) -> bool:
    """Whether a volume's ``claimRef`` names this claim."""
    reference = volume["spec"].get("claimRef")
    if not reference:
        return False
    metadata = claim["metadata"]
    if reference.get("name") != metadata["name"] or reference.get("namespace") != (metadata.get("namespace") or "default"):
        return False
    return not reference.get("uid") or reference["uid"] == metadata.get("uid")


def matching_volume(
    claim: Mapping[str, Any], volumes: Iterable[Object], labels: Mapping[str, str], name: str, taken: Iterable[str]
) -> Object | None:
    """The volume promised to the claim, else the smallest that fits it and the node; the first of equals. O(volumes)."""
    spec = claim["spec"]
    wanted = requested_bytes(claim)
    smallest: Object | None = None
    smallest_bytes = 0
    for volume in volumes:
        promised = is_promised_to(volume, claim)
        if volume["metadata"]["name"] in taken or (volume["spec"].get("claimRef") and not promised):
            continue
        size = quantity.value((volume["spec"].get("capacity") or {}).get("storage") or "0")
        if size < wanted or _mode(volume["spec"]) != _mode(spec) or volume["metadata"].get("deletionTimestamp"):
            continue
        fits_node = node_matches(volume, labels, name)
        if promised:
            return volume if fits_node else None
        if not fits_node or not _suits(volume, claim):
            continue
        if smallest is None or size < smallest_bytes:
            smallest, smallest_bytes = volume, size
    return smallest


def _mode(spec: Mapping[str, Any]) -> str:
    return spec.get("volumeMode") or "Filesystem"


def _suits(volume: Mapping[str, Any], claim: Mapping[str, Any]) -> bool:
    """Whether a free volume has what the claim wants beside size and node."""
    spec = claim["spec"]
    if (volume.get("status") or {}).get("phase") != "Available" or class_name_of(volume) != class_name_of(claim):
        return False
    selector = spec.get("selector")
    if selector is not None and not selectors.from_object(selector).matches(volume["metadata"].get("labels") or {}):
        return False
    if (volume["spec"].get("volumeAttributesClassName") or "") != (spec.get("volumeAttributesClassName") or ""):
        return False
    modes = volume["spec"].get("accessModes") or ()
    return all(mode in modes for mode in spec.get("accessModes") or ())


def topology_allows(storage_class: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a class may provision for a node with these labels."""
    terms = storage_class.get("allowedTopologies") or ()
    return not terms or any(_topology_matches(term.get("matchLabelExpressions") or (), labels) for term in terms)


def _topology_matches(expressions: Iterable[Mapping[str, Any]], labels: Mapping[str, str]) -> bool:
    found = [labels.get(expression["key"]) in (expression.get("values") or ()) for expression in expressions]
    return bool(found) and all(found)


def has_capacity(objects: Objects, claim: Mapping[str, Any], storage_class: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether the driver says that it can provision the claim for a node; true of drivers that do not say."""
    driver = objects.get("csidrivers", storage_class.get("provisioner") or "")
    if driver is None or not (driver.get("spec") or {}).get("storageCapacity"):
        return True
    return any(
        capacity.get("storageClassName") == storage_class["metadata"]["name"]
        and _is_enough(capacity, requested_bytes(claim))
        and _reaches(capacity, labels)
        for capacity in objects.all("csistoragecapacities")
    )


def _is_enough(capacity: Mapping[str, Any], size: int) -> bool:
    limit = capacity.get("maximumVolumeSize") or capacity.get("capacity")
    return limit is not None and quantity.value(limit) >= size


def _reaches(capacity: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    topology = capacity.get("nodeTopology")
    return topology is not None and selectors.from_object(topology).matches(labels)


def claim_is_for(claim: Mapping[str, Any], pod: PodInfo) -> bool:
    """Whether an ephemeral volume's claim was made for this Pod."""
    references = claim["metadata"].get("ownerReferences") or ()
    return any(reference.get("controller") and reference.get("uid") == pod.uid for reference in references)


def handles_of(pod: PodInfo, objects: Objects) -> Iterator[tuple[str, str]]:
    """(driver, handle) of every CSI volume of a Pod; an unbound claim has its class's driver and a handle of its own."""
    for use in claim_uses(pod):
        claim = claim_of(objects, pod.namespace, use.name)
        found = None if claim is None else driver_and_handle(claim, pod.namespace, objects)
        if found is not None:
            yield found


def driver_and_handle(claim: Mapping[str, Any], namespace: str, objects: Objects) -> tuple[str, str] | None:
    """Of one claim; None when no CSI driver is behind it."""
    volume = objects.get("persistentvolumes", claim["spec"].get("volumeName") or "")
    if volume is not None:
        source = volume["spec"].get("csi")
        return (source["driver"], source["volumeHandle"]) if source else None
    storage_class = class_of(objects, claim)
    if storage_class is None or not storage_class.get("provisioner"):
        return None
    return storage_class["provisioner"], f"unbound-{namespace}/{claim['metadata']['name']}"
