"""The plain cases of the most frequent requests, answered from a local etcd without a generator.

Each function does what its verb does, in the order in which the verb does it, where nothing else is asked of etcd, no plugin has to be
called and nothing is wrong; for any other case it has done nothing and returns None, and the verb is asked. So the verbs are the
twins of what stands here, and say what it means. Events are half of all writes of a cluster, reports of a status a third.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kubesim.api.kinds.event import is_plain
from kubesim.apiserver.metadata import same_but_version, stamped
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request
from kubesim.apiserver.standing import STANDING
from kubesim.apiserver.subresources.status import STAMPS
from kubesim.kernel.time import format_time

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
EVENTS = "events"


def get(server: "ApiServer", resource: Resource, request: Request) -> Object | None:
    """Read an object that is there and does not stand."""
    if resource.name in STANDING:
        return None
    found = server.get_record(resource.key(request.namespace, request.name))
    return None if found is None else stamped(found)


def create(server: "ApiServer", resource: Resource, request: Request) -> Object | None:
    """Store an Event as recorders make them: complete, named, without any other metadata."""
    if resource.name != EVENTS or server.fields.is_on or server.dynamic.is_on:
        return None
    event, namespace = request.obj, request.namespace
    admitted = server.admission.known(EVENTS, namespace, event) if is_plain(event, namespace) else None
    if admitted is None:
        return None
    name = event["metadata"]["name"]
    key = f"{resource.prefix}{namespace}/{name}".encode()
    if server.get_record(key) is not None:
        return None
    lease = server.event_leases.current()
    if not lease:
        return None
    uid, now = server.uid_stream.uuid(), format_time(server.kernel.now_ns)
    fresh = {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": "", "creationTimestamp": now}
    event = {**admitted, "metadata": fresh}
    if server.debug:
        event = server.sealed(event)
    server.committed(request, resource, key, event, server.put_if(key, event, 0, lease))
    return event


def update_status(server: "ApiServer", resource: Resource, request: Request) -> Object | None:
    """Store a report of somebody who has the stored object and changed nothing but its status."""
    if server.fields.is_on or server.dynamic.is_on:
        return None
    key = resource.key(request.namespace, request.name)
    found = server.get_record(key)
    if found is None:
        return None
    old, given, kind = found.value, request.obj, resource.kind
    metadata = old["metadata"]
    if (
        given.get("metadata") is not metadata or given.get("spec") is not old.get("spec") or given.get("kind") != kind.kind
        or given.get("apiVersion") != resource.api_version or not metadata["resourceVersion"] or "deletionTimestamp" in metadata
        or "managedFields" in metadata or resource.name in STAMPS or resource.name in server.extensions
    ):  # fmt: skip
        return None
    obj = kind.prepare_status({**given, "metadata": {**metadata, "resourceVersion": ""}}, old)
    if kind.validate_status(obj, old):
        return None
    if same_but_version(obj, old):
        stored: Object = old
        return stored
    if server.debug:
        obj = server.sealed(obj)
    revision = server.put_if(key, obj, found.mod_revision, found.lease)
    if not revision:
        return None
    server.committed(request, resource, key, obj, revision)
    return obj


AT_ONCE: Mapping[tuple[str, str], Callable[["ApiServer", Resource, Request], Object | None]] = {
    ("get", ""): get,
    ("create", ""): create,
    ("update", "status"): update_status,
}
