"""The approval subresource of CertificateSigningRequests: writes the conditions Approved, Denied and Failed, and nothing else.

Upstream: pkg/registry/certificates/certificates/strategy.go (csrApprovalStrategy).
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from kubesim.api.kinds.certificatesigningrequest import approval_errors, prepare_approval
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request
from kubesim.apiserver.verbs.patch import wish_of
from kubesim.apiserver.verbs.update import check_request, refuse, transform, typed

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]


def update_approval(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Replace the conditions. Raises ApiError 400, 404, 409 or 422."""
    given = typed(resource, request.obj)
    check_request(resource, request, given)
    return (yield from transform(server, resource, request, lambda _: given, approved))


def patch_approval(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Patch the conditions. Raises ApiError 400, 404, 409, 415 or 422."""
    return (yield from transform(server, resource, request, wish_of(server, resource, request), approved, is_patch=True))


def approved(server: "ApiServer", resource: Resource, request: Request, new: Object, old: Object) -> Object:
    """The stored request with the conditions of the new one; their times are filled in."""
    if "managedFields" in old["metadata"]:
        new = server.fields.changed(resource, request, new, old)
    obj = prepare_approval(new, old)
    before = {condition.get("type"): condition for condition in (old.get("status") or {}).get("conditions") or ()}
    conditions = []
    for condition in obj["status"].get("conditions") or ():
        former, now = before.get(condition.get("type"), {}), server.now_text()
        changed = former.get("lastTransitionTime", now) if former.get("status") == condition.get("status") else now
        since = condition.get("lastTransitionTime") or changed
        conditions.append({**condition, "lastUpdateTime": condition.get("lastUpdateTime") or now, "lastTransitionTime": since})
    if conditions:
        obj = {**obj, "status": {**obj["status"], "conditions": conditions}}
    refuse(resource, obj, approval_errors(obj, old))
    return obj
