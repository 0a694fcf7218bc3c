"""TaintNodesByCondition: a new Node is not ready, so nothing is scheduled on it before its kubelet says that it is.

Upstream: plugin/pkg/admission/nodetaint/admission.go.
"""

from kubesim.apiserver.admission.contract import CREATE, Attributes, Object, Plugin, Policy

NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def mutate(attributes: Attributes, policy: Policy) -> Object:
    """Add the not-ready taint, unless the node brings it."""
    node: Object = attributes.obj
    spec = node.get("spec") or {}
    taints = spec.get("taints") or []
    if any(taint.get("key") == NOT_READY["key"] and taint.get("effect") == NOT_READY["effect"] for taint in taints):
        return node
    return {**node, "spec": {**spec, "taints": [*taints, NOT_READY]}}


PLUGIN = Plugin("TaintNodesByCondition", (CREATE,), ("nodes",), mutate=mutate)
