"""LimitRanger: fill in the defaults of a namespace's LimitRanges, and hold Pods and claims to their bounds.

Upstream: plugin/pkg/admission/limitranger/admission.go.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from kubesim.api import quantity
from kubesim.apiserver.admission.contract import CREATE, UPDATE, Attributes, Object, Plugin, Policy, refuse

ANNOTATION = "kubernetes.io/limit-ranger"
CLAIMS = "persistentvolumeclaims"
Amounts = Mapping[str, str]


def _limits(attributes: Attributes, policy: Policy) -> Iterator[list[Object]]:
    for range_ in policy.peek_all("limitranges", attributes.namespace):
        yield range_["spec"].get("limits") or []


def mutate(attributes: Attributes, policy: Policy) -> Object:
    """Add default requests and limits to the containers of a new Pod."""
    obj: Object = attributes.obj
    for limits in _limits(attributes, policy):
        defaults = [limit for limit in limits if limit.get("type") == "Container"]
        requests = {name: amount for limit in defaults for name, amount in (limit.get("defaultRequest") or {}).items()}
        maxima = {name: amount for limit in defaults for name, amount in (limit.get("default") or {}).items()}
        if requests or maxima:
            obj = _with_defaults(obj, requests, maxima)
    return obj


def _with_defaults(pod: Object, requests: Amounts, limits: Amounts) -> Object:
    spec, notes = dict(pod["spec"]), []
    for field, label in (("containers", "container"), ("initContainers", "init container")):
        containers = []
        for container in spec.get(field) or ():
            resources = dict(container.get("resources") or {})
            for part, defaults in (("requests", requests), ("limits", limits)):
                missing = {name: amount for name, amount in defaults.items() if name not in (resources.get(part) or {})}
                if missing:
                    resources[part] = {**(resources.get(part) or {}), **missing}
                    notes.append(f"{', '.join(sorted(missing))} {part[:-1]} for {label} {container['name']}")
            containers.append({**container, "resources": resources})
        if containers:
            spec[field] = containers
    if not notes:
        return pod
    annotations = {**(pod["metadata"].get("annotations") or {}), ANNOTATION: f"LimitRanger plugin set: {'; '.join(notes)}"}
    return {**pod, "metadata": {**pod["metadata"], "annotations": annotations}, "spec": spec}


def validate(attributes: Attributes, policy: Policy) -> None:
    """Refuse what is outside the bounds of a LimitRange, with every reason of the first that refuses."""
    if attributes.operation == UPDATE and attributes.resource.name != CLAIMS:
        return
    for limits in _limits(attributes, policy):
        wrong: list[str] = []
        for limit in limits:
            wrong += _claim_wrongs(attributes.obj, limit) if attributes.resource.name == CLAIMS else _pod_wrongs(attributes.obj, limit)
        wrong = list(dict.fromkeys(wrong))
        if wrong:
            raise refuse(attributes, wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")


def _claim_wrongs(claim: Object, limit: Object) -> Iterator[str]:
    if limit.get("type") != "PersistentVolumeClaim":
        return
    requests = ((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}
    for name, least in sorted((limit.get("min") or {}).items()):
        yield from _below("PersistentVolumeClaim", name, least, requests, {})
    for name, most in sorted((limit.get("max") or {}).items()):
        head = f"maximum {name} usage per PersistentVolumeClaim is {most}"
        if name not in requests:
            yield f"{head}.  No request is specified"
        elif quantity.compare(requests[name], most) > 0:
            yield f"{head}, but request is {requests[name]}"


def _pod_wrongs(pod: Object, limit: Object) -> Iterator[str]:
    spec = pod["spec"]
    if limit.get("type") == "Container":
        for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
            resources = container.get("resources") or {}
            yield from _bounds("Container", limit, resources.get("requests") or {}, resources.get("limits") or {})
    elif limit.get("type") == "Pod":
        yield from _bounds("Pod", limit, _sum(spec, "requests"), _sum(spec, "limits"))


def _bounds(kind: str, limit: Object, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, least in sorted((limit.get("min") or {}).items()):
        yield from _below(kind, name, least, requests, limits)
    for name, most in sorted((limit.get("max") or {}).items()):
        yield from _above(kind, name, most, requests, limits)
    for name, ratio in sorted((limit.get("maxLimitRequestRatio") or {}).items()):
        yield from _steep(kind, name, ratio, requests, limits)


def _below(kind: str, name: str, least: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    head = f"minimum {name} usage per {kind} is {least}"
    if name not in requests:
        yield f"{head}.  No request is specified"
    elif quantity.compare(requests[name], least) < 0:
        yield f"{head}, but request is {requests[name]}"
    elif name in limits and quantity.compare(limits[name], least) < 0:
        yield f"{head}, but limit is {limits[name]}"


def _above(kind: str, name: str, most: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    head = f"maximum {name} usage per {kind} is {most}"
    if name not in limits:
        yield f"{head}.  No limit is specified"
    elif quantity.compare(limits[name], most) > 0:
        yield f"{head}, but limit is {limits[name]}"
    elif name in requests and quantity.compare(requests[name], most) > 0:
        yield f"{head}, but request is {requests[name]}"


def _steep(kind: str, name: str, ratio: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    head = f"{name} max limit to request ratio per {kind} is {ratio}"
    request = quantity.parse(requests.get(name, "0")).nanos
    limit = quantity.parse(limits.get(name, "0")).nanos
    if not request:
        yield f"{head}, but no request is specified or request is 0"
    elif not limit:
        yield f"{head}, but no limit is specified or limit is 0"
    elif limit * 10**9 > quantity.parse(ratio).nanos * request:
        yield f"{head}, but provided ratio is {limit / request:.6f}"


def _sum(spec: Object, part: str) -> dict[str, str]:
    """What a Pod uses at most: its containers together, or its largest init container."""
    total: dict[str, str] = {}
    for container in spec.get("containers") or ():
        for name, amount in ((container.get("resources") or {}).get(part) or {}).items():
            total[name] = quantity.add(total[name], amount) if name in total else amount
    for container in spec.get("initContainers") or ():
        for name, amount in ((container.get("resources") or {}).get(part) or {}).items():
            if name not in total or quantity.compare(amount, total[name]) > 0:
                total[name] = amount
    return total


def _mutate_pods(attributes: Attributes, policy: Policy) -> Any:
    return mutate(attributes, policy) if attributes.resource.name == "pods" and attributes.operation == CREATE else attributes.obj


PLUGIN = Plugin("LimitRanger", (CREATE, UPDATE), ("pods", CLAIMS), mutate=_mutate_pods, validate=validate)
