"""The subresources of Pods that change a part of their spec: ephemeralcontainers and resize.

Upstream: pkg/registry/core/pod/strategy.go (podEphemeralContainersStrategy, podResizeStrategy) and ValidatePodEphemeralContainersUpdate,
ValidatePodResize.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.go_dump import EPHEMERAL_CONTAINER, diff
from kubesim.api.resources import qos_class
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request
from kubesim.apiserver.verbs.patch import wish_of
from kubesim.apiserver.verbs.update import Prepare, check_request, refuse, transform, typed, with_next_generation

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
_NOT_EPHEMERAL = ("ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources", "resizePolicy")


def _updated(prepare: Prepare) -> Any:
    def update(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
        given = typed(resource, request.obj)
        check_request(resource, request, given)
        return (yield from transform(server, resource, request, lambda _: given, prepare))

    return update


def _patched(prepare: Prepare) -> Any:
    def patch(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
        return (yield from transform(server, resource, request, wish_of(server, resource, request), prepare, is_patch=True))

    return patch


def _tracked(server: "ApiServer", resource: Resource, request: Request, new: Object, old: Object) -> Object:
    return server.fields.changed(resource, request, new, old) if "managedFields" in old["metadata"] else new


def with_ephemeral_containers(server: "ApiServer", resource: Resource, request: Request, new: Object, old: Object) -> Object:
    """The Pod as it was, with the ephemeral containers of ``new``: those that are there stay as they are."""
    new = _tracked(server, resource, request, resource.kind.default(new), old)
    containers, before = new["spec"].get("ephemeralContainers") or [], old["spec"].get("ephemeralContainers") or []
    spec = {key: value for key, value in old["spec"].items() if key != "ephemeralContainers"}
    pod = {**old, "metadata": new["metadata"], "spec": {**spec, "ephemeralContainers": containers} if containers else spec}
    if containers != before:
        pod = with_next_generation(pod, old)
    at = "spec.ephemeralContainers"
    wrong: list[FieldError] = [error for error in resource.kind.validate(pod) if error.field.startswith(at)]
    for index, container in enumerate(containers):
        for name in _NOT_EPHEMERAL:
            if container.get(name):
                wrong.append(field.forbidden(f"{at}[{index}].{name}", "cannot be set for an Ephemeral Container"))
    by_name = {container.get("name"): container for container in containers}
    for container in before:
        now, name = by_name.get(container["name"]), field.quote(container["name"])
        if now is None:
            wrong.append(field.forbidden(at, f"existing ephemeral containers {name} may not be removed\n"))
        elif now != container:
            change = diff(container, now, EPHEMERAL_CONTAINER)
            wrong.append(field.forbidden(at, f"existing ephemeral containers {name} may not be changed\n{change}"))
    refuse(resource, pod, wrong)
    return pod


def resized(server: "ApiServer", resource: Resource, request: Request, new: Object, old: Object) -> Object:
    """The Pod as it was, with the resources of its containers as ``new`` has them."""
    new = _tracked(server, resource, request, resource.kind.default(new), old)
    spec = dict(old["spec"])
    wrong: list[FieldError] = []
    for part in ("containers", "initContainers"):
        wished = {container.get("name"): container for container in new["spec"].get(part) or ()}
        if spec.get(part):
            spec[part] = [_resized(container, wished.get(container["name"], container)) for container in spec[part]]
    pod = {**old, "metadata": new["metadata"], "spec": spec}
    if spec != old["spec"]:
        pod = with_next_generation(pod, old)
    quality = qos_class(old["spec"])
    if qos_class(spec) != quality:
        wrong.append(field.invalid("spec", quality, "Pod QOS Class may not change as a result of resizing"))
    for part in ("containers", "initContainers"):
        for index, (container, before) in enumerate(zip(spec.get(part) or (), old["spec"].get(part) or ())):
            wrong += _removal_errors(container, before, f"spec.{part}[{index}].resources")
    wrong += [error for error in resource.kind.validate(pod) if ".resources" in error.field]
    refuse(resource, pod, wrong)
    return pod


def _resized(container: Object, wished: Object) -> Object:
    return {**container, "resources": wished.get("resources") or {}}


def _removal_errors(container: Object, before: Object, path: str) -> list[FieldError]:
    """What was asked for or bounded stays so, by another amount."""
    wrong = []
    for part in ("requests", "limits"):
        had, has = (before.get("resources") or {}).get(part) or {}, (container.get("resources") or {}).get(part) or {}
        if any(name not in has for name in had):
            wrong.append(field.forbidden(f"{path}.{part}", f"resource {part} cannot be removed"))
    return wrong


update_ephemeral_containers, patch_ephemeral_containers = _updated(with_ephemeral_containers), _patched(with_ephemeral_containers)
update_resize, patch_resize = _updated(resized), _patched(resized)
