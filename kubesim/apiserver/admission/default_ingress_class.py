"""DefaultIngressClass: an Ingress that names no class gets the one that is marked as the default.

Upstream: plugin/pkg/admission/network/defaultingressclass/admission.go.
"""

from kubesim.api.meta import annotations_of
from kubesim.apiserver.admission.contract import CREATE, Attributes, Object, Plugin, Policy

CLASSES = "ingressclasses.networking.k8s.io"
MARK = "ingressclass.kubernetes.io/is-default-class"
CLASS_OF_OLD = "kubernetes.io/ingress.class"


def mutate(attributes: Attributes, policy: Policy) -> Object:
    """Fill in the class; of several defaults the newest, then the first by name."""
    ingress: Object = attributes.obj
    spec = ingress.get("spec") or {}
    if spec.get("ingressClassName") is not None or CLASS_OF_OLD in annotations_of(ingress):
        return ingress
    defaults = [found for found in policy.peek_all(CLASSES) if annotations_of(found).get(MARK) == "true"]
    if not defaults:
        return ingress
    defaults.sort(key=lambda found: found["metadata"]["name"])
    chosen = max(defaults, key=lambda found: str(found["metadata"]["creationTimestamp"]))
    return {**ingress, "spec": {**spec, "ingressClassName": chosen["metadata"]["name"]}}


PLUGIN = Plugin("DefaultIngressClass", (CREATE,), ("ingresses.networking.k8s.io",), mutate=mutate)
