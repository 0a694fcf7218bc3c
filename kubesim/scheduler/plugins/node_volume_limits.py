"""NodeVolumeLimits: a CSI driver attaches only so many volumes to a node, as its CSINode says.

Upstream: plugins/nodevolumelimits/csi.go.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from kubesim.scheduler.contract import (
    ASSIGNED_POD_DELETE,
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
from kubesim.scheduler.volumes import claim_of, claim_uses, handles_of, has_storage, not_found

REJECTION = Rejection(UNSCHEDULABLE, ("node(s) exceed max volume count",))


class NodeVolumeLimits(Plugin):
    """See the module. The state is the Pod."""

    name = "NodeVolumeLimits"
    extends = frozenset({"preFilter", "filter"})
    filter_scope = Scope.CLUSTER

    def signature(self, pod: PodInfo) -> Hashable:
        return UNSIGNABLE if has_storage(pod.facts.spec) else None

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        return Prepared(pod) if claim_uses(pod) else SKIP

    def filter(self, state: PodInfo, rows: Any) -> Any:
        missing = self._missing(state)
        if missing:
            return np.full(len(self.table.index(rows)), 1 + missing, np.int64)
        new = dict.fromkeys(handles_of(state, self.objects))
        if not new:
            return np.zeros(len(self.table.index(rows)), np.int64)
        return np.array([self._code(new, row) for row in self.table.index(rows).tolist()], np.int64)

    def _missing(self, pod: PodInfo) -> int:
        """The number (from 1) of the first claim that does not exist, 0 when all do."""
        uses = claim_uses(pod)
        return next((i + 1 for i, use in enumerate(uses) if claim_of(self.objects, pod.namespace, use.name) is None), 0)

    def filter_row(self, state: PodInfo, row: int) -> int:
        missing = self._missing(state)
        return 1 + missing if missing else self._code(dict.fromkeys(handles_of(state, self.objects)), row)

    def _code(self, new: Mapping[tuple[str, str], None], row: int) -> int:
        limits = self._limits(row)
        if not any(driver in limits for driver, _ in new):
            return 0
        attached = self._attached(row)
        for driver, limit in limits.items():
            wanted = sum(other == driver for other, handle in new if (other, handle) not in attached)
            if wanted and sum(other == driver for other, _ in attached) + wanted > limit:
                return 1
        return 0

    def _limits(self, row: int) -> dict[str, int]:
        node = self.objects.get("csinodes", self.table.names[row] or "")
        drivers = ((node or {}).get("spec") or {}).get("drivers") or ()
        counts = ((driver["name"], (driver.get("allocatable") or {}).get("count")) for driver in drivers)
        return {name: count for name, count in counts if count is not None}

    def _attached(self, row: int) -> dict[tuple[str, str], None]:
        """The volumes of the Pods there, and those that are attached without one."""
        found = {handle: None for info in self.table.pods[row].values() for handle in handles_of(info, self.objects)}
        for attachment in self.objects.all("volumeattachments"):
            spec = attachment["spec"]
            if spec.get("nodeName") != self.table.names[row]:
                continue
            volume = self.objects.get("persistentvolumes", (spec.get("source") or {}).get("persistentVolumeName") or "")
            source = volume["spec"].get("csi") if volume is not None else None
            if source:
                found[(source["driver"], source["volumeHandle"])] = None
        return found

    def rejection(self, state: PodInfo, code: int) -> Rejection:
        if code == 1:
            return REJECTION
        return Rejection(UNRESOLVABLE, (not_found("persistentvolumeclaim", claim_uses(state)[code - 2].name),))

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return {**dict.fromkeys(STORAGE_EVENTS, always), ASSIGNED_POD_DELETE: always}


PLUGIN = NodeVolumeLimits
