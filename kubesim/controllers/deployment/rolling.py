"""The RollingUpdate strategy: grow the new ReplicaSet within the surge, shrink the old ones within what may be unavailable.

At every moment: sum of ``spec.replicas`` <= replicas + maxSurge, and a scale-down never takes available Pods below
replicas - maxUnavailable. One step per reconcile, as upstream: up first; else unhealthy old Pods; else healthy old ones.

Upstream: pkg/controller/deployment/rolling.go, util (NewRSNewReplicas).
"""

from kubesim.apiserver.requests import Object
from kubesim.controllers.contract import Intent
from kubesim.controllers.deployment.rollout import (
    Rollout,
    active,
    by_age,
    fenceposts,
    is_rolling,
    max_unavailable,
    replicas_of,
    spec_sum,
    status_of,
)
from kubesim.controllers.deployment.scaling import resize_intents


def new_size(deployment: Object, all_replicas: int, new_replicas: int) -> int:
    """How large the new ReplicaSet (now ``new_replicas`` of ``all_replicas``) may be."""
    desired = replicas_of(deployment)
    if not is_rolling(deployment):
        return desired
    room = desired + fenceposts(deployment)[0] - all_replicas
    return new_replicas if room <= 0 else new_replicas + min(room, desired - new_replicas)


def step(rollout: Rollout) -> list[Intent]:
    """The next step of a rolling update; nothing when there is none to take now."""
    if rollout.new is None:
        return []
    return _resize_new(rollout, rollout.new) or _shrink_old(rollout, rollout.new)


def _resize_new(rollout: Rollout, new: Object) -> list[Intent]:
    desired, size = replicas_of(rollout.deployment), replicas_of(new)
    if size == desired:
        return []
    target = desired if size > desired else new_size(rollout.deployment, spec_sum(rollout.all), size)
    return resize_intents(rollout.deployment, new, target)


def _shrink_old(rollout: Rollout, new: Object) -> list[Intent]:
    old = sorted(active(rollout.old), key=by_age)
    if not old:
        return []
    available_min = replicas_of(rollout.deployment) - max_unavailable(rollout.deployment)
    new_unavailable = replicas_of(new) - status_of(new, "availableReplicas")
    count_max = spec_sum(rollout.all) - available_min - new_unavailable
    if count_max <= 0:
        return []
    return _shrink_unhealthy(rollout, old, count_max) or _shrink_healthy(rollout, old, available_min)


def _shrink_unhealthy(rollout: Rollout, old: list[Object], count_max: int) -> list[Intent]:
    """Take Pods that are not available from the oldest ReplicaSets first: they cost no availability."""
    intents: list[Intent] = []
    for replica_set in old:
        size = replicas_of(replica_set)
        count = min(count_max, size - status_of(replica_set, "availableReplicas"))
        if count > 0:
            intents += resize_intents(rollout.deployment, replica_set, size - count)
            count_max -= count
    return intents


def _shrink_healthy(rollout: Rollout, old: list[Object], available_min: int) -> list[Intent]:
    """Take what is available beyond the minimum, from the oldest ReplicaSets first."""
    intents: list[Intent] = []
    # A status may be older than the spec: of a ReplicaSet that was told to shrink, what it was told counts. Upstream takes the status
    # as it is, and takes the same Pods twice when another new one becomes available before the old ReplicaSet has reported.
    counted = (*old, rollout.new) if rollout.new else old
    surplus = sum(min(status_of(each, "availableReplicas"), replicas_of(each)) for each in counted) - available_min
    for replica_set in old:
        count = min(replicas_of(replica_set), surplus)
        if count <= 0:
            break
        intents += resize_intents(rollout.deployment, replica_set, replicas_of(replica_set) - count)
        surplus -= count
    return intents
