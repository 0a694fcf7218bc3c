"""The status of a Deployment: counts, and the conditions Available, Progressing and ReplicaFailure with upstream's messages.

Upstream: pkg/controller/deployment/progress.go, sync.go (calculateStatus, checkPausedConditions), util (SetDeploymentCondition).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kubesim.apiserver.requests import Object
from kubesim.controllers.deployment.rollout import (
    Rollout,
    max_unavailable,
    progress_deadline_seconds,
    replicas_of,
    spec_sum,
    status_of,
    status_sum,
)
from kubesim.kernel.time import SECOND, format_time, parse_time

AVAILABLE, PROGRESSING, REPLICA_FAILURE = "Available", "Progressing", "ReplicaFailure"
NEW_AVAILABLE, TIMED_OUT = "NewReplicaSetAvailable", "ProgressDeadlineExceeded"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"
Conditions = Sequence[Object]


class Written(NamedTuple):
    """A status to write (None: it stands already), and when to look again for want of progress."""

    status: Object | None
    requeue_after_ns: int | None


def condition(type_: str, status: str, reason: str, message: str, now_ns: int) -> Object:
    """A Deployment condition, upstream's field order."""
    now = format_time(now_ns)
    return {"type": type_, "status": status, "lastUpdateTime": now, "lastTransitionTime": now, "reason": reason, "message": message}


def find(conditions: Iterable[Object] | None, type_: str) -> Object | None:
    """The condition of a type, or None."""
    return next((found for found in conditions or () if found["type"] == type_), None)


def without(conditions: Conditions, type_: str) -> Conditions:
    """The conditions but for one type."""
    return [kept for kept in conditions if kept["type"] != type_]


def with_condition(conditions: Conditions, new: Object) -> Conditions:
    """Put a condition last; equal status and reason leave all as it is, equal status keeps the transition time."""
    known = find(conditions, new["type"])
    if known is not None and known["status"] == new["status"]:
        if known["reason"] == new["reason"]:
            return conditions
        new = {**new, "lastTransitionTime": known["lastTransitionTime"]}
    return [*without(conditions, new["type"]), new]


def pause_condition(deployment: Object, now_ns: int) -> Object | None:
    """The Progressing condition that says paused or resumed, when it has to be said."""
    if progress_deadline_seconds(deployment) is None:
        return None
    known = find((deployment.get("status") or {}).get("conditions"), PROGRESSING)
    reason = known["reason"] if known else ""
    paused = bool(deployment["spec"].get("paused"))
    if reason == TIMED_OUT or paused == (reason == PAUSED):
        return None
    if paused:
        return condition(PROGRESSING, "Unknown", PAUSED, "Deployment is paused", now_ns)
    return condition(PROGRESSING, "Unknown", RESUMED, "Deployment is resumed", now_ns)


def counted(rollout: Rollout) -> Object:
    """The status without progress: counts (zeros left out) and the condition Available."""
    deployment, replica_sets = rollout.deployment, rollout.all
    available = status_sum(replica_sets, "availableReplicas")
    old = deployment.get("status") or {}
    counts = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": status_sum(replica_sets, "replicas"),
        "updatedReplicas": status_of(rollout.new, "replicas") if rollout.new else 0,
        "readyReplicas": status_sum(replica_sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(spec_sum(replica_sets) - available, 0),
    }
    status: Object = {field: count for field, count in counts.items() if count}
    status["terminatingReplicas"] = status_sum(replica_sets, "terminatingReplicas")
    if available >= replicas_of(deployment) - max_unavailable(deployment):
        new = condition(AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", rollout.now_ns)
    else:
        new = condition(AVAILABLE, "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.", rollout.now_ns)
    status["conditions"] = with_condition(old.get("conditions") or [], new)
    if old.get("collisionCount") is not None:
        status["collisionCount"] = old["collisionCount"]
    return status


def plain(rollout: Rollout) -> Written:
    """The status while scaling, paused or being deleted."""
    status = counted(rollout)
    return Written(None if status == rollout.deployment.get("status") else status, None)


def progressed(rollout: Rollout) -> Written:
    """The status while rolling out, with Progressing and ReplicaFailure."""
    deployment = rollout.deployment
    status = counted(rollout)
    conditions: Conditions = status["conditions"]
    if progress_deadline_seconds(deployment) is None:
        conditions = without(conditions, PROGRESSING)
    else:
        conditions = _progress(rollout, status, conditions)
    failure = _replica_failure(rollout)
    conditions = with_condition(conditions, failure) if failure else without(conditions, REPLICA_FAILURE)
    status["conditions"] = conditions
    if status == deployment.get("status"):
        return Written(None, _next_look_ns(rollout, status))
    return Written(status, None)


def is_complete(deployment: Object, status: Object) -> bool:
    """Whether all replicas are updated and available, no old one is left, and the spec was seen."""
    desired = replicas_of(deployment)
    counts = (status.get("updatedReplicas", 0), status.get("replicas", 0), status.get("availableReplicas", 0))
    return counts == (desired, desired, desired) and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)


