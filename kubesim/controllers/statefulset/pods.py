"""The Pods of a StatefulSet: their names, what makes them who they are, and what state they are in.

Upstream: pkg/controller/statefulset/stateful_set_utils.go.
"""

from collections.abc import Mapping

from kubesim.api.meta import controller_reference
from kubesim.apiserver.requests import Object
from kubesim.controllers.owned_pods import is_ready, ready_since_ns
from kubesim.controllers.revision_history import POD_LABEL
from kubesim.kernel.time import SECOND

NAME_LABEL, INDEX_LABEL = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"


def start_of(stateful_set: Object) -> int:
    """The first ordinal."""
    return int((stateful_set["spec"].get("ordinals") or {}).get("start", 0))


def replicas_of(stateful_set: Object) -> int:
    """How many Pods are wanted."""
    return int(stateful_set["spec"].get("replicas", 1))


def name_of(stateful_set: Object, ordinal: int) -> str:
    """The name of the Pod of an ordinal."""
    return f"{stateful_set['metadata']['name']}-{ordinal}"


def ordinal_of(stateful_set: Object, pod_name: str) -> int:
    """The ordinal in a Pod's name, -1 when it is none of this set's."""
    parent, _, digits = pod_name.rpartition("-")
    if parent != stateful_set["metadata"]["name"] or not (digits.isascii() and digits.isdigit()) or len(digits) > 10:
        return -1
    return int(digits)


def revision_of(pod: Object) -> str:
    """The name of the revision that a Pod was made from."""
    label: str = (pod["metadata"].get("labels") or {}).get(POD_LABEL, "")
    return label


def claim_name(stateful_set: Object, template: Object, ordinal: int) -> str:
    """The name of the claim of an ordinal."""
    return f"{template['metadata']['name']}-{stateful_set['metadata']['name']}-{ordinal}"


def new_pod(stateful_set: Object, template: Object, revision: str, ordinal: int) -> Object:
    """The Pod of an ordinal, made from a template."""
    name, namespace = name_of(stateful_set, ordinal), stateful_set["metadata"]["namespace"]
    own = template.get("metadata") or {}
    labels = {**(own.get("labels") or {}), NAME_LABEL: name, INDEX_LABEL: str(ordinal), POD_LABEL: revision}
    metadata: Object = {"name": name, "generateName": f"{stateful_set['metadata']['name']}-", "namespace": namespace, "labels": labels}
    for field in ("annotations", "finalizers"):
        if own.get(field):
            metadata[field] = own[field]
    metadata["ownerReferences"] = [controller_reference(stateful_set)]
    spec = {**template["spec"], "hostname": name}
    if stateful_set["spec"].get("serviceName"):
        spec["subdomain"] = stateful_set["spec"]["serviceName"]
    templates = stateful_set["spec"].get("volumeClaimTemplates") or ()
    if templates:
        names = {each["metadata"]["name"] for each in templates}
        volumes = [
            {"name": each["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim_name(stateful_set, each, ordinal)}}
            for each in templates
        ]
        spec["volumes"] = volumes + [volume for volume in spec.get("volumes") or () if volume["name"] not in names]
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec}


def identity_matches(pod: Object) -> bool:
    """Whether a Pod carries its name as a label. (Its name cannot be another: it was found by it.)"""
    return bool((pod["metadata"].get("labels") or {}).get(NAME_LABEL) == pod["metadata"]["name"])


# States. A Pod that is not there is None.


def phase_of(pod: Object) -> str:
    """The phase, empty before there is one."""
    phase: str = (pod.get("status") or {}).get("phase", "")
    return phase


def is_created(pod: Object | None) -> bool:
    """Whether the apiserver has it."""
    return pod is not None and phase_of(pod) != ""


def is_terminating(pod: Object) -> bool:
    """Whether it is being deleted."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_running_and_ready(pod: Object | None) -> bool:
    """Running, with the condition Ready."""
    return pod is not None and phase_of(pod) == "Running" and is_ready(pod)


def available_in_ns(pod: Object | None, min_ready_seconds: int, now_ns: int) -> int | None:
    """0 when running and ready for long enough, else the ns until it is, None when it is not ready."""
    if not is_running_and_ready(pod):
        return None
    if not min_ready_seconds or pod is None:
        return 0
    since_ns = ready_since_ns(pod)
    return max(since_ns + min_ready_seconds * SECOND - now_ns + 1, 0) if since_ns else None


def is_healthy(pod: Object | None) -> bool:
    """Running, ready and not being deleted."""
    return pod is not None and is_running_and_ready(pod) and not is_terminating(pod)


def selector_labels(stateful_set: Object) -> Mapping[str, str]:
    """The matchLabels of the selector: what claims are labelled with."""
    labels: Mapping[str, str] = stateful_set["spec"]["selector"].get("matchLabels") or {}
    return labels
