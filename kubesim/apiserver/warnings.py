"""What a server warns about without refusing it: names that surprise, fields that do nothing any more, definitions that hide one another.

Upstream: pkg/api/pod/warnings.go, pkg/api/service/warnings.go and WarningsOnCreate of the strategies. Only made for who listens.
"""

from collections.abc import Callable, Iterator
from typing import Any

from kubesim.api import quantity
from kubesim.api.field import quote
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request

Object = dict[str, Any]
LABEL_SIZE_MAX = 63
_NODE_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}
_VOLUMES = {
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
}
_NO_SELECTOR = "a null labelSelector results in matching no pod"
_TEMPLATES = {
    "deployments.apps": ("template",),
    "daemonsets.apps": ("template",),
    "replicasets.apps": ("template",),
    "statefulsets.apps": ("template",),
    "jobs.batch": ("template",),
    "replicationcontrollers": ("template",),
    "cronjobs.batch": ("jobTemplate", "spec", "template"),
}
_NAMES_PODS = ("pods", "deployments.apps", "replicasets.apps", "replicationcontrollers", "jobs.batch")


def warn(resource: Resource, request: Request, obj: Object, old: Object | None) -> None:
    """Tell the client of ``request`` what is to be said about ``obj``, new or changed from ``old``."""
    if "warnings" not in request.options:
        return
    if resource.name in _NAMES_PODS and old is None:
        for text in _name_warnings(obj["metadata"].get("name", "")):
            request.warn(text)
    if resource.name == "pods" and (old is None or obj.get("spec") != old.get("spec")):
        _tell(request, _pod(obj, ""))
    elif resource.name in _TEMPLATES and (old is None or obj.get("spec") != old.get("spec")):
        template: Any = obj.get("spec")
        for step in _TEMPLATES[resource.name]:
            template = (template or {}).get(step)
        if template:
            _tell(request, _pod(template, "spec." + ".".join(_TEMPLATES[resource.name]) + "."))
    elif resource.name in _OTHERS:
        _tell(request, _OTHERS[resource.name](obj))


def _tell(request: Request, texts: Iterator[str]) -> None:
    for text in texts:
        request.warn(text)


def _name_warnings(name: str) -> Iterator[str]:
    wrong = []
    if "." in name:
        wrong.append("must not contain dots")
    if len(name) > LABEL_SIZE_MAX:
        wrong.append(f"must be no more than {LABEL_SIZE_MAX} characters")
    if wrong:
        what = "this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended"
        yield f"metadata.name: {what}: [{' '.join(wrong)}]"


def _pod(pod: Object, path: str) -> Iterator[str]:
    """The warnings about a Pod or a template at ``path`` (with its dot)."""
    spec, at = pod.get("spec") or {}, f"{path}spec"
    for key in sorted(spec.get("nodeSelector") or ()):
        if key in _NODE_LABELS:
            yield f"{at}.nodeSelector[{key}]: {_NODE_LABELS[key]}"
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        if constraint.get("labelSelector") is None:
            yield f"{at}.topologySpreadConstraints[{index}].labelSelector: {_NO_SELECTOR}"
    yield from _affinity(spec.get("affinity") or {}, f"{at}.affinity")
    for index, volume in enumerate(spec.get("volumes") or ()):
        for kind, text in _VOLUMES.items():
            if volume.get(kind) is not None:
                yield f"{at}.volumes[{index}].{kind}: {text}"
        projected = volume.get("projected")
        if projected is not None and not any(projected.get("sources") or ()):
            yield f"volume {quote(volume['name'])} (Projected) has no sources provided"
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            yield f'{at}.imagePullSecrets[{index}].name: invalid empty name ""'
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        yield f"{at}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or ()):
            yield from _container(container, f"{at}.{field}[{index}]")


def _affinity(affinity: Object, path: str) -> Iterator[str]:
    required, preferred = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind) or {}
        for index, term in enumerate(terms.get(required) or ()):
            if term.get("labelSelector") is None:
                yield f"{path}.{kind}.{required}[{index}].labelSelector: {_NO_SELECTOR}"
        for index, weighted in enumerate(terms.get(preferred) or ()):
            if (weighted.get("podAffinityTerm") or {}).get("labelSelector") is None:
                yield f"{path}.{kind}.{preferred}[{index}].podAffinityTerm.labelSelector: {_NO_SELECTOR}"


def _container(container: Object, path: str) -> Iterator[str]:
    resources = container.get("resources") or {}
    for part in ("limits", "requests"):
        for name, amount in sorted((resources.get(part) or {}).items()):
            if name in ("memory", "ephemeral-storage") and quantity.parse(amount).nanos % 10**9:
                yield f"{path}.resources.{part}[{name}]: fractional byte value {quote(amount)} is invalid, must be an integer"
    seen: set[str] = set()
    for index, variable in enumerate(container.get("env") or ()):
        if variable["name"] in seen:
            what = f"hides previous definition of {quote(variable['name'])}, which may be dropped when using apply"
            yield f"{path}.env[{index}]: {what}"
        seen.add(variable["name"])
    ports: dict[tuple[Any, ...], int] = {}
    for index, port in enumerate(container.get("ports") or ()):
        key = (port.get("containerPort"), port.get("protocol"), port.get("hostPort"), port.get("hostIP"))
        if key in ports:
            yield f"{path}.ports[{index}]: duplicate port definition with {path}.ports[{ports[key]}]"
        ports.setdefault(key, index)


def warn_of_delete(resource: Resource, request: Request) -> None:
    """Tell a client that deletes a Job what becomes of its Pods, unless it says so itself."""
    options = request.options
    if resource.name == "jobs.batch" and options.get("propagationPolicy") is None and options.get("orphanDependents") is None:
        how = "set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning"
        request.warn(f"child pods are preserved by default when jobs are deleted; {how}")


def _service(service: Object) -> Iterator[str]:
    if service["spec"].get("externalIPs"):
        yield "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
    if service["spec"].get("trafficDistribution") == "PreferClose":
        yield 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'


def _service_account(account: Object) -> Iterator[str]:
    key = "kubernetes.io/enforce-mountable-secrets"
    if key in (account["metadata"].get("annotations") or ()):
        yield f"metadata.annotations[{key}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"


def _ingress(ingress: Object) -> Iterator[str]:
    if "kubernetes.io/ingress.class" in (ingress["metadata"].get("annotations") or ()):
        yield "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"


def _volume(volume: Object) -> Iterator[str]:
    if volume["spec"].get("persistentVolumeReclaimPolicy") == "Recycle":
        instead = "Instead, the recommended approach is to use dynamic provisioning."
        yield f"spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. {instead}"


_OTHERS: dict[str, Callable[[Object], Iterator[str]]] = {
    "services": _service,
    "serviceaccounts": _service_account,
    "ingresses.networking.k8s.io": _ingress,
    "persistentvolumes": _volume,
}
