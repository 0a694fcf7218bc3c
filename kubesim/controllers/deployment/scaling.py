"""Scaling the ReplicaSets of a Deployment: one of them, or all in proportion while a rollout is under way.

    fraction = round(replicas of the ReplicaSet x (desired + surge) / max-replicas annotation) - replicas of the ReplicaSet

rounded half away from zero; what rounding leaves over goes to the first in the order (largest; newest on the way up, oldest on the way
down). Upstream: pkg/controller/deployment/sync.go (scale, scaleReplicaSet), util (GetReplicaSetProportion, getReplicaSetFraction).
"""

from collections.abc import Sequence

from kubesim.apiserver.requests import Object, update
from kubesim.controllers.contract import EventIntent, Intent
from kubesim.controllers.deployment.revisions import MAX, annotations_of, int_annotation, replicas_annotations, with_annotations
from kubesim.controllers.deployment.rollout import (
    REPLICA_SETS,
    Rollout,
    active,
    by_age,
    is_rolling,
    max_surge,
    replicas_of,
    spec_sum,
    status_of,
)


def scale_intents(deployment: Object, replica_set: Object, replicas: int) -> list[Intent]:
    """Write a size and the replicas annotations, if either differs; a new size is an event of the Deployment."""
    wanted = replicas_annotations(deployment)
    known = annotations_of(replica_set)
    before = replicas_of(replica_set)
    if before == replicas and all(known.get(key) == value for key, value in wanted.items()):
        return []
    scaled = with_annotations(replica_set, {**known, **wanted})
    intents: list[Intent] = [update(REPLICA_SETS, {**scaled, "spec": {**replica_set["spec"], "replicas": replicas}})]
    if before != replicas:
        direction = "up" if replicas > before else "down"
        message = f"Scaled {direction} replica set {replica_set['metadata']['name']} from {before} to {replicas}"
        intents.append(EventIntent(deployment, "Normal", "ScalingReplicaSet", message))
    return intents


def resize_intents(deployment: Object, replica_set: Object, replicas: int) -> list[Intent]:
    """Write a size if it differs."""
    return scale_intents(deployment, replica_set, replicas) if replicas_of(replica_set) != replicas else []


def is_scaling_event(rollout: Rollout) -> bool:
    """Whether an active ReplicaSet remembers another number of desired replicas than the Deployment has."""
    desired = str(replicas_of(rollout.deployment))
    remembered = (annotations_of(replica_set).get("deployment.kubernetes.io/desired-replicas") for replica_set in active(rollout.all))
    return any(text is not None and text != desired for text in remembered)


def scale(rollout: Rollout) -> list[Intent]:
    """Bring the sizes to a changed number of replicas (or those of a paused Deployment)."""
    deployment = rollout.deployment
    desired = replicas_of(deployment)
    only = _active_or_latest(rollout)
    if only is not None:
        return resize_intents(deployment, only, desired)
    if _is_saturated(deployment, rollout.new):
        return [intent for old in active(rollout.old) for intent in resize_intents(deployment, old, 0)]
    if not is_rolling(deployment):
        return []
    sizes = proportional_sizes(deployment, active(rollout.all))
    return [intent for replica_set, size in sizes for intent in scale_intents(deployment, replica_set, size)]


def proportional_sizes(deployment: Object, replica_sets: Sequence[Object]) -> list[tuple[Object, int]]:
    """The sizes of the active ReplicaSets whose sum is the desired replicas with surge, in the order they are written. O(n log n)."""
    desired = replicas_of(deployment)
    allowed = desired + max_surge(deployment) if desired > 0 else 0
    to_add = allowed - spec_sum(replica_sets)
    # Largest first; among equals the newest when growing, the oldest when shrinking.
    ordered = sorted(sorted(replica_sets, key=by_age, reverse=to_add > 0), key=replicas_of, reverse=True)
    sizes: list[int] = []
    added = 0
    for replica_set in ordered:
        proportion = _proportion(deployment, replica_set, to_add, added)
        sizes.append(replicas_of(replica_set) + proportion)
        added += proportion
    if sizes and to_add:
        sizes[0] = max(sizes[0] + to_add - added, 0)
    return list(zip(ordered, sizes, strict=True))


def _proportion(deployment: Object, replica_set: Object, to_add: int, added: int) -> int:
    if replicas_of(replica_set) == 0 or to_add in (0, added):
        return 0
    fraction = _fraction(deployment, replica_set)
    allowed = to_add - added
    return min(fraction, allowed) if to_add > 0 else max(fraction, allowed)


def _fraction(deployment: Object, replica_set: Object) -> int:
    size = replicas_of(replica_set)
    if replicas_of(deployment) == 0:
        return -size
    before = int_annotation(replica_set, MAX) or status_of(deployment, "replicas")
    if before == 0:
        return 0
    wanted = size * (replicas_of(deployment) + max_surge(deployment))
    return (2 * wanted + before) // (2 * before) - size


def _active_or_latest(rollout: Rollout) -> Object | None:
    """The only active ReplicaSet; without any, the new one, or else the youngest. None when several are active, or none exists."""
    found = active(rollout.all)
    if len(found) > 1:
        return None
    if found:
        return found[0]
    return rollout.new or (max(rollout.old, key=by_age) if rollout.old else None)


def _is_saturated(deployment: Object, replica_set: Object | None) -> bool:
    """Whether the new ReplicaSet has all Pods, all available, and was told of the desired number."""
    if replica_set is None:
        return False
    desired = replicas_of(deployment)
    told = int_annotation(replica_set, "deployment.kubernetes.io/desired-replicas")
    return replicas_of(replica_set) == desired and told == desired and status_of(replica_set, "availableReplicas") == desired
