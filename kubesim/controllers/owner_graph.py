"""Who depends on whom: a derived view of all resources, by owner uid, fed by the difference of every event.

Only objects with owner references are in it. ``touched`` holds the keys of the garbage collector's work that the event being
delivered gives (signal OWNER_GRAPH): "delete <resource> <key>" to look whether an object should go, "orphan <resource> <key>" to let
its dependents go.

Upstream: pkg/controller/garbagecollector/{graph,graph_builder}.go. Theirs has a node per object and virtual nodes for unseen owners.
"""

from collections.abc import Sequence
from typing import NamedTuple

from kubesim.api.kinds import KINDS
from kubesim.apiserver.requests import Object
from kubesim.client.informer import Informer, KeyedHandler, looks_at
from kubesim.controllers.discovery import Discovery
from kubesim.controllers.view import OWNER_GRAPH, Caches

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
IGNORED = frozenset(("events",))

Dependent = tuple[str, str]  # resource, key


class Owner(NamedTuple):
    """Where an owner would be: its resource and key."""

    resource: str
    key: str


def watched_resources() -> tuple[str, ...]:
    """Every resource whose objects may have owners, sorted."""
    return tuple(sorted(kind.resource for kind in KINDS.all() if kind.resource not in IGNORED))


def has_finalizer(obj: Object, finalizer: str) -> bool:
    """Whether the object has the finalizer."""
    return finalizer in (obj["metadata"].get("finalizers") or ())


def is_waiting_for_dependents(obj: Object) -> bool:
    """Whether the object is being deleted in the foreground."""
    return bool(obj["metadata"].get("deletionTimestamp")) and has_finalizer(obj, FOREGROUND)


class OwnerGraph:
    """The derived view: ``dependents[owner uid]`` are (resource, key) -> whether the dependent blocks its owner's deletion."""

    __slots__ = ("_caches", "_discovery", "dependents", "touched")

    def __init__(self, caches: Caches) -> None:
        self.dependents: dict[str, dict[Dependent, bool]] = {}
        self.touched: list[str] = []
        self._caches = caches
        self._discovery = caches.derived(Discovery)
        for resource in watched_resources():
            self._watch(resource)
        self._discovery.on_new.append(self._watch)

    def _watch(self, resource: str) -> None:
        informer = self._caches.informer(resource)
        informer.add_keyed_handler(self._listener(resource, informer))

    def owner_of(self, reference: Object, namespace: str) -> Owner | None:
        """Where a reference points: into the dependent's own namespace, for a namespaced kind.

        None for an unknown kind, and for a namespaced owner of a cluster-scoped dependent.
        """
        kind = self._discovery.find(reference["apiVersion"], reference["kind"])
        if kind is None or (kind.namespaced and not namespace):
            return None
        return Owner(kind.resource, f"{namespace}/{reference['name']}" if kind.namespaced else reference["name"])

    def blocking(self, uid: str) -> list[Dependent]:
        """The dependents that block a foreground deletion."""
        return [dependent for dependent, blocks in self.dependents.get(uid, {}).items() if blocks]

    def _listener(self, resource: str, informer: Informer) -> KeyedHandler:
        @looks_at("metadata.ownerReferences", "metadata.deletionTimestamp", "metadata.finalizers")
        def on_change(key: str, old: Object | None, new: Object | None) -> None:
            if self.touched:
                self.touched = []
            if old is None or new is None or old["metadata"].get("ownerReferences") is not new["metadata"].get("ownerReferences"):
                self._link(resource, key, old, new)
            if new is None:
                self._gone(key, old)
            elif new["metadata"].get("deletionTimestamp"):
                self._dying(resource, key, old, new)
            if self.touched:
                informer.changed |= OWNER_GRAPH

        return on_change

    def _link(self, resource: str, key: str, old: Object | None, new: Object | None) -> None:
        """The references of an object came, changed or went."""
        before: Sequence[Object] = (old["metadata"].get("ownerReferences") or ()) if old is not None else ()
        after: Sequence[Object] = (new["metadata"].get("ownerReferences") or ()) if new is not None else ()
        if not before and not after:
            return
        dependent = (resource, key)
        namespace = key.partition("/")[0] if "/" in key else ""
        kept = {reference["uid"] for reference in after} if before else ()
        for reference in before:
            uid = reference["uid"]
            if uid not in kept or new is None:
                self._unlink(uid, dependent)
            if reference.get("blockOwnerDeletion") and (uid not in kept or new is None):
                self._look_at_owner(reference, namespace)
        unknown = False
        for reference in after:
            uid = reference["uid"]
            blocks = bool(reference.get("blockOwnerDeletion"))
            known = self.dependents.setdefault(uid, {})
            if known.get(dependent) and not blocks:
                self._look_at_owner(reference, namespace)
            known[dependent] = blocks
            unknown = unknown or not self._is_solid(reference, namespace)
        if new is not None and (unknown or len(before) > len(after)):
            self.touched.append(f"delete {resource} {key}")

    def _is_solid(self, reference: Object, namespace: str) -> bool:
        """Whether the cache shows the owner, and not in a foreground deletion."""
        place = self.owner_of(reference, namespace)
        if place is None:
            return True  # nothing to be done about it
        owner = self._caches.get(place.resource, place.key)
        return owner is not None and owner["metadata"]["uid"] == reference["uid"] and not is_waiting_for_dependents(owner)

    def _unlink(self, uid: str, dependent: Dependent) -> None:
        known = self.dependents.get(uid)
        if known is not None:
            known.pop(dependent, None)
            if not known:
                del self.dependents[uid]

    def _look_at_owner(self, reference: Object, namespace: str) -> None:
        """A dependent blocks its owner no more: if that is being deleted in the foreground, it may go now."""
        place = self.owner_of(reference, namespace)
        owner = self._caches.get(place.resource, place.key) if place is not None else None
        if place is not None and owner is not None and owner["metadata"]["uid"] == reference["uid"] and is_waiting_for_dependents(owner):
            self.touched.append(f"delete {place.resource} {place.key}")

    def _gone(self, key: str, old: Object | None) -> None:
        """An owner is gone: every dependent is looked at."""
        if old is not None:
            for resource, dependent in self.dependents.get(old["metadata"]["uid"], ()):
                self.touched.append(f"delete {resource} {dependent}")

    def _dying(self, resource: str, key: str, old: Object | None, new: Object) -> None:
        """An object begins to wait for its dependents: to be deleted, or to be orphaned."""
        before = old if old is not None and old["metadata"].get("deletionTimestamp") else None
        if has_finalizer(new, FOREGROUND) and (before is None or not has_finalizer(before, FOREGROUND)):
            self.touched.append(f"delete {resource} {key}")
            for dependent_resource, dependent in self.dependents.get(new["metadata"]["uid"], ()):
                self.touched.append(f"delete {dependent_resource} {dependent}")
        if has_finalizer(new, ORPHAN) and (before is None or not has_finalizer(before, ORPHAN)):
            self.touched.append(f"orphan {resource} {key}")


