"""What a URL means: upstream's RequestInfo. Pure; whether the thing exists is not asked here.

Upstream: apiserver/pkg/endpoints/request/requestinfo.go.
"""

from typing import NamedTuple
from urllib.parse import unquote

METHOD_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
NAMESPACE_SUBRESOURCES = ("status", "finalize")


class Target(NamedTuple):
    """A request's place. ``is_resource`` False: only ``path`` and ``verb`` mean something. ``parts`` is what follows the resource."""

    is_resource: bool
    verb: str
    path: str
    prefix: str = ""  # "api" or "apis"
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    parts: tuple[str, ...] = ()


def parse_target(method: str, path: str, is_watch: bool, name_in_selector: str = "") -> Target:
    """The target of a request; ``path`` is still quoted, ``is_watch`` and ``name_in_selector`` come from its query."""
    segments = [unquote(segment) for segment in path.strip("/").split("/")] if path.strip("/") else []
    plain = Target(False, method.lower(), path)
    if len(segments) < 3 or segments[0] not in ("api", "apis"):
        return plain
    prefix, rest = segments[0], segments[1:]
    group = ""
    if prefix == "apis":
        if len(rest) < 3:
            return plain
        group, rest = rest[0], rest[1:]
    version, rest = rest[0], rest[1:]
    verb = METHOD_VERBS.get(method, "")
    if rest and rest[0] in ("watch", "proxy"):
        if len(rest) < 2:
            return plain
        verb, rest = rest[0], rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    resource = rest[0]
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if not name and verb == "get":
        verb = "watch" if is_watch else "list"
        name = name_in_selector
    elif not name and verb == "watch":
        name = name_in_selector
    elif not name and verb == "delete":
        verb = "deletecollection"
    if resource == "namespaces" and len(rest) > 1:
        namespace = name
    return Target(True, verb, path, prefix, group, version, namespace, resource, subresource, name, tuple(rest))
