"""The resource claim controller, as Pods see it: each claim that a Pod wants from a template is made, and its name noted in the status.

A Pod's claim belongs to it and goes with it. What claims themselves need (reservations of Pods that have ended) is
``resource_claim_reservations``.

Upstream: pkg/controller/resourceclaim/controller.go (syncPod, handleClaim).
"""

from collections.abc import Iterable, Mapping

from kubesim.api.meta import controller_reference, is_controlled_by, key_of
from kubesim.apiserver.requests import Object, Request, create, update
from kubesim.client.informer import IndexFunction, looks_at
from kubesim.controllers.contract import DONE, Burst, ControllerBase, EventIntent, Intent, Mapper, Result, View

CLAIMS, TEMPLATES = "resourceclaims.resource.k8s.io", "resourceclaimtemplates.resource.k8s.io"
POD_CLAIM = "resource.kubernetes.io/pod-claim-name"
ENDED = ("Succeeded", "Failed")


@looks_at()
def templates_of_pod(pod: Object) -> tuple[str, ...]:
    """Index function: the templates that a Pod takes claims from."""
    namespace = pod["metadata"]["namespace"]
    claims = pod["spec"].get("resourceClaims") or ()
    return tuple(f"{namespace}/{each['resourceClaimTemplateName']}" for each in claims if each.get("resourceClaimTemplateName"))


@looks_at("metadata.ownerReferences")
def pod_of_claim(claim: Object) -> tuple[str, ...]:
    """Index function: the Pod that a claim was made for."""
    for owner in claim["metadata"].get("ownerReferences") or ():
        if owner.get("controller") and owner["kind"] == "Pod":
            return (f"{claim['metadata']['namespace']}/{owner['name']}",)
    return ()


@looks_at()
def pod_to_key(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """A Pod that wants claims from templates."""
    return (key_of(new),) if new is not None and new["spec"].get("resourceClaims") and templates_of_pod(new) else ()


def template_to_pods(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The Pods that wait for a template."""
    return tuple(view.indexed("pods", "template", key_of(new))) if new is not None else ()


@looks_at()
def claim_to_pods(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The Pod of a claim that is gone, or has come."""
    obj = new if new is not None else old
    return pod_of_claim(obj) if obj is not None and (old is None or new is None) else ()


class ResourceClaimController(ControllerBase):
    """Reconciles Pods by ``namespace/name``."""

    name = "resourceclaim-controller"
    component = "resource_claim"
    resource = "pods"
    watches: Mapping[str, Mapper] = {"pods": pod_to_key, CLAIMS: claim_to_pods, TEMPLATES: template_to_pods}
    indexes: Mapping[str, Mapping[str, IndexFunction]] = {"pods": {"template": templates_of_pod}, CLAIMS: {"pod": pod_of_claim}}

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Make what is missing; note the names of what is there."""
        pod = view.get("pods", key)
        if pod is None or pod["metadata"].get("deletionTimestamp") or (pod.get("status") or {}).get("phase") in ENDED:
            return DONE
        status = pod.get("status") or {}
        noted = {each["name"]: each for each in status.get("resourceClaimStatuses") or ()}
        mine = {
            (claim["metadata"].get("annotations") or {}).get(POD_CLAIM): claim
            for claim in view.indexed(CLAIMS, "pod", key).values()
            if is_controlled_by(claim, pod) and not claim["metadata"].get("deletionTimestamp")
        }
        requests: list[Request] = []
        intents: list[Intent] = []
        names = dict(noted)
        for wanted in pod["spec"].get("resourceClaims") or ():
            template_name = wanted.get("resourceClaimTemplateName")
            if not template_name or wanted["name"] in noted:
                continue
            claim = mine.get(wanted["name"])
            if claim is not None:
                names[wanted["name"]] = {"name": wanted["name"], "resourceClaimName": claim["metadata"]["name"]}
                continue
            template = view.get(TEMPLATES, f"{pod['metadata']['namespace']}/{template_name}")
            if template is None:
                why = f'resource claim template "{template_name}": resourceclaimtemplate.resource.k8s.io "{template_name}" not found'
                text = f"PodResourceClaim {wanted['name']}: {why}"
                intents.append(EventIntent(pod, "Warning", "FailedResourceClaimCreation", text))
                continue
            requests.append(_creation(pod, wanted["name"], template))
        if requests:
            return Result([*intents, Burst(requests)])
        if names != noted:
            body = {**pod, "status": {**status, "resourceClaimStatuses": [names[name] for name in sorted(names)]}}
            intents.append(update("pods", body, "status"))
        return Result(intents)


def _creation(pod: Object, name: str, template: Object) -> Request:
    own = (template["spec"].get("metadata")) or {}
    namespace = pod["metadata"]["namespace"]
    metadata: Object = {"generateName": f"{pod['metadata']['name']}-{name}-", "namespace": namespace}
    if own.get("labels"):
        metadata["labels"] = own["labels"]
    metadata["annotations"] = {**(own.get("annotations") or {}), POD_CLAIM: name}
    metadata["ownerReferences"] = [controller_reference(pod)]
    claim = {"kind": "ResourceClaim", "apiVersion": template["apiVersion"], "metadata": metadata, "spec": template["spec"]["spec"]}
    return create(CLAIMS, namespace, claim)


CONTROLLER = ResourceClaimController
