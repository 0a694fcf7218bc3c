"""Update: compare the version, complete, admit and validate the new state, one compare-and-put.

Upstream: registry/rest/update.go (BeforeUpdate) and registry/generic/registry/store.go (Update). ``transform`` is the loop that
every change of an existing object shares (update, patch, status, scale, binding): read, compute the new state, write if the version
is still the same; a client that named no version gets the change applied to the newest state, up to ``TRIES_MAX`` times.
"""

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from kubesim.api import field
from kubesim.api.errors import FieldError, bad_request, conflict, invalid, not_found
from kubesim.api.kinds.parts.judgement import reworded, update_errors
from kubesim.apiserver import metadata as meta
from kubesim.apiserver.admission.contract import UPDATE, Attributes
from kubesim.apiserver.deletion import may_vanish
from kubesim.apiserver.dynamic.operation import Operation
from kubesim.apiserver.quota import CHARGED_UPDATES, charge
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request
from kubesim.apiserver.verbs.create import create
from kubesim.apiserver.warnings import warn

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
Change = Callable[[Object], Object]  # the stored object -> what the client wants it to be
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
TRIES_MAX = 5
CLAIMS = "persistentvolumeclaims"


def update(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Replace an object; return it as stored. Raises ApiError 400, 404, 409 or 422."""
    given = typed(resource, request.obj)
    check_request(resource, request, given)
    unversioned = given["metadata"].get("resourceVersion") in (None, "", "0")
    if resource.kind.allow_create_on_update and unversioned and (yield ("get", resource.key(request.namespace, request.name))) is None:
        return (yield from create(server, resource, request))
    return (yield from transform(server, resource, request, lambda _: given, whole_update))


def typed(resource: Resource, given: Object) -> Object:
    """The body with the type of the resource, when it came without one."""
    if given.get("kind") == resource.kind.kind and given.get("apiVersion") == resource.api_version:
        return given
    meta.check_type(resource, given)
    if given.get("kind") and given.get("apiVersion"):
        return given
    return {**given, "apiVersion": resource.api_version, "kind": resource.kind.kind}


def check_request(resource: Resource, request: Request, given: Object) -> None:
    """Raise 400 when the body names another object than the request."""
    metadata = given.get("metadata") or {}
    name = metadata.get("name")
    if not name:
        raise bad_request(f"the name of the object ({request.name} based on URL) was undeterminable: name must be provided")
    if name != request.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({request.name})")
    namespace = metadata.get("namespace")
    if namespace and namespace != request.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


def whole_update(server: "ApiServer", resource: Resource, request: Request, new: Object, old: Object) -> Object:
    """The new state of an object changed through its main resource."""
    kind = resource.kind
    new = kind.default(new)
    is_tracked = "managedFields" in old["metadata"] or "managedFields" in new["metadata"]
    if is_tracked:
        new = server.fields.changed(resource, request, new, old)
    attributes = Attributes(UPDATE, resource, request, request.name, new, old)
    obj = kind.prepare_update(server.admission.mutate(attributes), old)
    extension = server.extensions.get(resource.name)
    if extension is not None:
        obj = extension.prepare_update(obj, old)
    if kind.has_generation and meta.is_next_generation(resource, obj, old):
        obj = with_next_generation(obj, old)
    if errors := update_errors(kind, obj, old):
        refuse(resource, obj, reworded(errors, lambda each: update_errors(kind, each, old), obj, request.options.get("decoded")))
    attributes.obj = obj
    if "warnings" in request.options:
        warn(resource, request, obj, old)
    server.admission.validate(attributes)
    return server.fields.settled(obj, old) if is_tracked else obj


def with_next_generation(obj: Object, old: Object) -> Object:
    """The object one generation after ``old``."""
    generation = old["metadata"].get("generation", 0) + 1
    return {**obj, "metadata": {**obj["metadata"], "generation": generation}}


def refuse(resource: Resource, obj: Object, errors: Sequence[FieldError]) -> None:
    """Raise 422 when there are field errors."""
    if errors:
        raise invalid(resource.kind.kind, obj["metadata"]["name"], errors, resource.kind.group)


Prepare = Callable[["ApiServer", Resource, Request, Object, Object], Object]


def transform(
    server: "ApiServer",
    resource: Resource,
    request: Request,
    change: Change,
    prepare: Prepare,
    is_patch: bool = False,
    shown: Callable[[Object], Object] | None = None,
) -> Generator[Any, Any, Object]:
    """Change an existing object. ``change(old)`` is the wish, ``prepare`` completes and validates it; both are pure.

    ``is_patch``: the wish was made from ``old``, so its version and uid name no precondition unless they differ from it. ``shown``: what
    webhooks and policies see of the object, when it is not the object itself; they cannot change that.
    """
    key = resource.key(request.namespace, request.name)
    for _ in range(TRIES_MAX):
        found = yield ("get", key)
        if found is None:
            raise not_found(resource.name, request.name)
        old = meta.stamped(found)
        wish = change(old)
        may_retry = check_version(resource, key, wish, old, is_patch)
        wish = {**wish, "metadata": meta.for_update(wish["metadata"], old["metadata"])}
        operation = None
        if server.dynamic.is_on:
            operation = Operation(UPDATE, resource, request, resource.kind.default(wish), old)
            if shown is None:
                wish = yield from server.dynamic.mutate(operation)
        obj = prepare(server, resource, request, wish, old)
        if operation is not None:
            operation.obj = obj
            if shown is not None:
                operation.obj, operation.old = shown(obj), shown(old)
            yield from server.dynamic.validate(operation)
        if server.has_quotas and resource.name in CHARGED_UPDATES and request.subresource in ("", "resize"):
            yield from charge(server, resource, request, obj, old)
        stored = yield from replace(server, resource, request, key, obj, found)
        if stored is not None:
            return stored
        if not may_retry:
            break
    raise conflict(resource.name, request.name, MODIFIED)


def check_version(resource: Resource, key: bytes, wish: Object, old: Object, is_patch: bool = False) -> bool:
    """Raise 409 for another version or another object than the stored one; return whether the client named no version."""
    given, current = wish["metadata"], old["metadata"]
    if given is current:
        return is_patch
    uid, version = given.get("uid"), given.get("resourceVersion")
    if uid and uid != current["uid"] and not is_patch:
        raise conflict(resource.name, current["name"], other_uid(key, uid, current["uid"]))
    if is_patch and version in (current["resourceVersion"], None, ""):
        return True
    if not version or version == "0":
        if not resource.kind.allow_unconditional_update:
            errors = [FieldError("metadata.resourceVersion", "FieldValueInvalid", "Invalid value: 0: must be specified for an update")]
            raise invalid(resource.kind.plural, current["name"], errors, resource.kind.group)  # the one 422 that names the resource
        return True
    if version != current["resourceVersion"]:
        check_version_text(version)
        raise conflict(resource.name, current["name"], MODIFIED)
    return False


def check_version_text(version: str) -> None:
    """Raise 400 when a resourceVersion is not a number."""
    if not version.isdecimal():
        why = f'strconv.ParseUint: parsing {field.quote(version)}: invalid syntax'
        raise bad_request(f"resourceVersion: Invalid value: {field.quote(version)}: {why}")


def other_uid(key: bytes, given: str, current: str) -> str:
    """Upstream's reason for a write that was meant for an object of the same name but another uid."""
    return (
        f"StorageError: invalid object, Code: 4, Key: {key.decode()}, ResourceVersion: 0, AdditionalErrorMsg: "
        f"Precondition failed: UID in precondition: {given}, UID in object meta: {current}"
    )


def replace(
    server: "ApiServer", resource: Resource, request: Request, key: bytes, obj: Object, found: Any
) -> Generator[Any, Any, Object | None]:
    """Write the new state over ``found``, delete it when it only waited for this, or do nothing; None: the version has moved on."""
    old = found.value
    if meta.same_but_version(obj, old) and not (resource.name == CLAIMS and request.verb == "update" and found.version == 1):
        return old  # upstream writes a claim at its first update all the same: it encodes a decoded one in other bytes
    if request.options.get("dryRun"):
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": old["metadata"]["resourceVersion"]}}
    if "deletionTimestamp" in obj["metadata"] and may_vanish(obj) and not may_vanish(old):
        revision = yield ("delete_if", key, found.mod_revision)
        if not revision:
            return None
        obj["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        yield from server.deleted(request, resource, key, old, revision)
        return obj
    extension = server.extensions.get(resource.name)
    if extension is not None:
        obj = yield from extension.before_update(server, obj, old, False)
    obj = server.sealed(obj)
    revision = yield ("put_if", key, obj, found.mod_revision, found.lease)
    if not revision:
        if extension is not None:
            yield from extension.failed(obj, old)
        return None
    server.committed(request, resource, key, obj, revision)
    if extension is not None:
        yield from extension.after_update(obj, old)
    return obj
