"""Patch: apply the body to the newest state, then everything an update does.

Upstream: endpoints/handlers/patch.go. A patch that names no version is tried again when somebody else writes in between; one that does must
meet it. The patch languages are ``kubesim.api.patch``; what they make is decoded again where it changed: types are checked, unknown
fields and nulls go. Server-side apply is ``kubesim.apiserver.managed_fields``; of an object that is not there it makes one.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import orjson

from kubesim.api import field, schema
from kubesim.api.errors import ApiError, invalid
from kubesim.api.patch import apply_json_patch, apply_merge_patch, apply_strategic_patch
from kubesim.apiserver import metadata as meta
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request
from kubesim.apiserver.verbs.create import create
from kubesim.apiserver.verbs.update import Change, check_request, transform, whole_update

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]


def patch(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Patch an object; return it as stored. Raises ApiError 400, 404, 409, 415, 422 or 500."""
    if request.options.get("patchType") == "apply" and (yield ("get", resource.key(request.namespace, request.name))) is None:
        made = applied(server, resource, request, None)
        create_request = Request("create", request.resource, request.namespace, request.name, made, "", request.options, request.user)
        return (yield from create(server, resource, create_request))
    return (yield from transform(server, resource, request, wish_of(server, resource, request), whole_update, is_patch=True))


def wish_of(server: "ApiServer", resource: Resource, request: Request) -> Change:
    """What the patch of a request makes of an object."""
    if request.options.get("patchType") == "apply":
        return lambda old: applied(server, resource, request, old)
    return lambda old: patched(resource, request, old)


def applied(server: "ApiServer", resource: Resource, request: Request, old: Object | None) -> Object:
    """The object that a server-side apply makes of ``old``, its managers included; None: of nothing."""
    new = server.fields.apply(resource, request, old)
    check_request(resource, request, new)
    return new


def patched(resource: Resource, request: Request, old: Object) -> Object:
    """The object that the patch makes of ``old``; shares what it does not touch."""
    kind = resource.kind
    new = apply_patch(request, old, kind.schema)
    if new is old:
        return old
    check_request(resource, request, new)
    if (new.get("apiVersion"), new.get("kind")) != (kind.api_version, kind.kind):
        raise _refused(new, meta.not_registered(str(new.get("apiVersion")), str(new.get("kind"))))
    changed = {key: value for key, value in new.items() if value is not old.get(key)}
    for problem in schema.check(changed, kind.schema):
        if problem.kind == "type":
            raise _refused(new, problem.message)
    return {**{key: value for key, value in new.items() if key not in changed}, **schema.clean(changed, kind.schema)}


def apply_patch(request: Request, obj: Object, schema_name: str) -> Object:
    """``obj`` after the patch of the request, in the language that its options name."""
    patch_type = request.options.get("patchType", "merge")
    if patch_type == "json":
        return apply_json_patch(obj, request.obj)
    if patch_type == "merge":
        return apply_merge_patch(obj, request.obj)
    if patch_type == "strategic":
        return apply_strategic_patch(obj, request.obj, schema_name)
    raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type")


def _refused(new: Object, why: str) -> ApiError:
    return invalid("", "", [field.invalid("patch", orjson.dumps(new).decode(), why)])
