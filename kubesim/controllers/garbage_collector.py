"""The garbage collector: what has lost its last owner goes; foreground and orphan deletions run to their end.

An object whose owners are all gone is deleted (in the way its own finalizers say); one with a living owner only loses the references
to the others; one whose owner waits in a foreground deletion goes first, in the foreground itself when it has dependents. That an owner
is gone is asked of the apiserver, never believed of a cache; answers are remembered by uid, which no other object will have.

Upstream: pkg/controller/garbagecollector/garbagecollector.go (attemptToDeleteItem, processDeletingDependentsItem, attemptToOrphanWorker).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Object, Request, delete, get, patch
from kubesim.client.informer import told_by
from kubesim.client.owners import release_request
from kubesim.controllers.contract import DONE, Again, Burst, ControllerBase, Intent, Mapper, Result, View
from kubesim.controllers.owner_graph import (
    FOREGROUND,
    ORPHAN,
    OwnerGraph,
    has_finalizer,
    is_waiting_for_dependents,
    watched_resources,
)
from kubesim.controllers.view import OWNER_GRAPH

ABSENT_MAX = 500


@told_by(OWNER_GRAPH)
def touched(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The work that the event gave."""
    return view.derived(OwnerGraph).touched


class GarbageCollector(ControllerBase):
    """Reconciles keys "delete <resource> <key>" and "orphan <resource> <key>"."""

    name = "garbage-collector-controller"
    resource = ""
    watches: Mapping[str, Mapper] = dict.fromkeys(watched_resources(), touched)
    derives: Sequence[Callable[[Any], Any]] = (OwnerGraph,)

    def __init__(self) -> None:
        self._absent: dict[str, None] = {}  # uids of owners that the apiserver said are gone

    def custom(self, resource: str) -> Mapper:
        """Custom resources are owners and dependents as any other."""
        return touched

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Look at one object."""
        what, resource, object_key = key.split(" ", 2)
        obj = view.get(resource, object_key)
        if obj is None:
            return DONE
        graph = view.derived(OwnerGraph)
        if what == "orphan":
            return _orphan(resource, obj, graph, view)
        if is_waiting_for_dependents(obj):
            return _wait_for_dependents(resource, obj, graph, view)
        if obj["metadata"].get("deletionTimestamp"):
            return DONE
        return self._collect(resource, obj, graph, view)

    def _collect(self, resource: str, obj: Object, graph: OwnerGraph, view: View) -> Result:
        """Sort the owners into living, waiting and gone; ask about those that the caches do not show."""
        namespace = obj["metadata"].get("namespace", "")
        solid: list[Object] = []
        waiting: list[Object] = []
        gone: list[Object] = []
        unknown: list[tuple[Object, Request]] = []
        for reference in obj["metadata"].get("ownerReferences") or ():
            place = graph.owner_of(reference, namespace)
            owner = view.get(place.resource, place.key) if place is not None else None
            if place is None:
                solid.append(reference)
            elif owner is not None and owner["metadata"]["uid"] == reference["uid"]:
                (waiting if is_waiting_for_dependents(owner) else solid).append(reference)
            elif reference["uid"] in self._absent:
                gone.append(reference)
            else:
                unknown.append((reference, get(place.resource, namespace if "/" in place.key else "", reference["name"])))
        if unknown:
            return Result([self._ask(reference, request) for reference, request in unknown])
        return Result(_consequence(resource, obj, solid, waiting, gone, graph, view))

    def _ask(self, reference: Object, request: Request) -> Burst:
        """Ask the apiserver whether an owner is there; then look again. An owner that our cache has yet to see is there."""
        uid = reference["uid"]

        def found(owner: Object) -> Sequence[Intent]:
            if owner["metadata"]["uid"] != uid:
                self._remember(uid)
                return [Again(0)]
            return [Again()]  # the cache will show it: look again a little later

        def missing(_: ApiError) -> Sequence[Intent]:
            self._remember(uid)
            return [Again(0)]

        return Burst([request], found, missing, expected=("NotFound",))

    def _remember(self, uid: str) -> None:
        self._absent[uid] = None
        if len(self._absent) > ABSENT_MAX:
            del self._absent[next(iter(self._absent))]


def _consequence(
    resource: str,
    obj: Object,
    solid: Sequence[Object],
    waiting: Sequence[Object],
    gone: Sequence[Object],
    graph: OwnerGraph,
    view: View,
) -> Sequence[Intent]:
    if solid or not (waiting or gone):
        return [_without_owners(resource, obj, [*gone, *waiting])] if waiting or gone else ()
    dependents = graph.dependents.get(obj["metadata"]["uid"], {})
    if waiting and dependents:
        circle = any(_is_waiting(view, *dependent) for dependent in dependents)
        intents: list[Intent] = [_unblocked(resource, obj)] if circle else []
        return intents or [_delete(resource, obj, "Foreground")]
    if has_finalizer(obj, ORPHAN):
        return [_delete(resource, obj, "Orphan")]
    return [_delete(resource, obj, "Foreground" if has_finalizer(obj, FOREGROUND) else "Background")]


def _is_waiting(view: View, resource: str, key: str) -> bool:
    obj = view.get(resource, key)
    return obj is not None and is_waiting_for_dependents(obj)


def _delete(resource: str, obj: Object, policy: str) -> Request:
    """Delete this very object in this very version: a reference that came meanwhile would save it."""
    metadata = obj["metadata"]
    preconditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    return delete(resource, metadata.get("namespace", ""), metadata["name"], preconditions=preconditions, propagationPolicy=policy)


def _metadata_patch(resource: str, obj: Object, **changes: Any) -> Request:
    metadata = obj["metadata"]
    body = {"metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"], **changes}}
    return patch(resource, metadata.get("namespace", ""), metadata["name"], body)


def _without_owners(resource: str, obj: Object, references: Sequence[Object]) -> Request:
    uids = {reference["uid"] for reference in references}
    kept = [reference for reference in obj["metadata"]["ownerReferences"] if reference["uid"] not in uids]
    return _metadata_patch(resource, obj, ownerReferences=kept)


def _unblocked(resource: str, obj: Object) -> Request:
    """Break a circle of owners that wait for each other: this object blocks nobody any more."""
    references = [{**reference, "blockOwnerDeletion": False} for reference in obj["metadata"]["ownerReferences"]]
    return _metadata_patch(resource, obj, ownerReferences=references)


def _without_finalizer(resource: str, obj: Object, finalizer: str) -> Request:
    kept = [name for name in obj["metadata"]["finalizers"] if name != finalizer]
    return _metadata_patch(resource, obj, finalizers=kept)


def _wait_for_dependents(resource: str, obj: Object, graph: OwnerGraph, view: View) -> Result:
    """Let the object go when no dependent blocks it any more; those that do were told when it began to wait."""
    if graph.blocking(obj["metadata"]["uid"]):
        return DONE
    return Result([_without_finalizer(resource, obj, FOREGROUND)])


def _orphan(resource: str, obj: Object, graph: OwnerGraph, view: View) -> Result:
    """Take the references off all dependents, then let the object go."""
    if not obj["metadata"].get("deletionTimestamp") or not has_finalizer(obj, ORPHAN):
        return DONE
    dependents = [(kind, view.get(kind, key)) for kind, key in graph.dependents.get(obj["metadata"]["uid"], {})]
    requests = [release_request(obj, kind, dependent) for kind, dependent in dependents if dependent is not None]

    def after(error: ApiError | None) -> Sequence[Intent]:
        return () if error is not None else [_without_finalizer(resource, obj, ORPHAN)]

    return Result([Burst(requests, after=after)])


CONTROLLER = GarbageCollector
