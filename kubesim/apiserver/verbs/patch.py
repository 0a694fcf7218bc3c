"""Patch: apply the body to the newest state, then everything an update does.

Upstream: endpoints/handlers/patch.go. A patch that names no version is tried again when somebody else writes in between; one that does must
meet it. The patch languages are ``kubesim.api.patch``.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from kubesim.api.errors import ApiError
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request
from kubesim.apiserver.verbs.update import check_request, transform, whole_update

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]


def patch(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Patch an object; return it as stored. Raises ApiError 400, 404, 409, 415 or 422."""
    return (yield from transform(server, resource, request, lambda old: patched(resource, request, old), whole_update, is_patch=True))


def patched(resource: Resource, request: Request, old: Object) -> Object:
    """The object that the patch makes of ``old``; shares what it does not touch."""
    patch_type = request.options.get("patchType", "merge")
    if patch_type not in ("json", "merge", "strategic"):
        raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type")
    new: Object = apply_patch(patch_type, old, request.obj, resource.kind.schema)
    check_request(resource, request, new)
    return new


def apply_patch(patch_type: str, obj: Any, body: Any, schema: str) -> Any:
    """The object after a JSON merge patch (RFC 7386)."""
    if patch_type != "merge":
        raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type")
    if not isinstance(body, dict):
        return body
    new = dict(obj) if isinstance(obj, dict) else {}
    for key, value in body.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = apply_patch(patch_type, new.get(key), value, schema)
    return new