def _progress(rollout: Rollout, status: Object, conditions: Conditions) -> Conditions:
    deployment, now_ns = rollout.deployment, rollout.now_ns
    known = find((deployment.get("status") or {}).get("conditions"), PROGRESSING)
    if known is not None and known["reason"] == NEW_AVAILABLE and status.get("replicas", 0) == status.get("updatedReplicas", 0):
        return conditions  # complete before: a scaling is no rollout
    about = f'ReplicaSet "{rollout.new["metadata"]["name"]}"' if rollout.new else f'Deployment "{deployment["metadata"]["name"]}"'
    if is_complete(deployment, status):
        return with_condition(conditions, condition(PROGRESSING, "True", NEW_AVAILABLE, f"{about} has successfully progressed.", now_ns))
    if _is_progressing(deployment, status):
        new = condition(PROGRESSING, "True", "ReplicaSetUpdated", f"{about} is progressing.", now_ns)
        if known is not None and known["status"] == "True":
            new["lastTransitionTime"] = known["lastTransitionTime"]
        return [*without(conditions, PROGRESSING), new]  # also an equal one: its lastUpdateTime is when progress was last seen
    if _is_timed_out(rollout, find(conditions, PROGRESSING)):
        return with_condition(conditions, condition(PROGRESSING, "False", TIMED_OUT, f"{about} has timed out progressing.", now_ns))
    return conditions


def _is_progressing(deployment: Object, status: Object) -> bool:
    """Whether something moved: more updated, fewer old, more ready or more available."""
    old = deployment.get("status") or {}

    def grew(field: str) -> bool:
        return bool(status.get(field, 0) > old.get(field, 0))

    def outdated(counts: Object) -> int:
        return int(counts.get("replicas", 0) - counts.get("updatedReplicas", 0))

    return grew("updatedReplicas") or outdated(status) < outdated(old) or grew("readyReplicas") or grew("availableReplicas")


def _is_timed_out(rollout: Rollout, known: Object | None) -> bool:
    if known is None or known["reason"] == NEW_AVAILABLE:
        return False
    if known["reason"] == TIMED_OUT:
        return True
    deadline = progress_deadline_seconds(rollout.deployment)
    return deadline is not None and parse_time(known["lastUpdateTime"]) + deadline * SECOND < rollout.now_ns


def _next_look_ns(rollout: Rollout, status: Object) -> int | None:
    """When the progress deadline will have passed if nothing happens; a second later, as upstream."""
    deadline = progress_deadline_seconds(rollout.deployment)
    known = find((rollout.deployment.get("status") or {}).get("conditions"), PROGRESSING)
    if deadline is None or known is None or known["reason"] == TIMED_OUT or is_complete(rollout.deployment, status):
        return None
    return max(parse_time(known["lastUpdateTime"]) + deadline * SECOND - rollout.now_ns, 0) + SECOND


def _replica_failure(rollout: Rollout) -> Object | None:
    """The ReplicaFailure condition of the new ReplicaSet, or else of any other, as a condition of the Deployment."""
    for replica_set in ([rollout.new] if rollout.new else []) + list(rollout.old):
        found = find((replica_set.get("status") or {}).get("conditions"), REPLICA_FAILURE)
        if found is not None:
            time = found.get("lastTransitionTime")
            new = {"type": REPLICA_FAILURE, "status": found["status"], "lastUpdateTime": time, "lastTransitionTime": time}
            return {**new, "reason": found.get("reason", ""), "message": found.get("message", "")}
    return None
