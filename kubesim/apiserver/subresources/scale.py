"""The scale subresource: replicas of a Deployment, ReplicaSet, StatefulSet or ReplicationController as an autoscaling/v1 Scale.

Upstream: pkg/registry/apps/*/storage and pkg/registry/core/replicationcontroller/storage.
"""

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

from kubesim.api import field, selectors
from kubesim.api.crd import paths
from kubesim.api.errors import ApiError, bad_request, conflict, invalid
from kubesim.apiserver.managed_fields import SCALE
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request
from kubesim.apiserver.verbs.patch import apply_patch
from kubesim.apiserver.verbs.read import get
from kubesim.apiserver.verbs.update import MODIFIED, check_request, other_uid, transform, whole_update

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
API_VERSION = "autoscaling/v1"
SCHEMA = "io.k8s.api.autoscaling.v1.Scale"


def get_scale(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Read the Scale of an object."""
    return scale_of((yield from get(server, resource, request)), resource.kind.scale)


def update_scale(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Set the replicas to those of the Scale sent. Raises ApiError 400, 404, 409 or 422."""
    given = request.obj
    type_ = (given.get("apiVersion") or API_VERSION, given.get("kind") or "Scale")
    if type_ != (API_VERSION, "Scale"):
        version = type_[0].rpartition("/")[2]
        head = f'{type_[1]} in version "{version}" cannot be handled as a Scale: '
        raise bad_request(f"{head}converting ({version}.{type_[1]}) to (autoscaling.Scale): unknown conversion")
    check_request(resource, request, given)
    return (yield from _scale(server, resource, request, lambda _: request.obj))


def patch_scale(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Patch the Scale. Raises ApiError 400, 404, 409 or 422."""
    return (yield from _scale(server, resource, request, patch_of(server, resource, request)))


def patch_of(server: "ApiServer", resource: Resource, request: Request) -> Callable[[Object], Object]:
    """What the patch of a request makes of a Scale."""
    if request.options.get("patchType") == "apply":
        return lambda scale: server.fields.apply(SCALE, request, scale)
    return lambda scale: apply_patch(request, scale, SCHEMA)


def _scale(
    server: "ApiServer", resource: Resource, request: Request, change: Callable[[Object], Object]
) -> Generator[Any, Any, Object]:
    def changed(old: Object) -> Object:
        scale, managers = server.fields.scaled(request, old, _scale_to_change(old, resource.kind.scale), change)
        _check(resource, request, scale, old)
        replicas = (scale.get("spec") or {}).get("replicas", 0)
        metadata = {**old["metadata"], "resourceVersion": scale["metadata"].get("resourceVersion", "")}
        if managers:
            metadata["managedFields"] = managers
        if resource.kind.scale is not None:
            return paths.put({**old, "metadata": metadata}, resource.kind.scale["specReplicasPath"], replicas)
        return {**old, "metadata": metadata, "spec": {**old["spec"], "replicas": replicas}}

    def shown(obj: Object) -> Object:
        return scale_of(obj, resource.kind.scale)

    return shown((yield from transform(server, resource, request, changed, whole_update, is_patch=True, shown=shown)))


def _check(resource: Resource, request: Request, scale: Object, old: Object) -> None:
    metadata = scale["metadata"]
    uid, version = metadata.get("uid"), metadata.get("resourceVersion")
    if uid and uid != old["metadata"]["uid"]:
        why = other_uid(resource.key(request.namespace, request.name), uid, old["metadata"]["uid"])
        raise conflict(resource.name, request.name, why)
    if version and version != old["metadata"]["resourceVersion"]:
        raise conflict(resource.name, request.name, MODIFIED)
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        error = field.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid("Scale", request.name, [error], "autoscaling")


def scale_of(obj: Object, custom: Mapping[str, str] | None = None) -> Object:
    """The Scale of an object; replicas 0 are left out, as upstream's JSON does. ``custom``: the paths of a custom resource.

    Raises ApiError 500 for a custom resource without the field of its replicas.
    """
    if custom is not None:
        return _custom_scale(obj, custom)
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    scale: Object = {
        "kind": "Scale",
        "apiVersion": API_VERSION,
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": spec["replicas"]} if spec.get("replicas") else {},
        "status": {"replicas": status.get("replicas", 0)},
    }
    selector = _selector_text(spec.get("selector"))
    if selector:
        scale["status"]["selector"] = selector
    return scale


def _custom_scale(obj: Object, custom: Mapping[str, str]) -> Object:
    spec_path, status_path, selector_path = (custom.get(f"{name}Path", "") for name in ("specReplicas", "statusReplicas", "labelSelector"))
    replicas, reported = paths.find(obj, spec_path), paths.find(obj, status_path)
    if not replicas:
        why = f'the spec replicas field "{spec_path}" does not exist'
        raise ApiError(500, "InternalError", f"Internal error occurred: {why}", {"causes": [{"message": why}]})
    status = {"replicas": reported[0] if reported else 0}
    scale = scale_of({"metadata": obj["metadata"], "spec": {"replicas": replicas[0]}, "status": status})
    selector = paths.find(obj, selector_path) if selector_path else ()
    if selector and selector[0]:
        scale["status"]["selector"] = selector[0]
    return scale


def _scale_to_change(obj: Object, custom: Mapping[str, str] | None) -> Object:
    """The Scale that a change starts from: a custom resource may get its replicas by it."""
    if custom is not None and not paths.find(obj, custom["specReplicasPath"]):
        obj = paths.put(obj, custom["specReplicasPath"], 0)
    return scale_of(obj, custom)


def _selector_text(selector: Mapping[str, Any] | None) -> str:
    if not selector:
        return ""
    is_object = "matchLabels" in selector or "matchExpressions" in selector
    return str(selectors.from_object(selector) if is_object else selectors.from_labels(selector))
