"""An API request as data: what every component hands to its link, and what every verb of the apiserver takes.

A controller's intent, a kubelet's status write, a user's ``apply`` and an HTTP request are all this one record, so they can be
logged, delayed, lost, repeated and compared. The verbs are upstream's (get, list, create, update, patch, delete,
deletecollection); ``options`` holds the query parameters and body options by upstream's own camelCase names:

====================  =============================================================================================
key                   meaning
====================  =============================================================================================
gracePeriodSeconds    int, delete
propagationPolicy     "Background", "Foreground" or "Orphan", delete
preconditions         {"uid": str, "resourceVersion": str}, delete and update
patchType             "json", "merge", "strategic" or "apply"
labelSelector         str, list and deletecollection
fieldSelector         str, list and deletecollection
limit, continue       int and str, list
resourceVersion       str, get and list
resourceVersionMatch  "Exact" or "NotOlderThan", list
dryRun                True
fieldManager          str, writes: who owns the fields; ``defaultManager`` (the user agent's name) when it is empty
force                 True, apply: take fields over from other managers
fieldValidation       "Strict", "Warn" or "Ignore": what patch does about unknown and duplicate fields
decoded               the object of a write with its empty lists and maps, as Go has it when it words an error
duplicates            the duplicate fields that whoever read the text of a patch has found
warnings              a list; the server appends the warnings of this request
userInfo              {"username", "uid", "groups", "extra"} of whoever was authenticated
====================  =============================================================================================

The body ``obj`` is read-only from the moment it is sent: the server may store parts of it as they are.
"""

from collections.abc import Mapping
from typing import Any

from kubesim._core.delivery import Event as WatchEvent

__all__ = [
    "NO_OPTIONS", "Object", "Request", "WatchEvent", "bind", "create", "delete", "get", "list_", "patch", "update",
]  # fmt: skip

Object = dict[str, Any]
NO_OPTIONS: Mapping[str, Any] = {}


class Request:
    """One request. ``resource`` is ``plural`` or ``plural.group``; ``namespace`` is empty for cluster-scoped kinds."""

    __slots__ = ("name", "namespace", "obj", "options", "resource", "subresource", "user", "verb")

    def __init__(
        self,
        verb: str,
        resource: str,
        namespace: str = "",
        name: str = "",
        obj: Any = None,
        subresource: str = "",
        options: Mapping[str, Any] = NO_OPTIONS,
        user: str = "",
    ) -> None:
        self.verb = verb
        self.resource = resource
        self.namespace = namespace
        self.name = name
        self.obj = obj
        self.subresource = subresource
        self.options = options
        self.user = user

    def warn(self, text: str) -> None:
        """Tell the client something that is no error; a client that did not ask does not hear it."""
        warnings = self.options.get("warnings")
        if warnings is not None and text not in warnings:
            warnings.append(text)

    def __repr__(self) -> str:
        path = "/".join(part for part in (self.resource, self.namespace, self.name, self.subresource) if part)
        return f"<Request {self.verb} {path} by {self.user or '?'}>"


def get(resource: str, namespace: str, name: str, **options: Any) -> Request:
    """Read one object."""
    return Request("get", resource, namespace, name, options=options)


def list_(resource: str, namespace: str = "", **options: Any) -> Request:
    """List a resource, in all namespaces when ``namespace`` is empty."""
    return Request("list", resource, namespace, options=options)


def create(resource: str, namespace: str, obj: Object, **options: Any) -> Request:
    """Create ``obj``; the answer is the object as stored."""
    return Request("create", resource, namespace, obj["metadata"].get("name", ""), obj, options=options)


def update(resource: str, obj: Object, subresource: str = "", **options: Any) -> Request:
    """Replace an object, or its status when ``subresource`` is ``status``; 409 when its resourceVersion is stale."""
    metadata = obj["metadata"]
    return Request("update", resource, metadata.get("namespace", ""), metadata["name"], obj, subresource, options)


def patch(resource: str, namespace: str, name: str, body: Any, patch_type: str = "merge", subresource: str = "", **options: Any) -> Request:
    """Patch an object; ``patch_type`` is json, merge, strategic or apply."""
    return Request("patch", resource, namespace, name, body, subresource, {"patchType": patch_type, **options})


def delete(resource: str, namespace: str, name: str, **options: Any) -> Request:
    """Delete one object."""
    return Request("delete", resource, namespace, name, options=options)


def bind(namespace: str, name: str, uid: str, node: str) -> Request:
    """Bind a Pod to a node: POST pods/NAME/binding with the Pod's uid, as upstream's DefaultBinder sends it."""
    body = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name, "namespace": namespace, "uid": uid},
        "target": {"kind": "Node", "name": node},
    }
    return Request("create", "pods", namespace, name, body, "binding")
