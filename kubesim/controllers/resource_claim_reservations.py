"""The resource claim controller, as claims see it: Pods that have ended, are gone or were replaced give up their reservations.

A claim that nobody has reserved loses its allocation, so that another node can have its devices, and then its protection; one that was made
for a Pod that has ended is deleted.

Upstream: pkg/controller/resourceclaim/controller.go (syncClaim).
"""

from collections.abc import Iterable, Mapping

from kubesim.api.meta import key_of
from kubesim.apiserver.requests import Object, delete, update
from kubesim.client.informer import IndexFunction, looks_at
from kubesim.controllers.contract import DONE, Burst, ControllerBase, Mapper, Result, View, own_key
from kubesim.controllers.resource_claim import CLAIMS, ENDED, pod_of_claim

FINALIZER = "resource.kubernetes.io/delete-protection"


@looks_at("status")
def reserved_for(claim: Object) -> tuple[str, ...]:
    """Index function: the Pods that have reserved a claim."""
    namespace = claim["metadata"]["namespace"]
    users = (claim.get("status") or {}).get("reservedFor") or ()
    return tuple(f"{namespace}/{each['name']}" for each in users if each["resource"] == "pods" and not each.get("apiGroup"))


@looks_at("status.phase", "metadata.deletionTimestamp")
def ended_pod_to_claims(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The claims of a Pod that has ended or is gone."""
    pod = new if new is not None else old
    if pod is None or not pod["spec"].get("resourceClaims") or (new is not None and not has_ended(new)):
        return ()
    key = key_of(pod)
    return dict.fromkeys([*view.indexed(CLAIMS, "reserved", key), *view.indexed(CLAIMS, "pod", key)])


def has_ended(pod: Object) -> bool:
    """Whether a Pod will use its claims no more."""
    is_gone = bool(pod["metadata"].get("deletionTimestamp")) and not pod["spec"].get("nodeName")
    return (pod.get("status") or {}).get("phase") in ENDED or is_gone


class ResourceClaimReservations(ControllerBase):
    """Reconciles ResourceClaims by ``namespace/name``."""

    name = "resourceclaim-reservations"
    component = "resource_claim"
    resource = CLAIMS
    watches: Mapping[str, Mapper] = {CLAIMS: own_key, "pods": ended_pod_to_claims}
    indexes: Mapping[str, Mapping[str, IndexFunction]] = {CLAIMS: {"reserved": reserved_for, "pod": pod_of_claim}}

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Take back what nobody uses."""
        claim = view.get(CLAIMS, key)
        if claim is None:
            return DONE
        metadata, status = claim["metadata"], claim.get("status") or {}
        users = status.get("reservedFor") or []
        kept = [each for each in users if not self._is_over(view, metadata["namespace"], each)]
        finalizers = metadata.get("finalizers") or []
        if kept != users or (not kept and status.get("allocation")):
            changed = {name: value for name, value in status.items() if name not in ("reservedFor", "allocation", "devices")}
            if kept:
                changed = {**status, "reservedFor": kept}
            return Result([update(CLAIMS, {**claim, "status": changed}, "status")])
        if not users and not status.get("allocation") and FINALIZER in finalizers:
            left = [each for each in finalizers if each != FINALIZER]
            return Result([update(CLAIMS, {**claim, "metadata": {**metadata, "finalizers": left}})])
        owners = pod_of_claim(claim)
        if owners and not users and not metadata.get("deletionTimestamp"):
            pod = view.get("pods", owners[0])
            if pod is not None and has_ended(pod):
                request = delete(CLAIMS, metadata["namespace"], metadata["name"], preconditions={"uid": metadata["uid"]})
                return Result([Burst([request], expected=("NotFound",))])
        return DONE

    def _is_over(self, view: View, namespace: str, user: Object) -> bool:
        if user["resource"] != "pods" or user.get("apiGroup"):
            return False
        pod = view.get("pods", f"{namespace}/{user['name']}")
        return pod is None or pod["metadata"]["uid"] != user["uid"] or has_ended(pod)


CONTROLLER = ResourceClaimReservations
