"""The DaemonSet controller: one Pod on every node that fits.

A reconcile takes one step and returns: claim Pods and revisions; bring the revision of the present template up to date; create and delete
Pods (at most 250), else take a step of the rolling update; write the status; drop history. A Pod that failed is deleted with back-off,
from one second to fifteen minutes per node.

Upstream: pkg/controller/daemon (daemon_controller.go, update.go).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubesim.api.errors import ApiError
from kubesim.api.meta import controller_of, key_of
from kubesim.api.selectors import Selector, from_object
from kubesim.apiserver.requests import Object, Request, create, delete, get, update
from kubesim.client.informer import IndexFunction, told_by
from kubesim.client.owners import adopt_request, claim, release_request
from kubesim.controllers.contract import DONE, Again, Burst, ControllerBase, EventIntent, Intent, Mapper, Result, View, nobody, own_key
from kubesim.controllers.daemonset.state import (
    CANDIDATE,
    FORCED,
    NONE,
    NOTHING,
    REPLACED,
    SURGED,
    UNAVAILABLE,
    DaemonPods,
    DaemonState,
    Standing,
)
from kubesim.controllers.daemonset.template import Template
from kubesim.controllers.owned_pods import OwnedPods, is_ready, ready_since_ns
from kubesim.controllers.replicaset import by_controller
from kubesim.controllers.revision_history import POD_LABEL, PatchMemo, by_revision, equal, next_number, orphans_by_namespace, patch_of
from kubesim.controllers.revision_history import RESOURCE as REVISIONS
from kubesim.controllers.template_hash import template_hash
from kubesim.controllers.view import DAEMON_NODES
from kubesim.kernel.time import MINUTE, SECOND, parse_time

RESOURCE = "daemonsets.apps"
BURST_REPLICAS = 250
BACKOFF_NS, BACKOFF_NS_MAX = SECOND, 15 * MINUTE


def selector_of(daemon_set: Object) -> Selector:
    """The selector of a DaemonSet."""
    return from_object(daemon_set["spec"]["selector"])


def pod_to_sets(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The DaemonSet that controls (or controlled) a Pod; for an orphan, every one that selects it."""
    keys: list[str] = []
    for pod in (old, new):
        reference = controller_of(pod) if pod is not None else None
        if pod is not None and reference is not None and reference["kind"] == "DaemonSet":
            key = f"{pod['metadata']['namespace']}/{reference['name']}"
            if key not in keys:
                keys.append(key)
    orphan = view.derived(OwnedPods).orphan
    if orphan is not None and orphan is new:
        labels = orphan["metadata"].get("labels") or {}
        for daemon_set in view.list(RESOURCE, orphan["metadata"]["namespace"]):
            if selector_of(daemon_set).matches(labels):
                keys.append(key_of(daemon_set))
    return keys


