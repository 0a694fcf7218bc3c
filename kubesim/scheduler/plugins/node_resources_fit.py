"""NodeResourcesFit: the Pod's real requests fit into what is free; the score says how much is, or would be, used.

The vectorised methods are compiled kernels (``_core/placement.pyx``); the twins beside them are plain Python.

Upstream: plugins/noderesources/fit.go, least_allocated.go, most_allocated.go, requested_to_capacity_ratio.go.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from kubesim._core.placement import (
    COLUMN_BIT,
    COUNT_BIT,
    HOPELESS_BIT,
    LEAST,
    MOST,
    RATIO,
    AllocationKernel,
    Demand,
    FitKernel,
)
from kubesim.scheduler.contract import (
    ASSIGNED_POD_DELETE,
    ASSIGNED_POD_SCALE_DOWN,
    NODE_ADD,
    NODE_ALLOCATABLE,
    POD_SCALE_DOWN,
    SCORE_MAX,
    UNRESOLVABLE,
    UNSCHEDULABLE,
    ClusterEvent,
    Handle,
    Hint,
    Object,
    Plugin,
    Prepared,
    Rejection,
    Scope,
    Skip,
    always,
)
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.requests import PODS, amounts_of
from kubesim.scheduler.resource_columns import ResourceColumns, columns_for, use_after, weighted_resources

STRATEGIES = {"LeastAllocated": LEAST, "MostAllocated": MOST, "RequestedToCapacityRatio": RATIO}
SHAPE_SCORE_SCALE = 10  # a shape's scores go from 0 to 10


class NodeResourcesFit(Plugin):
    """See the module. The filter's state is the Pod's demand, the score's the columns it looks at."""

    name = "NodeResourcesFit"
    extends = frozenset({"preFilter", "filter", "preScore", "score"})
    filter_scope = Scope.ROW
    score_scope = Scope.ROW

    def __init__(self, arguments: Mapping[str, Any], handle: Handle) -> None:
        super().__init__(arguments, handle)
        strategy = arguments.get("scoringStrategy") or {}
        kind = strategy.get("type") or "LeastAllocated"
        if kind not in STRATEGIES:
            raise ValueError(f"scoringStrategy.type: {kind!r} is not one of {', '.join(STRATEGIES)}")
        self.strategy = STRATEGIES[kind]
        self.resources = weighted_resources(strategy.get("resources"))
        shape = (strategy.get("requestedToCapacityRatio") or {}).get("shape") or ()
        self.shape = tuple((point["utilization"], point["score"] * SHAPE_SCORE_SCALE) for point in shape)
        self._ignored = frozenset(arguments.get("ignoredResources") or ())
        self._ignored_groups = frozenset(arguments.get("ignoredResourceGroups") or ())

    def signature(self, pod: PodInfo) -> Hashable:
        requests = pod.facts.requests
        return tuple(sorted(requests.real.items())), requests.nominal_scored

    # ---- filter --------------------------------------------------------------------------------------------------------------

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        demand = self.table.demand(pod.facts)
        if self._ignored or self._ignored_groups:
            demand = self._without_ignored(demand)
        return Prepared(demand)

    def _without_ignored(self, demand: Demand) -> Demand:
        kept = [(column, amount) for column, amount in demand.items() if not self._is_ignored(self.table.columns[column])]
        return Demand([column for column, _ in kept], [amount for _, amount in kept])

    def _is_ignored(self, resource: str) -> bool:
        group, slash, _ = resource.partition("/")
        return bool(slash) and (resource in self._ignored or group in self._ignored_groups)

    def filter(self, state: Demand, rows: Any) -> Any:
        return _evaluate(self.filter_kernel(state), self.table.index(rows))

    def filter_kernel(self, state: Demand) -> FitKernel:
        return FitKernel(self.table.rows, state)

    def filter_row(self, state: Demand, row: int) -> int:
        table = self.table
        code = int(table.pod_count_N[row] + 1 > table.pod_count_max_N[row]) << COUNT_BIT
        for index, (column, amount) in enumerate(state.items()):
            allocatable = int(table.allocatable_NR[row, column])
            if amount > allocatable - int(table.used_NR[row, column]):
                code |= 1 << (COLUMN_BIT + index)
            if amount > allocatable:
                code |= 1 << HOPELESS_BIT
        return code

    def rejection(self, state: Demand, code: int) -> Rejection:
        reasons = ["Too many pods"] if code >> COUNT_BIT & 1 else []
        for index, (column, _) in enumerate(state.items()):
            if code >> (COLUMN_BIT + index) & 1:
                reasons.append(f"Insufficient {self.table.columns[column]}")
        return Rejection(UNRESOLVABLE if code >> HOPELESS_BIT & 1 else UNSCHEDULABLE, tuple(reasons))

    # ---- score ---------------------------------------------------------------------------------------------------------------

    def pre_score(self, pod: PodInfo, feasible_rows: Any) -> ResourceColumns:
        return columns_for(pod, self.resources, self.table, is_nominal=True)

    def score(self, state: ResourceColumns, rows: Any) -> Any:
        return _evaluate(self.score_kernel(state), self.table.index(rows))

    def score_kernel(self, state: ResourceColumns) -> AllocationKernel:
        return AllocationKernel(self.table.rows, *state, self.strategy, self.shape)

    def score_row(self, state: ResourceColumns, row: int) -> int:
        score_sum = weight_sum = 0
        for requested, allocatable, weight in use_after(state, self.table, row):
            score = self._resource_score(requested, allocatable)
            if self.strategy == RATIO and not score:
                continue
            score_sum += score * weight
            weight_sum += weight
        if not weight_sum:
            return 0
        return (2 * score_sum + weight_sum) // (2 * weight_sum) if self.strategy == RATIO else score_sum // weight_sum

    def _resource_score(self, requested: int, allocatable: int) -> int:
        """The formulas of the three strategies, one resource."""
        if self.strategy == LEAST:
            return 0 if requested > allocatable else (allocatable - requested) * SCORE_MAX // allocatable
        if self.strategy == MOST:
            return min(requested, allocatable) * SCORE_MAX // allocatable
        return self._shape_score(SCORE_MAX if requested > allocatable else requested * SCORE_MAX // allocatable)

    def _shape_score(self, utilization: int) -> int:
        """Piecewise linear in ints, truncated towards zero."""
        before: tuple[int, int] | None = None
        for x, y in self.shape:
            if utilization <= x:
                return y if before is None else before[1] + int((y - before[1]) * (utilization - before[0]) / (x - before[0]))
            before = (x, y)
        return self.shape[-1][1]

    # ---- events --------------------------------------------------------------------------------------------------------------

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return {
            ASSIGNED_POD_DELETE: always,
            ASSIGNED_POD_SCALE_DOWN: always,
            POD_SCALE_DOWN: always,
            NODE_ADD: self._has_room,
            NODE_ALLOCATABLE: self._has_room,
        }

    def _has_room(self, pod: PodInfo, old: Object | None, new: Object) -> bool:
        """The empty node would do now, and did not before or has more now of something that the Pod asks for."""
        requested = self._requested(pod)
        room = _allocatable(new)
        if not _holds(room, requested):
            return False
        if old is None:
            return True
        before = _allocatable(old)
        return not _holds(before, requested) or any(room.get(name, 0) > before.get(name, 0) for name in (*requested, PODS))

    def _requested(self, pod: PodInfo) -> dict[str, int]:
        return {name: amount for name, amount in pod.facts.requests.real.items() if amount and not self._is_ignored(name)}


def _allocatable(node: Object) -> dict[str, int]:
    return amounts_of((node.get("status") or {}).get("allocatable"))


def _holds(room: Mapping[str, int], requested: Mapping[str, int]) -> bool:
    return room.get(PODS, 0) >= 1 and all(amount <= room.get(name, 0) for name, amount in requested.items())


def _evaluate(kernel: FitKernel | AllocationKernel, rows: Any) -> Any:
    answers = np.empty(len(rows), np.int64)
    kernel.evaluate(rows, answers)
    return answers


PLUGIN = NodeResourcesFit
