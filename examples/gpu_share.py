"""A scheduler plugin that shares GPUs: a Pod with the label ``gpu-share/milli`` gets that many thousandths of one GPU of its node.

Pods that ask for whole GPUs (``nvidia.com/gpu``) get some that nobody shares. Which ones is written on the Pod when it is bound (annotation
``gpu-share/devices``). Vectorised: the free thousandths of every GPU of every node are one array, and only changed rows are read again.

Dimension key: N rows of the node table, K asked rows, G GPUs of a node (at most 8).
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from kubesim.apiserver.requests import Request, bind
from kubesim.scheduler import Plugin
from kubesim.scheduler.contract import (
    ASSIGNED_POD_DELETE,
    NODE_ADD,
    NODE_ALLOCATABLE,
    SKIP,
    UNSCHEDULABLE,
    ClusterEvent,
    Handle,
    Hint,
    Prepared,
    Rejection,
    Scope,
    Skip,
    always,
)
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.workload.traces import GPU, SHARE_LABEL, WHOLE

DEVICES = "gpu-share/devices"
GPU_COUNT_MAX = 8
ABSENT = -1
NO_ROOM = Rejection(UNSCHEDULABLE, ("node(s) had no GPU with enough free",))


class GpuShare(Plugin):
    """See the module. The state of filter and score is (whole GPUs, thousandths of one)."""

    name = "GpuShare"
    weight = 5
    extends = frozenset({"preFilter", "filter", "preScore", "score", "reserve", "bind"})
    filter_scope = score_scope = Scope.ROW

    def __init__(self, arguments: Mapping[str, Any], handle: Handle) -> None:
        super().__init__(arguments, handle)
        self._free_NG = np.full((0, GPU_COUNT_MAX), ABSENT, np.int64)
        self._positions = (-1, -1)  # in the node table's two logs
        self._given: dict[str, tuple[int, ...]] = {}  # the GPUs of Pods whose annotation is not there yet

    # ---- what is free --------------------------------------------------------------------------------------------------------

    def _free(self, rows: Any) -> Any:
        """The free thousandths (K, G), after reading again what changed."""
        table = self.table
        positions = (table.node_log.end, table.pod_log.end)
        if positions != self._positions:
            changed = table.changed_rows(*self._positions)
            if changed is None or len(self._free_NG) < table.row_count:
                self._free_NG = np.full((table.capacity, GPU_COUNT_MAX), ABSENT, np.int64)
                changed = list(range(table.row_count))
            for row in changed:
                self._free_NG[row] = self._read(row)
            self._positions = positions
        return table.take(self._free_NG, rows)

    def _read(self, row: int) -> list[int]:
        gpus = int(self.table.allocatable_NR[row, self.table.column(GPU)])
        free = [WHOLE] * gpus + [ABSENT] * (GPU_COUNT_MAX - gpus)
        for info in self.table.pods[row].values():
            whole, milli = demand(info)
            for device in self._devices_of(info):
                free[device] -= WHOLE if whole else milli
        return free

    def _devices_of(self, info: PodInfo) -> tuple[int, ...]:
        written = (info.obj["metadata"].get("annotations") or {}).get(DEVICES)
        if written:
            self._given.pop(info.uid, None)
            return tuple(map(int, written.split(",")))
        return self._given.get(info.uid, ())

    # ---- deciding ------------------------------------------------------------------------------------------------------------

    def signature(self, pod: PodInfo) -> Hashable:
        return demand(pod)

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        wanted = demand(pod)
        return Prepared(wanted) if any(wanted) else SKIP

    def filter(self, state: tuple[int, int], rows: Any) -> Any:
        whole, milli = state
        free_KG = self._free(rows)
        fits_K = (free_KG == WHOLE).sum(axis=1) >= whole if whole else (free_KG >= milli).any(axis=1)
        return (~fits_K).astype(np.int64)

    def filter_row(self, state: tuple[int, int], row: int) -> int:
        whole, milli = state
        free = self._read(row)
        return int(free.count(WHOLE) < whole if whole else max(free) < milli)

    def rejection(self, state: Any, code: int) -> Rejection:
        return NO_ROOM

    def pre_score(self, pod: PodInfo, feasible_rows: Any) -> Any:
        wanted = demand(pod)
        return wanted if any(wanted) else SKIP

    def score(self, state: tuple[int, int], rows: Any) -> Any:
        """Pack: 100 for a GPU that the share fills, or a node whose last free GPUs are taken; less the more stays free."""
        whole, milli = state
        free_KG = self._free(rows)
        if whole:
            return 100 - 100 * np.maximum((free_KG == WHOLE).sum(axis=1) - whole, 0) // GPU_COUNT_MAX
        left_K = np.where(free_KG >= milli, free_KG - milli, WHOLE).min(axis=1)
        return 100 - 100 * left_K // WHOLE

    def score_row(self, state: tuple[int, int], row: int) -> int:
        whole, milli = state
        free = self._read(row)
        if whole:
            return 100 - 100 * max(free.count(WHOLE) - whole, 0) // GPU_COUNT_MAX
        return 100 - 100 * min((each - milli if each >= milli else WHOLE) for each in free) // WHOLE

    # ---- after the choice ----------------------------------------------------------------------------------------------------

    def concerns(self, pod: PodInfo) -> bool:
        return any(demand(pod))

    def reserve(self, pod: PodInfo, row: int) -> Rejection | None:
        """Choose the GPUs: the fullest one that has room for a share, the first free ones for whole GPUs."""
        whole, milli = demand(pod)
        free = self._read(row)
        if whole:
            devices = [device for device, left in enumerate(free) if left == WHOLE][:whole]
        else:
            devices = sorted((device for device, left in enumerate(free) if left >= milli), key=lambda device: free[device])[:1]
        if len(devices) < max(whole, 1):
            return NO_ROOM
        self._given[pod.uid] = tuple(devices)
        return None

    def unreserve(self, pod: PodInfo, row: int) -> None:
        self._given.pop(pod.uid, None)

    def bind(self, pod: PodInfo, row: int) -> Request | None:
        devices = self._given.get(pod.uid)
        if devices is None:
            return None
        request = bind(pod.namespace, pod.obj["metadata"]["name"], pod.uid, self.table.names[row] or "")
        request.obj["metadata"]["annotations"] = {DEVICES: ",".join(map(str, devices))}
        return request

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return dict.fromkeys((ASSIGNED_POD_DELETE, NODE_ADD, NODE_ALLOCATABLE), always)


def demand(pod: PodInfo) -> tuple[int, int]:
    """(whole GPUs, thousandths of one) of a Pod."""
    return pod.facts.requests.real.get(GPU, 0), int(pod.labels.get(SHARE_LABEL, 0))
