"""A Deployment with its ReplicaSets at one moment, and the numbers that every part of the controller asks of them.

Upstream: pkg/controller/deployment/util/deployment_util.go.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from kubesim.apiserver.requests import Object

DEPLOYMENTS, REPLICA_SETS = "deployments.apps", "replicasets.apps"
HASH_LABEL = "pod-template-hash"
NO_LIMIT = 2**31 - 1  # progressDeadlineSeconds and revisionHistoryLimit: this value means none


class Rollout(NamedTuple):
    """What one reconcile knows: ``new`` is the ReplicaSet of the present template or None, ``old`` are all others, oldest first."""

    deployment: Object
    new: Object | None
    old: tuple[Object, ...]
    now_ns: int

    @property
    def all(self) -> tuple[Object, ...]:
        """Every ReplicaSet, the new one last."""
        return self.old if self.new is None else (*self.old, self.new)


def replicas_of(obj: Object) -> int:
    """``spec.replicas`` of a Deployment or ReplicaSet."""
    replicas = obj["spec"].get("replicas", 1)
    return 1 if replicas is None else int(replicas)


def status_of(obj: Object, field: str) -> int:
    """A count in the status; absent is 0."""
    return int((obj.get("status") or {}).get(field) or 0)


def spec_sum(replica_sets: Iterable[Object]) -> int:
    """The replicas asked for."""
    return sum(replicas_of(replica_set) for replica_set in replica_sets)


def status_sum(replica_sets: Iterable[Object], field: str) -> int:
    """A count over the statuses."""
    return sum(status_of(replica_set, field) for replica_set in replica_sets)


def active(replica_sets: Iterable[Object]) -> list[Object]:
    """Those that ask for Pods."""
    return [replica_set for replica_set in replica_sets if replicas_of(replica_set) > 0]


def by_age(replica_set: Object) -> tuple[str, str]:
    """Sort key: oldest first, then by name."""
    return replica_set["metadata"].get("creationTimestamp", ""), replica_set["metadata"]["name"]


def is_rolling(deployment: Object) -> bool:
    """Whether the strategy is RollingUpdate."""
    return (deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"


def scaled_value(value: Any, total: int, round_up: bool) -> int:
    """An int as it is, a percentage of ``total`` rounded up or down."""
    if isinstance(value, str):
        part = int(value.removesuffix("%")) * total
        return -(-part // 100) if round_up else part // 100
    return int(value or 0)


def fenceposts(deployment: Object) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) as numbers: surge rounds up, unavailable down, and both 0 becomes one unavailable."""
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    desired = replicas_of(deployment)
    surge = scaled_value(rolling.get("maxSurge", 0), desired, round_up=True)
    unavailable = scaled_value(rolling.get("maxUnavailable", 0), desired, round_up=False)
    return (0, 1) if surge == 0 and unavailable == 0 else (surge, unavailable)


def max_surge(deployment: Object) -> int:
    """Pods above the desired number; 0 unless rolling."""
    return fenceposts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Object) -> int:
    """Pods below the desired number, at most all of them; 0 unless rolling."""
    desired = replicas_of(deployment)
    if not is_rolling(deployment) or desired == 0:
        return 0
    return min(fenceposts(deployment)[1], desired)


def progress_deadline_seconds(deployment: Object) -> int | None:
    """The progress deadline, None without one."""
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return None if seconds is None or seconds == NO_LIMIT else int(seconds)


def equal_ignoring_hash(one: Object, other: Object) -> bool:
    """Whether two Pod templates are equal but for the pod-template-hash label. Shared parts compare by identity."""
    return one["spec"] == other["spec"] and _metadata_without_hash(one) == _metadata_without_hash(other)


def _metadata_without_hash(template: Object) -> Object:
    metadata = {key: value for key, value in (template.get("metadata") or {}).items() if value and key != "creationTimestamp"}
    labels = {key: value for key, value in metadata.pop("labels", {}).items() if key != HASH_LABEL}
    return {**metadata, "labels": labels}


def find_new(deployment: Object, replica_sets: Iterable[Object]) -> Object | None:
    """The oldest ReplicaSet with the Deployment's template, or None."""
    template = deployment["spec"]["template"]
    matching = [replica_set for replica_set in replica_sets if equal_ignoring_hash(replica_set["spec"]["template"], template)]
    return min(matching, key=by_age, default=None)
