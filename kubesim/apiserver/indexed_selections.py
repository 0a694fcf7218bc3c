"""Selections that want one value of a field are looked up by it: a thousand watches of one object each cost a change one look-up.

What informers of a single object (``metadata.name``) and kubelets (``spec.nodeName``) watch by. The rest of their selectors is asked as
always; this only says who may be asked. Upstream's cacher does the same for Pods by node (``IndexerFuncs``, ``triggerFunc``).
"""

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
INDEXED_FIELDS = ("metadata.name", "spec.nodeName")


def indexed_term(field_selector: str) -> tuple[str, str] | None:
    """The (field, value) that a field selector wants, of the fields that are looked up; None when it wants none of them.

    >>> indexed_term("status.phase!=Failed,spec.nodeName=node-1")
    ('spec.nodeName', 'node-1')
    >>> indexed_term("metadata.name!=a")
    """
    for term in field_selector.split(","):
        field, operator, value = term.partition("=")
        if operator and field in INDEXED_FIELDS:
            return field, value.removeprefix("=")
    return None


class IndexedSelections:
    """The selections of one resource by (field, value), in the order they were made."""

    __slots__ = ("_by_term",)

    def __init__(self) -> None:
        self._by_term: dict[tuple[str, str], dict[Any, None]] = {}

    def add(self, term: tuple[str, str], selection: Any) -> None:
        """Keep a selection."""
        self._by_term.setdefault(term, {})[selection] = None

    def remove(self, term: tuple[str, str], selection: Any) -> None:
        """Forget a selection."""
        found = self._by_term[term]
        del found[selection]
        if not found:
            del self._by_term[term]

    def near(self, obj: Object | None, old: Object | None) -> Iterator[Any]:
        """The selections that may match an object as it is or was, each once. O(1) without any."""
        terms: dict[tuple[str, str], None] = {}
        for each in (obj, old):
            if each is not None:
                terms["metadata.name", each["metadata"]["name"]] = None
                spec = each.get("spec")
                terms["spec.nodeName", (spec.get("nodeName") or "") if isinstance(spec, dict) else ""] = None
        for term in terms:
            yield from self._by_term.get(term, ())
