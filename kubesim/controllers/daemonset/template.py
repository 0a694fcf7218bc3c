"""On which nodes a DaemonSet runs, and what its Pods look like there.

A Pod is pinned to its node by node affinity, so that the scheduler still has its say about resources; it tolerates what the node
lifecycle and the kubelet taint nodes with.

Upstream: pkg/controller/daemon/daemon_controller.go (NodeShouldRunDaemonPod), daemon/util/daemonset_util.go.
"""

from collections.abc import Sequence
from typing import Any

from kubesim.api.meta import controller_reference
from kubesim.api.selectors import Selector, node_requirement
from kubesim.apiserver.requests import Object
from kubesim.controllers.revision_history import POD_LABEL
from kubesim.controllers.taint_eviction import tolerates

TEMPLATE_GENERATION_LABEL = "pod-template-generation"
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
NODE_NAME = "metadata.name"
NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "NoExecute"
TOLERATED = (
    ("node.kubernetes.io/not-ready", NO_EXECUTE),
    ("node.kubernetes.io/unreachable", NO_EXECUTE),
    ("node.kubernetes.io/disk-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/memory-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/pid-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/unschedulable", NO_SCHEDULE),
)
NETWORK_UNAVAILABLE = "node.kubernetes.io/network-unavailable"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
Terms = Sequence[tuple[Selector, Sequence[Object]]] | None


class Template:
    """The template of one revision, with what is asked of every node worked out once."""

    __slots__ = ("_affinity", "_metadata", "_node_name", "_pinned", "_selector", "_spec", "_terms", "hash", "tolerations")

    def __init__(self, daemon_set: Object, hash_: str) -> None:
        template = daemon_set["spec"]["template"]
        spec = template["spec"]
        self.hash = hash_
        self.tolerations = tolerations_of(spec)
        self._node_name = spec.get("nodeName", "")
        self._selector = spec.get("nodeSelector") or {}
        self._affinity = spec.get("affinity") or {}
        self._terms = _terms((self._affinity.get("nodeAffinity") or {}).get(REQUIRED))
        generation = (daemon_set["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION)
        own = template.get("metadata") or {}
        labels = {**(own.get("labels") or {}), POD_LABEL: hash_}
        if generation:
            labels[TEMPLATE_GENERATION_LABEL] = generation
        metadata: Object = {"generateName": f"{daemon_set['metadata']['name']}-", "namespace": daemon_set["metadata"]["namespace"]}
        metadata["labels"] = labels
        for field in ("annotations", "finalizers"):
            if own.get(field):
                metadata[field] = own[field]
        metadata["ownerReferences"] = [controller_reference(daemon_set)]
        self._metadata = metadata
        self._spec = {**spec, "tolerations": self.tolerations}

    def pod_for(self, node_name: str) -> Object:
        """The Pod of a node, to be created; everything but its affinity is shared."""
        terms = [{"matchFields": [{"key": NODE_NAME, "operator": "In", "values": [node_name]}]}]
        node_affinity = {**(self._affinity.get("nodeAffinity") or {}), REQUIRED: {"nodeSelectorTerms": terms}}
        spec = {**self._spec, "affinity": {**self._affinity, "nodeAffinity": node_affinity}}
        return {"kind": "Pod", "apiVersion": "v1", "metadata": self._metadata, "spec": spec}

    def fits(self, node: Object) -> tuple[bool, bool]:
        """(should run there, should go on running there)."""
        name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
        if self._node_name and self._node_name != name:
            return False, False
        if any(labels.get(key) != value for key, value in self._selector.items()):
            return False, False
        if self._terms is not None and not any(
            selector.matches(labels) and all(_has_name(field, name) for field in fields) for selector, fields in self._terms
        ):
            return False, False
        taints = (node.get("spec") or {}).get("taints") or ()
        if all(self._tolerates(taint) for taint in taints if taint["effect"] in (NO_SCHEDULE, NO_EXECUTE)):
            return True, True
        return False, all(self._tolerates(taint) for taint in taints if taint["effect"] == NO_EXECUTE)

    def _tolerates(self, taint: Object) -> bool:
        return any(tolerates(toleration, taint) for toleration in self.tolerations)


def tolerations_of(spec: Object) -> list[Object]:
    """The template's tolerations and those that every daemon has."""
    added = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in TOLERATED]
    if spec.get("hostNetwork"):
        added.append({"key": NETWORK_UNAVAILABLE, "operator": "Exists", "effect": NO_SCHEDULE})
    own = [toleration for toleration in spec.get("tolerations") or () if not any(_is_same(toleration, other) for other in added)]
    return own + added


def _is_same(one: Object, other: Object) -> bool:
    return all(one.get(field) == other.get(field) for field in ("key", "effect", "operator", "value"))


def _terms(required: Any) -> Terms:
    if required is None:
        return None
    return [
        (Selector(tuple(node_requirement(each) for each in term.get("matchExpressions") or ())), term.get("matchFields") or ())
        for term in required.get("nodeSelectorTerms") or ()
        if term.get("matchExpressions") or term.get("matchFields")
    ]


def _has_name(field: Object, name: str) -> bool:
    inside = field.get("key") == NODE_NAME and name in (field.get("values") or ())
    return inside if field["operator"] == "In" else not inside


def target_node(pod: Object) -> str:
    """The node that a daemon Pod runs on, or is pinned to."""
    spec = pod["spec"]
    if spec.get("nodeName"):
        name: str = spec["nodeName"]
        return name
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED) or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == NODE_NAME and field["operator"] == "In" and len(field["values"]) == 1:
                pinned: str = field["values"][0]
                return pinned
    return ""
