"""The Endpoints controller: the addresses of a Service's Pods in one object, as before there were EndpointSlices.

Every Pod that the selector matches and that has an address is in it, ready or not; dying ones are not, unless the Service publishes
what is not ready. At most 1000 addresses.

Upstream: pkg/controller/endpoint/endpoints_controller.go, pkg/api/v1/endpoints/util.go (RepackSubsets).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import md5
from ipaddress import ip_address
from typing import Any

from kubesim.api.meta import key_of
from kubesim.apiserver.requests import Object, create, delete, update
from kubesim.client.informer import told_by
from kubesim.controllers.contract import DONE, ControllerBase, Mapper, Result, View
from kubesim.controllers.endpoint_slice import HEADLESS_LABEL, TRIGGER_TIME
from kubesim.controllers.owned_pods import ready_condition
from kubesim.controllers.service_endpoints import PortsKey, ServiceEndpoints, ServiceState
from kubesim.controllers.view import SERVICE_ENDPOINTS

RESOURCE = "endpoints"
CAPACITY = 1000
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MANAGED_BY, MANAGER = "endpoints.kubernetes.io/managed-by", "endpoint-controller"


@told_by(SERVICE_ENDPOINTS)
def to_services(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The Services whose endpoints the event touched."""
    return view.derived(ServiceEndpoints).touched


def deleted_to_service(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """Endpoints that somebody deleted are made again."""
    return (key_of(old),) if new is None and old is not None else ()


class EndpointsController(ControllerBase):
    """Reconciles Services by ``namespace/name``."""

    name = "endpoints-controller"
    component = "endpoint-controller"
    resource = "services"
    watches: Mapping[str, Mapper] = {"services": to_services, "pods": to_services, "nodes": to_services, RESOURCE: deleted_to_service}
    derives: Sequence[Callable[[Any], Any]] = (ServiceEndpoints,)
    rationed = frozenset((RESOURCE,))

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, str]] = {}  # Service key -> Pod key or "" -> the trigger time last written

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Bring the Endpoints of a Service up to date, or delete those of a Service that is gone. O(Pods of the Service)."""
        known = view.get(RESOURCE, key)
        namespace, _, name = key.partition("/")
        if view.get("services", key) is None:
            self._seen.pop(key, None)
            return DONE if known is None else Result([delete(RESOURCE, namespace, name)])
        state = view.derived(ServiceEndpoints).by_key.get(key)
        if state is None:
            return DONE
        service = state.service
        subsets, total = subsets_of(state)
        trigger = self._trigger(key, state, view)
        metadata = (known or {}).get("metadata") or {"name": name, "namespace": namespace}
        labels = labels_of(service)
        annotations = {field: text for field, text in (metadata.get("annotations") or {}).items() if field != OVER_CAPACITY}
        if total > CAPACITY:
            annotations[OVER_CAPACITY] = "truncated"
        was = {field: text for field, text in (metadata.get("annotations") or {}).items() if field != TRIGGER_TIME}
        same = {field: text for field, text in annotations.items() if field != TRIGGER_TIME} == was
        if known is not None and (known.get("subsets") or []) == subsets and metadata.get("labels") == labels and same:
            return DONE
        annotations.pop(TRIGGER_TIME, None)
        if trigger:
            annotations[TRIGGER_TIME] = trigger
        metadata = {**metadata, "labels": labels}
        metadata.pop("annotations", None)
        if annotations:
            metadata["annotations"] = annotations
        endpoints: Object = {"kind": "Endpoints", "apiVersion": "v1", "metadata": metadata}
        if subsets:
            endpoints["subsets"] = subsets
        return Result([update(RESOURCE, endpoints) if known is not None else create(RESOURCE, namespace, endpoints)])

    def _trigger(self, key: str, state: ServiceState, view: View) -> str:
        """When the oldest change happened that a write will show; as TriggerTimes, but over all Pods."""
        seen, fresh = self._seen.get(key, {}), {"": state.service["metadata"].get("creationTimestamp", "")}
        for family in state.families.values():
            for pod_key in family.desired:
                pod = view.get("pods", pod_key)
                if pod is not None and not pod["metadata"].get("deletionTimestamp"):
                    condition = ready_condition(pod)
                    fresh[pod_key] = (condition or {}).get("lastTransitionTime") or pod["metadata"].get("creationTimestamp", "")
            break
        self._seen[key] = fresh
        return min((time for pod_key, time in fresh.items() if time > seen.get(pod_key, "")), default="")


def labels_of(service: Object) -> dict[str, str]:
    """The labels of a Service's Endpoints."""
    labels = {field: text for field, text in (service["metadata"].get("labels") or {}).items() if field != HEADLESS_LABEL}
    if service["spec"].get("clusterIP") == "None":
        labels[HEADLESS_LABEL] = ""
    return {**labels, MANAGED_BY: MANAGER}


