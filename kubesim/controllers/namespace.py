"""The namespace controller: empties a namespace that is being deleted, Pods first, and lets it go when nothing is left.

Five seconds after it sees the deletion it deletes all Pods and, once they are gone, everything else; what is left is counted in the
status conditions and looked at again after half its expected time (a Pod's grace, 15 s for finalizers) plus a second.

Upstream: pkg/controller/namespace (namespace_controller.go, deletion/namespaced_resources_deleter.go, deletion/status_condition_utils.go).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from kubesim.api.errors import ApiError
from kubesim.api.kinds import KINDS
from kubesim.api.kinds.contract import Kind
from kubesim.apiserver.requests import Object, Request, list_, update
from kubesim.controllers.contract import DONE, Again, Burst, ControllerBase, Intent, Mapper, Result, View, own_key
from kubesim.controllers.discovery import Discovery, Known
from kubesim.controllers.owned_pods import ENDED
from kubesim.kernel.time import SECOND, format_time, parse_time

GRACE_NS = 5 * SECOND
FINALIZER_ESTIMATE_SECONDS = 15
PODS = "pods"
GONE = ("NotFound",)
OK_CONDITIONS = (
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    ("NamespaceDeletionContentFailure", "ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
)


class Remaining(NamedTuple):
    """What a pass has left: instances by resource, by finalizer, errors, and the seconds until it may be gone."""

    resources: dict[str, int]
    finalizers: dict[str, int]
    errors: list[str]
    estimate_seconds: int


def namespaced_kinds(view: View) -> list[Kind | Known]:
    """Every namespaced kind but Pods: the built-in ones in the order of the registry, then the custom ones."""
    return [*(kind for kind in KINDS.all() if kind.namespaced and kind.resource != PODS), *view.derived(Discovery).namespaced()]


class NamespaceController(ControllerBase):
    """Reconciles Namespaces by name."""

    name = "namespace-controller"
    resource = "namespaces"
    watches: Mapping[str, Mapper] = {"namespaces": own_key}
    derives: Sequence[Callable[[Any], Any]] = (Discovery,)

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, int]] = {}  # name -> the version last seen, and when the next pass is due

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Make a pass when it is due: five seconds after an event about the namespace, or when the last pass said."""
        namespace = view.get("namespaces", key)
        if namespace is None or not namespace["metadata"].get("deletionTimestamp"):
            self._seen.pop(key, None)
            return DONE
        version = namespace["metadata"]["resourceVersion"]
        known, due_ns = self._seen.get(key, ("", now_ns + GRACE_NS))
        if known != version:
            due_ns = min(due_ns, now_ns + GRACE_NS)
        self._seen[key] = (version, due_ns)
        if now_ns < due_ns:
            return Result((), due_ns - now_ns)

        def again(delay_ns: int | None) -> Again:
            self._seen[key] = (version, now_ns + (delay_ns or 0))
            return Again(delay_ns)

        return Result([_Pass(namespace, now_ns, again, namespaced_kinds(view)).begin()])


def _collection(resource: str, namespace: str) -> Request:
    return Request("deletecollection", resource, namespace, options={"propagationPolicy": "Background"})


