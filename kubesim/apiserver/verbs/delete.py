"""Delete one object or a collection: preconditions, grace, finalizers, and only then the object.

Upstream: registry/generic/registry/store.go (Delete, updateForGracefulDeletionAndFinalizers, DeleteCollection) and
pkg/registry/core/namespace/storage. The rules are ``kubesim.apiserver.deletion``.
"""

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

from kubesim.api.errors import ApiError, conflict, not_found
from kubesim.apiserver import deletion
from kubesim.apiserver.admission.contract import DELETE, Attributes
from kubesim.apiserver.dynamic.operation import Operation
from kubesim.apiserver.metadata import stamped
from kubesim.apiserver.registry import NO_COLLECTION, Resource, no_such_method
from kubesim.apiserver.requests import Request
from kubesim.apiserver.verbs.read import list_
from kubesim.apiserver.verbs.update import MODIFIED, TRIES_MAX
from kubesim.apiserver.warnings import warn_of_delete
from kubesim.apiserver.watch_cache import at_revision

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
LISTING = ("labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch")


def delete(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Delete an object; the answer is the object, or a Status for kinds that upstream answers so. Raises 403, 404 or 409."""
    if "warnings" in request.options:
        warn_of_delete(resource, request)
    options = deletion.parse_grace(request.options)
    deletion.check_options(options)
    key = resource.key(request.namespace, request.name)
    server.admission.validate(Attributes(DELETE, resource, request, request.name, None, None))
    for _ in range(TRIES_MAX):
        found = yield ("get", key)
        if found is None:
            raise not_found(resource.name, request.name)
        deletion.check_preconditions(resource, stamped(found), options)
        if server.dynamic.is_on:
            yield from server.dynamic.delete(Operation(DELETE, resource, request, None, stamped(found)))
        answer = yield from _delete_found(server, resource, request, options, key, found)
        if answer is not None:
            return answer
    raise conflict(resource.name, request.name, MODIFIED)


def _delete_found(
    server: "ApiServer", resource: Resource, request: Request, options: Mapping[str, Any], key: bytes, found: Any
) -> Generator[Any, Any, Object | None]:
    """One try; None when somebody else wrote in between."""
    old = found.value
    if resource.name == "namespaces" and _namespace_waits(old):
        obj, vanishes = _terminating(server, old), False
    elif resource.kind.prepare_delete is not None and "deletionTimestamp" not in old["metadata"]:
        obj, vanishes = resource.kind.prepare_delete(old, server.now_text()), False
    else:
        grace = deletion.begin(resource, old, options, server.kernel.now_ns)
        if grace.pending:
            return old
        obj, vanishes = _finalized(server, resource, options, grace)
    if obj is not old and not _only_reread(obj, old):
        if options.get("dryRun"):
            return {**obj, "metadata": {**obj["metadata"], "resourceVersion": old["metadata"]["resourceVersion"]}}
        obj = server.sealed(obj)
        revision = yield ("put_if", key, obj, found.mod_revision, found.lease)
        if not revision:
            return None
        server.committed(request, resource, key, obj, revision)
        found_revision = revision
    else:
        found_revision = found.mod_revision
    if not vanishes:
        return obj
    if options.get("dryRun"):
        return _answer(resource, obj)
    revision = yield ("delete_if", key, found_revision)
    if not revision:
        return None
    obj = at_revision(obj, revision)
    yield from server.deleted(request, resource, key, obj, revision)
    return _answer(resource, obj)


def _finalized(server: "ApiServer", resource: Resource, options: Mapping[str, Any], grace: deletion.Grace) -> tuple[Object, bool]:
    """The object with the finalizers of its propagation policy, and whether nothing holds it."""
    obj = grace.obj
    wanted = deletion.finalizers_for(resource, obj, options)
    pending = bool(obj["metadata"].get("finalizers") if wanted is None else wanted)
    if pending and "deletionTimestamp" not in obj["metadata"]:
        obj = deletion.marked(obj, server.kernel.now_ns, 0)
    if wanted is not None:
        obj = _with_finalizers(obj, wanted)
    held = pending or (grace.graceful and bool(obj["metadata"]["deletionGracePeriodSeconds"]))
    if not held and not grace.graceful:
        return grace.obj, True  # nothing worth a write before the delete itself
    return obj, not held


def _with_finalizers(obj: Object, finalizers: list[str]) -> Object:
    metadata = {**obj["metadata"], "resourceVersion": ""}
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
    return {**obj, "metadata": metadata}


def _only_reread(obj: Object, old: Object) -> bool:
    new_metadata, old_metadata = {**obj["metadata"], "resourceVersion": ""}, {**old["metadata"], "resourceVersion": ""}
    return new_metadata == old_metadata and obj.get("status") == old.get("status")


def _namespace_waits(namespace: Object) -> bool:
    return "deletionTimestamp" not in namespace["metadata"] or bool((namespace.get("spec") or {}).get("finalizers"))


def _terminating(server: "ApiServer", namespace: Object) -> Object:
    """A namespace in phase Terminating; the namespace controller empties and finalizes it."""
    metadata = namespace["metadata"]
    status = namespace.get("status") or {}
    if "deletionTimestamp" in metadata and status.get("phase") == "Terminating":
        return namespace
    fresh = {**metadata, "resourceVersion": "", "deletionTimestamp": metadata.get("deletionTimestamp") or server.now_text()}
    return {**namespace, "metadata": fresh, "status": {**status, "phase": "Terminating"}}


def _answer(resource: Resource, obj: Object) -> Object:
    if resource.returns_deleted:
        return obj
    metadata, kind = obj["metadata"], resource.kind
    details = {"name": metadata["name"], "kind": kind.plural, "uid": metadata["uid"]}
    if kind.group:
        details["group"] = kind.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def delete_collection(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Delete what a list with the same selectors shows; the answer is that list."""
    if resource.name in NO_COLLECTION:
        raise no_such_method()
    chosen = {name: request.options[name] for name in LISTING if request.options.get(name)}
    found = yield from list_(server, resource, Request("list", request.resource, request.namespace, options=chosen, user=request.user))
    for item in found["items"]:
        metadata = item["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        single = Request("delete", resource.name, namespace, name, options=request.options, user=request.user)
        try:
            yield from delete(server, resource, single)
        except ApiError as error:
            if error.code != 404:  # somebody else was faster
                raise
    return found
