"""The protection controllers: a claim stays while a Pod uses it, a volume while it is bound.

Admission puts the finalizers on; these take them off once the object is being deleted and nobody needs it any more, and put them on objects
that have come without.

Upstream: pkg/controller/volume/pvcprotection (pvc_protection_controller.go), pvprotection (pv_protection_controller.go).
"""

from collections.abc import Iterable, Mapping

from kubesim.apiserver.requests import Object, update
from kubesim.client.informer import IndexFunction
from kubesim.controllers.contract import DONE, ControllerBase, Mapper, Result, View, own_key
from kubesim.controllers.volume import CLAIMS, claims_of_pod

CLAIM_FINALIZER = "kubernetes.io/pvc-protection"


def gone_pod_to_claims(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The claims that a Pod used which is gone."""
    return claims_of_pod(old) if new is None and old is not None else ()


def with_finalizer(obj: Object, finalizer: str, present: bool) -> Object | None:
    """The object with or without a finalizer, None if nothing changes."""
    finalizers = obj["metadata"].get("finalizers") or []
    if (finalizer in finalizers) == present:
        return None
    left = [*finalizers, finalizer] if present else [each for each in finalizers if each != finalizer]
    metadata = {key: value for key, value in obj["metadata"].items() if key != "finalizers"}
    if left:
        metadata["finalizers"] = left
    return {**obj, "metadata": metadata}


class ClaimProtectionController(ControllerBase):
    """Reconciles PersistentVolumeClaims by ``namespace/name``."""

    name = "persistentvolumeclaim-protection-controller"
    resource = CLAIMS
    watches: Mapping[str, Mapper] = {CLAIMS: own_key, "pods": gone_pod_to_claims}
    only_deleted = frozenset(("pods",))
    indexes: Mapping[str, Mapping[str, IndexFunction]] = {"pods": {"claim": claims_of_pod}}

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Put the finalizer on, or take it off."""
        claim = view.get(CLAIMS, key)
        if claim is None:
            return DONE
        dying = bool(claim["metadata"].get("deletionTimestamp"))
        if dying and any(pod["spec"].get("nodeName") for pod in view.indexed("pods", "claim", key).values()):
            return DONE
        fresh = with_finalizer(claim, CLAIM_FINALIZER, not dying)
        return DONE if fresh is None else Result([update(CLAIMS, fresh)])


CONTROLLER = ClaimProtectionController