class _Pass:
    """One pass over a namespace: each step gives the requests whose answers the next one needs."""

    def __init__(self, namespace: Object, now_ns: int, again: Callable[[int | None], Again], kinds: Sequence[Kind | Known]) -> None:
        self.namespace = namespace
        self.name: str = namespace["metadata"]["name"]
        self.now_ns = now_ns
        self.again = again
        self.kinds = kinds
        self.lists: list[Object] = []
        self.estimate_seconds = 0

    def begin(self) -> Intent:
        """Delete the Pods."""
        return Burst([_collection(PODS, self.name)], on_success=self.pods_deleted)

    def pods_deleted(self, deleted: Object) -> Sequence[Intent]:
        """See what is left of them."""
        grace = _grace_seconds(deleted["items"])
        elapsed_ns = self.now_ns - parse_time(self.namespace["metadata"]["deletionTimestamp"])
        self.estimate_seconds = 0 if elapsed_ns >= grace * SECOND else grace
        return [Burst([list_(PODS, self.name)], on_success=self.pods_left)]

    def pods_left(self, left: Object) -> Sequence[Intent]:
        """Go on with everything else only when no Pod is left; then count what is left of that."""
        if left["items"]:
            return self.report(_remaining([(KINDS.by_resource(PODS), left)], self.name, self.estimate_seconds))
        deletions = Burst([_collection(kind.resource, self.name) for kind in self.kinds], expected=GONE)
        return [deletions, Burst([list_(kind.resource, self.name) for kind in self.kinds], self.rest_left, self.not_served, expected=GONE)]

    def not_served(self, error: ApiError) -> Sequence[Intent]:
        """A custom resource whose definition has gone in the meantime has nothing left."""
        return self.rest_left({"items": []})

    def rest_left(self, left: Object) -> Sequence[Intent]:
        """Report when the last list is there."""
        self.lists.append(left)
        if len(self.lists) < len(self.kinds):
            return ()
        return self.report(_remaining(list(zip(self.kinds, self.lists, strict=True)), self.name, 0))

    def report(self, left: Remaining) -> Sequence[Intent]:
        """Write the conditions; then finalize, or say when to look again."""
        status = {**(self.namespace.get("status") or {}), "conditions": deletion_conditions(self.namespace, left, self.now_ns)}
        done = not left.resources and not left.errors
        follow: list[Intent] = []
        if not done:
            follow.append(self.again(None if left.errors else (left.estimate_seconds // 2 + 1) * SECOND))
        if status == self.namespace.get("status"):
            return [_finalize(self.namespace)] if done else follow
        write = update("namespaces", {**self.namespace, "status": status}, "status")
        return [Burst([write], on_success=lambda fresh: [_finalize(fresh)] if done else []), *follow]


def _grace_seconds(pods: Sequence[Object]) -> int:
    """The longest grace of a Pod that has not ended."""
    running = (pod for pod in pods if (pod.get("status") or {}).get("phase") not in ENDED)
    return max((pod["spec"].get("terminationGracePeriodSeconds") or 0 for pod in running), default=0)


def _remaining(lists: Sequence[tuple[Kind | Known, Object]], name: str, estimate: int) -> Remaining:
    """Count what the lists show; without a finalizer and without time to wait for, an instance that is left is an error."""
    resources: dict[str, int] = {}
    finalizers: dict[str, int] = {}
    errors = []
    for kind, left in lists:
        items = left["items"]
        held = [finalizer for item in items for finalizer in item["metadata"].get("finalizers") or ()]
        if items and not estimate and not held:
            gvr = f"{kind.group}/{kind.version}, Resource={kind.plural}"
            errors.append(f"unexpected items still remain in namespace: {name} for gvr: {gvr}")
        elif items:
            resources[f"{kind.plural}.{kind.group}"] = len(items)
            for finalizer in held:
                finalizers[finalizer] = finalizers.get(finalizer, 0) + 1
    if finalizers:
        estimate = max(estimate, FINALIZER_ESTIMATE_SECONDS)
    return Remaining(resources, finalizers, errors, estimate)


def _finalize(namespace: Object) -> Request:
    """Take the finalizer "kubernetes" off the spec."""
    kept = [name for name in (namespace.get("spec") or {}).get("finalizers") or () if name != "kubernetes"]
    return update("namespaces", {**namespace, "spec": {**(namespace.get("spec") or {}), "finalizers": kept}}, "finalize")


def deletion_conditions(namespace: Object, left: Remaining, now_ns: int) -> list[Object]:
    """The five conditions of a deletion, upstream's texts; a transition time moves with the status only."""
    found = {}
    if left.errors:
        text = f"Failed to delete all resource types, {len(left.errors)} remaining: {', '.join(sorted(left.errors))}"
        found["NamespaceDeletionContentFailure"] = ("ContentDeletionFailed", text)
    if left.resources:
        parts = sorted(f"{resource} has {count} resource instances" for resource, count in left.resources.items())
        found["NamespaceContentRemaining"] = ("SomeResourcesRemain", f"Some resources are remaining: {', '.join(parts)}")
    if left.finalizers:
        parts = sorted(f"{finalizer} in {count} resource instances" for finalizer, count in left.finalizers.items())
        text = f"Some content in the namespace has finalizers remaining: {', '.join(parts)}"
        found["NamespaceFinalizersRemaining"] = ("SomeFinalizersRemain", text)
    conditions = [*((namespace.get("status") or {}).get("conditions") or ())]
    places = {condition["type"]: index for index, condition in enumerate(conditions)}
    for type_, ok_reason, ok_message in OK_CONDITIONS:
        status = "True" if type_ in found else "False"
        reason, message = found.get(type_, (ok_reason, ok_message))
        new = {"type": type_, "status": status, "lastTransitionTime": format_time(now_ns), "reason": reason, "message": message}
        if type_ not in places:
            conditions.append(new)
            continue
        old = conditions[places[type_]]
        if old["status"] == status:
            new["lastTransitionTime"] = old["lastTransitionTime"]
        conditions[places[type_]] = new
    return conditions


CONTROLLER = NamespaceController
