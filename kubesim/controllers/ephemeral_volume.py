"""The ephemeral volume controller: a generic ephemeral volume of a Pod gets a claim of its own, which goes with the Pod.

Upstream: pkg/controller/volume/ephemeral/controller.go.
"""

from collections.abc import Iterable, Mapping

from kubesim.api.meta import controller_reference, is_controlled_by, key_of
from kubesim.apiserver.requests import Object, Request, create
from kubesim.client.informer import IndexFunction, looks_at
from kubesim.controllers.contract import DONE, Burst, ControllerBase, EventIntent, Intent, Mapper, Result, View
from kubesim.controllers.volume import CLAIMS, claims_of_pod


@looks_at()
def pod_to_key(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """A new Pod with such a volume."""
    if new is None or old is not None or not any("ephemeral" in volume for volume in new["spec"].get("volumes") or ()):
        return ()
    return (key_of(new),)


def gone_claim_to_pods(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The Pods of a claim that is gone."""
    return tuple(view.indexed("pods", "claim", key_of(old))) if new is None and old is not None else ()


class EphemeralVolumeController(ControllerBase):
    """Reconciles Pods by ``namespace/name``."""

    name = "ephemeral-volume-controller"
    component = "ephemeral_volume"
    resource = "pods"
    watches: Mapping[str, Mapper] = {"pods": pod_to_key, CLAIMS: gone_claim_to_pods}
    indexes: Mapping[str, Mapping[str, IndexFunction]] = {"pods": {"claim": claims_of_pod}}

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Create the claims that are missing."""
        pod = view.get("pods", key)
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            return DONE
        namespace, requests = pod["metadata"]["namespace"], []
        intents: list[Intent] = []
        for volume in pod["spec"].get("volumes") or ():
            if "ephemeral" not in volume:
                continue
            name = f"{pod['metadata']['name']}-{volume['name']}"
            known = view.get(CLAIMS, f"{namespace}/{name}")
            if known is None:
                requests.append(_creation(pod, name, volume["ephemeral"]["volumeClaimTemplate"]))
            elif not is_controlled_by(known, pod):
                text = f"PVC {namespace}/{name} was not created for pod {key} (pod is not owner)"
                intents.append(EventIntent(pod, "Warning", "EphemeralVolumeNotOwned", text))
        return Result([*intents, Burst(requests)]) if requests else Result(intents)


def _creation(pod: Object, name: str, template: Object) -> Request:
    own = template.get("metadata") or {}
    metadata: Object = {"name": name, "namespace": pod["metadata"]["namespace"]}
    for field in ("labels", "annotations"):
        if own.get(field):
            metadata[field] = own[field]
    metadata["ownerReferences"] = [controller_reference(pod)]
    claim = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "metadata": metadata, "spec": template["spec"]}
    return create(CLAIMS, metadata["namespace"], claim)


CONTROLLER = EphemeralVolumeController
