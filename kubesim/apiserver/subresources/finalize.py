"""The finalize subresource of a Namespace: replaces ``spec.finalizers``; a deleted namespace goes when the last one goes.

Upstream: pkg/registry/core/namespace/{strategy.go,storage/storage.go}.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from kubesim.api.kinds.namespace import finalizer_errors
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request
from kubesim.apiserver.verbs.update import check_request, refuse, transform, typed

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]


def finalize(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Set the finalizers of a Namespace's spec. Raises ApiError 400, 404, 409 or 422."""
    given = typed(resource, request.obj)
    check_request(resource, request, given)
    return (yield from transform(server, resource, request, lambda _: given, _finalized))


def _finalized(server: "ApiServer", resource: Resource, request: Request, new: Object, old: Object) -> Object:
    finalizers = (new.get("spec") or {}).get("finalizers") or []
    spec = {**(old.get("spec") or {}), "finalizers": finalizers}
    if not finalizers:
        del spec["finalizers"]
    metadata = {**old["metadata"], "resourceVersion": ""}
    obj = {**old, "metadata": metadata, "spec": spec}
    refuse(resource, obj, [*resource.kind.validate(obj), *finalizer_errors(obj, "spec.finalizers[{}]")])
    return obj
