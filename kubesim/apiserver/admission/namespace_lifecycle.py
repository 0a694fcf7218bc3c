"""NamespaceLifecycle: nothing is created in a namespace that is absent or terminating, and some namespaces are for ever.

Upstream: apiserver/pkg/admission/plugin/namespace/lifecycle/admission.go.
"""

from kubesim.api.errors import not_found
from kubesim.apiserver.admission.contract import CREATE, DELETE, Attributes, Object, Plugin, Policy, refuse

IMMORTAL = ("default", "kube-system", "kube-public")


def mutate(attributes: Attributes, policy: Policy) -> Object:
    """Let a create into a living namespace pass unchanged."""
    obj: Object = attributes.obj
    name = attributes.namespace
    if not name or not attributes.resource.namespaced:
        return obj
    namespace = policy.peek("namespaces", "", name)
    if namespace is None:
        raise not_found("namespaces", name)
    if (namespace.get("status") or {}).get("phase") == "Terminating":
        error = refuse(attributes, f"unable to create new content in namespace {name} because it is being terminated")
        cause = {"reason": "NamespaceTerminating", "message": f"namespace {name} is being terminated", "field": "metadata.namespace"}
        error.details["causes"] = [cause]
        raise error
    return obj


def validate(attributes: Attributes, policy: Policy) -> None:
    """Refuse to delete a namespace that the cluster cannot be without."""
    if attributes.operation == DELETE and attributes.resource.name == "namespaces" and attributes.name in IMMORTAL:
        raise refuse(attributes, "this namespace may not be deleted")


PLUGIN = Plugin(
    "NamespaceLifecycle", (CREATE, DELETE), mutate=mutate, validate=validate, of_template=True, validates=((DELETE, "namespaces"),)
)
