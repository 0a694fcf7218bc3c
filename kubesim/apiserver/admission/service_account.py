"""ServiceAccount: a Pod runs as the namespace's ``default`` account unless it names another, which must exist.

Upstream: plugin/pkg/admission/serviceaccount/admission.go. The ``default`` account itself is not required to exist, as there may be no
controller that makes it, and no token volume is mounted (see the deviations in ARCHITECTURE.md).
"""

from kubesim.apiserver.admission.contract import CREATE, Attributes, Object, Plugin, Policy, refuse

DEFAULT_NAME = "default"


def mutate(attributes: Attributes, policy: Policy) -> Object:
    """Fill in the account's name and the pull secrets of the account."""
    pod: Object = attributes.obj
    spec = pod.get("spec") or {}
    if "kubernetes.io/config.mirror" in (pod["metadata"].get("annotations") or ()):
        return pod
    name = spec.get("serviceAccountName") or DEFAULT_NAME
    account = policy.peek("serviceaccounts", attributes.namespace, name)
    if account is None and name != DEFAULT_NAME:
        where = f"error looking up service account {attributes.namespace}/{name}"
        raise refuse(attributes, f'{where}: serviceaccount "{name}" not found')
    changes: Object = {}
    if spec.get("serviceAccountName") != name:
        changes["serviceAccountName"] = name
    if spec.get("serviceAccount") != name:
        changes["serviceAccount"] = name
    if account is not None and account.get("imagePullSecrets") and not spec.get("imagePullSecrets"):
        changes["imagePullSecrets"] = account["imagePullSecrets"]
    return {**pod, "spec": {**spec, **changes}} if changes else pod


PLUGIN = Plugin("ServiceAccount", (CREATE,), ("pods",), mutate=mutate, of_template=True)
