"""The eviction subresource: a delete that asks the Pod's disruption budget first.

Upstream: pkg/registry/core/pod/storage/eviction.go. The budget's ``disruptionsAllowed`` is taken down by compare-and-put before the Pod is
deleted, so two evictions cannot spend the same one.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from kubesim.api import selectors
from kubesim.api.conditions import is_true, set_condition
from kubesim.api.errors import ApiError, bad_request, not_found
from kubesim.api.meta import labels_of
from kubesim.apiserver.admission.contract import CREATE
from kubesim.apiserver.dynamic.operation import Operation
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request
from kubesim.apiserver.subresources.binding import SUCCESS
from kubesim.apiserver.verbs.delete import delete
from kubesim.apiserver.verbs.update import TRIES_MAX

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
BUDGETS = "poddisruptionbudgets.policy"
DISRUPTED_PODS_MAX = 2_000
REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."


def evict(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Evict a Pod; the answer is a Status. Raises ApiError 400, 404, 429 or 500."""
    eviction = request.obj
    if (eviction.get("metadata") or {}).get("name") not in ("", None, request.name):
        raise bad_request("name in URL does not match name in Eviction object")
    found = yield ("get", resource.key(request.namespace, request.name))
    if found is None:
        raise not_found(resource.name, request.name)
    pod = found.value
    if server.dynamic.is_on:
        operation = Operation(CREATE, resource, request, eviction, None)
        yield from server.dynamic.mutate(operation)
        yield from server.dynamic.validate(operation)
    options = {**(eviction.get("deleteOptions") or {}), **request.options}
    if not _needs_no_budget(pod):
        yield from _spend(server, pod, request, bool(options.get("dryRun")))
    if not options.get("dryRun"):
        yield from _mark(server, resource, request)
    deletion = Request("delete", resource.name, request.namespace, request.name, options=options, user=request.user)
    yield from delete(server, resource, deletion)
    return SUCCESS


def _mark(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, None]:
    """Say in the Pod's conditions that it is disrupted, and by whom (addConditionAndDeletePod). Raises ApiError 404 or 429."""
    key = resource.key(request.namespace, request.name)
    for _ in range(TRIES_MAX):
        found = yield ("get", key)
        if found is None:
            raise not_found(resource.name, request.name)
        pod = found.value
        status = pod.get("status") or {}
        condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
        conditions = set_condition(status.get("conditions"), condition, server.now_text())
        if conditions is status.get("conditions"):
            return
        fresh = {**pod, "metadata": {**pod["metadata"], "resourceVersion": ""}, "status": {**status, "conditions": conditions}}
        fresh = server.sealed(fresh)
        revision = yield ("put_if", key, fresh, found.mod_revision)
        if revision:
            write = Request("update", resource.name, request.namespace, request.name, fresh, "status", user=request.user)
            server.committed(write, resource, key, fresh, revision)
            return
    raise _too_many("the Pod keeps changing")


def _needs_no_budget(pod: Object) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Succeeded", "Failed", "Pending") or "deletionTimestamp" in pod["metadata"]


def _spend(server: "ApiServer", pod: Object, request: Request, dry_run: bool) -> Generator[Any, Any, None]:
    """Take one disruption from the Pod's budget, if it has one. Raises 429 when there is none left."""
    budgets = server.registry.by_name.get(BUDGETS)
    if budgets is None:
        return
    for _ in range(TRIES_MAX):
        page = yield ("range", *budgets.range(request.namespace), 0, 0)
        matching = [found for found in page.kvs if _covers(found.value, pod)]
        if not matching:
            return
        if len(matching) > 1:
            what = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            raise ApiError(500, "", what)
        budget = matching[0].value
        if _may_go_unready(budget, pod):
            return
        spent = _spent(budget, pod, server.now_text())
        if dry_run:
            return
        revision = yield ("put_if", matching[0].key, spent, matching[0].mod_revision)
        if revision:
            write = Request("update", BUDGETS, request.namespace, budget["metadata"]["name"], spent, "status", user=request.user)
            server.committed(write, budgets, matching[0].key, spent, revision)
            return
    raise _too_many("the disruption budget keeps changing")


def _covers(budget: Object, pod: Object) -> bool:
    selector = selectors.from_object((budget.get("spec") or {}).get("selector"))
    return selector.matches(labels_of(pod))


def _may_go_unready(budget: Object, pod: Object) -> bool:
    """A Pod that is not ready spends nothing when the policy or the state of the budget allows (unhealthyPodEvictionPolicy)."""
    if is_true(pod, "Ready"):
        return False
    status = budget.get("status") or {}
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    return status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) > 0


def _spent(budget: Object, pod: Object, now: str) -> Object:
    """The budget with one disruption less. Raises 429 with upstream's cause."""
    name, status = budget["metadata"]["name"], budget.get("status") or {}
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise _too_many(f"The disruption budget {name} is still being processed by the server.", retry_seconds=10)
    allowed, disrupted = status.get("disruptionsAllowed", 0), status.get("disruptedPods") or {}
    if allowed < 0 or len(disrupted) > DISRUPTED_PODS_MAX:
        raise _too_many(f"The disruption budget {name} does not allow evicting pods currently")
    if allowed == 0:
        healthy, desired = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
        if healthy > desired:
            raise _too_many(f"The disruption budget {name} does not allow evicting pods currently")
        raise _too_many(f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently")
    fresh = {**status, "disruptionsAllowed": allowed - 1, "disruptedPods": {**disrupted, pod["metadata"]["name"]: now}}
    if not fresh["disruptionsAllowed"]:
        condition = {"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": ""}
        generation = budget["metadata"].get("generation", 0)
        fresh["conditions"] = set_condition(status.get("conditions"), {**condition, "observedGeneration": generation}, now)
    return {**budget, "metadata": {**budget["metadata"], "resourceVersion": ""}, "status": fresh}


def _too_many(why: str, retry_seconds: int = 0) -> ApiError:
    details: Object = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    if retry_seconds:
        details["retryAfterSeconds"] = retry_seconds
    return ApiError(429, "TooManyRequests", REFUSED, details)
