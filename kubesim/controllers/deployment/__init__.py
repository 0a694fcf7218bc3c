"""The Deployment controller: one ReplicaSet per template, and the way from one template to the next.

A reconcile takes one step and returns: claim ReplicaSets; say paused or resumed; bring the new ReplicaSet's annotations and the
Deployment's revision up to date; scale, or roll out by the strategy; write the status. What upstream does in one long sync, one write
after another, is here several reconciles, each on caches that have seen the last one's writes.

Upstream: pkg/controller/deployment (deployment_controller.go, sync.go, recreate.go). Left out: the deprecated rollback annotation.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubesim.api.errors import ApiError
from kubesim.api.meta import controller_of, key_of
from kubesim.api.selectors import from_object
from kubesim.apiserver.requests import Object, create, get, update
from kubesim.client.informer import IndexFunction
from kubesim.client.owners import adopt_request, claim, release_request
from kubesim.controllers.contract import DONE, Burst, ControllerBase, EventIntent, Intent, Mapper, Result, View, own_key
from kubesim.controllers.deployment import rolling
from kubesim.controllers.deployment.revisions import (
    REVISION,
    annotations_of,
    history_to_delete,
    new_replica_set,
    next_revision,
    synced_annotations,
    with_annotations,
)
from kubesim.controllers.deployment.rollout import (
    DEPLOYMENTS,
    REPLICA_SETS,
    Rollout,
    active,
    by_age,
    equal_ignoring_hash,
    find_new,
    is_rolling,
    progress_deadline_seconds,
    replicas_of,
    spec_sum,
    status_of,
)
from kubesim.controllers.deployment.scaling import is_scaling_event, resize_intents, scale
from kubesim.controllers.deployment.status import (
    PROGRESSING,
    Written,
    condition,
    find,
    is_complete,
    pause_condition,
    plain,
    progressed,
    with_condition,
)
from kubesim.controllers.owned_pods import OwnedPods
from kubesim.controllers.replicaset import by_controller
from kubesim.controllers.revision_history import orphans_by_namespace


def replica_set_to_deployments(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The Deployment that controls (or controlled) a ReplicaSet; for an orphan, every Deployment that selects it."""
    keys: list[str] = []
    for obj in (old, new):
        owner = controller_of(obj) if obj is not None else None
        if obj is not None and owner is not None and owner["kind"] == "Deployment":
            key = f"{obj['metadata']['namespace']}/{owner['name']}"
            if key not in keys:
                keys.append(key)
    if new is not None and controller_of(new) is None:
        labels = new["metadata"].get("labels") or {}
        for deployment in view.list(DEPLOYMENTS, new["metadata"]["namespace"]):
            if from_object(deployment["spec"]["selector"]).matches(labels):
                keys.append(key_of(deployment))
    return keys


