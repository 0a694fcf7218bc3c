"""How many Pods of a kind are on each node: counters that follow every Pod that comes and goes, by difference.

A ``PodGroup`` is all Pods that no selector can tell apart (namespace, labels, whether terminating). A ``Counter`` counts the Pods that
match one question per row; which counters a group feeds is worked out once per group. A ``Carrier`` counts the Pods per row that
carry one affinity term themselves: what those Pods want of a Pod that comes.

Dimension key: N rows of the node table (``capacity``). Upstream counts anew in each cycle (PreFilter of PodTopologySpread and
InterPodAffinity); these are the same numbers.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from kubesim.api.selectors import Requirement, Selector
from kubesim.scheduler.arrays import grown

Labels = Mapping[str, str]
Requirements = tuple[Requirement, ...] | None  # None matches nothing
TERMS_KEPT = 16384
GroupKey = tuple[str, tuple[tuple[str, str], ...], bool]


class PodSelector(NamedTuple):
    """A question about a Pod: ``namespaces`` None means any. Hashable: two Pods with one template ask one question."""

    namespaces: frozenset[str] | None
    requirements: Requirements

    def matches(self, namespace: str, labels: Labels) -> bool:
        """Whether a Pod of these labels is meant."""
        if self.namespaces is not None and namespace not in self.namespaces:
            return False
        return Selector(self.requirements).matches(labels)


class Question(NamedTuple):
    """What a counter counts: the Pods that match every selector."""

    selectors: tuple[PodSelector, ...]
    counts_terminating: bool = True


class AffinityTerm(NamedTuple):
    """One PodAffinityTerm of an existing Pod; ``kind`` says what it means, ``weight`` (signed) how much."""

    kind: str
    topology_key: str
    namespaces: frozenset[str]
    namespace_requirements: Requirements
    requirements: Requirements
    weight: int = 0

    def matches(self, namespace: str, labels: Labels, namespace_labels: Labels) -> bool:
        """Whether a Pod, in a namespace with these labels, is meant."""
        if namespace not in self.namespaces and not Selector(self.namespace_requirements).matches(namespace_labels):
            return False
        return Selector(self.requirements).matches(labels)


class Counter:
    """The answer to one question: ``count_N`` (int64)."""

    __slots__ = ("count_N", "question", "selectors", "version")

    def __init__(self, question: Question, capacity: int) -> None:
        self.question = question
        self.selectors = [(s.namespaces, Selector(s.requirements).matches) for s in question.selectors]
        self.count_N = np.zeros(capacity, np.int64)
        self.version = 0

    def counts(self, group: "PodGroup") -> bool:
        """Whether the Pods of a group count."""
        if group.is_terminating and not self.question.counts_terminating:
            return False
        return all((spaces is None or group.namespace in spaces) and match(group.labels) for spaces, match in self.selectors)


class Carrier:
    """The Pods that carry one term: ``count_N`` (int64)."""

    __slots__ = ("count_N", "term", "total", "version")

    def __init__(self, term: AffinityTerm, capacity: int) -> None:
        self.term = term
        self.count_N = np.zeros(capacity, np.int64)
        self.total = 0
        self.version = 0


class PodGroup:
    """Pods with one namespace and one set of labels; ``rows`` has how many are on each row."""

    __slots__ = ("counters", "counters_epoch", "is_terminating", "key", "labels", "namespace", "rows")

    def __init__(self, key: GroupKey) -> None:
        self.key = key
        self.namespace = key[0]
        self.labels = dict(key[1])
        self.is_terminating = key[2]
        self.rows: dict[int, int] = {}
        self.counters: list[Counter] = []
        self.counters_epoch = -1


class PodIndex:
    """All groups, counters and carriers of one node table."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.term_epoch = 0  # moves when a term is carried that nobody carried before
        self.carriers: dict[AffinityTerm, Carrier] = {}
        self._groups: dict[GroupKey, PodGroup] = {}
        self._counters: dict[Question, Counter] = {}
        self._counters_epoch = 0
        self._carriers_by_terms: dict[int, tuple[tuple[AffinityTerm, ...], list[Carrier]]] = {}

    def add(self, row: int, key: GroupKey, terms: tuple[AffinityTerm, ...], sign: int = 1) -> None:
        """A Pod came to a row, or left it with ``sign=-1``. O(counters it feeds + its terms)."""
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = PodGroup(key)
        count = group.rows.get(row, 0) + sign
        if count:
            group.rows[row] = count
        else:
            del group.rows[row]
        if self._counters:
            for counter in self._counters_of(group):
                counter.count_N[row] += sign
                counter.version += 1
        if not group.rows:
            del self._groups[key]
        for carrier in self._carriers_of(terms) if terms else ():
            carrier.count_N[row] += sign
            carrier.total += sign
            carrier.version += 1

    def counted_by(self, key: GroupKey, terms: tuple[AffinityTerm, ...]) -> "list[Counter | Carrier] | None":
        """Everything that counts a Pod of this group that carries these terms; None when nobody carries one of them yet."""
        if any(term not in self.carriers for term in terms):
            return None
        group = self._groups.get(key) or PodGroup(key)
        return [*self._counters_of(group), *self._carriers_of(terms)]

    def enter(self, rows: list[int], key: GroupKey, terms: tuple[AffinityTerm, ...]) -> None:
        """Pods of one group came to rows, and everything in ``counted_by`` has counted them already. O(rows)."""
        if not rows:
            return
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = PodGroup(key)
        on_rows = group.rows
        for row in rows:
            on_rows[row] = on_rows.get(row, 0) + 1
        for counter in self._counters_of(group):
            counter.version += len(rows)
        for carrier in self._carriers_of(terms):
            carrier.total += len(rows)
            carrier.version += len(rows)

    def _counters_of(self, group: PodGroup) -> list[Counter]:
        """The counters that a group feeds; worked out when a counter was made since the last time."""
        if group.counters_epoch != self._counters_epoch:
            group.counters = [counter for counter in self._counters.values() if counter.counts(group)]
            group.counters_epoch = self._counters_epoch
        return group.counters

    def _carriers_of(self, terms: tuple[AffinityTerm, ...]) -> list[Carrier]:
        """The carriers of a Pod's terms; remembered by identity, because all Pods of a template share the tuple."""
        known = self._carriers_by_terms.get(id(terms))
        if known is None or known[0] is not terms:
            known = self._carriers_by_terms[id(terms)] = (terms, [self._carrier(term) for term in terms])
            if len(self._carriers_by_terms) > TERMS_KEPT:
                del self._carriers_by_terms[next(iter(self._carriers_by_terms))]
        return known[1]

    def _carrier(self, term: AffinityTerm) -> Carrier:
        carrier = self.carriers.get(term)
        if carrier is None:
            carrier = self.carriers[term] = Carrier(term, self.capacity)
            self.term_epoch += 1
        return carrier

    def counter(self, question: Question) -> Counter:
        """The counter of a question; O(groups and their rows) the first time, else O(1)."""
        counter = self._counters.get(question)
        if counter is None:
            counter = self._counters[question] = Counter(question, self.capacity)
            self._counters_epoch += 1
            for group in self._groups.values():
                if counter.counts(group):
                    for row, count in group.rows.items():
                        counter.count_N[row] += count
        return counter

    def grow(self, capacity: int) -> None:
        """Make room for more rows."""
        self.capacity = capacity
        for counter in self._counters.values():
            counter.count_N = grown(counter.count_N, capacity)
        for carrier in self.carriers.values():
            carrier.count_N = grown(carrier.count_N, capacity)

    def check(self, pods_by_row: list[Any]) -> None:
        """Compare every count with one made anew from ``pods_by_row``: (group key, terms) of each Pod. Raises AssertionError."""
        for counter in self._counters.values():
            for row, pods in enumerate(pods_by_row):
                assert counter.count_N[row] == sum(counter.counts(PodGroup(key)) for key, _ in pods), (counter.question, row)
        for term, carrier in self.carriers.items():
            counts = [sum(carried == term for _, terms in pods for carried in terms) for pods in pods_by_row]
            assert carrier.count_N[: len(counts)].tolist() == counts and carrier.total == sum(counts), term
