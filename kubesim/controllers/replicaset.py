"""The ReplicaSet controller: as many active Pods as asked for, of one template; its status counts them.

Creates in slow start and deletes by rank, at most 500 at a time; adopts matching orphans after a live look at the ReplicaSet, releases
Pods that no longer match. Never rescans its Pods to count them (``owned_pods.py``): only to choose what to delete. All Pods of
a ReplicaSet share the dicts of its template and the list of their owner reference.

Upstream: pkg/controller/replicaset (replica_set.go, replica_set_utils.go). Adoption and release are a reconcile of their own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubesim.api.errors import ApiError
from kubesim.api.meta import controller_reference, key_of
from kubesim.api.selectors import Selector, from_object
from kubesim.apiserver.requests import Object, Request, create, delete, get, update
from kubesim.client.informer import IndexFunction, looks_at, told_by
from kubesim.client.owners import adopt_request, controller_uid_of, release_request
from kubesim.controllers.contract import DONE, Burst, ControllerBase, EventIntent, Intent, Mapper, Result, View, own_key
from kubesim.controllers.deletion_order import pods_to_delete
from kubesim.controllers.owned_pods import ACTIVE, ENDED, OwnedPods, PodGroup
from kubesim.controllers.view import OWNED_PODS
from kubesim.kernel.time import format_time

RESOURCE = "replicasets.apps"
BURST_REPLICAS = 500
SelectorOf = Callable[[Object], Selector]


@looks_at("metadata.ownerReferences")
def by_controller(obj: Object) -> tuple[str, ...]:
    """Index function: the uid of the controlling owner."""
    uid = controller_uid_of(obj)
    return (uid,) if uid else ()


def pod_mapper(kind: str, resource: str, selector_of: SelectorOf) -> Mapper:
    """The mapper of Pod events to the owners of ``kind`` whose counts they changed, and to those that may want a new orphan."""

    @told_by(OWNED_PODS)
    def to_owners(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
        owned = view.derived(OwnedPods)
        keys = [f"{group.namespace}/{group.owner['name']}" for group in owned.changed if group.owner["kind"] == kind]
        orphan = owned.orphan
        if orphan is not None:
            labels = orphan["metadata"].get("labels") or {}
            for owner in view.list(resource, orphan["metadata"]["namespace"]):
                if selector_of(owner).matches(labels):
                    keys.append(key_of(owner))
        return keys

    return to_owners


def selector_of(replica_set: Object) -> Selector:
    """The selector of a ReplicaSet."""
    return from_object(replica_set["spec"]["selector"])


class ReplicaSetController(ControllerBase):
    """Reconciles ReplicaSets by ``namespace/name``; a ReplicationController is the same with another selector (its subclass)."""

    name = "replicaset-controller"
    resource = RESOURCE
    selector_of: SelectorOf = staticmethod(selector_of)
    watches: Mapping[str, Mapper] = {RESOURCE: own_key, "pods": pod_mapper("ReplicaSet", RESOURCE, selector_of)}
    owner_kinds: Mapping[str, str] = {"pods": "ReplicaSet"}
    indexes: Mapping[str, Mapping[str, IndexFunction]] = {RESOURCE: {"controller": by_controller}}
    derives: Sequence[Callable[[Any], Any]] = (OwnedPods,)
    rationed = frozenset((RESOURCE,))

    def __init__(self) -> None:
        self._pod_of: dict[str, tuple[Object, Request]] = {}  # ReplicaSet uid -> its template, and the request for a Pod of it

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Bring the number of active Pods one burst nearer to ``spec.replicas``, and the status up to date."""
        replica_set = view.get(self.resource, key)
        if replica_set is None:
            return DONE
        selector = self.selector_of(replica_set)
        owned = view.derived(OwnedPods)
        group = owned.group(replica_set["metadata"]["uid"])
        dying = bool(replica_set["metadata"].get("deletionTimestamp"))
        claims = [] if dying else list(_claims(self.resource, replica_set, selector, owned, group, view))
        if claims:
            return Result(claims)
        surplus = (group.active if group else 0) - replica_set["spec"].get("replicas", 1)
        status, wait_ns = counted_status(replica_set, group, now_ns)
        if surplus == 0 or dying:
            return Result(_status_update(self.resource, replica_set, status, None, surplus, now_ns), wait_ns)
        if surplus < 0:
            requests: Sequence[Request] = [self._create_request(replica_set)] * min(-surplus, BURST_REPLICAS)
            on_success, on_failure = _created(replica_set), _failed(replica_set, "FailedCreate", "Error creating")
        else:
            assert group is not None
            requests = _deletes(replica_set, group, view, min(surplus, BURST_REPLICAS), now_ns)
            on_success, on_failure = _deleted(replica_set), _failed(replica_set, "FailedDelete", "Error deleting")

        def after(error: ApiError | None) -> Sequence[Intent]:
            return _status_update(self.resource, replica_set, status, error, surplus, now_ns)

        return Result([Burst(requests, on_success, on_failure, after)], wait_ns)

    def _create_request(self, replica_set: Object) -> Request:
        """The request that makes one more Pod: the same record for every Pod of this template."""
        template = replica_set["spec"]["template"]
        uid = replica_set["metadata"]["uid"]
        known = self._pod_of.get(uid)
        if known is None or known[0] is not template:
            pod = pod_of_template(replica_set, template)
            known = self._pod_of[uid] = (template, create("pods", replica_set["metadata"]["namespace"], pod))
            if len(self._pod_of) > 4096:
                del self._pod_of[next(iter(self._pod_of))]
        return known[1]


