"""NodeResourcesBalancedAllocation: prefer nodes where the Pod makes the fractions of use of the resources more alike.

Upstream: plugins/noderesources/balanced_allocation.go.
"""

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from kubesim._core.placement import BalanceKernel
from kubesim.scheduler.contract import SCORE_MAX, SKIP, Handle, Plugin, Scope, Skip
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.resource_columns import ResourceColumns, columns_for, use_after, weighted_resources


class NodeResourcesBalancedAllocation(Plugin):
    """See the module. Real requests on both sides; weights are not used."""

    name = "NodeResourcesBalancedAllocation"
    extends = frozenset({"preScore", "score"})
    score_scope = Scope.ROW

    def __init__(self, arguments: Mapping[str, Any], handle: Handle) -> None:
        super().__init__(arguments, handle)
        self.resources = weighted_resources(arguments.get("resources"))

    def signature(self, pod: PodInfo) -> Hashable:
        return tuple(pod.facts.requests.real.get(name, 0) for name, _ in self.resources)

    def pre_score(self, pod: PodInfo, feasible_rows: Any) -> ResourceColumns | Skip:
        state = columns_for(pod, self.resources, self.table, is_nominal=False)
        return state if any(state.requests) else SKIP

    def score(self, state: ResourceColumns, rows: Any) -> Any:
        index = self.table.index(rows)
        scores = np.empty(len(index), np.int64)
        self.score_kernel(state).evaluate(index, scores)
        return scores

    def score_kernel(self, state: ResourceColumns) -> BalanceKernel:
        return BalanceKernel(self.table.rows, *state)

    def score_row(self, state: ResourceColumns, row: int) -> int:
        # 50 + (50 + S_after - S_before) / 2: an unchanged balance is 75
        before = _balance(use_after(state, self.table, row, with_request=False))
        after = _balance(use_after(state, self.table, row))
        return SCORE_MAX // 2 + (SCORE_MAX // 2 + after - before) // 2


def _balance(use: list[tuple[int, int, int]]) -> int:
    """trunc((1 - deviation) * 100) of the fractions min(1, used / allocatable)."""
    fractions = [min(1.0, used / allocatable) for used, allocatable, _ in use]
    deviation = 0.0
    if len(fractions) == 2:
        deviation = abs((fractions[0] - fractions[1]) / 2)
    elif len(fractions) > 2:
        total = 0.0  # added one by one, as upstream: sum() compensates for rounding
        for fraction in fractions:
            total += fraction
        mean = total / len(fractions)
        squares = 0.0
        for fraction in fractions:
            squares += (fraction - mean) * (fraction - mean)
        deviation = math.sqrt(squares / len(fractions))
    return int((1 - deviation) * SCORE_MAX)


PLUGIN = NodeResourcesBalancedAllocation
