"""PodTopologySpread: hard constraints keep the skew between domains within bounds, soft ones prefer the emptier domains.

Pods are counted per row by the table's index; a state sums them up per domain over the nodes that the constraint's policies admit.

Dimension key: N rows, K asked rows, F feasible rows, C constraints, V values of a topology key (0: absent).
Upstream: plugins/podtopologyspread/{filtering,scoring,common}.go.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kubesim._core.groups import Evenness, GroupFilter, GroupScore, Skew
from kubesim.api.selectors import Selector
from kubesim.scheduler.contract import (
    ASSIGNED_POD_ADD,
    ASSIGNED_POD_DELETE,
    ASSIGNED_POD_LABEL,
    NODE_ADD,
    NODE_LABEL,
    NODE_TAINT,
    POD_LABEL,
    SCORE_MAX,
    SKIP,
    UNRESOLVABLE,
    UNSCHEDULABLE,
    ClusterEvent,
    Handle,
    Hint,
    Normalization,
    Plugin,
    Prepared,
    Rejection,
    Scope,
    Skip,
    always,
)
from kubesim.scheduler.domains import Domains
from kubesim.scheduler.node_selector import requirements_match, requirements_match_rows, term_matches, term_matches_rows
from kubesim.scheduler.plugins.node_affinity import Required, required_of
from kubesim.scheduler.plugins.taint_toleration import REJECTING, taints_of
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.pod_index import Counter
from kubesim.scheduler.spread_constraints import HARD, SOFT, SYSTEM_DEFAULTS, Constraint, compiled, defaults
from kubesim.scheduler.toleration import as_signature, first_untolerated

HOSTNAME = "kubernetes.io/hostname"
SKEWED, UNLABELLED = 1, 2
REJECTIONS = {
    SKEWED: Rejection(UNSCHEDULABLE, ("node(s) didn't match pod topology spread constraints",)),
    UNLABELLED: Rejection(UNRESOLVABLE, ("node(s) didn't match pod topology spread constraints (missing required label)",)),
}
IGNORED = -1  # the raw score of a node that lacks a key
NO_COUNT = 2**62


class HardDomains(NamedTuple):
    """One hard constraint's domains: ``count_V`` Pods (int64), ``counted_V`` whether a node of the domain counts."""

    constraint: Constraint
    counter: Counter | None
    count_V: Any
    counted_V: Any
    minimum: int
    eligible_N: Any


class HardState(NamedTuple):
    """All hard constraints of a Pod."""

    pod: PodInfo
    domains: tuple[HardDomains, ...]


class SoftState(NamedTuple):
    """All soft constraints: per constraint the domains' counts (None: each node's own) and the weight of a Pod."""

    pod: PodInfo
    constraints: tuple[Constraint, ...]
    counters: tuple[Counter | None, ...]
    count_CV: tuple[Any, ...]
    weights: tuple[float, ...]
    requires_all_keys: bool
    feasible_rows: Any


