"""One operation as policies and webhooks see it: which resource in which version, what the object is, who asks. Pure.

Upstream: apiserver/pkg/admission/plugin/cel/condition.go (CreateAdmissionRequest), webhook/request/admissionreview.go.
"""

from collections.abc import Mapping
from typing import Any

from kubesim.api.always import complete
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request

Object = dict[str, Any]
CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"
SUBRESOURCE_KINDS = {  # bodies that are not the object itself
    "scale": ("autoscaling", "v1", "Scale"),
    "eviction": ("policy", "v1", "Eviction"),
    "binding": ("", "v1", "Binding"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
}
OPTIONS = {CREATE: "CreateOptions", UPDATE: "UpdateOptions", DELETE: "DeleteOptions"}
OPTION_NAMES = ("gracePeriodSeconds", "preconditions", "orphanDependents", "propagationPolicy", "fieldManager", "fieldValidation", "force")


class Operation:
    """``obj`` is None for DELETE, ``old`` for CREATE; ``obj`` is replaced while the mutating ones run."""

    __slots__ = ("_shown", "annotations", "name", "namespace", "obj", "old", "operation", "request", "resource", "subresource")

    def __init__(
        self, operation: str, resource: Resource, request: Request, obj: Object | None, old: Object | None, name: str | None = None
    ) -> None:
        self.operation = operation
        self.resource = resource
        self.request = request
        self.subresource = request.subresource
        self.namespace = request.namespace
        self.name = request.name if name is None else name
        self.obj: Any = obj
        self.old: Any = old
        self.annotations: dict[str, str] = {}
        self._shown: dict[int, tuple[Object, Object]] = {}

    @property
    def is_dry(self) -> bool:
        """Whether nothing will be stored."""
        return bool(self.request.options.get("dryRun"))

    @property
    def group(self) -> str:
        """The API group of the resource."""
        return self.resource.kind.group

    @property
    def is_namespace(self) -> bool:
        """Whether it is about a Namespace itself."""
        return self.resource.name == "namespaces"

    def shown(self, obj: Object | None, version: str) -> Object | None:
        """An object as expressions and hooks see it: everything that Go encodes, in the version that they asked for."""
        if obj is None:
            return None
        kind = self.resource.kind
        known = self._shown.get(id(obj))
        found = known[1] if known is not None else complete(obj, kind.schema) if not self._is_other_kind else obj
        self._shown[id(obj)] = (obj, found)  # keeps the object alive, so that its id is not used again
        if version != kind.version and not self._is_other_kind:
            return {**found, "apiVersion": f"{kind.group}/{version}"}
        return found

    @property
    def _is_other_kind(self) -> bool:
        return self.subresource in SUBRESOURCE_KINDS

    def kind_in(self, version: str) -> Object:
        """The GroupVersionKind of the object in a version of the resource."""
        kind = self.resource.kind
        group, version, name = SUBRESOURCE_KINDS.get(self.subresource, (kind.group, version, kind.kind))
        return {"group": group, "version": version, "kind": name}

    def admission_request(self, version: str, uid: str = "", with_objects: bool = False) -> Object:
        """The AdmissionRequest; expressions see it without the objects, hooks with them."""
        kind = self.resource.kind
        given = {"group": kind.group, "version": version, "resource": kind.plural}
        asked = {**given, "version": kind.version}
        found: Object = {"uid": uid, "kind": self.kind_in(version), "resource": given}
        if self.subresource:
            found["subResource"] = self.subresource
        found |= {"requestKind": self.kind_in(kind.version), "requestResource": asked}
        if self.subresource:
            found["requestSubResource"] = self.subresource
        if self.name:
            found["name"] = self.name
        if self.namespace:
            found["namespace"] = self.namespace
        found |= {"operation": self.operation, "userInfo": user_of(self.request)}
        if with_objects:
            found |= {"object": self.shown(self.obj, version), "oldObject": self.shown(self.old, version)}
        return {**found, "dryRun": self.is_dry, "options": self._options()}

    def _options(self) -> Object | None:
        name = OPTIONS.get(self.operation)
        if self.operation == UPDATE and self.request.verb == "patch":
            name = "PatchOptions"
        if name is None:
            return None
        given = self.request.options
        found: Object = {"kind": name, "apiVersion": "meta.k8s.io/v1"}
        if self.is_dry:
            found["dryRun"] = ["All"]
        return found | {key: given[key] for key in OPTION_NAMES if given.get(key) is not None and given[key] != ""}


def user_of(request: Request) -> Mapping[str, Any]:
    """Who asks: as authenticated, or by the name of a component in process."""
    return request.options.get("userInfo") or {"username": request.user, "groups": ["system:authenticated"] if request.user else []}

