"""Which Pods a PodDisruptionBudget selects: a derived view, kept by difference.

A Pod that several budgets select is reported to the first of them only, as upstream does; every one of them lists it.
"""

from collections.abc import Iterable, Mapping

from kubesim.api.selectors import Selector, from_object
from kubesim.apiserver.requests import Object
from kubesim.client.informer import looks_at
from kubesim.controllers.owned_pods import state_of
from kubesim.controllers.view import BUDGET_MEMBERS, Caches

BUDGETS = "poddisruptionbudgets.policy"
Labels = frozenset[tuple[str, str]]
NOBODY: Mapping[str, None] = {}


def selector_of(budget: Object) -> Selector | None:
    """The selector; None selects nothing, an empty one everything."""
    selector = (budget.get("spec") or {}).get("selector")
    return None if selector is None else from_object(selector)


class BudgetMembers:
    """``members[budget key]`` are the keys of its Pods. ``touched`` are the budgets that a Pod event is about (signal BUDGET_MEMBERS)."""

    __slots__ = ("_budgets_of", "_caches", "_memo", "_pods", "_selectors", "members", "touched")

    def __init__(self, caches: Caches) -> None:
        self.members: dict[str, dict[str, None]] = {}
        self.touched: tuple[str, ...] = ()
        self._caches = caches
        self._selectors: dict[str, dict[str, Selector]] = {}  # namespace -> budget key -> selector
        self._budgets_of: dict[str, tuple[str, ...]] = {}  # Pod key -> the budgets that select it
        self._memo: dict[str, dict[Labels, tuple[str, ...]]] = {}
        caches.informer(BUDGETS).add_keyed_handler(self.on_budget)
        self._pods = caches.informer("pods")
        self._pods.add_keyed_handler(self.on_pod)

    def of(self, budget: str) -> Iterable[str]:
        """The keys of a budget's Pods, in the order first seen."""
        return self.members.get(budget, NOBODY)

    def on_budget(self, key: str, old: Object | None, new: Object | None) -> None:
        """A budget came, went or changed its selector: its namespace is looked through. O(Pods of the namespace)."""
        if old is not None and new is not None and (old.get("spec") or {}).get("selector") == (new.get("spec") or {}).get("selector"):
            return
        namespace = key.partition("/")[0]
        selectors = self._selectors.setdefault(namespace, {})
        selectors.pop(key, None)
        self.members.pop(key, None)
        selector = selector_of(new) if new is not None else None
        if selector is not None:
            selectors[key] = selector
        if not selectors:
            del self._selectors[namespace]
        self._memo.pop(namespace, None)
        for pod in list(self._caches.list("pods", namespace)):
            self._place(f"{namespace}/{pod['metadata']['name']}", pod)

    @looks_at("metadata.labels", "metadata.deletionTimestamp", "status.phase", "status.conditions")
    def on_pod(self, key: str, old: Object | None, new: Object | None) -> None:
        """Take a change of a Pod in. O(1) while its labels stay and where there is no budget."""
        if self._selectors:
            self.touched = ()
            self._take(key, old, new)
            if self.touched:
                self._pods.changed |= BUDGET_MEMBERS

    def _take(self, key: str, old: Object | None, new: Object | None) -> None:
        before = self._budgets_of.get(key, ())
        if new is None:
            self.touched = before
            self._leave(key, before)
            self._budgets_of.pop(key, None)
            return
        if old is None or old["metadata"].get("labels") is not new["metadata"].get("labels"):
            self._place(key, new)
            self.touched = self._budgets_of.get(key, ()) or before
        elif before and (state_of(old) != state_of(new)):
            self.touched = before

    def _place(self, key: str, pod: Object) -> None:
        budgets = self._selecting(pod["metadata"].get("namespace", ""), pod["metadata"].get("labels") or {})
        before = self._budgets_of.get(key, ())
        self._leave(key, tuple(budget for budget in before if budget not in budgets))
        for budget in budgets:
            self.members.setdefault(budget, {}).setdefault(key)
        if budgets:
            self._budgets_of[key] = budgets
        else:
            self._budgets_of.pop(key, None)

    def _leave(self, key: str, budgets: tuple[str, ...]) -> None:
        for budget in budgets:
            members = self.members.get(budget)
            if members is not None:
                members.pop(key, None)

    def _selecting(self, namespace: str, labels: Mapping[str, str]) -> tuple[str, ...]:
        selectors = self._selectors.get(namespace)
        if not selectors:
            return ()
        memo = self._memo.setdefault(namespace, {})
        label_set = frozenset(labels.items())
        found = memo.get(label_set)
        if found is None:
            found = memo[label_set] = tuple(key for key, selector in selectors.items() if selector.matches(labels))
        return found
