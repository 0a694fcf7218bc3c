"""Patch: apply the body to the newest state, then everything an update does.

Upstream: endpoints/handlers/patch.go. A patch that names no version is tried again when somebody else writes in between; one that does must
meet it. The patch languages are ``kubesim.api.patch``; what they make is decoded again where it changed: types are checked, unknown
fields and nulls go. Server-side apply is ``kubesim.apiserver.managed_fields``; of an object that is not there it makes one.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import orjson

from kubesim.api import field, schema
from kubesim.api.always import complete
from kubesim.api.errors import ApiError, invalid
from kubesim.api.go_order import in_go_order
from kubesim.api.kinds import KINDS
from kubesim.api.patch import apply_json_patch, apply_merge_patch, apply_strategic_patch
from kubesim.api.patch.go_text import go_text
from kubesim.api.schema import Field
from kubesim.api.verbatim import packed
from kubesim.apiserver import metadata as meta
from kubesim.apiserver.decoding import IGNORE, STRICT, WARN, strict_sentence
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
    if new is old and not request.options.get("duplicates"):
        return old
    if request.options.get("patchType") == "strategic":
        check_request(resource, request, new)
    if (new.get("apiVersion"), new.get("kind")) != (kind.api_version, kind.kind):
        raise _refused(resource, request, old, _as_itself(new))
    changed = {key: value for key, value in new.items() if value is not old.get(key)}
    problems = schema.check(changed, kind.schema)
    for problem in problems:
        if problem.kind == "type":
            why = _restore_message(problem) if request.options.get("patchType") == "strategic" else problem.message
            raise _refused(resource, request, old, why)
    _report(resource, request, old, [problem.message for problem in problems if problem.kind == "unknown"])
    check_request(resource, request, new)
    kept = {key: value for key, value in new.items() if key not in changed}
    cleaned = schema.clean(changed, kind.schema)
    if cleaned is not changed and isinstance(request.options, dict):
        request.options["decoded"] = changed
    return {**packed(kept, kind.verbatim_fields), **cleaned}


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


def _as_itself(new: Object) -> str:
    """What is wrong with an object that a patch made one of another type: its own mistakes first."""
    version, name = str(new.get("apiVersion")), str(new.get("kind"))
    other = KINDS.find_gvk(version, name)
    problems = [problem for problem in schema.check(new, other.schema) if problem.kind == "type"] if other else []
    return problems[0].message if problems else meta.not_registered(version, name)


def _report(resource: Resource, request: Request, old: Object, unknown: list[str]) -> None:
    """Refuse or tell what a strict decoder has against the patch, as fieldValidation says. Raises ApiError 422 under Strict."""
    messages = [*request.options.get("duplicates", ()), *unknown]
    validation = request.options.get("fieldValidation") or WARN
    if not messages or validation == IGNORE:
        return
    if validation == STRICT:
        raise _refused(resource, request, old, strict_sentence(messages))
    for message in messages:
        request.warn(message)


def _refused(resource: Resource, request: Request, old: Object, why: str) -> ApiError:
    """422 with the patched object, or for a strategic merge with the patch, as upstream shows it."""
    if request.options.get("patchType") == "strategic":
        return invalid("", "", [field.invalid("patch", go_text(request.obj), why)])
    return invalid("", "", [field.invalid("patch", patched_text(resource, request, old), why)])


def patched_text(resource: Resource, request: Request, old: Object) -> str:
    """The JSON text of the patched object: upstream's library sorts the members of what it has looked into, and no others."""
    shown = in_go_order(complete(old, resource.kind.schema), Field("@", ref=resource.kind.schema))
    new = apply_patch(request, shown, resource.kind.schema)
    return orjson.dumps({key: _sorted_where_changed(new[key], shown.get(key)) for key in sorted(new)}).decode()


def _sorted_where_changed(new: Any, old: Any) -> Any:
    if new is old or not isinstance(new, dict):
        return new
    before = old if isinstance(old, dict) else {}
    return {key: _sorted_where_changed(new[key], before.get(key)) for key in sorted(new)}


def _restore_message(problem: schema.Problem) -> str:
    """How the converter of a strategic merge words a wrong type (runtime/converter.go)."""
    given = "bool" if isinstance(problem.value, bool) else {str: "string", int: "int64", float: "float64"}.get(type(problem.value), "")
    given = given or ("slice" if isinstance(problem.value, list) else "map")
    if problem.expected == "a list":
        return f"cannot restore slice from {given}"
    if problem.expected == "an object":
        return f"cannot restore struct from: {given}"
    return f"unrecognized type: {problem.message.rpartition(' of type ')[2] or 'string'}"
