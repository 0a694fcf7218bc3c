"""The claims of a StatefulSet's Pods: made from templates, kept or deleted with the Pod or with the set as the retention policy says.

Deletion is the garbage collector's: the policy only decides whom the claim is owned by.

    whenScaled  whenDeleted  owner of the claim of a Pod in range / out of range
    Retain      Retain       nobody / nobody
    Retain      Delete       the set / the set
    Delete      Retain       nobody / the Pod
    Delete      Delete       the set / the Pod

Upstream: pkg/controller/statefulset/stateful_set_utils.go (updateClaimOwnerRefForSetAndPod), stateful_pod_control.go.
"""

from collections.abc import Sequence

from kubesim.api.meta import controller_reference
from kubesim.apiserver.requests import Object, Request, create, update
from kubesim.controllers.contract import View
from kubesim.controllers.statefulset.pods import claim_name, ordinal_of, replicas_of, selector_labels, start_of

CLAIMS = "persistentvolumeclaims"


def templates_of(stateful_set: Object) -> Sequence[Object]:
    """The claim templates."""
    return stateful_set["spec"].get("volumeClaimTemplates") or ()


def policy_of(stateful_set: Object) -> tuple[bool, bool]:
    """Whether claims go when the set is scaled down, and when it is deleted."""
    policy = stateful_set["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    return policy.get("whenScaled") == "Delete", policy.get("whenDeleted") == "Delete"


def in_range(stateful_set: Object, ordinal: int) -> bool:
    """Whether an ordinal is one of those wanted."""
    start = start_of(stateful_set)
    return start <= ordinal < start + replicas_of(stateful_set)


def wanted_owner(stateful_set: Object, pod: Object) -> Object | None:
    """Who should own the claims of a Pod."""
    when_scaled, when_deleted = policy_of(stateful_set)
    if when_scaled and not in_range(stateful_set, ordinal_of(stateful_set, pod["metadata"]["name"])):
        return pod
    return stateful_set if when_deleted else None


def references_of(claim: Object, stateful_set: Object, pod: Object) -> list[Object]:
    """The owner references that a claim should have: others' stay, ours by the policy unless somebody else controls it."""
    name, set_name = pod["metadata"]["name"], stateful_set["metadata"]["name"]
    ours = (("Pod", name), ("StatefulSet", set_name))
    others = [
        reference for reference in claim["metadata"].get("ownerReferences") or () if (reference["kind"], reference["name"]) not in ours
    ]
    if any(reference.get("controller") for reference in others):
        return others
    owner = wanted_owner(stateful_set, pod)
    if owner is None or not owner["metadata"].get("uid"):
        return others
    return [*others, controller_reference(owner)]


def new_claim(stateful_set: Object, template: Object, ordinal: int, pod: Object) -> Object:
    """The claim of an ordinal."""
    own = template["metadata"]
    metadata: Object = {"name": claim_name(stateful_set, template, ordinal), "namespace": stateful_set["metadata"]["namespace"]}
    metadata["labels"] = {**(own.get("labels") or {}), **selector_labels(stateful_set)}
    if own.get("annotations"):
        metadata["annotations"] = own["annotations"]
    claim: Object = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "metadata": metadata, "spec": template["spec"]}
    references = references_of(claim, stateful_set, pod)
    if references:
        metadata["ownerReferences"] = references
    return claim


def missing_claims(stateful_set: Object, pod: Object, view: View) -> list[Request]:
    """Creates for the claims that a Pod needs and that are not there."""
    namespace = stateful_set["metadata"]["namespace"]
    ordinal = ordinal_of(stateful_set, pod["metadata"]["name"])
    return [
        create(CLAIMS, namespace, new_claim(stateful_set, template, ordinal, pod))
        for template in templates_of(stateful_set)
        if view.get(CLAIMS, f"{namespace}/{claim_name(stateful_set, template, ordinal)}") is None
    ]


def is_stale(stateful_set: Object, ordinal: int, pod_name: str, view: View) -> bool:
    """Whether a claim of an ordinal still belongs to a former Pod of that name, and is about to be deleted with it."""
    namespace = stateful_set["metadata"]["namespace"]
    known = view.get("pods", f"{namespace}/{pod_name}")
    uid = known["metadata"]["uid"] if known is not None else ""
    for template in templates_of(stateful_set):
        claim = view.get(CLAIMS, f"{namespace}/{claim_name(stateful_set, template, ordinal)}")
        for reference in (claim["metadata"].get("ownerReferences") or ()) if claim is not None else ():
            if reference["kind"] == "Pod" and reference["name"] == pod_name and reference["uid"] != uid:
                return True
    return False


def ownership_updates(stateful_set: Object, pod: Object, view: View) -> list[Request]:
    """Updates for the claims of a Pod whose owner is not the one that the policy wants."""
    namespace = stateful_set["metadata"]["namespace"]
    ordinal = ordinal_of(stateful_set, pod["metadata"]["name"])
    requests = []
    for template in templates_of(stateful_set):
        claim = view.get(CLAIMS, f"{namespace}/{claim_name(stateful_set, template, ordinal)}")
        if claim is None or claim["metadata"].get("deletionTimestamp"):
            continue
        references = references_of(claim, stateful_set, pod)
        if references != (claim["metadata"].get("ownerReferences") or []):
            metadata = {key: value for key, value in claim["metadata"].items() if key != "ownerReferences"}
            if references:
                metadata["ownerReferences"] = references
            requests.append(update(CLAIMS, {**claim, "metadata": metadata}))
    return requests