@told_by(DAEMON_NODES)
def node_to_sets(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """Every DaemonSet, when a node came, went, or changed its labels or taints."""
    return [key_of(daemon_set) for daemon_set in view.list(RESOURCE)]


class DaemonSetController(ControllerBase):
    """Reconciles DaemonSets by ``namespace/name``."""

    name = "daemonset-controller"
    resource = RESOURCE
    watches: Mapping[str, Mapper] = {RESOURCE: own_key, "pods": pod_to_sets, "nodes": node_to_sets, REVISIONS: nobody}
    owner_kinds: Mapping[str, str] = {"pods": "DaemonSet"}
    indexes: Mapping[str, Mapping[str, IndexFunction]] = {REVISIONS: {"controller": by_controller, "orphan": orphans_by_namespace}}
    derives: Sequence[Callable[[Any], Any]] = (OwnedPods, DaemonPods)
    rationed = frozenset((RESOURCE,))

    def __init__(self) -> None:
        self._memo = PatchMemo()
        self._templates: dict[str, tuple[Object, Template]] = {}  # uid -> the template, worked out
        self.backoff: dict[tuple[str, str], tuple[int, int]] = {}  # (uid, node) -> (ns to wait, since when)
        self._uids: dict[str, str] = {}

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Take the next step of a DaemonSet. O(nodes that changed), O(nodes) after a change of the template."""
        daemon_set = view.get(RESOURCE, key)
        if daemon_set is None:
            view.derived(DaemonPods).forget(self._uids.pop(key, ""))
            return DONE
        metadata = daemon_set["metadata"]
        self._uids[key] = metadata["uid"]
        if not daemon_set["spec"]["selector"]:
            message = "This daemon set is selecting all pods. A non-empty selector is required."
            return Result([EventIntent(daemon_set, "Warning", "SelectingAll", message)])
        if metadata.get("deletionTimestamp"):
            return DONE
        claims = _claims(daemon_set, view)
        if claims:
            return Result(claims)
        revisions = by_revision(view.indexed(REVISIONS, "controller", metadata["uid"]).values())
        current = self._memo.current(daemon_set, revisions, lambda: _newest_equal(daemon_set, revisions))
        if current is None or current is not revisions[-1]:
            return Result([_revision_intent(daemon_set, revisions, current, view), Again(0)])
        return _Sync(self, daemon_set, revisions, view, now_ns).result()

    def template(self, daemon_set: Object, hash_: str) -> Template:
        """The present template, worked out once."""
        uid, template = daemon_set["metadata"]["uid"], daemon_set["spec"]["template"]
        known = self._templates.get(uid)
        if known is None or known[0] is not template or known[1].hash != hash_:
            known = self._templates[uid] = (template, Template(daemon_set, hash_))
            if len(self._templates) > 1024:
                del self._templates[next(iter(self._templates))]
        return known[1]

    def may_retry(self, uid: str, node: str, now_ns: int) -> int:
        """0 when a failed Pod on the node may be deleted now (counted as one more failure), else when."""
        wait_ns, since_ns = self.backoff.get((uid, node), (0, 0))
        if wait_ns and now_ns - since_ns > 2 * BACKOFF_NS_MAX:
            wait_ns = 0
        if wait_ns and now_ns - since_ns < wait_ns:
            return since_ns + wait_ns
        self.backoff[uid, node] = (min(wait_ns * 2, BACKOFF_NS_MAX) if wait_ns else BACKOFF_NS, now_ns)
        return 0


def _newest_equal(daemon_set: Object, revisions: Sequence[Object]) -> Object | None:
    found = equal(revisions, patch_of(daemon_set))
    return found[-1] if found else None


def _revision_intent(daemon_set: Object, revisions: Sequence[Object], known: Object | None, view: View) -> Intent:
    """Create the revision of the present template, or give an old one the next number; a taken name raises the collision count."""
    metadata, number = daemon_set["metadata"], next_number(revisions)
    if known is not None:
        return update(REVISIONS, {**known, "revision": number})
    status = daemon_set.get("status") or {}
    hash_ = template_hash(daemon_set["spec"]["template"], status.get("collisionCount"))
    labels = {**((daemon_set["spec"]["template"].get("metadata") or {}).get("labels") or {}), POD_LABEL: hash_}
    own: Object = {"name": f"{metadata['name']}-{hash_}", "namespace": metadata["namespace"], "labels": labels}
    if metadata.get("annotations"):
        own["annotations"] = metadata["annotations"]
    reference = {"apiVersion": daemon_set["apiVersion"], "kind": daemon_set["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    own["ownerReferences"] = [{**reference, "controller": True, "blockOwnerDeletion": True}]
    revision = {"kind": "ControllerRevision", "apiVersion": "apps/v1", "metadata": own, "data": patch_of(daemon_set), "revision": number}

    def failed(error: ApiError) -> Sequence[Intent]:
        if error.reason != "AlreadyExists" or view.get(REVISIONS, key_of(revision)) is None:
            return ()
        fresh = {**status, "collisionCount": (status.get("collisionCount") or 0) + 1}
        return [update(RESOURCE, {**daemon_set, "status": fresh}, "status")]

    return Burst([create(REVISIONS, metadata["namespace"], revision)], on_failure=failed, expected=("AlreadyExists",))


def _claims(daemon_set: Object, view: View) -> list[Intent]:
    """Adoptions (after a live look whether the set is still there) and releases of Pods and revisions."""
    metadata = daemon_set["metadata"]
    uid, namespace = metadata["uid"], metadata["namespace"]
    selector = selector_of(daemon_set)
    owned = view.derived(OwnedPods)
    group = owned.group(uid)
    candidates = owned.orphans_matching(namespace, selector.matches)
    if group is not None and any(not selector.matches(dict(labels)) for labels in group.labels_all):
        candidates += [pod for key in group.states if (pod := view.get("pods", key)) is not None]
    found = claim(daemon_set, candidates, selector.matches) if candidates else None
    intents: list[Intent] = [release_request(daemon_set, "pods", pod) for pod in found.release] if found is not None else []
    adopt = [adopt_request(daemon_set, "pods", pod) for pod in found.adopt] if found is not None else []
    for revision in view.indexed(REVISIONS, "orphan", namespace).values():
        if selector.matches(revision["metadata"].get("labels") or {}) and not revision["metadata"].get("deletionTimestamp"):
            adopt.append(adopt_request(daemon_set, REVISIONS, revision))

    def adopted(live: Object) -> Sequence[Intent]:
        return adopt if live["metadata"]["uid"] == uid and not live["metadata"].get("deletionTimestamp") else ()

    if adopt:
        intents.append(Burst([get(RESOURCE, namespace, metadata["name"])], on_success=adopted))
    return intents


class _Sync:
    """One step, once Pods and revisions are claimed and the revision of the present template is there."""

    def __init__(self, controller: DaemonSetController, daemon_set: Object, revisions: Sequence[Object], view: View, now_ns: int) -> None:
        self.controller = controller
        self.set = daemon_set
        self.revisions = revisions
        self.view = view
        self.now_ns = now_ns
        self.uid: str = daemon_set["metadata"]["uid"]
        self.namespace: str = daemon_set["metadata"]["namespace"]
        self.hash: str = (revisions[-1]["metadata"].get("labels") or {}).get(POD_LABEL) or revisions[-1]["metadata"]["name"]
        self.template = controller.template(daemon_set, self.hash)
        self.min_ready_seconds = daemon_set["spec"].get("minReadySeconds", 0)
        self.events: list[Intent] = []
        self.state: DaemonState = view.derived(DaemonPods).of(self.uid)
        strategy = daemon_set["spec"].get("updateStrategy") or {}
        self.rolling = strategy.get("rollingUpdate") or {} if strategy.get("type", "RollingUpdate") == "RollingUpdate" else None
        self.surges = bool(self.rolling) and _scaled((self.rolling or {}).get("maxSurge", 0), 100) > 0

    def result(self) -> Result:
        """Bring the standings up to date and do what they ask for."""
        self.refresh()
        state = self.state
        nodes = list(state.create)[:BURST_REPLICAS]
        doomed = [key for keys in state.delete.values() for key in keys][:BURST_REPLICAS]
        if not nodes and not doomed and self.rolling is not None:
            nodes, doomed = self.rolled()
        requeue_ns = min(state.look_again.values(), default=0) - self.now_ns if state.look_again else None
        if nodes or doomed:
            return Result([*self.events, *self.actions(nodes, doomed)], requeue_ns)
        status = self.status_intents()
        return Result([*self.events, *(status or self.superfluous_history())], requeue_ns)

    def refresh(self) -> None:
        """Work out the standing of every node that changed; of all when the template or the strategy did."""
        state = self.state
        signature = (self.template, self.min_ready_seconds, self.surges)
        if state.signature is None or state.signature != signature:
            state.signature = signature
            state.dirty.update(dict.fromkeys(state.standing))
            state.dirty.update(dict.fromkeys(state.pods_on))
            state.dirty.update((node["metadata"]["name"], None) for node in self.view.list("nodes"))
        due = [node for node, time_ns in state.look_again.items() if time_ns <= self.now_ns]
        dirty, state.dirty = {**state.dirty, **dict.fromkeys(due)}, {}
        for node in dirty:
            state.set(node, self.standing(node))

    def standing(self, name: str) -> Standing:
        """What a node needs."""
        node = self.view.get("nodes", name) if name else None
        pods = [pod for key in self.state.pods_on.get(name, ()) if (pod := self.view.get("pods", key)) is not None]
        pods = [pod for pod in pods if not (_phase(pod) in ("Succeeded", "Failed") and pod["metadata"].get("deletionTimestamp"))]
        if node is None:
            stranded = tuple(
                key_of(pod) for pod in pods if not pod["spec"].get("nodeName") and not pod["metadata"].get("deletionTimestamp")
            )
            return Standing(delete=stranded) if stranded else NOTHING
        should_run, should_stay = self.template.fits(node)
        if not pods:
            return Standing(desired=True, create=True, rolling=UNAVAILABLE if not self.surges else NONE) if should_run else NOTHING
        pods.sort(key=_age)
        doomed, look_again_ns = self.doomed(name, pods, should_stay)
        if not should_run:
            return Standing(misscheduled=True, delete=doomed, look_again_ns=look_again_ns, scheduled=False)
        first = pods[0]
        ready, available_ns = is_ready(first), self.available_ns(first)
        rolling, old_pod, again_ns = self.rolling_standing(pods)
        waits = [wait for wait in (look_again_ns, again_ns, available_ns if available_ns > self.now_ns else 0) if wait]
        return Standing(
            desired=True,
            scheduled=True,
            ready=ready,
            available=0 <= available_ns <= self.now_ns,
            updated=self.is_updated(first),
            delete=doomed,
            rolling=rolling,
            old_pod=old_pod,
            look_again_ns=min(waits, default=0),
        )

    def doomed(self, node: str, pods: Sequence[Object], should_stay: bool) -> tuple[tuple[str, ...], int]:
        """The Pods of a node that must go, and when to look again."""
        alive = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        if not should_stay:
            return tuple(key_of(pod) for pod in alive), 0
        doomed: list[str] = []
        running: list[Object] = []
        look_again_ns = 0
        for pod in alive:
            phase, name = _phase(pod), f"{self.namespace}/{pod['metadata']['name']}"
            if phase == "Failed":
                retry_ns = self.controller.may_retry(self.uid, node, self.now_ns)
                if retry_ns:
                    look_again_ns = retry_ns
                    continue
                text = f"Found failed daemon pod {name} on node {node}, will try to kill it"
                self.events.append(EventIntent(self.set, "Warning", "FailedDaemonPod", text))
                doomed.append(key_of(pod))
            elif phase == "Succeeded":
                text = f"Found succeeded daemon pod {name} on node {node}, will try to delete it"
                self.events.append(EventIntent(self.set, "Normal", "SucceededDaemonPod", text))
                doomed.append(key_of(pod))
            else:
                running.append(pod)
        if len(running) > 1:
            doomed += [key_of(pod) for pod in (self.surplus_of_surge(running) if self.surges else running[1:])]
        return tuple(doomed), look_again_ns

    def surplus_of_surge(self, running: Sequence[Object]) -> list[Object]:
        """While surging, the oldest new and the oldest old Pod may be there together, until the new one is available."""
        new = next((pod for pod in running if self.is_updated(pod)), None)
        old = next((pod for pod in running if not self.is_updated(pod)), None)
        surplus = [pod for pod in running if pod is not new and pod is not old]
        if new is not None and old is not None and (not is_ready(old) or 0 <= self.available_ns(new) <= self.now_ns):
            surplus.append(old)
        return surplus

    def rolling_standing(self, pods: Sequence[Object]) -> tuple[int, str, int]:
        """(where the node stands in a rolling update, the old Pod's key, when to look again)."""
        alive = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        new = [pod for pod in alive if self.is_updated(pod)]
        old = [pod for pod in alive if not self.is_updated(pod)]
        if len(new) > 1 or len(old) > 1:
            return (SURGED if self.surges else UNAVAILABLE), "", 0
        again_ns = next((time_ns for pod in alive if (time_ns := self.available_ns(pod)) > self.now_ns), 0)
        new_available = bool(new) and 0 <= self.available_ns(new[0]) <= self.now_ns
        old_available = bool(old) and 0 <= self.available_ns(old[0]) <= self.now_ns
        old_key = key_of(old[0]) if old else ""
        if self.surges:
            if not old:
                return NONE, "", again_ns
            if new:
                return (REPLACED if new_available else SURGED), old_key, again_ns
            return (CANDIDATE if old_available else FORCED), old_key, again_ns
        if bool(old) == bool(new):
            return UNAVAILABLE, "", again_ns
        if new:
            return (NONE if new_available else UNAVAILABLE), "", again_ns
        return (CANDIDATE if old_available else FORCED), old_key, again_ns

    def rolled(self) -> tuple[list[str], list[str]]:
        """A step of the rolling update: (nodes that get a Pod, Pods to delete)."""
        assert self.rolling is not None
        state = self.state
        desired = state.counts[0]
        surge = _scaled(self.rolling.get("maxSurge", 0), desired)
        unavailable = _scaled(self.rolling.get("maxUnavailable", 1), desired)
        if not surge and not unavailable:
            unavailable = 1
        forced, candidates = list(state.by_rolling[FORCED]), list(state.by_rolling[CANDIDATE])
        if not surge:
            room = max(unavailable - len(state.by_rolling[UNAVAILABLE]), 0)
            nodes = forced + candidates[:room]
            return [], [state.standing[node].old_pod for node in nodes][:BURST_REPLICAS]
        room = max(surge - len(state.by_rolling[SURGED]), 0)
        return (forced + candidates[:room])[:BURST_REPLICAS], [state.standing[node].old_pod for node in state.by_rolling[REPLACED]]

    def is_updated(self, pod: Object) -> bool:
        """Whether a Pod is of the present template."""
        return (pod["metadata"].get("labels") or {}).get(POD_LABEL) == self.hash

    def available_ns(self, pod: Object) -> int:
        """When a Pod counts as available: a time that has passed if it does, -1 if it is not ready."""
        if not is_ready(pod):
            return -1
        if not self.min_ready_seconds:
            return 0
        since_ns = ready_since_ns(pod)
        return since_ns + self.min_ready_seconds * SECOND if since_ns else -1

    def actions(self, nodes: Sequence[str], doomed: Sequence[str]) -> list[Intent]:
        """Create and delete Pods; the status follows when the caches show them, or at once when that failed."""
        intents: list[Intent] = []

        def after(error: ApiError | None) -> Sequence[Intent]:
            return self.status_intents() if error is not None else ()

        if nodes:
            requests = [create("pods", self.namespace, self.template.pod_for(node)) for node in nodes]
            intents.append(Burst(requests, self.said("Create", "Created"), self.failed("Create", "creating"), after))
        if doomed:
            deletes: list[Request] = []
            for key in doomed:
                namespace, _, name = key.partition("/")
                pod = self.view.get("pods", key)
                options = {"preconditions": {"uid": pod["metadata"]["uid"]}} if pod is not None else {}
                deletes.append(delete("pods", namespace, name, **options))
            intents.append(Burst(deletes, self.said("Delete", "Deleted"), self.failed("Delete", "deleting"), after))
        return intents

    def said(self, verb: str, done: str) -> Callable[[Object], Sequence[Intent]]:
        """Upstream's event about a success."""

        def on_success(outcome: Object) -> Sequence[Intent]:
            name = outcome["metadata"].get("name") or outcome.get("details", {}).get("name", "")
            return [EventIntent(self.set, "Normal", f"Successful{verb}", f"{done} pod: {name}")]

        return on_success

    def failed(self, verb: str, doing: str) -> Callable[[ApiError], Sequence[Intent]]:
        """Upstream's event about a failure."""
        return lambda error: [EventIntent(self.set, "Warning", f"Failed{verb}", f"Error {doing}: {error.message}")]

    def status_intents(self) -> list[Intent]:
        """Write the status if it differs; fields in upstream's order, zeros left out where upstream does."""
        desired, scheduled, misscheduled, ready, available, updated = self.state.counts
        old = self.set.get("status") or {}
        status: Object = {"currentNumberScheduled": scheduled, "numberMisscheduled": misscheduled, "desiredNumberScheduled": desired}
        status |= {"numberReady": ready, "observedGeneration": self.set["metadata"].get("generation", 0)}
        optional = (("updatedNumberScheduled", updated), ("numberAvailable", available), ("numberUnavailable", desired - available))
        status |= {field: count for field, count in optional if count}
        for field in ("collisionCount", "conditions"):
            if old.get(field) is not None:
                status[field] = old[field]
        return [] if status == old else [update(RESOURCE, {**self.set, "status": status}, "status")]

    def superfluous_history(self) -> list[Intent]:
        """Delete revisions that no Pod is of, the oldest first, beyond the limit."""
        old = self.revisions[:-1]
        surplus = len(old) - self.set["spec"].get("revisionHistoryLimit", 10)
        if surplus <= 0:
            return []
        group = self.view.derived(OwnedPods).group(self.uid)
        live = {dict(labels).get(POD_LABEL) for labels in group.labels_all} if group is not None else set()
        dead = [revision for revision in old if (revision["metadata"].get("labels") or {}).get(POD_LABEL) not in live]
        return [delete(REVISIONS, self.namespace, revision["metadata"]["name"]) for revision in dead[:surplus]]


def _phase(pod: Object) -> str:
    phase: str = (pod.get("status") or {}).get("phase", "")
    return phase


def _age(pod: Object) -> tuple[bool, int, str]:
    """Those on a node first, then the oldest."""
    created = pod["metadata"].get("creationTimestamp")
    return not pod["spec"].get("nodeName"), parse_time(created) if created else 0, pod["metadata"]["name"]


def _scaled(value: Any, total: int) -> int:
    """A number, or a percentage of ``total`` rounded up."""
    return value if isinstance(value, int) else -(-int(value.rstrip("%")) * total // 100)


CONTROLLER = DaemonSetController
