"""DynamicResources, as far as it concerns Pods without resource claims: a score of 0 and its words in PostFilter.

Resource claims are not allocated here yet: a Pod with claims is rejected as upstream rejects one whose claim does not exist.

Upstream: plugins/dynamicresources/dynamicresources.go.
"""

from collections.abc import Hashable
from typing import Any

import numpy as np

from kubesim.scheduler.contract import SKIP, UNRESOLVABLE, Plugin, PostFilterResult, Prepared, Rejection, Scope, Skip
from kubesim.scheduler.pod_facts import PodInfo


class DynamicResources(Plugin):
    """See the module."""

    name = "DynamicResources"
    extends = frozenset({"preFilter", "filter", "preScore", "score", "postFilter"})
    score_scope = Scope.NODE
    needs_pre_filter = True
    post_filter_is_shared = True

    def signature(self, pod: PodInfo) -> Hashable:
        return self._first_claim(pod)

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        name = self._first_claim(pod)
        return Rejection(UNRESOLVABLE, (f'resourceclaim "{name}" not found',)) if name else SKIP

    def _first_claim(self, pod: PodInfo) -> str:
        """The name of the Pod's first claim; a claim to be made from a template carries the entry's own name."""
        return next((claim.get("resourceClaimName") or claim["name"] for claim in pod.facts.spec.get("resourceClaims") or ()), "")

    def score(self, state: Any, rows: Any) -> Any:
        return np.zeros(len(self.table.index(rows)), np.int64)

    def score_row(self, state: Any, row: int) -> int:
        return 0

    def post_filter(self, pod: PodInfo, diagnosis: Any, state: Any) -> PostFilterResult:
        return PostFilterResult("no new claims to deallocate")


PLUGIN = DynamicResources
