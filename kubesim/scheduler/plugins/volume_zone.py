"""VolumeZone: a bound volume with zone or region labels goes only to nodes of one of these zones.

Upstream: plugins/volumezone/volume_zone.go.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from kubesim.scheduler.contract import (
    NODE_ADD,
    NODE_LABEL,
    SKIP,
    STORAGE_EVENTS,
    UNRESOLVABLE,
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
from kubesim.scheduler.volumes import claim_of, claim_uses, class_name_of, has_storage, not_found, waits_for_consumer

ZONE_REJECTION = Rejection(UNRESOLVABLE, ("node(s) had no available volume zone",))
GENERAL_KEY = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}
KEYS = (*GENERAL_KEY, *GENERAL_KEY.values())
Demand = tuple[str, frozenset[str]]


class VolumeZone(Plugin):
    """See the module. The state is (key, values) per zone label of the Pod's volumes."""

    name = "VolumeZone"
    extends = frozenset({"preFilter", "filter"})
    filter_scope = Scope.CLUSTER

    def signature(self, pod: PodInfo) -> Hashable:
        return UNSIGNABLE if has_storage(pod.facts.spec) else None

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        demands: list[Demand] = []
        for use in claim_uses(pod):
            if use.is_ephemeral:
                continue
            claim = claim_of(self.objects, pod.namespace, use.name)
            if claim is None:
                return _unresolvable(not_found("persistentvolumeclaim", use.name))
            name = claim["spec"].get("volumeName") or ""
            volume = self.objects.get("persistentvolumes", name)
            if not name:
                problem = self._unbound(claim)
                if problem:
                    return _unresolvable(problem)
            elif volume is None:
                return _unresolvable(not_found("persistentvolume", name))
            else:
                demands += demands_of(volume)
        return Prepared(tuple(demands)) if demands else SKIP

    def _unbound(self, claim: Mapping[str, Any]) -> str:
        """What is wrong with a claim that names no volume, "" when it waits for its consumer."""
        name = class_name_of(claim)
        if not name:
            return "PersistentVolumeClaim had no pv name and storageClass name"
        if self.objects.get("storageclasses", name) is None:
            return not_found("storageclass.storage.k8s.io", name)
        return "" if waits_for_consumer(self.objects, claim) else "PersistentVolume had no name"

    def filter(self, state: tuple[Demand, ...], rows: Any) -> Any:
        return np.array([self.filter_row(state, row) for row in self.table.index(rows).tolist()], np.int64)

    def filter_row(self, state: tuple[Demand, ...], row: int) -> int:
        labels = self.table.labels[row]
        if not any(key in labels for key in KEYS):
            return 0
        return int(any(labels.get(key, labels.get(GENERAL_KEY.get(key, key))) not in values for key, values in state))

    def rejection(self, state: Any, code: int) -> Rejection:
        return ZONE_REJECTION

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return {**dict.fromkeys(STORAGE_EVENTS, always), NODE_ADD: always, NODE_LABEL: always}


def demands_of(volume: Mapping[str, Any]) -> list[Demand]:
    """The zone labels of a volume; a value may list several, joined by ``__``."""
    labels = volume["metadata"].get("labels") or {}
    return [(key, frozenset(part.strip() for part in labels[key].split("__"))) for key in KEYS if key in labels]


def _unresolvable(text: str) -> Rejection:
    return Rejection(UNRESOLVABLE, (text,))


PLUGIN = VolumeZone
