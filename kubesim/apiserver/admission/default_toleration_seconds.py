"""DefaultTolerationSeconds: a Pod tolerates a node that is not ready or unreachable for 300 seconds, unless it says otherwise.

Upstream: plugin/pkg/admission/defaulttolerationseconds/admission.go.
"""

from kubesim.apiserver.admission.contract import CREATE, UPDATE, Attributes, Object, Plugin, Policy

TOLERATION_SECONDS = 300
KEYS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
TOLERATIONS = {
    key: {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS} for key in KEYS
}


def mutate(attributes: Attributes, policy: Policy) -> Object:
    """Add the tolerations that are missing."""
    pod: Object = attributes.obj
    spec = pod.get("spec") or {}
    tolerations = spec.get("tolerations") or []
    added = [TOLERATIONS[key] for key in KEYS if not _tolerates(tolerations, key)]
    return {**pod, "spec": {**spec, "tolerations": [*tolerations, *added]}} if added else pod


def _tolerates(tolerations: list[Object], key: str) -> bool:
    return any(given.get("key") in (key, None, "") and given.get("effect") in ("NoExecute", None, "") for given in tolerations)


PLUGIN = Plugin("DefaultTolerationSeconds", (CREATE, UPDATE), ("pods",), mutate=mutate, of_template=True)
