"""ResourceQuota: what an object uses of a quota, and the charge that a create or an update pays before it is stored.

The charge comes last in admission: the usage in the status of every quota that covers the object is raised by compare-and-put, so that
concurrent creates can never use more than there is; a create that fails afterwards leaves the charge until the quota controller counts
again.

Upstream: plugin/pkg/admission/resourcequota (controller.go: checkQuotas, CheckRequest), pkg/quota/v1/evaluator/core. Left out:
limitedResources; device classes.
"""

from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kubesim.api import quantity, resources
from kubesim.api.errors import ApiError, forbidden
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request
from kubesim.kernel.time import SECOND, parse_time

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
Usage = dict[str, str]  # name of a quota resource -> quantity
RESOURCE = "resourcequotas"
# Core kinds that have a name of their own besides "count/...".
PLAIN_COUNTS = frozenset((
    "configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "resourcequotas", "secrets", "services"
))  # fmt: skip
COMPUTE = ("cpu", "memory", "ephemeral-storage")
REQUIRED = frozenset(("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"))
CLASS_SUFFIX = ".storageclass.storage.k8s.io/"
CHARGE_TRIES_MAX = 10
CHARGED_UPDATES = frozenset(("pods", "services", "persistentvolumeclaims"))  # where an update may use more than before


def count_name(resource: str) -> str:
    """The name under which objects of a resource are counted: "count/deployments.apps"."""
    return f"count/{resource}"


def usage_of(resource: str, obj: Object, now_ns: int) -> Usage:
    """What an object uses, by the names that a quota may limit."""
    usage: Usage = {count_name(resource): "1"}
    if resource == "pods":
        if _is_counted(obj, now_ns):
            usage |= _pod_usage(obj)
    elif resource in PLAIN_COUNTS:
        usage[resource] = "1"
    if resource == "services":
        usage |= _service_usage(obj)
    elif resource == "persistentvolumeclaims":
        usage |= _claim_usage(obj)
    return usage


def _is_counted(pod: Object, now_ns: int) -> bool:
    """Whether a Pod still takes part: it has not ended, and has not outlived its grace."""
    metadata = pod["metadata"]
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return False
    deleted, grace = metadata.get("deletionTimestamp"), metadata.get("deletionGracePeriodSeconds")
    return not (deleted and grace is not None and now_ns > parse_time(deleted) + grace * SECOND)


def _pod_usage(pod: Object) -> Usage:
    spec = pod["spec"]
    usage: Usage = {"pods": "1"}
    for prefix, amounts in (("requests.", resources.pod_requests(spec)), ("limits.", resources.pod_limits(spec))):
        for name, amount in amounts.items():
            format_ = _format_of(spec, prefix[:-1], name)
            text = quantity.from_milli(amount, format_) if name == "cpu" else quantity.from_value(amount, format_)
            if name in COMPUTE or name.startswith("hugepages-"):
                usage[f"{prefix}{name}"] = text
                if prefix == "requests.":
                    usage[name] = text
            elif prefix == "requests." and "/" in name:
                usage[f"{prefix}{name}"] = text
    return usage


def _format_of(spec: Object, which: str, name: str) -> str:
    """How the first container that asks for it writes an amount."""
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        asked = ((container.get("resources") or {}).get(which) or {}).get(name)
        if asked is not None:
            return quantity.parse(quantity.as_text(asked)).format
    return quantity.DECIMAL


def _service_usage(service: Object) -> Usage:
    spec = service["spec"]
    ports = spec.get("ports") or ()
    if spec.get("type") == "NodePort":
        return {"services.nodeports": str(len(ports))}
    if spec.get("type") == "LoadBalancer":
        has_ports = spec.get("allocateLoadBalancerNodePorts") is not False
        count = len(ports) if has_ports else sum(1 for port in ports if port.get("nodePort"))
        return {"services.loadbalancers": "1", "services.nodeports": str(count)}
    return {}


def _claim_usage(claim: Object) -> Usage:
    spec = claim["spec"]
    asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    class_name = (claim["metadata"].get("annotations") or {}).get("volume.beta.kubernetes.io/storage-class") or spec.get("storageClassName")
    usage: Usage = {"requests.storage": quantity.as_text(asked)} if asked is not None else {}
    if class_name:
        usage[f"{class_name}{CLASS_SUFFIX}persistentvolumeclaims"] = "1"
        if asked is not None:
            usage[f"{class_name}{CLASS_SUFFIX}requests.storage"] = quantity.as_text(asked)
    return usage


def covers(quota: Object, resource: str, obj: Object) -> bool:
    """Whether an object is in the scopes of a quota; scopes are about Pods only."""
    spec = quota["spec"]
    scopes = [(scope, "Exists", ()) for scope in spec.get("scopes") or ()]
    for term in (spec.get("scopeSelector") or {}).get("matchExpressions") or ():
        scopes.append((term["scopeName"], term["operator"], term.get("values") or ()))
    return not scopes or (resource == "pods" and all(_in_scope(obj["spec"], *scope) for scope in scopes))


