"""ServiceAccountToken: mount the token of the service account into every container of a Pod.

Upstream: the second half of plugin/pkg/admission/serviceaccount/admission.go (mountServiceAccountToken). Not in the default profile: nobody
in process reads a token, and what replays recordings asks for it. The volume's random suffix is made of the template, so that the Pods of
a template go on sharing one ``spec``.
"""

from zlib import crc32

import orjson

from kubesim.apiserver.admission.contract import CREATE, Attributes, Object, Plugin, Policy
from kubesim.kernel.rng import SUFFIX_ALPHABET

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
EXPIRATION_SECONDS = 3607
PREFIX = "kube-api-access-"


def mutate(attributes: Attributes, policy: Policy) -> Object:
    """Add the projected volume and its mounts, unless the Pod or its account says no."""
    pod: Object = attributes.obj
    spec = pod["spec"]
    if "kubernetes.io/config.mirror" in (pod["metadata"].get("annotations") or ()) or not _wanted(attributes, spec, policy):
        return pod
    name = next((volume["name"] for volume in spec.get("volumes") or () if volume["name"].startswith(PREFIX)), "")
    name = name or PREFIX + _suffix(attributes, spec)
    changed = {**spec}
    mounted = False
    for field in ("initContainers", "containers"):
        containers = [_mounting(container, name) for container in spec.get(field) or ()]
        if any(one is not other for one, other in zip(containers, spec.get(field) or ())):
            changed[field] = containers
            mounted = True
    if mounted and all(volume["name"] != name for volume in spec.get("volumes") or ()):
        changed["volumes"] = [*(spec.get("volumes") or ()), {"name": name, "projected": _projected()}]
    return {**pod, "spec": changed} if mounted else pod


def _suffix(attributes: Attributes, spec: Object) -> str:
    """Five letters as upstream's generated names have them: other ones for every Pod, but for those that share a template."""
    number = crc32(orjson.dumps([attributes.namespace, attributes.name, spec], option=orjson.OPT_SORT_KEYS))
    letters = []
    for _ in range(5):
        number, letter = divmod(number, len(SUFFIX_ALPHABET))
        letters.append(SUFFIX_ALPHABET[letter])
    return "".join(letters)


def _wanted(attributes: Attributes, spec: Object, policy: Policy) -> bool:
    """The Pod decides, else its account, else yes."""
    if spec.get("automountServiceAccountToken") is not None:
        return bool(spec["automountServiceAccountToken"])
    account = policy.peek("serviceaccounts", attributes.namespace, spec.get("serviceAccountName") or "default")
    return account is None or account.get("automountServiceAccountToken") is not False


def _mounting(container: Object, name: str) -> Object:
    mounts = container.get("volumeMounts") or ()
    if any(mount.get("mountPath") == MOUNT_PATH for mount in mounts):
        return container
    return {**container, "volumeMounts": [*mounts, {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}]}


def _projected() -> Object:
    token = {"serviceAccountToken": {"expirationSeconds": EXPIRATION_SECONDS, "path": "token"}}
    authority = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return {"sources": [token, authority, {"downwardAPI": {"items": [namespace]}}], "defaultMode": 420}


PLUGIN = Plugin("ServiceAccountToken", (CREATE,), ("pods",), mutate=mutate, of_template=True)
