"""StorageObjectInUseProtection: a new volume, claim or attributes class gets the finalizer that keeps it while it is in use.

Upstream: plugin/pkg/admission/storage/storageobjectinuseprotection/admission.go.
"""

from kubesim.apiserver.admission.contract import CREATE, Attributes, Object, Plugin, Policy

FINALIZERS = {
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
    "persistentvolumes": "kubernetes.io/pv-protection",
    "volumeattributesclasses.storage.k8s.io": "kubernetes.io/vac-protection",
}


def mutate(attributes: Attributes, policy: Policy) -> Object:
    """Add the finalizer of the kind, unless the object brings it."""
    obj: Object = attributes.obj
    finalizer = FINALIZERS[attributes.resource.name]
    finalizers = obj["metadata"].get("finalizers") or []
    if finalizer in finalizers:
        return obj
    return {**obj, "metadata": {**obj["metadata"], "finalizers": [*finalizers, finalizer]}}


PLUGIN = Plugin("StorageObjectInUseProtection", (CREATE,), tuple(FINALIZERS), mutate=mutate)
