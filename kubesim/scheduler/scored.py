"""One plugin's scores over all rows: raw, normalized over the feasible rows, weighted.

Dimension key: N rows. Upstream: pkg/scheduler/framework/plugins/helper/normalize_score.go.
"""

from typing import Any

import numpy as np

from kubesim.scheduler.contract import SCORE_MAX, Normalization, Plugin


class Scored:
    """One plugin's scores: int64 (N,)."""

    __slots__ = ("final_N", "plugin", "raw_N", "state", "version", "weight")

    def __init__(self, plugin: Plugin, state: Any, weight: int, capacity: int) -> None:
        self.plugin = plugin
        self.state = state
        self.weight = weight
        self.version: Any = None  # the plugin's, when ``raw_N`` was made
        self.raw_N = np.zeros(capacity, np.int64)
        self.final_N = np.zeros(capacity, np.int64)

    def ask(self, rows: Any, row_count: int) -> None:
        """Make ``raw_N`` of rows (None: the first ``row_count``)."""
        self.raw_N[slice(0, row_count) if rows is None else rows] = self.plugin.score(self.state, rows)

    def normalize(self, feasible_N: Any) -> None:
        """Make ``final_N`` of ``raw_N``; rows that are not feasible get anything from 0 on. O(N)."""
        count = len(feasible_N)
        kind = self.plugin.normalization
        if kind is Normalization.NONE:
            self.final_N[:] = self.raw_N * self.weight
        elif not feasible_N.any():
            self.final_N[:] = 0
        elif kind is Normalization.CUSTOM:
            self.final_N[:] = 0
            self.final_N[:count][feasible_N] = self.weight * self.plugin.normalize(self.state, self.raw_N[:count][feasible_N])
        else:
            raw_max = int(self.raw_N[:count][feasible_N].max())
            self.final_N[:] = normalized(self.raw_N, raw_max, kind) * self.weight


def normalized(raw_N: Any, raw_max: int, kind: Normalization) -> Any:
    """Upstream's DefaultNormalizeScore: 100 * s / max, reversed 100 - that; with max 0 all 0, reversed all 100.

    A row beyond the maximum is not feasible now; it is held at the maximum, so that its total stays positive.
    """
    scaled = SCORE_MAX * np.minimum(raw_N, raw_max) // raw_max if raw_max else np.zeros_like(raw_N)
    return SCORE_MAX - scaled if kind is Normalization.REVERSED else scaled
