"""InterPodAffinity: Pods near, or away from, other Pods, by domain; existing Pods' anti-affinity holds against those that come.

Pods are counted per row by the table's index: those that match a term (``Counter``) and those that carry one (``Carrier``).

Dimension key: N rows, K asked rows, V values of a topology key (0: absent).
Upstream: plugins/interpodaffinity/{filtering,scoring,plugin}.go.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kubesim._core.groups import Attraction, Empty, GroupFilter, GroupScore, Together
from kubesim.scheduler.affinity_terms import (
    REQUIRED_AFFINITY,
    REQUIRED_ANTI,
    WEIGHTED,
    OwnTerm,
    carried_terms,
    own_preferred,
    own_required,
)
from kubesim.scheduler.contract import (
    ASSIGNED_POD_ADD,
    ASSIGNED_POD_DELETE,
    ASSIGNED_POD_LABEL,
    NODE_ADD,
    NODE_LABEL,
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
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.pod_index import AffinityTerm, Carrier, Counter, Question

AFFINITY, ANTI, EXISTING = 1, 2, 3
REJECTIONS = {
    AFFINITY: Rejection(UNRESOLVABLE, ("node(s) didn't match pod affinity rules",)),
    ANTI: Rejection(UNSCHEDULABLE, ("node(s) didn't match pod anti-affinity rules",)),
    EXISTING: Rejection(UNSCHEDULABLE, ("node(s) didn't satisfy existing pods anti-affinity rules",)),
}
HARD_WEIGHT_DEFAULT = 1


class Required(NamedTuple):
    """What a filter looks at: own terms with their counters (affinity: one, of the Pods that match all) and carried anti-affinity."""

    pod: PodInfo
    affinity: tuple[OwnTerm, ...]
    affinity_counter: Counter | None
    matches_itself: bool
    anti: tuple[tuple[OwnTerm, Counter], ...]
    carried: tuple[Carrier, ...]

    def counted(self) -> Iterable[Counter | Carrier]:
        """Everything whose counts decide."""
        if self.affinity_counter is not None:
            yield self.affinity_counter
        yield from (counter for _, counter in self.anti)
        yield from self.carried


class Weighted(NamedTuple):
    """What a score looks at: (topology key, weight, who is counted)."""

    pod: PodInfo
    parts: tuple[tuple[str, int, Counter | Carrier], ...]


class InterPodAffinity(Plugin):
    """See the module."""

    name = "InterPodAffinity"
    extends = frozenset({"preFilter", "filter", "preScore", "score"})
    filter_scope = Scope.CLUSTER
    score_scope = Scope.CLUSTER
    normalization = Normalization.CUSTOM
    reads_other_nodes = True

    def __init__(self, arguments: Mapping[str, Any], handle: Handle) -> None:
        super().__init__(arguments, handle)
        weight = arguments.get("hardPodAffinityWeight")
        self._hard_weight = HARD_WEIGHT_DEFAULT if weight is None else weight
        self._ignores_existing = bool(arguments.get("ignorePreferredTermsOfExistingPods"))

    def signature(self, pod: PodInfo) -> Hashable:
        carried = tuple(carrier.term for carrier in self._carriers(pod))
        if not pod.facts.has_pod_terms:
            return carried or None
        spec, namespace, objects = pod.facts.spec, pod.namespace, self.objects
        affinity = own_required(spec, namespace, "podAffinity", objects)
        anti = own_required(spec, namespace, "podAntiAffinity", objects)
        return carried, affinity, self._matches_itself(affinity, pod), anti, own_preferred(spec, namespace, objects)

    def _carriers(self, pod: PodInfo) -> list[Carrier]:
        """The terms of existing Pods that mean this one. O(different terms)."""
        carriers = self.table.index_of_pods.carriers
        if not carriers:
            return []
        labels, namespace_labels = pod.labels, self.objects.namespace_labels(pod.namespace)
        return [carrier for term, carrier in carriers.items() if term.matches(pod.namespace, labels, namespace_labels)]

    def version(self, state: Any) -> Hashable:
        if isinstance(state, Required):
            return tuple(counted.version for counted in state.counted())
        if isinstance(state, Weighted):
            return tuple(counted.version for _, _, counted in state.parts)
        return None

    def skip_version(self, pod: PodInfo) -> Hashable:
        counter = self.table.index_of_pods.counter
        preferred = own_preferred(pod.facts.spec, pod.namespace, self.objects) if pod.facts.has_pod_terms else ()
        own = tuple(counter(Question((term.selector,))).version for term in preferred)
        carried = tuple(carrier.version for carrier in self._carriers(pod))
        return (own, carried) if own or carried else None

    def _ids(self, key: str, rows: Any = None) -> Any:
        return self.table.take(self.table.label_column(key).ids_N, rows)

    def _domain_counts(self, key: str, counted: Counter | Carrier) -> Any:
        """Pods per value of a key, int64 (V,); those on nodes without the key do not count."""
        size = len(self.table.label_column(key).values)
        count_V = np.bincount(self._ids(key), counted.count_N[: self.table.row_count], size).astype(np.int64)
        count_V[0] = 0
        return count_V

    # ---- filter --------------------------------------------------------------------------------------------------------------

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        carried = tuple(carrier for carrier in self._carriers(pod) if carrier.term.kind == REQUIRED_ANTI)
        spec, namespace, objects = pod.facts.spec, pod.namespace, self.objects
        affinity = own_required(spec, namespace, "podAffinity", objects)
        anti = own_required(spec, namespace, "podAntiAffinity", objects)
        if not affinity and not anti and not any(self._domain_counts(c.term.topology_key, c).any() for c in carried):
            return SKIP
        counter = self.table.index_of_pods.counter
        everyone = counter(Question(tuple(term.selector for term in affinity))) if affinity else None
        pairs = tuple((term, counter(Question((term.selector,)))) for term in anti)
        return Prepared(Required(pod, affinity, everyone, self._matches_itself(affinity, pod), pairs, carried))

    def group_filters(self, pod: PodInfo, domains: Domains) -> Sequence[GroupFilter]:
        spec, namespace, objects = pod.facts.spec, pod.namespace, self.objects
        affinity = own_required(spec, namespace, "podAffinity", objects)
        anti = own_required(spec, namespace, "podAntiAffinity", objects)
        counter = self.table.index_of_pods.counter
        taken: list[tuple[str, Counter | Carrier]] = [
            (carrier.term.topology_key, carrier) for carrier in self._carriers(pod) if carrier.term.kind == REQUIRED_ANTI
        ]
        taken += [(term.topology_key, counter(Question((term.selector,)))) for term in anti]
        filters: list[GroupFilter] = []
        if taken:
            filters.append(Empty([domains.tally(key, counted, is_presence=True) for key, counted in taken]))
        if affinity:
            everyone = counter(Question(tuple(term.selector for term in affinity)))
            parts = [domains.tally(term.topology_key, everyone, is_presence=True) for term in affinity]
            filters.append(Together(parts, self._matches_itself(affinity, pod)))
        return filters

    def _matches_itself(self, terms: tuple[OwnTerm, ...], pod: PodInfo) -> bool:
        return all(term.selector.matches(pod.namespace, pod.labels) for term in terms)

    def filter(self, state: Required, rows: Any) -> Any:
        codes = np.zeros(len(self.table.index(rows)), np.int64)
        for carrier in state.carried:
            codes[self._taken(carrier.term.topology_key, carrier, rows)] = EXISTING
        for term, counter in state.anti:
            codes[self._taken(term.topology_key, counter, rows)] = ANTI
        if state.affinity:
            codes[~self._satisfied(state, rows)] = AFFINITY
        return codes

    def _taken(self, key: str, counted: Counter | Carrier, rows: Any) -> Any:
        return (self._domain_counts(key, counted) > 0)[self._ids(key, rows)]

    def _satisfied(self, state: Required, rows: Any) -> Any:
        assert state.affinity_counter is not None
        labelled = np.ones(len(self.table.index(rows)), bool)
        found = labelled.copy()
        nobody = True
        for term in state.affinity:
            count_V = self._domain_counts(term.topology_key, state.affinity_counter)
            nobody &= not count_V.any()
            ids = self._ids(term.topology_key, rows)
            labelled &= ids != 0
            found &= count_V[ids] > 0
        return labelled & (found | (nobody and state.matches_itself))

    def filter_row(self, state: Required, row: int) -> int:
        labels = self.table.labels[row]
        if state.affinity and not self._satisfied_row(state, labels):
            return AFFINITY
        for term, _ in state.anti:
            if self._plain_matching((term,), term.topology_key, labels.get(term.topology_key)):
                return ANTI
        return EXISTING if any(carried.kind == REQUIRED_ANTI for carried in self._plain_terms(state.pod, labels)) else 0

    def _satisfied_row(self, state: Required, labels: Mapping[str, str]) -> bool:
        if any(term.topology_key not in labels for term in state.affinity):
            return False
        if all(self._plain_matching(state.affinity, t.topology_key, labels[t.topology_key]) for t in state.affinity):
            return True
        rows = list(self.table.node_rows())
        values = {(term.topology_key, self.table.labels[row].get(term.topology_key)) for term in state.affinity for row in rows}
        nobody = not any(value is not None and self._plain_matching(state.affinity, key, value) for key, value in values)
        return nobody and state.matches_itself

    def _plain_matching(self, terms: tuple[OwnTerm, ...], key: str, value: str | None) -> int:
        """Pods in a domain that match all terms, from the objects alone."""
        if value is None:
            return 0
        return sum(
            all(term.selector.matches(pod.namespace, pod.labels) for term in terms)
            for row in self.table.node_rows()
            if self.table.labels[row].get(key) == value
            for pod in self.table.pods[row].values()
        )

    def _plain_terms(self, pod: PodInfo, labels: Mapping[str, str]) -> list[AffinityTerm]:
        """The terms of existing Pods that mean this one on a node with these labels, from the objects alone; once per Pod."""
        namespace_labels = self.objects.namespace_labels(pod.namespace)
        return [
            term
            for row in self.table.node_rows()
            for other in self.table.pods[row].values()
            for term in carried_terms(other.obj["spec"], other.namespace)
            if term.topology_key in labels
            and self.table.labels[row].get(term.topology_key) == labels[term.topology_key]
            and term.matches(pod.namespace, pod.labels, namespace_labels)
        ]

    def rejection(self, state: Any, code: int) -> Rejection:
        return REJECTIONS[code]

    # ---- score ---------------------------------------------------------------------------------------------------------------

    def pre_score(self, pod: PodInfo, feasible_rows: Any) -> Weighted | Skip:
        parts = self._pulls(pod)
        if not any(self._domain_counts(key, counted).any() for key, _, counted in parts):
            return SKIP
        return Weighted(pod, tuple(parts))

    def _pulls(self, pod: PodInfo) -> list[tuple[str, int, Counter | Carrier]]:
        """(topology key, weight of each Pod, who is counted) of everything that draws the Pod somewhere, or away."""
        preferred = own_preferred(pod.facts.spec, pod.namespace, self.objects) if pod.facts.has_pod_terms else ()
        parts: list[tuple[str, int, Counter | Carrier]] = []
        if self._ignores_existing and not preferred:
            return parts
        for term in preferred:
            parts.append((term.topology_key, term.weight, self.table.index_of_pods.counter(Question((term.selector,)))))
        for carrier in self._carriers(pod):
            if carrier.term.kind == WEIGHTED:
                parts.append((carrier.term.topology_key, carrier.term.weight, carrier))
            elif carrier.term.kind == REQUIRED_AFFINITY and self._hard_weight > 0:
                parts.append((carrier.term.topology_key, self._hard_weight, carrier))
        return parts

    def group_scores(self, pod: PodInfo, domains: Domains, weight: int) -> Sequence[GroupScore]:
        parts = self._pulls(pod)
        if not parts:
            return ()
        return [Attraction(weight, [domains.tally(key, counted) for key, _, counted in parts], [pull for _, pull, _ in parts])]

    def score(self, state: Weighted, rows: Any) -> Any:
        scores = np.zeros(len(self.table.index(rows)), np.int64)
        for key, weight, counted in state.parts:
            scores += weight * self._domain_counts(key, counted)[self._ids(key, rows)]
        return scores

    def score_row(self, state: Weighted, row: int) -> int:
        labels, pod = self.table.labels[row], state.pod
        total = 0
        for term in own_preferred(pod.facts.spec, pod.namespace, self.objects):
            total += term.weight * self._plain_matching((term,), term.topology_key, labels.get(term.topology_key))
        for carried in self._plain_terms(pod, labels):
            total += carried.weight if carried.kind == WEIGHTED else self._hard_weight * (carried.kind == REQUIRED_AFFINITY)
        return total

    def normalize(self, state: Weighted, scores: Any) -> Any:
        lowest, highest = int(scores.min()), int(scores.max())
        if highest == lowest:
            return np.zeros_like(scores)
        return (float(SCORE_MAX) * ((scores - lowest).astype(np.float64) / float(highest - lowest))).astype(np.int64)

    # ---- events --------------------------------------------------------------------------------------------------------------

    def events(self) -> Mapping[ClusterEvent, Hint]:
        pods = (ASSIGNED_POD_ADD, ASSIGNED_POD_LABEL, ASSIGNED_POD_DELETE)
        return {**dict.fromkeys(pods, self._concerns), **dict.fromkeys((NODE_ADD, NODE_LABEL), always), POD_LABEL: always}

    def _concerns(self, pod: PodInfo, old: Any, new: Any) -> bool:
        """The Pod that came, changed or went matches a required term, or carried anti-affinity against this one."""
        spec, namespace, objects = pod.facts.spec, pod.namespace, self.objects
        own = [t for kind in ("podAffinity", "podAntiAffinity") for t in own_required(spec, namespace, kind, objects)]
        namespace_labels = objects.namespace_labels(namespace)
        for obj in (old, new):
            if obj is None:
                continue
            other = obj["metadata"].get("namespace") or "default"
            if any(term.selector.matches(other, obj["metadata"].get("labels") or {}) for term in own):
                return True
            carried = carried_terms(obj["spec"], other)
            if any(t.kind == REQUIRED_ANTI and t.matches(namespace, pod.labels, namespace_labels) for t in carried):
                return True
        return False


PLUGIN = InterPodAffinity