def _in_scope(spec: Object, scope: str, operator: str, values: Iterable[str]) -> bool:
    if scope in ("Terminating", "NotTerminating"):
        return (spec.get("activeDeadlineSeconds") is not None) == (scope == "Terminating")
    if scope in ("BestEffort", "NotBestEffort"):
        return (resources.qos_class(spec) == resources.BEST_EFFORT) == (scope == "BestEffort")
    if scope == "PriorityClass":
        name = spec.get("priorityClassName") or ""
        answers = {"In": name in values, "NotIn": name not in values, "Exists": bool(name), "DoesNotExist": not name}
        return answers[operator]
    if scope == "CrossNamespacePodAffinity":
        return any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in _affinity_terms(spec))
    return False


def _affinity_terms(spec: Object) -> Iterable[Object]:
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = (spec.get("affinity") or {}).get(kind) or {}
        yield from rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        for weighted in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            yield weighted["podAffinityTerm"]


def added(total: Mapping[str, str], more: Mapping[str, str]) -> Usage:
    """The sum by name."""
    result = dict(total)
    for name, amount in more.items():
        result[name] = quantity.add(result[name], amount) if name in result else quantity.canonical(amount)
    return result


def charge(server: "ApiServer", resource: Resource, request: Request, obj: Object, old: Object | None = None) -> Generator[Any, Any, None]:
    """Take what ``obj`` uses, beyond what ``old`` did, from the quotas of its namespace. Raises ApiError 403."""
    quotas = server.registry.by_name[RESOURCE]
    for _ in range(CHARGE_TRIES_MAX):
        page = yield ("range", *quotas.range(request.namespace), 0, 0)
        charges = []
        for found in page.kvs:
            used = _checked(resource, obj, old, found.value, server.kernel.now_ns)
            if used is not None:
                charges.append((found, used))
        if not charges or request.options.get("dryRun"):
            return
        for found, used in charges:
            quota = found.value
            status = {**quota["status"], "used": {**(quota["status"].get("used") or {}), **used}}
            fresh = server.sealed({**quota, "metadata": {**quota["metadata"], "resourceVersion": ""}, "status": status})
            revision = yield ("put_if", found.key, fresh, found.mod_revision)
            if not revision:
                break
            write = Request("update", RESOURCE, request.namespace, quota["metadata"]["name"], fresh, "status", user="system:apiserver")
            server.committed(write, quotas, found.key, fresh, revision)
        else:
            return
    raise ApiError(409, "Conflict", f"the quotas of namespace {request.namespace} keep changing")


def _asked(resource: Resource, obj: Object, old: Object | None, now_ns: int) -> Usage:
    """What a write uses; below 0 where it gives back."""
    asked = usage_of(resource.name, obj, now_ns)
    if old is None:
        return asked
    before = usage_of(resource.name, old, now_ns)
    names = [*asked, *(key for key in before if key not in asked)]
    return {key: quantity.subtract(asked.get(key, "0"), before.get(key, "0")) for key in names}


def _checked(resource: Resource, obj: Object, old: Object | None, quota: Object, now_ns: int) -> Usage | None:
    """The usage of a quota with ``obj`` in place of ``old``, None if it is not about it. Raises 403 when that is too much."""
    name = quota["metadata"]["name"]
    if not covers(quota, resource.name, obj):
        return None
    limits = (quota.get("status") or {}).get("hard") or {}
    hard = {**(quota["spec"].get("hard") or {})}
    asked = {key: amount for key, amount in _asked(resource, obj, old, now_ns).items() if key in hard}
    asked = {key: amount for key, amount in asked.items() if quantity.compare(amount, "0")}
    if resource.name == "pods":
        _specified(resource, obj, name, hard)
    if not asked:
        return None
    unknown = sorted(key for key in asked if key not in limits)
    if unknown:
        raise _refused(resource, obj, f"status unknown for quota: {name}, resources: {','.join(unknown)}")
    used = (quota["status"].get("used")) or {}
    new = {key: quantity.add(used.get(key, "0"), amount) for key, amount in asked.items()}
    over = sorted(key for key, amount in new.items() if quantity.compare(amount, limits[key]) > 0 and quantity.compare(asked[key], "0") > 0)
    if over:
        texts = [",".join(f"{key}={values.get(key, '0')}" for key in over) for values in (asked, used, limits)]
        raise _refused(resource, obj, f"exceeded quota: {name}, requested: {texts[0]}, used: {texts[1]}, limited: {texts[2]}")
    return new


def _specified(resource: Resource, pod: Object, name: str, hard: Mapping[str, Any]) -> None:
    """Every container must say what it takes of a compute resource that the quota limits."""
    missing: dict[str, list[str]] = {}
    for container in (*(pod["spec"].get("containers") or ()), *(pod["spec"].get("initContainers") or ())):
        asked = container.get("resources") or {}
        for key in REQUIRED & hard.keys():
            which, _, plain = key.rpartition(".")
            if plain not in (asked.get(which or "requests") or {}):
                missing.setdefault(key, []).append(container["name"])
    if missing:
        texts = [f"{key} for: {','.join(sorted(containers))}" for key, containers in sorted(missing.items())]
        raise _refused(resource, pod, f"failed quota: {name}: must specify {'; '.join(texts)}")


def _refused(resource: Resource, obj: Object, why: str) -> ApiError:
    return forbidden(resource.name, obj["metadata"].get("name") or "Unknown", why)
