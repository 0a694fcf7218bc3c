"""The EndpointSlice controller: the addresses of a Service's Pods, in slices of at most 100.

Every Pod with an address that the selector matches is an endpoint, ready or not, dying or not; slices with the same ports are filled
up. Services without a selector, and of type ExternalName, are left alone. The annotation last-change-trigger-time is upstream's.
Left out: topology hints, the mirroring of hand-written Endpoints, legacy Endpoints.

Upstream: pkg/controller/endpointslice/endpointslice_controller.go, endpointslice/reconciler.go, trigger_time_tracker.go.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubesim.api.meta import controller_reference
from kubesim.apiserver.requests import Object, Request, create, delete, update
from kubesim.client.informer import told_by
from kubesim.controllers.contract import DONE, ControllerBase, Mapper, Result, View
from kubesim.controllers.endpoint_plan import plan
from kubesim.controllers.owned_pods import ready_condition
from kubesim.controllers.service_endpoints import (
    MANAGED_BY,
    MANAGER,
    SERVICE_LABEL,
    SLICES,
    Family,
    PortsKey,
    ServiceEndpoints,
    ServiceState,
)
from kubesim.controllers.view import SERVICE_ENDPOINTS

TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"
HEADLESS_LABEL = "service.kubernetes.io/headless"
RESERVED_LABELS = frozenset((SERVICE_LABEL, MANAGED_BY, HEADLESS_LABEL))


@told_by(SERVICE_ENDPOINTS)
def to_services(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The Services whose endpoints the event touched."""
    return view.derived(ServiceEndpoints).touched


class EndpointSliceController(ControllerBase):
    """Reconciles Services by ``namespace/name``."""

    name = "endpointslice-controller"
    resource = "services"
    watches: Mapping[str, Mapper] = {"services": to_services, "pods": to_services, SLICES: to_services, "nodes": to_services}
    derives: Sequence[Callable[[Any], Any]] = (ServiceEndpoints,)
    rationed = frozenset((SLICES,))

    def __init__(self) -> None:
        self._triggers = TriggerTimes()

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Bring the slices of a Service to show what they should."""
        state = view.derived(ServiceEndpoints).by_key.get(key)
        if state is None:
            self._triggers.forget(key)
            return DONE
        service = state.service
        trigger = self._triggers.changed(key, state, view)
        requests: list[Request] = []
        for family in state.families.values():
            requests += _family_requests(service, family, trigger)
        requests += [delete(SLICES, service["metadata"]["namespace"], name.partition("/")[2]) for name in state.unsupported]
        if service["metadata"].get("deletionTimestamp"):
            requests = [request for request in requests if request.verb != "create"]
        return Result(requests)


def _family_requests(service: Object, family: Family, trigger: str) -> list[Request]:
    uid, namespace = service["metadata"]["uid"], service["metadata"]["namespace"]
    foreign = frozenset(key for key, slice_ in family.slices.items() if not _is_owned(slice_, uid))
    found = plan(family, foreign)
    requests: list[Request] = []
    for ports, endpoints in found.create:
        requests.append(create(SLICES, namespace, new_slice(service, family.type, ports, endpoints, trigger)))
    written = set()
    for key, ports, endpoints in found.update:
        written.add(key)
        requests.append(update(SLICES, _rewritten(service, family.slices[key], ports, endpoints, trigger)))
    labels = slice_labels(service)
    for key, slice_ in family.slices.items():
        if key not in written and key not in found.delete and slice_["metadata"].get("labels") != labels:
            requests.append(update(SLICES, {**slice_, "metadata": {**slice_["metadata"], "labels": labels}}))
    requests += [delete(SLICES, namespace, key.partition("/")[2]) for key in found.delete]
    return requests


def _is_owned(slice_: Object, uid: str) -> bool:
    return any(reference["uid"] == uid for reference in slice_["metadata"].get("ownerReferences") or ())


def slice_labels(service: Object) -> dict[str, str]:
    """The labels of a Service's slices: the Service's own, and whose they are."""
    own = service["metadata"].get("labels") or {}
    labels = {key: value for key, value in own.items() if key not in RESERVED_LABELS}
    if service["spec"].get("clusterIP") == "None":
        labels[HEADLESS_LABEL] = ""
    return {**labels, MANAGED_BY: MANAGER, SERVICE_LABEL: service["metadata"]["name"]}


def ports_value(ports: PortsKey) -> list[Object] | None:
    """The ports of a slice as the API has them; none at all is null."""
    found = []
    for name, protocol, number, application in ports:
        port: Object = {"name": name, "protocol": protocol, "port": number}
        if application:
            port["appProtocol"] = application
        found.append(port)
    return found or None


def new_slice(service: Object, type_: str, ports: PortsKey, endpoints: list[Object], trigger: str) -> Object:
    """A slice to create, fields in upstream's order."""
    name = service["metadata"]["name"]
    metadata: Object = {"generateName": f"{name}-", "namespace": service["metadata"]["namespace"], "labels": slice_labels(service)}
    if trigger:
        metadata["annotations"] = {TRIGGER_TIME: trigger}
    metadata["ownerReferences"] = [controller_reference(service)]
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": metadata,
        "addressType": type_,
        "endpoints": endpoints or None,
        "ports": ports_value(ports),
    }


def _rewritten(service: Object, slice_: Object, ports: PortsKey, endpoints: list[Object], trigger: str) -> Object:
    """A known slice with other contents; the trigger time is replaced, or taken off when nothing triggered this."""
    metadata = {**slice_["metadata"], "labels": slice_labels(service)}
    annotations = {key: value for key, value in (metadata.pop("annotations", None) or {}).items() if key != TRIGGER_TIME}
    if trigger:
        annotations[TRIGGER_TIME] = trigger
    if annotations:
        metadata["annotations"] = annotations
    return {**slice_, "metadata": metadata, "endpoints": endpoints or None, "ports": ports_value(ports)}


class TriggerTimes:
    """When the oldest change happened that a write of the slices will show: readiness of a Pod, creation of the Service.

    Remembers what it has seen, as upstream's tracker does; looks only at Pods that differ.
    """

    def __init__(self) -> None:
        self._pods: dict[str, dict[str, str]] = {}
        self._services: dict[str, str] = {}

    def changed(self, key: str, state: ServiceState, view: View) -> str:
        """The earliest time that was not there at the last call, or an empty string."""
        created = state.service["metadata"].get("creationTimestamp", "")
        times = [created] if created > self._services.get(key, "") else []
        self._services[key] = created
        seen = self._pods.setdefault(key, {})
        for family in state.families.values():
            for pod_key in family.different:
                pod = view.get("pods", pod_key)
                if pod is None:
                    seen.pop(pod_key, None)
                    continue
                condition = ready_condition(pod)
                time = (condition or {}).get("lastTransitionTime") or pod["metadata"].get("creationTimestamp", "")
                if time > seen.get(pod_key, ""):
                    times.append(time)
                    seen[pod_key] = time
        return min(times, default="")

    def forget(self, key: str) -> None:
        """The Service is gone."""
        self._pods.pop(key, None)
        self._services.pop(key, None)


CONTROLLER = EndpointSliceController
