"""ServiceAccountRules: the account of a Pod must exist and may say which secrets its Pods use; a mirror Pod names none.

The strict half of upstream's plugin (plugin/pkg/admission/serviceaccount/admission.go), for servers with real clients: in process
there may be no controller that makes the account ``default``.
"""

from collections.abc import Iterator

from kubesim.apiserver.admission.contract import CREATE, Attributes, Object, Plugin, Policy, refuse

MIRROR = "kubernetes.io/config.mirror"
ENFORCE = "kubernetes.io/enforce-mountable-secrets"


def mutate(attributes: Attributes, policy: Policy) -> Object:
    """Refuse a Pod that its account does not allow; comes before the plugin that fills the account in."""
    pod: Object = attributes.obj
    spec = pod["spec"]
    if MIRROR in (pod["metadata"].get("annotations") or ()):
        if spec.get("serviceAccountName"):
            raise refuse(attributes, "a mirror pod may not reference service accounts")
        return pod
    name = spec.get("serviceAccountName") or "default"
    account = policy.peek("serviceaccounts", attributes.namespace, name)
    if account is None:
        where = f"error looking up service account {attributes.namespace}/{name}"
        raise refuse(attributes, f'{where}: serviceaccount "{name}" not found')
    if (account["metadata"].get("annotations") or {}).get(ENFORCE) == "true":
        for why in _not_allowed(spec, account):
            raise refuse(attributes, why)
    return pod


def _not_allowed(spec: Object, account: Object) -> Iterator[str]:
    secrets = {reference.get("name") for reference in account.get("secrets") or ()}
    pulls = {reference.get("name") for reference in account.get("imagePullSecrets") or ()}
    tail = f"is not allowed because service account {account['metadata']['name']} does not reference that"
    for volume in spec.get("volumes") or ():
        name = (volume.get("secret") or {}).get("secretName")
        if name and name not in secrets:
            yield f'volume with secret.secretName="{name}" {tail} secret'
    for label, field in (("init container", "initContainers"), ("container", "containers")):
        for container in spec.get(field) or ():
            for variable in container.get("env") or ():
                name = ((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name")
                if name and name not in secrets:
                    where = f"{label} {container['name']} with envVar {variable['name']} referencing"
                    yield f'{where} secret.secretName="{name}" {tail} secret'
    for index, reference in enumerate(spec.get("imagePullSecrets") or ()):
        name = reference.get("name")
        if name not in pulls:
            yield f'imagePullSecrets[{index}].name="{name}" {tail} imagePullSecret'


PLUGIN = Plugin("ServiceAccountRules", (CREATE,), ("pods",), mutate=mutate)
