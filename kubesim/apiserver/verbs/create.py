"""Create: name, defaults, admission, system fields, validation, one compare-and-put.

Upstream: endpoints/handlers/create.go, registry/rest/create.go (BeforeCreate) and registry/generic/registry/store.go (Create).
A name taken from ``generateName`` is drawn again up to eight times when it is taken.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from kubesim.api.errors import ApiError, already_exists, bad_request, forbidden, invalid
from kubesim.api.kinds.parts.judgement import create_errors, reworded
from kubesim.apiserver import metadata as meta
from kubesim.apiserver.admission.contract import CREATE, Attributes
from kubesim.apiserver.dynamic.operation import Operation
from kubesim.apiserver.quota import charge
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request
from kubesim.apiserver.warnings import warn
from kubesim.kernel.time import format_time

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
EVENTS = "events"
GENERATED_NAME_TRIES_MAX = 8


def create(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Create ``request.obj``; return it as stored. Raises ApiError 400, 403, 404, 409 or 422."""
    given = request.obj
    metadata = given.get("metadata") or {}
    kind, namespace = resource.kind, request.namespace
    if (
        given.get("kind") != kind.kind or given.get("apiVersion") != resource.api_version or not metadata
        or metadata.get("namespace") != namespace or not namespace or not resource.namespaced or "resourceVersion" in metadata
    ):  # fmt: skip
        _check(resource, request, given, metadata)
        given = _typed(resource, given)
    name, generated = metadata.get("name") or "", metadata.get("generateName") or ""
    admission, wish = server.admission, kind.default(given)
    if server.fields.is_on or "managedFields" in metadata:
        wish = server.fields.created(resource, request, wish)
    # Most creates are admitted as the one before them was, and nobody validates them: those need no record for the plugins.
    is_configured = server.dynamic.is_on
    admitted = None if is_configured else admission.known(resource.name, namespace, wish)
    attributes = operation = None
    if admitted is None:
        attributes = Attributes(CREATE, resource, request, name or generated, wish, None)
        admitted = admission.mutate(attributes)
        if is_configured:
            operation = Operation(CREATE, resource, request, _placed(resource, namespace, admitted), None, name)
            admitted = yield from server.dynamic.mutate(operation, lambda obj: _again(server, attributes, obj))
            name = name or admitted["metadata"].get("name") or ""
    is_generated = bool(generated) and not name
    extension, options = server.extensions.get(resource.name), request.options
    for _ in range(GENERATED_NAME_TRIES_MAX if is_generated else 1):
        if is_generated:
            name = generated_name(server, resource, generated)
        obj = _completed(server, resource, request, attributes, admitted, name)
        if operation is not None:
            operation.obj, operation.name = obj, name
            yield from server.dynamic.validate(operation)
        key = resource.key(namespace, name)
        if server.has_quotas and resource.namespaced and resource.name != EVENTS:
            yield from charge(server, resource, request, obj)
        if extension is None and not options:
            # The common case stands here and not in a generator of its own: half of all writes of a cluster are creates.
            if server.debug:
                obj = server.sealed(obj)
            lease = 0 if resource.name != EVENTS else server.event_leases.current() or (yield from server.event_leases.grant())
            revision = yield ("put_if", key, obj, 0, lease)
            if revision:
                server.committed(request, resource, key, obj, revision)
                return obj
        else:
            stored = yield from _insert(server, resource, request, key, obj)
            if stored is not None:
                return stored
    raise (yield from _taken(resource, key, name))


def _placed(resource: Resource, namespace: str, obj: Object) -> Object:
    """The object with the namespace that it is sent to, as webhooks are shown it."""
    if not resource.namespaced or obj["metadata"].get("namespace"):
        return obj
    return {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}


def _again(server: "ApiServer", attributes: Attributes, obj: Object) -> Object:
    """What the built-in plugins make of an object that was changed after them."""
    attributes.obj = obj
    return server.admission.mutate(attributes)


def generated_name(server: "ApiServer", resource: Resource, base: str) -> str:
    """A name made from a generateName."""
    return base[: meta.GENERATED_BASE_SIZE_MAX] + server.name_stream.suffix() if resource.kind.generates_names else base


def _check(resource: Resource, request: Request, given: Object, metadata: Object) -> None:
    if resource.kind.refuses_create:
        raise forbidden(resource.name, metadata.get("name") or "", resource.kind.refuses_create)
    if given.get("kind") != resource.kind.kind or given.get("apiVersion") != resource.api_version:
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


def _completed(
    server: "ApiServer", resource: Resource, request: Request, attributes: Attributes | None, admitted: Object, name: str
) -> Object:
    """The object as it is to be stored under ``name``: with its system fields, validated, admitted."""
    kind, namespace = resource.kind, request.namespace
    metadata = meta.for_create(resource, admitted["metadata"], name, namespace, server.uid_stream.uuid(), format_time(server.kernel.now_ns))
    obj = kind.prepare_create({**admitted, "metadata": metadata})
    if errors := create_errors(kind, obj):
        errors = reworded(errors, lambda each: create_errors(kind, each), obj, request.options.get("decoded"))
        raise invalid(kind.kind, name, errors, kind.group)
    if "warnings" in request.options:
        warn(resource, request, obj, None)
    if attributes is not None:
        attributes.name, attributes.obj = name, obj
        server.admission.validate(attributes)
    return obj


def _insert(
    server: "ApiServer", resource: Resource, request: Request, key: bytes, obj: Object
) -> Generator[Any, Any, Object | None]:
    """Store a complete object of any resource, with or without options, or only pretend to; None: the name is taken."""
    is_dry = bool(request.options.get("dryRun"))
    extension = server.extensions.get(resource.name)
    if extension is not None:
        obj = yield from extension.before_create(server, obj, is_dry)
    if is_dry:
        return (yield from _pretended(key, obj))
    lease = 0 if resource.name != EVENTS else server.event_leases.current() or (yield from server.event_leases.grant())
    obj = server.sealed(obj)
    revision = yield ("put_if", key, obj, 0, lease)
    if revision:
        server.committed(request, resource, key, obj, revision)
        return obj
    if extension is not None:
        yield from extension.failed(obj, None)
    return None


def _pretended(key: bytes, obj: Object) -> Generator[Any, Any, Object | None]:
    """A dry run ends here: the answer has no resourceVersion, and an existing name is still an error."""
    if (yield ("get", key)) is not None:
        return None
    metadata = {field: value for field, value in obj["metadata"].items() if field != "resourceVersion"}
    return {**obj, "metadata": metadata}


def _taken(resource: Resource, key: bytes, name: str) -> Generator[Any, Any, ApiError]:
    found = yield ("get", key)
    error = already_exists(resource.name, name)
    if found is not None and "deletionTimestamp" in found.value["metadata"]:
        error = ApiError(error.code, error.reason, f"object is being deleted: {error.message}", error.details)
    return error