def subsets_of(state: ServiceState) -> tuple[list[Object], int]:
    """The subsets, addresses with equal ports together, and how many addresses there would be without the limit."""
    spec = state.service["spec"]
    publish = bool(spec.get("publishNotReadyAddresses"))
    headless_without_ports = spec.get("clusterIP") == "None" and not spec.get("ports")
    by_ports: dict[PortsKey, tuple[list[Object], list[Object]]] = {}
    for family in state.families.values():
        for endpoint in family.desired.values():
            conditions = endpoint.value["conditions"]
            if (conditions["terminating"] and not publish) or not (endpoint.ports or headless_without_ports):
                continue
            ready, not_ready = by_ports.setdefault(endpoint.ports, ([], []))
            (ready if publish or conditions["ready"] else not_ready).append(_address(endpoint.value))
        break  # the first family only
    total = sum(len(ready) + len(not_ready) for ready, not_ready in by_ports.values())
    found = [_subset(ports, *addresses) for ports, addresses in sorted(by_ports.items())]
    return (found if total <= CAPACITY else _truncated(found)), total


def _address(endpoint: Object) -> Object:
    address: Object = {"ip": endpoint["addresses"][0]}
    for field in ("hostname", "nodeName", "targetRef"):
        if field in endpoint:
            address[field] = endpoint[field]
    return address


def _subset(ports: PortsKey, ready: list[Object], not_ready: list[Object]) -> Object:
    subset: Object = {}
    for field, addresses in (("addresses", ready), ("notReadyAddresses", not_ready)):
        if addresses:
            subset[field] = sorted(addresses, key=_by_ip)
    if ports:
        subset["ports"] = [_port(port) for port in sorted(ports, key=_port_hash)]
    return subset


def _by_ip(address: Object) -> tuple[bytes, str]:
    return ip_address(address["ip"]).packed, (address.get("targetRef") or {}).get("uid", "")


def _port(port: tuple[str, str, int, str]) -> Object:
    name, protocol, number, application = port
    value: Object = {"name": name} if name else {}
    value |= {"port": number, "protocol": protocol}
    return {**value, "appProtocol": application} if application else value


def _port_hash(port: tuple[str, str, int, str]) -> bytes:
    """Upstream orders ports by the MD5 of Go's dump of each."""
    name, protocol, number, application = port
    application_text = f"(*string)({application})" if application else "(*string)<nil>"
    text = f"(v1.EndpointPort){{Name:(string){name} Port:(int32){number} Protocol:(v1.Protocol){protocol} AppProtocol:{application_text}}}"
    return md5(text.encode(), usedforsecurity=False).digest()


def _truncated(subsets: list[Object]) -> list[Object]:
    """At most 1000 addresses, ready ones first, the same share of every subset."""
    kept: list[Object] = []
    room = CAPACITY
    ready_total = sum(len(subset.get("addresses") or ()) for subset in subsets)
    for field, available, total in (
        ("addresses", min(room, ready_total), ready_total),
        ("notReadyAddresses", room - min(room, ready_total), sum(len(subset.get("notReadyAddresses") or ()) for subset in subsets)),
    ):
        left = available
        for place, subset in enumerate(subsets):
            addresses = subset.get(field) or []
            count = min(left, len(addresses) if total <= available else -(-len(addresses) * available // total))
            left -= count
            if field == "addresses":
                kept.append({"ports": subset.get("ports")})
            if count:
                kept[place][field] = addresses[:count]
    found = []
    for subset in kept:
        if subset.get("addresses") or subset.get("notReadyAddresses"):
            found.append({field: subset[field] for field in ("addresses", "notReadyAddresses", "ports") if subset.get(field)})
    return found


CONTROLLER = EndpointsController
