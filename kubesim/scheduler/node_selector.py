"""Node selector terms, compiled once: ORed terms of ANDed requirements over labels and the node's name.

The scalar ``Requirement.matches`` is the rule; ``match_rows`` says the same for many rows by asking it once per distinct value.

Upstream: k8s.io/component-helpers/scheduling/corev1/nodeaffinity, apimachinery/pkg/labels/selector.go.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from kubesim.scheduler.node_table import NodeTable

NAME_FIELD = "metadata.name"
INT64_MAX = 2**63 - 1


class Requirement(NamedTuple):
    """One expression; ``is_field`` means the node's name in place of a label."""

    key: str
    operator: str
    values: tuple[str, ...] = ()
    is_field: bool = False

    def matches(self, value: str | None) -> bool:
        """Whether a value matches, None being no such label."""
        operator = self.operator
        if operator == "In":
            return value in self.values
        if operator == "NotIn":
            return value not in self.values
        if operator == "Exists":
            return value is not None
        if operator == "DoesNotExist":
            return value is None
        if operator in ("Gt", "Lt"):
            return self._compares(value)
        return False

    def _compares(self, value: str | None) -> bool:
        number, limit = as_int64(value), as_int64(self.values[0] if len(self.values) == 1 else None)
        if number is None or limit is None:
            return False
        return number > limit if self.operator == "Gt" else number < limit


Term = tuple[Requirement, ...]  # ANDed; an empty term matches nothing


def as_int64(text: str | None) -> int | None:
    """The number of a text as Go's ParseInt reads it, or None."""
    if not text or not text.lstrip("+-").isascii() or not text.lstrip("+-").isdigit() or len(text) - len(text.lstrip("+-")) > 1:
        return None
    number = int(text)
    return number if -INT64_MAX - 1 <= number <= INT64_MAX else None


def compile_term(term: Mapping[str, Any]) -> Term:
    """A NodeSelectorTerm."""
    return (
        *[Requirement(e["key"], e["operator"], tuple(e.get("values") or ())) for e in term.get("matchExpressions") or ()],
        *[Requirement(f["key"], f["operator"], tuple(f.get("values") or ()), True) for f in term.get("matchFields") or ()],
    )


def compile_terms(selector: Mapping[str, Any] | None) -> tuple[Term, ...] | None:
    """The terms of a NodeSelector, or None when there is none."""
    return None if selector is None else tuple(compile_term(term) for term in selector.get("nodeSelectorTerms") or ())


def compile_labels(labels: Mapping[str, str] | None) -> Term:
    """A ``nodeSelector``: every label must be there with its value."""
    return tuple(Requirement(key, "In", (value,)) for key, value in sorted((labels or {}).items()))


def term_matches(term: Term, labels: Mapping[str, str], name: str) -> bool:
    """Whether a term matches one node."""
    return bool(term) and requirements_match(term, labels, name)


def requirements_match(requirements: Term, labels: Mapping[str, str], name: str) -> bool:
    """Whether every requirement does; true of none at all."""
    return all(r.matches((name if r.key == NAME_FIELD else None) if r.is_field else labels.get(r.key)) for r in requirements)


def term_matches_rows(term: Term, table: "NodeTable", rows: Any) -> Any:
    """``term_matches`` for many rows: bool (K,)."""
    if not term:
        return np.zeros(len(table.index(rows)), bool)
    return requirements_match_rows(term, table, rows)


def requirements_match_rows(requirements: Term, table: "NodeTable", rows: Any) -> Any:
    """``requirements_match`` for many rows: bool (K,). O(K) per requirement plus O(distinct values) for Gt and Lt."""
    matched = np.ones(len(table.index(rows)), bool)
    for requirement in requirements:
        matched &= _field_rows(requirement, table, rows) if requirement.is_field else _label_rows(requirement, table, rows)
    return matched


def _label_rows(requirement: Requirement, table: "NodeTable", rows: Any) -> Any:
    column = table.label_column(requirement.key)
    ids = table.take(column.ids_N, rows)
    operator = requirement.operator
    if operator in ("Exists", "DoesNotExist"):
        return (ids != 0) == (operator == "Exists")
    if operator in ("In", "NotIn"):
        wanted: Sequence[int] = [i for i in (column.values.find(value) for value in requirement.values) if i >= 0]
        found = ids == wanted[0] if len(wanted) == 1 else np.isin(ids, np.array(wanted, np.int32))
        return found == (operator == "In")
    return np.array([requirement.matches(value) for value in column.values])[ids]


def _field_rows(requirement: Requirement, table: "NodeTable", rows: Any) -> Any:
    index = table.index(rows)
    if requirement.key != NAME_FIELD:
        return np.full(len(index), requirement.matches(None))
    if requirement.operator in ("In", "NotIn"):
        wanted = np.array([table.find(name) for name in requirement.values], np.int64)
        return np.isin(index, wanted) == (requirement.operator == "In")
    return np.array([requirement.matches(table.names[row]) for row in index], bool)
