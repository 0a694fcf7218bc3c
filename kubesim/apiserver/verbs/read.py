"""Get and list: at the head, at a revision, in pages that all show one revision.

Upstream: registry/generic/registry/store.go (Get, List), storage/etcd3/store.go and storage/continue.go. A continue token holds the
revision of the first page and the key to go on from; when that revision is compacted the answer is 410 with a token for the
rest as it is now.
"""

import base64
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from kubesim.api import field
from kubesim.api.errors import ApiError, FieldError, bad_request, gone, invalid, not_found
from kubesim.api.json_text import loads
from kubesim.apiserver.metadata import stamped
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request
from kubesim.apiserver.selection import compile_selection

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
TOKEN_VERSION = "meta.k8s.io/v1"
LIST_TOO_OLD = "The resourceVersion for the provided list is too old."
TOKEN_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between "
    "the time the first chunk was returned and now may show up in the list."
)
UINT64_MAX = 2**64 - 1


def get(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Read one object. Raises 404, or 504 for a version that does not exist yet."""
    version = _parse_version(request.options.get("resourceVersion"), "")
    if version > server.store.revision:
        raise too_large(version, server.store.revision)
    found = yield ("get", resource.key(request.namespace, request.name))
    if found is None:
        raise not_found(resource.name, request.name)
    standing = server.standing.get(resource.name)
    if standing is not None:
        return (yield from standing.brought_up_to_date(server, resource, request, found))
    return stamped(found)


def list_(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """List objects in key order. Raises 400 for a bad selector or token, 410 when the version asked for is compacted."""
    options = request.options
    matches = compile_selection(resource, request.namespace, options.get("labelSelector", ""), options.get("fieldSelector", ""))
    revision, after = _position(resource, request, server.store.revision)
    start, end = resource.range(request.namespace)
    # "Any version will do" is answered from upstream's watch cache, which does not page.
    limit = 0 if options.get("resourceVersion") == "0" else max(0, int(options.get("limit") or 0))
    if not revision:
        yield from _bring_up_to_date(server, resource, request)
    items: list[Object] = []
    cursor = start + after.encode() if after else start
    while True:
        page = yield from _page(server, request, cursor, end, revision, limit - len(items) if limit else 0)
        revision = revision or page.revision
        items += [obj for obj in map(stamped, page.kvs) if matches is None or matches(obj)]
        if not page.more or (limit and len(items) >= limit):
            break
        cursor = page.kvs[-1].key + b"\0"
    metadata: Object = {"resourceVersion": str(revision)}
    if page.more:
        metadata["continue"] = encode_token(revision, page.kvs[-1].key[len(start) :].decode() + "\0")
        if matches is None or (request.namespace and not options.get("labelSelector") and not options.get("fieldSelector")):
            metadata["remainingItemCount"] = page.count - len(page.kvs)
    return {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata, "items": items}


def _bring_up_to_date(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, None]:
    standing = server.standing.get(resource.name)
    if standing is not None:
        yield from standing.bring_all_up_to_date(server, resource, request)


def _page(server: "ApiServer", request: Request, start: bytes, end: bytes, revision: int, limit: int) -> Generator[Any, Any, Any]:
    if revision and revision < server.store.compact_revision:
        if not request.options.get("continue"):
            raise gone(LIST_TOO_OLD)
        error = gone(TOKEN_TOO_OLD)
        rest = start[len(_root(server, request)) :].decode()
        error.details = {}
        error.continue_token = encode_token(-1, rest)  # type: ignore[attr-defined]
        raise error
    page = yield ("range", start, end, revision, limit)
    return page


def _root(server: "ApiServer", request: Request) -> bytes:
    return server.registry.resource(request.resource).range(request.namespace)[0]


def _position(resource: Resource, request: Request, head: int) -> tuple[int, str]:
    """The revision to read (0: the head) and the key to start at (empty: the first), from the list options."""
    options = request.options
    version_text, match, token = options.get("resourceVersion"), options.get("resourceVersionMatch"), options.get("continue")
    _check_options(options)
    if token:
        revision, after = decode_token(token)
        if version_text and version_text != "0":
            raise bad_request("specifying resource version is not allowed when using continue")
        return max(revision, 0), after
    version = _parse_version(version_text, "invalid resource version: ")
    if version > head:
        raise too_large(version, head)
    exact = match == "Exact" or (not match and bool(options.get("limit")) and version > 0)
    return (version, "") if exact else (0, "")


def _check_options(options: Mapping[str, Any]) -> None:
    version, match, token = options.get("resourceVersion"), options.get("resourceVersionMatch"), options.get("continue")
    if not match:
        return
    errors: list[FieldError] = []
    if not version:
        errors.append(field.forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"))
    if token:
        errors.append(field.forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"))
    if match not in ("Exact", "NotOlderThan"):
        errors.append(field.not_supported("resourceVersionMatch", match, ("Exact", "NotOlderThan", "")))
    if match == "Exact" and version == "0":
        errors.append(field.forbidden("resourceVersionMatch", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    if errors:
        raise invalid("ListOptions", "", errors, "meta.k8s.io")


def _parse_version(text: str | None, head: str) -> int:
    """A resourceVersion as a number, 0 when there is none; 400 or (for a single object) 500 as upstream has it."""
    if not text:
        return 0
    if text.isdecimal() and int(text) <= UINT64_MAX:
        return int(text)
    why = "value out of range" if text.isdecimal() else "invalid syntax"
    message = f"resourceVersion: Invalid value: {field.quote(text)}: strconv.ParseUint: parsing {field.quote(text)}: {why}"
    raise bad_request(head + message) if head else ApiError(500, "", message)


def too_large(version: int, head: int) -> ApiError:
    """504 of a version that does not exist yet; upstream waits three seconds for it first."""
    details = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}], "retryAfterSeconds": 1}
    return ApiError(504, "Timeout", f"Timeout: Too large resource version: {version}, current: {head}", details)


def encode_token(revision: int, start: str) -> str:
    """A continue token: base64 (URL alphabet, no padding) of upstream's JSON."""
    text = orjson.dumps({"v": TOKEN_VERSION, "rv": revision, "start": start})
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def decode_token(token: str) -> tuple[int, str]:
    """Revision and start key of a continue token; 400 when it is not one of ours."""
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        content = loads(text)
    except ValueError as error:
        raise _bad_token(str(error)) from None
    if not isinstance(content, dict) or content.get("v") != TOKEN_VERSION:
        version = content.get("v", "") if isinstance(content, dict) else ""
        raise _bad_token(f"server does not recognize this encoded version {version}")
    start, revision = content.get("start", ""), content.get("rv", 0)
    if not isinstance(start, str) or not start or any(part in (".", "..") for part in start.rstrip("\0").split("/")):
        raise _bad_token(str(start))
    if not isinstance(revision, int) or revision == 0:
        raise _bad_token('incorrect encoded start resourceVersion (version meta.k8s.io/v1)')
    return revision, start


def _bad_token(why: str) -> ApiError:
    return bad_request(f"invalid continue token: continue key is not valid: {why}")

