"""The binding subresource: give a Pod its node, once.

Upstream: pkg/registry/core/pod/storage/storage.go (BindingREST, assignPod, setPodNodeAndMetadata). The Pod gets ``spec.nodeName``, the
condition PodScheduled=True, the annotations and labels of the Binding, and the zone and region of its node as labels
(plugin/pkg/admission/podtopologylabels); its nomination goes, its generation stays.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from kubesim.api.conditions import set_condition
from kubesim.api.errors import ApiError, bad_request, conflict, not_found
from kubesim.apiserver.admission.contract import CREATE
from kubesim.apiserver.dynamic.operation import Operation
from kubesim.apiserver.metadata import stamped
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request
from kubesim.apiserver.verbs.update import MODIFIED, TRIES_MAX, other_uid

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
TOPOLOGY_LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def bind(server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, Object]:
    """Bind the Pod to the target of the Binding; the answer is a Status. Raises ApiError 400, 404, 409 or 500."""
    binding = request.obj
    _check(request, binding)
    if server.dynamic.is_on:
        operation = Operation(CREATE, resource, request, binding, None)
        yield from server.dynamic.mutate(operation)
        yield from server.dynamic.validate(operation)
    key = resource.key(request.namespace, request.name)
    for _ in range(TRIES_MAX):
        found = yield ("get", key)
        if found is None:
            raise not_found(resource.name, request.name)
        pod = stamped(found)
        pod = server.sealed(bound(pod, binding, key, server.now_text(), _located(server, pod, binding["target"]["name"])))
        if request.options.get("dryRun"):
            return SUCCESS
        revision = yield ("put_if", key, pod, found.mod_revision)
        if revision:
            server.committed(request, resource, key, pod, revision)
            return SUCCESS
    raise conflict(resource.name, request.name, MODIFIED)


def _check(request: Request, binding: Object) -> None:
    target = binding.get("target") or {}
    if (binding.get("metadata") or {}).get("name") not in ("", None, request.name):
        raise bad_request("name in URL does not match name in Binding object")
    if target.get("kind") not in ("", None, "Node"):
        raise ApiError(500, "", f'target.kind: Unsupported value: "{target["kind"]}": supported values: "Node", "<empty>"')
    if not target.get("name"):
        raise ApiError(500, "", "target.name: Required value")


def _located(server: "ApiServer", pod: Object, node_name: str) -> Object | None:
    """The Pod's labels with the topology of its node, None when that changes nothing."""
    node = server.peek("nodes", "", node_name)
    there = (node["metadata"].get("labels") or {}) if node is not None else {}
    topology = {label: there[label] for label in TOPOLOGY_LABELS if label in there}
    if not topology:
        return None
    labels = pod["metadata"].get("labels") or {}
    return None if topology.items() <= labels.items() else server.shared_labels(labels, topology)


def bound(pod: Object, binding: Object, key: bytes, now: str, labels: Object | None = None) -> Object:
    """The Pod on its node, with other ``labels`` if given; pure. Raises 409 when it cannot be bound."""
    metadata, spec, given = pod["metadata"], pod["spec"], binding.get("metadata") or {}
    name, uid = metadata["name"], given.get("uid")
    if uid and uid != metadata["uid"]:
        raise conflict("pods", name, other_uid(key, uid, metadata["uid"]))
    version = given.get("resourceVersion")
    if version and version != metadata["resourceVersion"]:
        raise conflict("pods", name, MODIFIED)
    if "deletionTimestamp" in metadata:
        raise conflict("pods/binding", name, f"pod {name} is being deleted, cannot be assigned to a host")
    if spec.get("nodeName"):
        raise conflict("pods/binding", name, f'pod {name} is already assigned to node "{spec["nodeName"]}"')
    if spec.get("schedulingGates"):
        raise conflict("pods/binding", name, f"pod {name} has non-empty .spec.schedulingGates")
    fresh = {**metadata, "resourceVersion": ""}
    if labels is not None:
        fresh["labels"] = labels
    for field in ("annotations", "labels"):
        if given.get(field):
            fresh[field] = {**fresh.get(field, {}), **given[field]}
    status = pod.get("status") or {}
    condition = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
    conditions = set_condition(status.get("conditions"), condition, now)
    return {
        **pod,
        "metadata": fresh,
        "spec": {**spec, "nodeName": binding["target"]["name"]},
        "status": {**_without_nomination(status), "conditions": conditions},
    }


def _without_nomination(status: Object) -> Object:
    """A bound Pod waits for no node any more."""
    return {name: value for name, value in status.items() if name != "nominatedNodeName"} if "nominatedNodeName" in status else status
