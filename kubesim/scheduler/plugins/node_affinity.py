"""NodeAffinity: nodeSelector AND required terms, added affinity of the profile first; preferred terms give score.

Upstream: plugins/nodeaffinity/node_affinity.go.
"""

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np

from kubesim.scheduler.contract import (
    NODE_ADD,
    NODE_LABEL,
    SKIP,
    UNRESOLVABLE,
    ClusterEvent,
    Handle,
    Hint,
    Normalization,
    Object,
    Plugin,
    Prepared,
    Rejection,
    Skip,
)
from kubesim.scheduler.node_selector import (
    NAME_FIELD,
    Term,
    compile_labels,
    compile_term,
    compile_terms,
    requirements_match,
    requirements_match_rows,
    term_matches,
    term_matches_rows,
)
from kubesim.scheduler.pod_facts import PodInfo

POD, ENFORCED = 1, 2
REJECTIONS = {
    POD: Rejection(UNRESOLVABLE, ("node(s) didn't match Pod's node affinity/selector",)),
    ENFORCED: Rejection(UNRESOLVABLE, ("node(s) didn't match scheduler-enforced node affinity",)),
}
CONFLICT = Rejection(UNRESOLVABLE, ("pod affinity terms conflict",))
REQUIRED, PREFERRED = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
Preferred = tuple[tuple[int, Term], ...]


class Required(NamedTuple):
    """A Pod's demands: labels of ``nodeSelector`` and ORed terms (None: no terms demanded)."""

    labels: Term
    terms: tuple[Term, ...] | None

    def match(self, labels: Mapping[str, str], name: str) -> bool:
        """Whether one node satisfies both."""
        if not requirements_match(self.labels, labels, name):
            return False
        return self.terms is None or any(term_matches(term, labels, name) for term in self.terms)


def _affinity(pod: PodInfo) -> Mapping[str, Any]:
    return (pod.facts.spec.get("affinity") or {}).get("nodeAffinity") or {}


def required_of(pod: PodInfo) -> Required:
    """What the Pod demands of a node."""
    return Required(compile_labels(pod.facts.spec.get("nodeSelector")), compile_terms(_affinity(pod).get(REQUIRED)))


def _preferred(affinity: Mapping[str, Any]) -> Preferred:
    """(weight, term); what has no weight or no requirement is ignored."""
    terms = ((term.get("weight") or 0, compile_term(term.get("preference") or {})) for term in affinity.get(PREFERRED) or ())
    return tuple((weight, term) for weight, term in terms if weight and term)


class NodeAffinity(Plugin):
    """See the module."""

    name = "NodeAffinity"
    extends = frozenset({"preFilter", "filter", "preScore", "score"})
    normalization = Normalization.BY_MAX

    def __init__(self, arguments: Mapping[str, Any], handle: Handle) -> None:
        super().__init__(arguments, handle)
        added = arguments.get("addedAffinity") or {}
        self._added = Required((), compile_terms(added.get(REQUIRED)))
        self._added_preferred = _preferred(added)

    def signature(self, pod: PodInfo) -> Hashable:
        return required_of(pod), _preferred(_affinity(pod))

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        required = required_of(pod)
        if not required.labels and required.terms is None and self._added.terms is None:
            return SKIP
        names = _node_names(required.terms)
        if names is not None and not names:
            return CONFLICT
        return Prepared(required, names)

    def filter(self, state: Required, rows: Any) -> Any:
        codes = np.where(self._match_rows(state, rows), 0, POD)
        if self._added.terms is not None:
            codes = np.where(self._match_rows(self._added, rows), codes, ENFORCED)
        return codes.astype(np.int64)

    def filter_row(self, state: Required, row: int) -> int:
        labels, name = self.table.labels[row], self.table.names[row] or ""
        if not self._added.match(labels, name):
            return ENFORCED
        return 0 if state.match(labels, name) else POD

    def rejection(self, state: Any, code: int) -> Rejection:
        return REJECTIONS[code]

    def pre_score(self, pod: PodInfo, feasible_rows: Any) -> Preferred | Skip:
        return (*self._added_preferred, *_preferred(_affinity(pod))) or SKIP

    def score(self, state: Preferred, rows: Any) -> Any:
        scores = np.zeros(len(self.table.index(rows)), np.int64)
        for weight, term in state:
            scores += weight * term_matches_rows(term, self.table, rows)
        return scores

    def score_row(self, state: Preferred, row: int) -> int:
        labels, name = self.table.labels[row], self.table.names[row] or ""
        return sum(weight for weight, term in state if term_matches(term, labels, name))

    def _match_rows(self, required: Required, rows: Any) -> Any:
        matched = requirements_match_rows(required.labels, self.table, rows)
        if required.terms is not None:
            any_term = np.zeros(len(matched), bool)
            for term in required.terms:
                any_term |= term_matches_rows(term, self.table, rows)
            matched &= any_term
        return matched

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return {NODE_ADD: self._is_matched, NODE_LABEL: self._is_matched}

    def _is_matched(self, pod: PodInfo, old: Object | None, new: Object) -> bool:
        """The node matches now and did not before."""
        required = required_of(pod)
        return self._matches(required, new) and not (old is not None and self._matches(required, old))

    def _matches(self, required: Required, node: Object) -> bool:
        labels, name = node["metadata"].get("labels") or {}, node["metadata"]["name"]
        return self._added.match(labels, name) and required.match(labels, name)


def _node_names(terms: tuple[Term, ...] | None) -> frozenset[str] | None:
    """The only names that can match, when every term names some; empty when the terms contradict themselves."""
    if not terms:
        return None
    union: frozenset[str] = frozenset()
    for term in terms:
        named = [frozenset(r.values) for r in term if r.is_field and r.key == NAME_FIELD and r.operator == "In"]
        if not named:
            return None
        union |= frozenset.intersection(*named)
    return union


PLUGIN = NodeAffinity