class PodTopologySpread(Plugin):
    """See the module."""

    name = "PodTopologySpread"
    extends = frozenset({"preFilter", "filter", "preScore", "score"})
    filter_scope = Scope.CLUSTER
    score_scope = Scope.CLUSTER
    normalization = Normalization.CUSTOM
    score_reads_feasible = True

    def __init__(self, arguments: Mapping[str, Any], handle: Handle) -> None:
        super().__init__(arguments, handle)
        self._is_system_default = (arguments.get("defaultingType") or "System") == "System"
        self._defaults = SYSTEM_DEFAULTS if self._is_system_default else tuple(arguments.get("defaultConstraints") or ())

    def signature(self, pod: PodInfo) -> Hashable:
        hard, soft = self._constraints(pod, HARD), self._constraints(pod, SOFT)
        if not hard and not soft:
            return None
        tolerations = as_signature(pod.facts.spec.get("tolerations") or ())
        return pod.namespace, hard, soft, self._requires_all_keys(pod), required_of(pod), tolerations

    def _constraints(self, pod: PodInfo, action: str) -> tuple[Constraint, ...]:
        own = pod.facts.spec.get("topologySpreadConstraints")
        if own:
            return compiled(own, action, pod.labels)
        return defaults(self._defaults, action, pod, self.objects)

    def _requires_all_keys(self, pod: PodInfo) -> bool:
        return bool(pod.facts.spec.get("topologySpreadConstraints")) or not self._is_system_default

    def _counter(self, constraint: Constraint, namespace: str) -> Counter | None:
        question = constraint.question(namespace)
        return None if question is None else self.table.index_of_pods.counter(question)

    def version(self, state: Any) -> Hashable:
        if isinstance(state, HardState):
            return tuple(domains.counter.version for domains in state.domains if domains.counter is not None)
        if isinstance(state, SoftState):
            return tuple(counter.version for counter in state.counters if counter is not None)
        return None

    # ---- which nodes count ---------------------------------------------------------------------------------------------------

    def _ids(self, key: str, rows: Any = None) -> Any:
        return self.table.take(self.table.label_column(key).ids_N, rows)

    def _with_all_keys_N(self, constraints: tuple[Constraint, ...]) -> Any:
        found_N = self.table.alive_N[: self.table.row_count].astype(bool)
        for constraint in constraints:
            found_N = found_N & (self._ids(constraint.key) != 0)
        return found_N

    def _admitted_N(self, constraint: Constraint, pod: PodInfo) -> Any:
        """The rows that the constraint's inclusion policies admit."""
        table = self.table
        admitted_N = np.ones(table.row_count, bool)
        if constraint.honors_affinity:
            required = required_of(pod)
            admitted_N &= requirements_match_rows(required.labels, table, None)
            if required.terms is not None:
                any_N = np.zeros(table.row_count, bool)
                for term in required.terms:
                    any_N |= term_matches_rows(term, table, None)
                admitted_N &= any_N
        if constraint.honors_taints:
            tolerations = pod.facts.spec.get("tolerations") or ()
            fine = [first_untolerated(taints, tolerations, REJECTING) is None for taints in table.taint_sets]
            admitted_N &= np.array(fine, bool)[table.taint_set_N[: table.row_count]]
        return admitted_N

    # ---- filter --------------------------------------------------------------------------------------------------------------

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        constraints = self._constraints(pod, HARD)
        if not constraints:
            return SKIP
        keyed_N = self._with_all_keys_N(constraints)
        return Prepared(HardState(pod, tuple(self._domains(constraint, pod, keyed_N) for constraint in constraints)))

    def _domains(self, constraint: Constraint, pod: PodInfo, keyed_N: Any) -> HardDomains:
        counter = self._counter(constraint, pod.namespace)
        eligible_N = keyed_N & self._admitted_N(constraint, pod)
        size = len(self.table.label_column(constraint.key).values)
        ids = self._ids(constraint.key)[eligible_N]
        counted_V = np.zeros(size, bool)
        counted_V[ids] = True
        count_V = np.zeros(size, np.int64)
        if counter is not None:
            weights = counter.count_N[: self.table.row_count][eligible_N]
            count_V = np.bincount(ids, weights, size).astype(np.int64)  # exact: far below 2**53
        enough = int(counted_V.sum()) >= constraint.domain_count_min
        minimum = int(count_V[counted_V].min()) if enough else 0
        return HardDomains(constraint, counter, count_V, counted_V, minimum, eligible_N)

    def filter(self, state: HardState, rows: Any) -> Any:
        codes = np.zeros(len(self.table.index(rows)), np.int64)
        for constraint, _, count_V, _, minimum, _ in state.domains:
            ids = self._ids(constraint.key, rows)
            skewed_V = count_V + int(constraint.is_self_matched) - minimum > constraint.max_skew
            skewed_V = np.append(skewed_V, np.zeros(max(0, int(ids.max(initial=0)) + 1 - len(skewed_V)), bool))
            found = np.where(ids == 0, UNLABELLED, np.where(skewed_V[ids], SKEWED, 0))
            codes = np.where(codes == 0, found, codes)
        return codes

    def group_filters(self, pod: PodInfo, domains: Domains) -> Sequence[GroupFilter]:
        constraints = self._constraints(pod, HARD)
        keyed_N = self._with_all_keys_N(constraints)
        filters = []
        for constraint in constraints:
            eligible_N = keyed_N & self._admitted_N(constraint, pod)
            part = domains.tally(constraint.key, self._counter(constraint, pod.namespace), eligible_N)
            filters.append(Skew([part], int(constraint.is_self_matched), constraint.max_skew, constraint.domain_count_min))
        return filters

    def filter_row(self, state: HardState, row: int) -> int:
        constraints = tuple(domains.constraint for domains in state.domains)
        for constraint in constraints:
            labels = self.table.labels[row]
            if constraint.key not in labels:
                return UNLABELLED
            counts = self._plain_counts(constraint, constraints, state.pod)
            minimum = 0 if len(counts) < constraint.domain_count_min else min(counts.values())
            if counts.get(labels[constraint.key], 0) + constraint.is_self_matched - minimum > constraint.max_skew:
                return SKEWED
        return 0

    def _plain_counts(self, constraint: Constraint, keyed: tuple[Constraint, ...], pod: PodInfo) -> dict[str, int]:
        """Pods per domain, from the objects alone."""
        counts: dict[str, int] = {}
        for row in self.table.node_rows():
            labels = self.table.labels[row]
            if all(other.key in labels for other in keyed) and self._is_admitted(constraint, pod, row):
                value = labels[constraint.key]
                counts[value] = counts.get(value, 0) + self._plain_count(constraint, pod.namespace, row)
        return counts

    def _is_admitted(self, constraint: Constraint, pod: PodInfo, row: int) -> bool:
        node = self.table.nodes[row]
        assert node is not None
        if constraint.honors_affinity and not _matches(required_of(pod), self.table.labels[row], node["metadata"]["name"]):
            return False
        tolerations = pod.facts.spec.get("tolerations") or ()
        return not constraint.honors_taints or first_untolerated(taints_of(node), tolerations, REJECTING) is None

    def _plain_count(self, constraint: Constraint, namespace: str, row: int) -> int:
        if not constraint.requirements:
            return 0
        matches = Selector(constraint.requirements).matches
        pods = self.table.pods[row].values()
        return sum(pod.namespace == namespace and not pod.is_terminating and matches(pod.labels) for pod in pods)

    def row_counts(self, state: HardState, row: int) -> tuple[int, ...]:
        return tuple(0 if domains.counter is None else int(domains.counter.count_N[row]) for domains in state.domains)

    def filter_changed(self, state: HardState, row: int, before: tuple[int, ...]) -> int:
        for domains, count_before in zip(state.domains, before):
            constraint = domains.constraint
            value = int(self._ids(constraint.key)[row])
            if value == 0:
                return UNLABELLED
            count_V = domains.count_V
            if domains.counter is not None and domains.eligible_N[row]:
                count_V = count_V.copy()
                count_V[value] += int(domains.counter.count_N[row]) - count_before
            enough = int(domains.counted_V.sum()) >= constraint.domain_count_min
            minimum = int(count_V[domains.counted_V].min()) if enough else 0
            if int(count_V[value]) + constraint.is_self_matched - minimum > constraint.max_skew:
                return SKEWED
        return 0

    def rejection(self, state: Any, code: int) -> Rejection:
        return REJECTIONS[code]

    # ---- score ---------------------------------------------------------------------------------------------------------------

    def pre_score(self, pod: PodInfo, feasible_rows: Any) -> SoftState | Skip:
        constraints = self._constraints(pod, SOFT)
        if not constraints:
            return SKIP
        requires_all_keys = self._requires_all_keys(pod)
        candidates_N = np.ones(self.table.row_count, bool)
        if requires_all_keys:
            candidates_N = self._with_all_keys_N(constraints)
        scored_rows = feasible_rows[candidates_N[feasible_rows]]
        counters = tuple(self._counter(constraint, pod.namespace) for constraint in constraints)
        found = [self._soft_domains(c, counter, pod, candidates_N, scored_rows) for c, counter in zip(constraints, counters)]
        weights = tuple(math.log(size + 2) for size, _ in found)
        counts = tuple(count_V for _, count_V in found)
        return SoftState(pod, constraints, counters, counts, weights, requires_all_keys, feasible_rows)

    def _soft_domains(
        self, constraint: Constraint, counter: Counter | None, pod: PodInfo, candidates_N: Any, scored_rows: Any
    ) -> tuple[int, Any]:
        """How many domains the feasible nodes have, and the Pods in each (None for host names: each node's own)."""
        if constraint.key == HOSTNAME:
            return len(scored_rows), None
        column = self.table.label_column(constraint.key)
        ids_N = self._ids(constraint.key)
        empty = column.values.find("")
        if empty > 0:
            ids_N = np.where(ids_N == empty, 0, ids_N)  # a node without the label is in the domain ""
        size = int((np.bincount(ids_N[scored_rows], minlength=1) > 0).sum())
        count_V = np.zeros(len(column.values), np.int64)
        if counter is not None:
            counted_N = candidates_N & self._admitted_N(constraint, pod) & self.table.alive_N[: self.table.row_count].astype(bool)
            weights = counter.count_N[: self.table.row_count][counted_N]
            count_V = np.bincount(ids_N[counted_N], weights, len(column.values)).astype(np.int64)
            if empty > 0:
                count_V[empty] = count_V[0]
        return size, count_V

    def score(self, state: SoftState, rows: Any) -> Any:
        index = self.table.index(rows)
        total = np.zeros(len(index), np.float64)
        lacks_key = np.zeros(len(index), bool)
        for constraint, counter, count_V, weight in zip(state.constraints, state.counters, state.count_CV, state.weights):
            ids = self._ids(constraint.key, rows)
            counts = (counter.count_N[index] if counter is not None else np.zeros(len(index))) if count_V is None else count_V[ids]
            total = np.where(ids != 0, total + (counts * weight + float(constraint.max_skew - 1)), total)
            lacks_key |= ids == 0
        whole = np.floor(total)
        scores = (whole + (total - whole >= 0.5)).astype(np.int64)
        return np.where(lacks_key, IGNORED, scores) if state.requires_all_keys else scores

    def score_row(self, state: SoftState, row: int) -> int:
        labels = self.table.labels[row]
        if state.requires_all_keys and any(constraint.key not in labels for constraint in state.constraints):
            return IGNORED
        total = 0.0
        for constraint in state.constraints:
            if constraint.key in labels:
                size, count = self._plain_domain(state, constraint, row)
                total += count * math.log(size + 2) + float(constraint.max_skew - 1)
        return math.floor(total) + (total - math.floor(total) >= 0.5)

    def _plain_domain(self, state: SoftState, constraint: Constraint, row: int) -> tuple[int, int]:
        """(domains among the feasible nodes, Pods in the row's domain), from the objects alone."""
        keys = [other.key for other in state.constraints] if state.requires_all_keys else []
        labels_of, namespace = self.table.labels, state.pod.namespace
        scored = [other for other in state.feasible_rows.tolist() if all(key in labels_of[other] for key in keys)]
        if constraint.key == HOSTNAME:
            return len(scored), self._plain_count(constraint, namespace, row)
        values = dict.fromkeys(labels_of[other].get(constraint.key, "") for other in scored)
        value = labels_of[row][constraint.key]
        count = 0
        for other in self.table.node_rows():
            is_there = labels_of[other].get(constraint.key, "") == value and all(key in labels_of[other] for key in keys)
            if is_there and self._is_admitted(constraint, state.pod, other):
                count += self._plain_count(constraint, namespace, other)
        return len(values), count

    def group_scores(self, pod: PodInfo, domains: Domains, weight: int) -> Sequence[GroupScore] | None:
        constraints = self._constraints(pod, SOFT)
        if not constraints:
            return ()
        needs_all = self._requires_all_keys(pod)
        if not needs_all and any(self.table.label_column(constraint.key).values.find("") > 0 for constraint in constraints):
            return None  # rows without the label are in the domain of a value then, and yet get nothing for it
        candidates_N = self.table.alive_N[: self.table.row_count].astype(bool)
        if needs_all:
            candidates_N = self._with_all_keys_N(constraints)
        parts = []
        for constraint in constraints:
            counter = self._counter(constraint, pod.namespace)
            if constraint.key == HOSTNAME:
                parts.append(domains.own_rows(constraint.key, counter))
            else:
                parts.append(domains.tally(constraint.key, counter, candidates_N & self._admitted_N(constraint, pod)))
        return [Evenness(weight, parts, [constraint.max_skew - 1 for constraint in constraints], needs_all)]

    def normalize(self, state: SoftState, scores: Any) -> Any:
        counted = scores[scores != IGNORED]
        if not len(counted):
            return np.zeros_like(scores)
        lowest, highest = int(counted.min()), int(counted.max())
        if highest == 0:
            return np.where(scores == IGNORED, 0, SCORE_MAX)
        return np.where(scores == IGNORED, 0, SCORE_MAX * (highest + lowest - scores) // highest)

    # ---- events --------------------------------------------------------------------------------------------------------------

    def events(self) -> Mapping[ClusterEvent, Hint]:
        pods, nodes = (ASSIGNED_POD_ADD, ASSIGNED_POD_LABEL, ASSIGNED_POD_DELETE), (NODE_ADD, NODE_LABEL, NODE_TAINT)
        return {**dict.fromkeys(pods, self._is_counted), **dict.fromkeys(nodes, self._has_keys), POD_LABEL: always}

    def _is_counted(self, pod: PodInfo, old: Any, new: Any) -> bool:
        """The Pod that came, changed or went is one that a hard constraint counts."""
        seen = [obj for obj in (old, new) if obj is not None]
        for constraint in self._constraints(pod, HARD):
            matches = Selector(constraint.requirements).matches
            for obj in seen:
                metadata = obj["metadata"]
                if (metadata.get("namespace") or "default") == pod.namespace and matches(metadata.get("labels") or {}):
                    return True
        return False

    def _has_keys(self, pod: PodInfo, old: Any, new: Any) -> bool:
        """The node has, or had, every key."""
        keys = [constraint.key for constraint in self._constraints(pod, HARD)]
        return any(all(key in (node["metadata"].get("labels") or {}) for key in keys) for node in (old, new) if node is not None)


def _matches(required: Required, labels: Mapping[str, str], name: str) -> bool:
    if not requirements_match(required.labels, labels, name):
        return False
    return required.terms is None or any(term_matches(term, labels, name) for term in required.terms)


PLUGIN = PodTopologySpread
