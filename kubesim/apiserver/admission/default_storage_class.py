"""DefaultStorageClass: a claim that names no class gets the one that is marked as the default, the newest if there are several.

Upstream: plugin/pkg/admission/storage/storageclass/setdefault/admission.go.
"""

from kubesim.api.meta import annotations_of
from kubesim.apiserver.admission.contract import CREATE, Attributes, Object, Plugin, Policy

CLASSES = "storageclasses.storage.k8s.io"
MARKS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
CLASS_OF_OLD = "volume.beta.kubernetes.io/storage-class"


def is_default(storage_class: Object) -> bool:
    """Whether a class is marked as the default."""
    return any(annotations_of(storage_class).get(mark) == "true" for mark in MARKS)


def mutate(attributes: Attributes, policy: Policy) -> Object:
    """Fill in the class; an empty class name means that none is wanted."""
    claim: Object = attributes.obj
    spec = claim.get("spec") or {}
    if spec.get("storageClassName") is not None or CLASS_OF_OLD in annotations_of(claim):
        return claim
    defaults = [found for found in policy.peek_all(CLASSES) if is_default(found)]
    if not defaults:
        return claim
    defaults.sort(key=lambda found: found["metadata"]["name"])
    chosen = max(defaults, key=lambda found: str(found["metadata"]["creationTimestamp"]))
    return {**claim, "spec": {**spec, "storageClassName": chosen["metadata"]["name"]}}


PLUGIN = Plugin("DefaultStorageClass", (CREATE,), ("persistentvolumeclaims",), mutate=mutate)
