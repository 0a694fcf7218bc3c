"""The StatefulSet controller: Pods with names, one after another, each with its claims; its updates from the highest ordinal down.

A reconcile takes one step and returns: claim Pods and revisions; bring the revision of the present template up to date; do what the plan
(``plan.py``) says next; write the status; drop history. What the plan decides hangs on the Pods alone, so a controller that was
stopped anywhere goes on where it was.

Upstream: pkg/controller/statefulset (stateful_set.go, stateful_set_control.go, stateful_set_status_updater.go).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubesim.api.errors import ApiError
from kubesim.api.meta import key_of
from kubesim.api.selectors import Selector, from_object
from kubesim.apiserver.requests import Object, Request, create, delete, get, patch, update
from kubesim.client.informer import IndexFunction
from kubesim.client.owners import adopt_request, claim, release_request
from kubesim.controllers.contract import DONE, Again, Burst, ControllerBase, EventIntent, Intent, Mapper, Result, View, nobody, own_key
from kubesim.controllers.owned_pods import OwnedPods
from kubesim.controllers.replicaset import by_controller
from kubesim.controllers.revision_history import RESOURCE as REVISIONS
from kubesim.controllers.revision_history import (
    PatchMemo,
    by_revision,
    equal,
    new_revision,
    next_number,
    orphans_by_namespace,
    patch_of,
    template_of,
)
from kubesim.controllers.statefulset.claims import CLAIMS, is_stale, missing_claims, ownership_updates, templates_of
from kubesim.controllers.statefulset.plan import Plan, Pods, plan, sorted_out
from kubesim.controllers.statefulset.pods import (
    NAME_LABEL,
    available_in_ns,
    identity_matches,
    is_created,
    is_running_and_ready,
    is_terminating,
    new_pod,
    ordinal_of,
    replicas_of,
    revision_of,
    start_of,
)

RESOURCE = "statefulsets.apps"


def selector_of(stateful_set: Object) -> Selector:
    """The selector of a StatefulSet."""
    return from_object(stateful_set["spec"]["selector"])


def pod_to_sets(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The set that controls (or controlled) a Pod; for an orphan, every set that selects it."""
    keys: list[str] = []
    for pod in (old, new):
        for reference in (pod["metadata"].get("ownerReferences") or ()) if pod is not None else ():
            if reference.get("controller") and reference["kind"] == "StatefulSet":
                key = f"{pod['metadata']['namespace']}/{reference['name']}"  # type: ignore[index]
                if key not in keys:
                    keys.append(key)
    orphan = view.derived(OwnedPods).orphan
    if orphan is not None and orphan is new:
        labels = orphan["metadata"].get("labels") or {}
        for stateful_set in view.list(RESOURCE, orphan["metadata"]["namespace"]):
            if selector_of(stateful_set).matches(labels):
                keys.append(key_of(stateful_set))
    return keys


