"""The status subresource: writes ``status`` and, as upstream does for most kinds, labels, annotations, finalizers and owners.

Everything else comes from the stored object (the kind's ``prepare_status``), so a status write can never change a spec.
Upstream: the status strategies under pkg/registry/*/*/strategy.go.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from kubesim.api.kinds.parts.judgement import status_errors
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request
from kubesim.apiserver.verbs.patch import wish_of
from kubesim.apiserver.verbs.read import get
from kubesim.apiserver.verbs.update import check_request, refuse, transform, typed

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]


def get_status(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Read the whole object."""
    return (yield from get(server, resource, request))


def update_status(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Replace the status. Raises ApiError 400, 404, 409 or 422."""
    given = typed(resource, request.obj)
    check_request(resource, request, given)
    return (yield from transform(server, resource, request, lambda _: given, status_update))


def patch_status(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Patch the status. Raises ApiError 400, 404, 409, 415 or 422."""
    change = wish_of(server, resource, request)
    return (yield from transform(server, resource, request, change, status_update, is_patch=True))


def _phase_time(server: "ApiServer", volume: Object, old: Object) -> Object:
    """A PersistentVolume says since when it is in its phase."""
    status, before = volume.get("status") or {}, old.get("status") or {}
    since = status.get("lastPhaseTransitionTime")
    if since is not None and (status.get("phase") == before.get("phase") or since != before.get("lastPhaseTransitionTime")):
        return volume
    return {**volume, "status": {**status, "lastPhaseTransitionTime": server.now_text()}}


STAMPS = {"persistentvolumes": _phase_time}  # what a status says of the time at which it is written


def status_update(server: "ApiServer", resource: Resource, request: Request, new: Object, old: Object) -> Object:
    """The stored object with the status (and the metadata) of the new one."""
    kind = resource.kind
    # A body is defaulted as it is decoded; one that shares the stored spec is the stored object with another status.
    complete = new if new.get("spec") is old.get("spec") else kind.default(new)
    is_tracked = "managedFields" in old["metadata"] or "managedFields" in complete["metadata"]
    if is_tracked:
        complete = server.fields.changed(resource, request, complete, old)
    obj = kind.prepare_status(complete, old)
    obj = STAMPS[resource.name](server, obj, old) if resource.name in STAMPS else obj
    refuse(resource, obj, status_errors(kind, obj, old))
    return server.fields.settled(obj, old) if is_tracked else obj
