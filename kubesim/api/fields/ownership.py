"""The rules of ownership: what an update takes over, what an apply claims, conflicts with, and gives up. Pure.

A manager's entry is a ``Claim``: a set of paths at one version, made by applies or by updates. An update owns what it changed, and
everybody else loses that. An apply owns what it says; where it would change what others own, that is a conflict, unless forced. What
it said before and says no more is removed, if nobody else owns it.

Upstream: structured-merge-diff/v6/merge/update.go. All versions of a kind share one schema here, so nothing is converted.
"""

from typing import Any, NamedTuple

from kubesim.api.fields.paths import NOTHING, Path, Paths, set_order, without
from kubesim.api.fields.typed import compare, equal, field_set, merge, remove, with_named_fields
from kubesim.api.schema import Field

Object = dict[str, Any]


class Claim(NamedTuple):
    """What a manager owns, at which apiVersion, by apply or by update."""

    paths: Paths
    version: str
    applied: bool


Claims = dict[str, Claim]


class Conflicts(Exception):
    """An apply that would change what others own: (manager, path), in upstream's order."""

    def __init__(self, conflicts: list[tuple[str, Path]]) -> None:
        super().__init__(f"{len(conflicts)} conflicts")
        self.conflicts = conflicts


def updated(
    old: Object, new: Object, at: Field, claims: Claims, manager: str, version: str, ignored: tuple[Path, ...] = ()
) -> Claims:
    """The claims after ``manager`` has made ``new`` of ``old``; fields below ``ignored`` are not its to own."""
    difference = compare(old, new, at)
    changed = without(frozenset(difference.added | difference.modified), ignored)
    removed = without(frozenset(difference.removed), ignored)
    rest = _reduced(claims, manager, changed, removed)
    mine = rest.get(manager, Claim(NOTHING, version, False))
    paths = without((mine.paths - removed) | changed, ignored)
    if paths:
        rest[manager] = Claim(paths, version, False)
    else:
        rest.pop(manager, None)
    return rest


def applied(
    live: Object, config: Object, at: Field, claims: Claims, manager: str, version: str, force: bool, ignored: tuple[Path, ...] = ()
) -> tuple[Object | None, Claims]:
    """The object and the claims after ``manager`` has applied ``config``; no object when nothing changes. Raises Conflicts."""
    merged = merge(live, config, at)
    last = claims.get(manager)
    claims = {**claims, manager: Claim(without(field_set(config, at), ignored), version, True)}
    new = _pruned(merged, at, claims, last)
    difference = compare(live, new, at)
    changed = without(frozenset(difference.added | difference.modified), ignored)
    removed = without(frozenset(difference.removed), ignored)
    conflicts = [(other, path) for other, claim in claims.items() if other != manager for path in claim.paths & changed]
    if conflicts and not force:
        raise Conflicts(sorted(conflicts, key=lambda conflict: (conflict[0], set_order(conflict[1]))))
    rest = _reduced(claims, manager, changed, removed)
    if not rest[manager].paths:
        del rest[manager]
    return (None if equal(live, new) else new), rest


def _reduced(claims: Claims, manager: str, changed: Paths, removed: Paths) -> Claims:
    """The claims without what was changed or removed by ``manager``, whose own claim stays."""
    lost = changed | removed
    rest: Claims = {}
    for name, claim in claims.items():
        if name != manager and not lost.isdisjoint(claim.paths):
            claim = claim._replace(paths=claim.paths - lost)
        if claim.paths or name == manager:
            rest[name] = claim
    return rest


def _pruned(merged: Object, at: Field, claims: Claims, last: Claim | None) -> Object:
    """``merged`` without what the last apply of this manager had and nobody owns any more."""
    if last is None or not last.paths:
        return merged
    before = with_named_fields(last.paths, at)
    pruned = remove(merged, before, at) or {}
    owned: set[Path] = set()
    for claim in claims.values():
        owned |= claim.paths
    had = with_named_fields(field_set(merged, at), at)
    keeps = with_named_fields(field_set(pruned, at), at) | with_named_fields(frozenset(owned), at)
    pruned = remove(merged, had - keeps, at) or {}
    keeps = with_named_fields(field_set(pruned, at), at)
    return remove(merged, (had - keeps) & before, at) or {}
