"""PodSecurity: the labels of a namespace say which standard its Pods are held to, by refusal (enforce) or by a warning (warn).

Upstream: k8s.io/pod-security-admission (admission/admission.go); the checks are ``kubesim.api.pod_security``. Audit annotations are not
kept, and every version means the latest checks.
"""

from kubesim.api import field
from kubesim.api.errors import FieldError, forbidden, invalid
from kubesim.api.pod_security import LEVELS, PRIVILEGED, violations
from kubesim.apiserver.admission.contract import CREATE, UPDATE, Attributes, Object, Plugin, Policy

PREFIX = "pod-security.kubernetes.io/"
MODES = ("enforce", "audit", "warn")
TEMPLATES = {
    "deployments.apps": ("template",),
    "daemonsets.apps": ("template",),
    "replicasets.apps": ("template",),
    "statefulsets.apps": ("template",),
    "jobs.batch": ("template",),
    "cronjobs.batch": ("jobTemplate", "spec", "template"),
    "replicationcontrollers": ("template",),
}
PODS_MAX = 3000


def level_of(namespace: Object | None, mode: str) -> tuple[str, str]:
    """The level and version that a namespace asks for."""
    labels = (namespace or {}).get("metadata", {}).get("labels") or {}
    return labels.get(f"{PREFIX}{mode}", PRIVILEGED), labels.get(f"{PREFIX}{mode}-version", "latest")


def validate(attributes: Attributes, policy: Policy) -> None:
    """Refuse or warn about a Pod; warn about a template; check the labels of a namespace."""
    name, obj = attributes.resource.name, attributes.obj
    if name == "namespaces":
        _check_namespace(attributes, policy)
        return
    if attributes.operation == UPDATE and (name == "pods" or attributes.request.subresource):
        return
    namespace = policy.peek("namespaces", "", attributes.namespace)
    if name == "pods":
        level, version = level_of(namespace, "enforce")
        found = violations(obj, level)
        if found:
            why = f'violates PodSecurity "{level}:{version}": {", ".join(map(str, found))}'
            raise forbidden("pods", attributes.name, why)
        pod: Object | None = obj
    else:
        pod = obj.get("spec") or {}
        for step in TEMPLATES[name]:
            pod = (pod or {}).get(step)
    level, version = level_of(namespace, "warn")
    found = violations(pod, level) if pod else []
    if found:
        attributes.request.warn(f'would violate PodSecurity "{level}:{version}": {", ".join(map(str, found))}')


def _check_namespace(attributes: Attributes, policy: Policy) -> None:
    obj: Object = attributes.obj
    labels = obj["metadata"].get("labels") or {}
    wrong: list[FieldError] = []
    for mode in MODES:
        level, version = labels.get(f"{PREFIX}{mode}"), labels.get(f"{PREFIX}{mode}-version")
        if level is not None and level not in LEVELS:
            path = f"metadata.labels[{PREFIX}{mode}]"
            wrong.append(field.invalid(path, level, f"must be one of {', '.join(LEVELS)}"))
        if version is not None and version != "latest" and not (version.startswith("v1.") and version[3:].isdecimal()):
            path = f"metadata.labels[{PREFIX}{mode}-version]"
            wrong.append(field.invalid(path, version, 'must be "latest" or "v1.x"'))
    if wrong:
        raise invalid("Namespace", obj["metadata"]["name"], wrong)
    if attributes.operation == UPDATE and not attributes.request.subresource:
        _warn_of_existing(attributes, policy)


def _warn_of_existing(attributes: Attributes, policy: Policy) -> None:
    """A namespace that becomes stricter tells which of its Pods would not be let in any more."""
    before, after = level_of(attributes.old, "enforce"), level_of(attributes.obj, "enforce")
    if before == after or LEVELS.index(after[0]) <= LEVELS.index(before[0]):
        return
    reasons: dict[str, list[str]] = {}
    for pod in list(policy.peek_all("pods", attributes.obj["metadata"]["name"]))[:PODS_MAX]:
        found = violations(pod, after[0])
        if found:
            reasons.setdefault(", ".join(violation.reason for violation in found), []).append(pod["metadata"]["name"])
    if not reasons:
        return
    request = attributes.request
    request.warn(f'existing pods in namespace "{attributes.name}" violate the new PodSecurity enforce level "{after[0]}:{after[1]}"')
    lines = []
    for reason, names in reasons.items():
        others = len(names) - 1
        more = f" (and {others} other pod{'s' if others > 1 else ''})" if others else ""
        lines.append(f"{min(names)}{more}: {reason}")
    for line in sorted(lines):
        request.warn(line)


PLUGIN = Plugin("PodSecurity", (CREATE, UPDATE), ("namespaces", "pods", *TEMPLATES), validate=validate)
