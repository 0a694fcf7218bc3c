"""Create: name, defaults, admission, system fields, validation, one compare-and-put.

Upstream: endpoints/handlers/create.go, registry/rest/create.go (BeforeCreate) and registry/generic/registry/store.go (Create).
A name taken from ``generateName`` is drawn again up to eight times when it is taken.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from kubesim.api.errors import ApiError, already_exists, bad_request, invalid
from kubesim.apiserver import metadata as meta
from kubesim.apiserver.admission.contract import CREATE, Attributes
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
GENERATED_NAME_TRIES_MAX = 8


def create(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Create ``request.obj``; return it as stored. Raises ApiError 400, 403, 404, 409 or 422."""
    given = request.obj
    metadata = given.get("metadata") or {}
    _check(resource, request, given, metadata)
    generated = metadata.get("generateName") or ""
    attributes = Attributes(CREATE, resource, request, metadata.get("name") or generated, given, None)
    attributes.obj = resource.kind.default(_typed(resource, given))
    admitted = server.admission.mutate(attributes)
    if metadata.get("name") or not generated:
        return (yield from _insert(server, resource, request, attributes, admitted, metadata.get("name") or ""))
    for attempt in range(GENERATED_NAME_TRIES_MAX):
        name = generated[: meta.GENERATED_BASE_SIZE_MAX] + server.name_stream.suffix()
        try:
            return (yield from _insert(server, resource, request, attributes, admitted, name))
        except ApiError as error:
            if error.reason != "AlreadyExists" or attempt == GENERATED_NAME_TRIES_MAX - 1:
                raise
    raise AssertionError("the last try returns or raises")


def _check(resource: Resource, request: Request, given: Object, metadata: Object) -> None:
    meta.check_type(resource, given)
    if metadata.get("resourceVersion"):
        raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
    namespace = metadata.get("namespace")
    if resource.namespaced:
        if not request.namespace:
            raise bad_request("an empty namespace may not be set during creation")
        if namespace and namespace != request.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    elif namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


def _typed(resource: Resource, given: Object) -> Object:
    if given.get("kind") and given.get("apiVersion") and given.get("metadata") is not None:
        return given
    rest = {key: value for key, value in given.items() if key not in ("kind", "apiVersion", "metadata")}
    return {"kind": resource.kind.kind, "apiVersion": resource.api_version, "metadata": given.get("metadata") or {}, **rest}


def _insert(
    server: "ApiServer", resource: Resource, request: Request, attributes: Attributes, admitted: Object, name: str
) -> Generator[Any, Any, Object]:
    """Complete, validate and store the object under ``name``."""
    kind, namespace = resource.kind, request.namespace
    metadata = meta.for_create(resource, admitted["metadata"], name, namespace, server.uid_stream.uuid(), server.now_text())
    obj = kind.prepare_create({**admitted, "metadata": metadata})
    errors = kind.validate(obj)
    if errors:
        raise invalid(kind.kind, name, errors, kind.group)
    attributes.name, attributes.obj = name, obj
    server.admission.validate(attributes)
    extension = server.extensions.get(resource.name)
    if extension is not None:
        obj = yield from extension.before_create(server, obj, bool(request.options.get("dryRun")))
    if request.options.get("dryRun"):
        return (yield from _pretend(server, resource, obj))
    key = resource.key(namespace, name)
    lease = 0 if resource.name != "events" else (yield from server.event_leases.lease())
    obj = server.sealed(obj)
    revision = yield ("put_if", key, obj, 0, lease)
    if not revision:
        if extension is not None:
            yield from extension.failed(obj, None)
        raise (yield from _taken(resource, key, name))
    server.committed(request, resource, key, obj, revision)
    return obj


def _pretend(server: "ApiServer", resource: Resource, obj: Object) -> Generator[Any, Any, Object]:
    """A dry run ends here: the answer has no resourceVersion, and an existing name is still an error."""
    key = resource.key_of(obj)
    name = obj["metadata"]["name"]
    if (yield ("get", key)) is not None:
        raise (yield from _taken(resource, key, name))
    metadata = {field: value for field, value in obj["metadata"].items() if field != "resourceVersion"}
    return {**obj, "metadata": metadata}


def _taken(resource: Resource, key: bytes, name: str) -> Generator[Any, Any, ApiError]:
    found = yield ("get", key)
    error = already_exists(resource.name, name)
    if found is not None and "deletionTimestamp" in found.value["metadata"]:
        error = ApiError(error.code, error.reason, f"object is being deleted: {error.message}", error.details)
    return error