class StatefulSetController(ControllerBase):
    """Reconciles StatefulSets by ``namespace/name``."""

    name = "statefulset-controller"
    resource = RESOURCE
    watches: Mapping[str, Mapper] = {RESOURCE: own_key, "pods": pod_to_sets, CLAIMS: nobody, REVISIONS: nobody}
    owner_kinds: Mapping[str, str] = {"pods": "StatefulSet"}
    indexes: Mapping[str, Mapping[str, IndexFunction]] = {REVISIONS: {"controller": by_controller, "orphan": orphans_by_namespace}}
    derives: Sequence[Callable[[Any], Any]] = (OwnedPods,)
    rationed = frozenset((RESOURCE,))

    def __init__(self) -> None:
        self._memo = PatchMemo()

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Take the next step of a StatefulSet. O(its Pods)."""
        stateful_set = view.get(RESOURCE, key)
        if stateful_set is None:
            return DONE
        claims = _claims(stateful_set, view)
        if claims:
            return Result(claims)
        revisions = by_revision(view.indexed(REVISIONS, "controller", stateful_set["metadata"]["uid"]).values())
        data = self._memo.current(stateful_set, revisions, lambda: _newest_equal(stateful_set, revisions))
        if data is None or data is not revisions[-1]:
            return Result([_revision_intent(stateful_set, revisions, data), Again(0)])
        return _Sync(stateful_set, revisions, view, now_ns).result()


def _newest_equal(stateful_set: Object, revisions: Sequence[Object]) -> Object | None:
    """The newest revision with the present template."""
    found = equal(revisions, patch_of(stateful_set))
    return found[-1] if found else None


def _revision_intent(stateful_set: Object, revisions: Sequence[Object], known: Object | None) -> Intent:
    """Create the revision of the present template, or give an old one the next number; a taken name raises the collision count."""
    number = next_number(revisions)
    if known is not None:
        return update(REVISIONS, {**known, "revision": number})
    collisions = (stateful_set.get("status") or {}).get("collisionCount") or 0
    revision = new_revision(stateful_set, number, collisions, stateful_set["metadata"].get("annotations"))

    def failed(error: ApiError) -> Sequence[Intent]:
        if error.reason != "AlreadyExists":
            return ()
        status = {"replicas": 0, **(stateful_set.get("status") or {}), "collisionCount": collisions + 1}
        return [update(RESOURCE, {**stateful_set, "status": status}, "status")]

    return Burst([create(REVISIONS, stateful_set["metadata"]["namespace"], revision)], on_failure=failed, expected=("AlreadyExists",))


def _claims(stateful_set: Object, view: View) -> list[Intent]:
    """Adoptions (after a live look whether the set is still there) and releases of Pods and revisions."""
    metadata = stateful_set["metadata"]
    uid, namespace = metadata["uid"], metadata["namespace"]
    selector = selector_of(stateful_set)
    owned = view.derived(OwnedPods)
    group = owned.group(uid)
    candidates = [pod for pod in owned.orphans_matching(namespace, selector.matches) if _is_member(stateful_set, pod)]
    if group is not None and any(not selector.matches(dict(labels)) for labels in group.labels_all):
        candidates += [pod for key in group.states if (pod := view.get("pods", key)) is not None]
    found = claim(stateful_set, candidates, selector.matches) if candidates else None
    intents: list[Intent] = [release_request(stateful_set, "pods", pod) for pod in found.release] if found is not None else []
    adopt = [adopt_request(stateful_set, "pods", pod) for pod in found.adopt] if found is not None else []
    if not metadata.get("deletionTimestamp"):
        for revision in view.indexed(REVISIONS, "orphan", namespace).values():
            if selector.matches(revision["metadata"].get("labels") or {}) and not revision["metadata"].get("deletionTimestamp"):
                adopt.append(adopt_request(stateful_set, REVISIONS, revision))

    def adopted(live: Object) -> Sequence[Intent]:
        if live["metadata"]["uid"] != uid or live["metadata"].get("deletionTimestamp"):
            return ()
        return adopt

    if adopt:
        intents.append(Burst([get(RESOURCE, namespace, metadata["name"])], on_success=adopted))
    return intents


def _is_member(stateful_set: Object, pod: Object) -> bool:
    return ordinal_of(stateful_set, pod["metadata"]["name"]) >= 0


class _Sync:
    """One step, once Pods and revisions are claimed and the revision of the present template is there."""

    def __init__(self, stateful_set: Object, revisions: Sequence[Object], view: View, now_ns: int) -> None:
        self.set = stateful_set
        self.revisions = revisions
        self.view = view
        self.now_ns = now_ns
        self.namespace: str = stateful_set["metadata"]["namespace"]
        current = (stateful_set.get("status") or {}).get("currentRevision")
        self.update_revision = revisions[-1]
        self.current_revision = next((found for found in revisions if found["metadata"]["name"] == current), self.update_revision)
        group = view.derived(OwnedPods).group(stateful_set["metadata"]["uid"])
        self.all = [pod for key in group.states if (pod := view.get("pods", key)) is not None] if group is not None else []
        self.pods: Pods = sorted_out(stateful_set, self.all)
        self.wait_ns: int | None = None

    def result(self) -> Result:
        """The intents: claims, Pods, status, history."""
        status = self.counted_status()
        if self.set["metadata"].get("deletionTimestamp"):
            return Result(self.status_intents(status), self.wait_ns)
        found = plan(self.set, self.pods, self.update_revision["metadata"]["name"], self.now_ns, self.is_mended, self.may_create)
        if found.outdated:
            gone = sum(1 for pod in found.delete if revision_of(pod) == status["currentRevision"])
            status["currentReplicas"] = status.get("currentReplicas", 0) - gone
        complete(self.set, status)
        intents = self.actions(found, status)
        if not intents:
            intents = [*self.status_intents(status), *self.superfluous_history(status)]
        waits = [wait for wait in (found.requeue_ns, self.wait_ns) if wait]
        return Result(intents, min(waits) if waits else None)

    def actions(self, found: Plan, status: Object) -> list[Intent]:
        """Everything that the plan wants, and the status after it, however it ends."""
        claims: list[Request] = []
        pods: list[Request] = []
        for pod in found.unclaimed:
            claims += missing_claims(self.set, pod, self.view)
        for ordinal in found.create:
            pod = self.new_pod(ordinal)
            claims += missing_claims(self.set, pod, self.view)
            pods.append(create("pods", self.namespace, pod))
        mend = [request for pod in found.mend for request in self.mending(pod)]
        deletes = [
            delete("pods", self.namespace, pod["metadata"]["name"], preconditions={"uid": pod["metadata"]["uid"]}) for pod in found.delete
        ]
        if not (claims or pods or mend or deletes):
            return []
        intents: list[Intent] = []
        if claims:
            intents.append(Burst(claims, self.said("Create", "Claim"), self.failed("Create", "Claim", claims)))
        intents += mend

        def after(error: ApiError | None) -> Sequence[Intent]:
            return self.status_intents(status)

        if pods:
            intents.append(Burst(pods, self.said("Create", "Pod"), self.failed("Create", "Pod", pods), None if deletes else after))
        if deletes:
            intents.append(Burst(deletes, self.said("Delete", "Pod"), self.failed("Delete", "Pod", deletes), after))
        elif not pods:
            intents += self.status_intents(status)
        return intents

    def new_pod(self, ordinal: int) -> Object:
        """The Pod of an ordinal: below the partition from the current revision, else from the one to update to."""
        revision = self.update_revision
        strategy = self.set["spec"].get("updateStrategy") or {}
        if strategy.get("type") == "RollingUpdate" and self.current_revision is not self.update_revision:
            rolling = strategy.get("rollingUpdate")
            counted = (self.set.get("status") or {}).get("currentReplicas", 0)
            limit = counted if rolling is None else rolling.get("partition", 0)
            if ordinal < start_of(self.set) + limit:
                revision = self.current_revision
        template = self.set["spec"]["template"] if revision is self.update_revision else template_of(revision)
        return new_pod(self.set, template, revision["metadata"]["name"], ordinal)

    def is_mended(self, pod: Object) -> bool:
        """Whether identity and ownership of the claims are as they should be."""
        if not identity_matches(pod):
            return False
        return not templates_of(self.set) or not ownership_updates(self.set, pod, self.view)

    def may_create(self, ordinal: int) -> bool:
        """Whether no claim of a former Pod of the ordinal is about to go."""
        name = f"{self.set['metadata']['name']}-{ordinal}"
        return not templates_of(self.set) or not is_stale(self.set, ordinal, name, self.view)

    def mending(self, pod: Object) -> list[Request]:
        """The requests that mend a Pod."""
        requests = ownership_updates(self.set, pod, self.view)
        if not identity_matches(pod):
            name = pod["metadata"]["name"]
            body = {"metadata": {"labels": {NAME_LABEL: name}, "uid": pod["metadata"]["uid"]}}
            requests.append(patch("pods", self.namespace, name, body, "strategic"))
        return requests

    def said(self, verb: str, what: str) -> Callable[[Object], Sequence[Intent]]:
        """Upstream's event about a success."""
        set_name = self.set["metadata"]["name"]

        def on_success(outcome: Object) -> Sequence[Intent]:
            name = outcome["metadata"].get("name") or outcome.get("details", {}).get("name", "")
            if what == "Claim":
                pod = name.split("-", 1)[1] if "-" in name else name
                for template in templates_of(self.set):
                    pod = name.removeprefix(f"{template['metadata']['name']}-") if name.startswith(template["metadata"]["name"]) else pod
                message = f"{verb} Claim {name} Pod {pod} in StatefulSet {set_name} success"
            else:
                message = f"{verb} Pod {name} in StatefulSet {set_name} successful"
            return [EventIntent(self.set, "Normal", f"Successful{verb}", message)]

        return on_success

    def failed(self, verb: str, what: str, requests: Sequence[Request]) -> Callable[[ApiError], Sequence[Intent]]:
        """Upstream's event about a failure."""
        set_name = self.set["metadata"]["name"]

        def on_failure(error: ApiError) -> Sequence[Intent]:
            name = (error.details or {}).get("name") or requests[0].name
            text = f"{verb} {what} {name} in StatefulSet {set_name} failed error: {error.message}"
            return [EventIntent(self.set, "Warning", f"Failed{verb}", text)]

        return on_failure

    def counted_status(self) -> Object:
        """The status as the Pods are, fields in upstream's order."""
        current, target = self.current_revision["metadata"]["name"], self.update_revision["metadata"]["name"]
        min_ready_seconds = self.set["spec"].get("minReadySeconds", 0)
        total = ready = available = on_current = on_target = 0
        for pod in self.all:
            if not is_created(pod) or ordinal_of(self.set, pod["metadata"]["name"]) < 0:
                continue
            total += 1
            if is_running_and_ready(pod):
                ready += 1
                wait_ns = available_in_ns(pod, min_ready_seconds, self.now_ns)
                if wait_ns == 0:
                    available += 1
                elif wait_ns:
                    self.wait_ns = wait_ns if self.wait_ns is None else min(self.wait_ns, wait_ns)
            if not is_terminating(pod):
                on_current += revision_of(pod) == current
                on_target += revision_of(pod) == target
        status: Object = {"observedGeneration": self.set["metadata"].get("generation", 0), "replicas": total}
        for field, count in (("readyReplicas", ready), ("currentReplicas", on_current), ("updatedReplicas", on_target)):
            if count:
                status[field] = count
        old = self.set.get("status") or {}
        status |= {"currentRevision": current, "updateRevision": target, "collisionCount": old.get("collisionCount") or 0}
        status["availableReplicas"] = available
        if old.get("conditions"):
            status["conditions"] = old["conditions"]
        return status

    def status_intents(self, status: Object) -> list[Intent]:
        """Write the status if it differs."""
        status = {field: value for field, value in status.items() if value or field not in OMITTED_ZEROS}
        if status == self.set.get("status"):
            return []
        return [update(RESOURCE, {**self.set, "status": status}, "status")]

    def superfluous_history(self, status: Object) -> list[Intent]:
        """Delete revisions that no Pod is of, the oldest first, beyond the limit."""
        live = {status["currentRevision"], status["updateRevision"], *(revision_of(pod) for pod in self.all)}
        dead = [revision for revision in self.revisions if revision["metadata"]["name"] not in live]
        surplus = len(dead) - self.set["spec"].get("revisionHistoryLimit", 10)
        return [delete(REVISIONS, self.namespace, revision["metadata"]["name"]) for revision in dead[: max(surplus, 0)]]


OMITTED_ZEROS = frozenset(("readyReplicas", "currentReplicas", "updatedReplicas"))


def complete(stateful_set: Object, status: Object) -> None:
    """A rolling update is complete when all Pods are updated and ready: the current revision is the new one."""
    wanted = replicas_of(stateful_set)
    rolling = (stateful_set["spec"].get("updateStrategy") or {}).get("type") == "RollingUpdate"
    counts = [status.get(field, 0) for field in ("updatedReplicas", "readyReplicas", "replicas")]
    if rolling and counts == [wanted] * 3:
        status["currentReplicas"] = status.get("updatedReplicas", 0)
        status["currentRevision"] = status["updateRevision"]


CONTROLLER = StatefulSetController
