"""VolumeRestrictions: disks that can be mounted once, and claims that one Pod at a time may use (ReadWriteOncePod).

Upstream: plugins/volumerestrictions/volume_restrictions.go.
"""

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np

from kubesim.scheduler.contract import (
    ASSIGNED_POD_DELETE,
    NODE_ADD,
    SKIP,
    STORAGE_EVENTS,
    UNRESOLVABLE,
    UNSCHEDULABLE,
    UNSIGNABLE,
    ClusterEvent,
    Hint,
    Plugin,
    Prepared,
    Rejection,
    Scope,
    Skip,
    always,
)
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.volumes import EXCLUSIVE, claim_of, claim_uses, has_storage, not_found

DISK, CLAIM = 1, 2
IN_USE = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
REJECTIONS = {DISK: Rejection(UNSCHEDULABLE, ("node(s) had no available disk",)), CLAIM: Rejection(UNSCHEDULABLE, (IN_USE,))}
DISK_KINDS = ("gcePersistentDisk", "awsElasticBlockStore", "rbd", "iscsi")
Volume = Mapping[str, Any]


class Restricted(NamedTuple):
    """A Pod's inline disks, and its claims ("namespace/name") that nobody else may use."""

    disks: tuple[Volume, ...]
    exclusive: tuple[str, ...]


class VolumeRestrictions(Plugin):
    """See the module."""

    name = "VolumeRestrictions"
    extends = frozenset({"preFilter", "filter"})
    filter_scope = Scope.CLUSTER

    def signature(self, pod: PodInfo) -> Hashable:
        return UNSIGNABLE if has_storage(pod.facts.spec) else None

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        exclusive = []
        for use in claim_uses(pod):
            if use.is_ephemeral:
                continue
            claim = claim_of(self.objects, pod.namespace, use.name)
            if claim is None:
                return Rejection(UNRESOLVABLE, (not_found("persistentvolumeclaim", use.name),))
            if EXCLUSIVE in (claim["spec"].get("accessModes") or ()):
                exclusive.append(f"{pod.namespace}/{use.name}")
        disks = tuple(v for v in pod.facts.spec.get("volumes") or () if any(kind in v for kind in DISK_KINDS))
        if not disks and not any(self.table.claims.count(claim) for claim in exclusive):
            return SKIP
        return Prepared(Restricted(disks, tuple(exclusive)))

    def filter(self, state: Restricted, rows: Any) -> Any:
        index = self.table.index(rows)
        code = CLAIM if any(self.table.claims.count(claim) for claim in state.exclusive) else 0
        codes = np.full(len(index), code, np.int64)
        if state.disks:
            codes[[self._has_conflict(state, row) for row in index.tolist()]] = DISK
        return codes

    def _has_conflict(self, state: Restricted, row: int) -> bool:
        others = [v for info in self.table.pods[row].values() for v in info.facts.spec.get("volumes") or ()]
        return any(conflict(disk, other) for disk in state.disks for other in others)

    def filter_row(self, state: Restricted, row: int) -> int:
        if self._has_conflict(state, row):
            return DISK
        in_use = {
            f"{info.namespace}/{use.name}"
            for other in range(self.table.row_count)
            for info in self.table.pods[other].values()
            for use in claim_uses(info)
            if not use.is_ephemeral
        }
        return CLAIM if any(claim in in_use for claim in state.exclusive) else 0

    def rejection(self, state: Any, code: int) -> Rejection:
        return REJECTIONS[code]

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return {**dict.fromkeys(STORAGE_EVENTS, always), ASSIGNED_POD_DELETE: always, NODE_ADD: always}


def conflict(one: Volume, other: Volume) -> bool:
    """Whether two inline disks cannot be on one node."""
    if "gcePersistentDisk" in one and "gcePersistentDisk" in other:
        mine, its = one["gcePersistentDisk"], other["gcePersistentDisk"]
        return mine["pdName"] == its["pdName"] and not (mine.get("readOnly") and its.get("readOnly"))
    if "awsElasticBlockStore" in one and "awsElasticBlockStore" in other:
        return bool(one["awsElasticBlockStore"]["volumeID"] == other["awsElasticBlockStore"]["volumeID"])
    if "iscsi" in one and "iscsi" in other:
        mine, its = one["iscsi"], other["iscsi"]
        return mine["iqn"] == its["iqn"] and not (mine.get("readOnly") and its.get("readOnly"))
    if "rbd" in one and "rbd" in other:
        return _images_conflict(one["rbd"], other["rbd"])
    return False


def _images_conflict(mine: Volume, its: Volume) -> bool:
    if not any(monitor in (its.get("monitors") or ()) for monitor in mine.get("monitors") or ()):
        return False
    is_same = (mine.get("pool") or "rbd", mine.get("image")) == (its.get("pool") or "rbd", its.get("image"))
    return is_same and not (mine.get("readOnly") and its.get("readOnly"))


PLUGIN = VolumeRestrictions