def deleted_pod_to_deployment(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """A Deployment of the Recreate strategy waits for its last old Pod to go."""
    if new is not None or old is None:
        return ()
    owner = controller_of(old)
    replica_set = view.get(REPLICA_SETS, f"{old['metadata']['namespace']}/{owner['name']}") if owner else None
    holder = controller_of(replica_set) if replica_set else None
    if holder is None or holder["kind"] != "Deployment":
        return ()
    key = f"{old['metadata']['namespace']}/{holder['name']}"
    deployment = view.get(DEPLOYMENTS, key)
    return () if deployment is None or is_rolling(deployment) else (key,)


class DeploymentController(ControllerBase):
    """Reconciles Deployments by ``namespace/name``."""

    name = "deployment-controller"
    resource = DEPLOYMENTS
    watches: Mapping[str, Mapper] = {
        DEPLOYMENTS: own_key,
        REPLICA_SETS: replica_set_to_deployments,
        "pods": deleted_pod_to_deployment,
    }
    indexes: Mapping[str, Mapping[str, IndexFunction]] = {REPLICA_SETS: {"controller": by_controller, "orphan": orphans_by_namespace}}
    derives: Sequence[Callable[[Any], Any]] = (OwnedPods,)
    only_deleted = frozenset(("pods",))
    rationed = frozenset((DEPLOYMENTS,))

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Take the next step of a Deployment."""
        deployment = view.get(DEPLOYMENTS, key)
        if deployment is None:
            return DONE
        if not deployment["spec"]["selector"]:
            return _selecting_all(deployment)
        claims = _claims(deployment, view)
        if claims:
            return Result(claims)
        rollout = _rollout(deployment, view, now_ns)
        if not deployment["metadata"].get("deletionTimestamp"):
            pause = pause_condition(deployment, now_ns)
            if pause is not None:
                return Result([_with_status_condition(deployment, pause)])
        synced = _sync_revision(rollout)
        if synced:
            return Result(synced)
        if deployment["metadata"].get("deletionTimestamp"):
            return _finish(deployment, [], plain(rollout))
        if deployment["spec"].get("paused") or is_scaling_event(rollout):
            intents = scale(rollout)
            if not intents and deployment["spec"].get("paused"):
                intents += history_to_delete(deployment, rollout.old)
            return _finish(deployment, intents, plain(rollout))
        return _roll_out(rollout, view) if is_rolling(deployment) else _recreate(rollout, view)


def _rollout(deployment: Object, view: View, now_ns: int) -> Rollout:
    owned = view.indexed(REPLICA_SETS, "controller", deployment["metadata"]["uid"]).values()
    new = find_new(deployment, owned)
    old = sorted((replica_set for replica_set in owned if replica_set is not new), key=by_age)
    return Rollout(deployment, new, tuple(old), now_ns)


def _finish(deployment: Object, intents: Sequence[Intent], written: Written) -> Result:
    """The intents, then the status if it has to be written."""
    if written.status is not None:
        intents = [*intents, update(DEPLOYMENTS, {**deployment, "status": written.status}, "status")]
    return Result(intents, written.requeue_after_ns)


def _roll_out(rollout: Rollout, view: View) -> Result:
    """RollingUpdate: create the new ReplicaSet, or take a step, or clean up."""
    if rollout.new is None:
        return _create_new(rollout, view)
    intents = rolling.step(rollout)
    if not intents and is_complete(rollout.deployment, rollout.deployment.get("status") or {}):
        intents += history_to_delete(rollout.deployment, rollout.old)
    return _finish(rollout.deployment, intents, progressed(rollout))


def _recreate(rollout: Rollout, view: View) -> Result:
    """Recreate: all old Pods go before a new one comes."""
    deployment = rollout.deployment
    intents: list[Intent] = [intent for old in active(rollout.old) for intent in resize_intents(deployment, old, 0)]
    if not intents and not _old_pods_running(rollout, view):
        if rollout.new is None:
            return _create_new(rollout, view)
        intents += resize_intents(deployment, rollout.new, replicas_of(deployment))
        if not intents and is_complete(deployment, deployment.get("status") or {}):
            intents += history_to_delete(deployment, rollout.old)
    return _finish(deployment, intents, progressed(rollout))


def _old_pods_running(rollout: Rollout, view: View) -> bool:
    """Whether an old ReplicaSet has a Pod that has not ended, dying ones too."""
    owned = view.derived(OwnedPods)
    for replica_set in rollout.old:
        group = owned.group(replica_set["metadata"]["uid"])
        if status_of(replica_set, "replicas") or (group is not None and group.active + group.terminating):
            return True
    return False


def _create_new(rollout: Rollout, view: View) -> Result:
    """Create the ReplicaSet of the present template, then say so in the status; a taken name raises the collision count."""
    deployment = rollout.deployment
    revision = next_revision(rollout.old)
    replica_set = new_replica_set(deployment, revision)
    size = rolling.new_size(deployment, spec_sum(rollout.old), 0)
    replica_set["spec"]["replicas"] = size
    name = replica_set["metadata"]["name"]

    def created(_: Object) -> Sequence[Intent]:
        message = f"Scaled up replica set {name} from 0 to {size}"
        return [EventIntent(deployment, "Normal", "ScalingReplicaSet", message)] if size else []

    def failed(error: ApiError) -> Sequence[Intent]:
        if error.reason == "AlreadyExists":
            return _collided(deployment, view.get(REPLICA_SETS, key_of(replica_set)))
        message = f'Failed to create new replica set "{name}": {error.message}'
        intents: list[Intent] = [EventIntent(deployment, "Warning", "ReplicaSetCreateError", message)]
        if progress_deadline_seconds(deployment) is not None:
            new = condition(PROGRESSING, "False", "ReplicaSetCreateError", message, rollout.now_ns)
            intents.insert(0, _with_status_condition(deployment, new))
        return intents

    def after(error: ApiError | None) -> Sequence[Intent]:
        if error is not None:
            return ()
        new = condition(PROGRESSING, "True", "NewReplicaSetCreated", f'Created new replica set "{name}"', rollout.now_ns)
        return [_with_revision(deployment, str(revision), new)]

    return Result([Burst([create(REPLICA_SETS, deployment["metadata"]["namespace"], replica_set)], created, failed, after)])


def _collided(deployment: Object, known: Object | None) -> Sequence[Intent]:
    """Count a hash collision, unless the ReplicaSet of that name is the one we wanted and the cache was only late."""
    if known is None:
        return ()
    owner = controller_of(known)
    ours = owner is not None and owner["uid"] == deployment["metadata"]["uid"]
    if ours and equal_ignoring_hash(known["spec"]["template"], deployment["spec"]["template"]):
        return ()
    status = deployment.get("status") or {}
    status = {**status, "collisionCount": (status.get("collisionCount") or 0) + 1}
    return [update(DEPLOYMENTS, {**deployment, "status": status}, "status")]


def _sync_revision(rollout: Rollout) -> list[Intent]:
    """Bring the new ReplicaSet's annotations and minReadySeconds, then the Deployment's revision, up to date."""
    deployment, new = rollout.deployment, rollout.new
    if new is None:
        return []
    known = annotations_of(new)
    wanted = synced_annotations(deployment, known, next_revision(rollout.old))
    min_ready = deployment["spec"].get("minReadySeconds", 0)
    if wanted != known or new["spec"].get("minReadySeconds", 0) != min_ready:
        spec = {field: value for field, value in new["spec"].items() if field != "minReadySeconds"}
        if min_ready:
            spec["minReadySeconds"] = min_ready
        return [update(REPLICA_SETS, {**with_annotations(new, wanted), "spec": spec})]
    found = None
    conditions = (deployment.get("status") or {}).get("conditions")
    if progress_deadline_seconds(deployment) is not None and find(conditions, PROGRESSING) is None:
        message = f'Found new replica set "{new["metadata"]["name"]}"'
        found = condition(PROGRESSING, "True", "FoundNewReplicaSet", message, rollout.now_ns)
    revision = wanted.get(REVISION, "")
    if found is None and annotations_of(deployment).get(REVISION) == revision:
        return []
    return [_with_revision(deployment, revision, found)]


def _with_revision(deployment: Object, revision: str, new: Object | None) -> Intent:
    """Write the revision annotation and a condition, both by the status subresource, as upstream does."""
    annotated = with_annotations(deployment, {**annotations_of(deployment), REVISION: revision})
    if new is None or progress_deadline_seconds(deployment) is None:
        return update(DEPLOYMENTS, annotated, "status")
    return _with_status_condition(annotated, new)


def _with_status_condition(deployment: Object, new: Object) -> Intent:
    status = deployment.get("status") or {}
    conditions = with_condition(status.get("conditions") or [], new)
    return update(DEPLOYMENTS, {**deployment, "status": {**status, "conditions": conditions}}, "status")


def _claims(deployment: Object, view: View) -> list[Intent]:
    """Adoptions (after a live look whether the Deployment is still there) and releases that are due."""
    metadata = deployment["metadata"]
    candidates = list(view.indexed(REPLICA_SETS, "controller", metadata["uid"]).values())
    candidates += view.indexed(REPLICA_SETS, "orphan", metadata["namespace"]).values()
    found = claim(deployment, candidates, from_object(deployment["spec"]["selector"]).matches)
    intents: list[Intent] = [release_request(deployment, REPLICA_SETS, replica_set) for replica_set in found.release]

    def adopt(live: Object) -> Sequence[Intent]:
        if live["metadata"]["uid"] != metadata["uid"] or live["metadata"].get("deletionTimestamp"):
            return ()
        return [adopt_request(deployment, REPLICA_SETS, replica_set) for replica_set in found.adopt]

    if found.adopt:
        intents.append(Burst([get(DEPLOYMENTS, metadata["namespace"], metadata["name"])], on_success=adopt))
    return intents


def _selecting_all(deployment: Object) -> Result:
    """An empty selector is refused with an event, once per spec."""
    message = "This deployment is selecting all pods. A non-empty selector is required."
    intents: list[Intent] = [EventIntent(deployment, "Warning", "SelectingAll", message)]
    generation = deployment["metadata"].get("generation", 0)
    if status_of(deployment, "observedGeneration") < generation:
        status = {**(deployment.get("status") or {}), "observedGeneration": generation}
        intents.append(update(DEPLOYMENTS, {**deployment, "status": status}, "status"))
    return Result(intents)


CONTROLLER = DeploymentController