def pod_of_template(owner: Object, template: Object) -> Object:
    """A Pod as its owner asks for it: generated name, the template's labels, annotations, finalizers and spec, and the owner."""
    metadata: Object = {"generateName": f"{owner['metadata']['name']}-", "namespace": owner["metadata"]["namespace"]}
    for field in ("labels", "annotations", "finalizers"):
        value = (template.get("metadata") or {}).get(field)
        if value:
            metadata[field] = value
    metadata["ownerReferences"] = [controller_reference(owner)]
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": template["spec"]}


def _claims(
    resource: str, replica_set: Object, selector: Selector, owned: OwnedPods, group: PodGroup | None, view: View
) -> Iterable[Intent]:
    """Adoptions (after a live look whether the ReplicaSet is still there) and releases that are due."""
    namespace = replica_set["metadata"]["namespace"]
    orphans = [
        pod
        for pod in owned.orphans_matching(namespace, selector.matches)
        if not pod["metadata"].get("deletionTimestamp") and (pod.get("status") or {}).get("phase") not in ENDED
    ]
    if orphans:
        uid = replica_set["metadata"]["uid"]

        def adopt(live: Object) -> Sequence[Intent]:
            if live["metadata"]["uid"] != uid or live["metadata"].get("deletionTimestamp"):
                return ()
            return [adopt_request(replica_set, "pods", pod) for pod in orphans]

        yield Burst([get(resource, namespace, replica_set["metadata"]["name"])], on_success=adopt)
    if group is not None and any(not selector.matches(dict(labels)) for labels in group.labels_all):
        for key, state in group.states.items():
            pod = view.get("pods", key)
            if pod is not None and state in ACTIVE and not selector.matches(pod["metadata"].get("labels") or {}):
                yield release_request(replica_set, "pods", pod)


def _deletes(replica_set: Object, group: PodGroup, view: View, count: int, now_ns: int) -> list[Request]:
    """Delete requests for ``count`` Pods, those that are missed least first."""
    active = [pod for key, state in group.states.items() if state in ACTIVE and (pod := view.get("pods", key)) is not None]
    chosen = pods_to_delete(active, count, _related_on_node(replica_set, view) if count < len(active) else {}, now_ns)
    return [delete("pods", pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in chosen]


def _related_on_node(replica_set: Object, view: View) -> dict[str, int]:
    """Active Pods per node of all ReplicaSets with the same controller; empty without a controller, as upstream."""
    owned = view.derived(OwnedPods)
    on_node: dict[str, int] = {}
    owner = controller_uid_of(replica_set)
    for related in view.indexed(RESOURCE, "controller", owner).values() if owner else ():
        group = owned.group(related["metadata"]["uid"])
        for key, state in group.states.items() if group else ():
            pod = view.get("pods", key)
            if state in ACTIVE and pod is not None:
                node = pod["spec"].get("nodeName", "")
                on_node[node] = on_node.get(node, 0) + 1
    return on_node


def _created(replica_set: Object) -> Callable[[Object], Sequence[Intent]]:
    return lambda pod: (EventIntent(replica_set, "Normal", "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}"),)


def _deleted(replica_set: Object) -> Callable[[Object], Sequence[Intent]]:
    def on_success(outcome: Object) -> Sequence[Intent]:
        name = outcome["metadata"].get("name") or outcome.get("details", {}).get("name", "")
        return (EventIntent(replica_set, "Normal", "SuccessfulDelete", f"Deleted pod: {name}"),)

    return on_success


def _failed(replica_set: Object, reason: str, what: str) -> Callable[[ApiError], Sequence[Intent]]:
    return lambda error: (EventIntent(replica_set, "Warning", reason, f"{what}: {error.message}"),)


def counted_status(replica_set: Object, group: PodGroup | None, now_ns: int) -> tuple[Object, int | None]:
    """The status without conditions, upstream's field order (zeros left out), and the ns until a Pod becomes available by itself."""
    spec = replica_set["spec"]
    status: Object = {"replicas": group.active if group else 0}
    wait_ns = None
    if group is not None:
        template_labels = frozenset(((spec["template"].get("metadata") or {}).get("labels") or {}).items())
        labeled = sum(count for labels, count in group.labels_active.items() if template_labels <= labels)
        available, wait_ns = group.available(spec.get("minReadySeconds", 0), now_ns)
        if labeled:
            status["fullyLabeledReplicas"] = labeled
        if group.ready:
            status["readyReplicas"] = group.ready
        if available:
            status["availableReplicas"] = available
    status["terminatingReplicas"] = group.terminating if group else 0
    return status, wait_ns


def _status_update(
    resource: str, replica_set: Object, status: Object, error: ApiError | None, surplus: int, now_ns: int
) -> Sequence[Intent]:
    """Write the status if it differs; a failure to create or delete becomes the condition ReplicaFailure."""
    old = replica_set.get("status") or {}
    new = {**status, "observedGeneration": replica_set["metadata"].get("generation", 0)}
    conditions = old.get("conditions") or []
    failure = any(condition["type"] == "ReplicaFailure" for condition in conditions)
    if error is not None and not failure:
        reason, message = ("FailedCreate", error.message) if surplus < 0 else ("FailedDelete", f"unable to delete pods: {error.message}")
        condition = {"type": "ReplicaFailure", "status": "True", "lastTransitionTime": format_time(now_ns), "reason": reason}
        conditions = [*conditions, {**condition, "message": message}]
    elif error is None and failure:
        conditions = [condition for condition in conditions if condition["type"] != "ReplicaFailure"]
    if conditions:
        new["conditions"] = conditions
    if new == old:
        return ()
    return (update(resource, {**replica_set, "status": new}, "status"),)


CONTROLLER = ReplicaSetController
