"""The mirroring controller: Endpoints that somebody writes by hand for a Service without a selector, shown as EndpointSlices.

Upstream: pkg/controller/endpointslicemirroring (endpointslicemirroring_controller.go, reconciler.go, utils.go).
"""

from collections.abc import Iterable, Mapping, Sequence

from kubesim.api.meta import controller_reference, key_of
from kubesim.apiserver.requests import Object, Request, create, delete, update
from kubesim.client.informer import IndexFunction, looks_at
from kubesim.controllers.contract import DONE, ControllerBase, Mapper, Result, View, own_key
from kubesim.controllers.endpoint_slice import TRIGGER_TIME
from kubesim.controllers.service_endpoints import MANAGED_BY, SERVICE_LABEL, SLICES

RESOURCE = "endpoints"
MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP_LABEL = "endpointslice.kubernetes.io/skip-mirror"
LEADER_ANNOTATION = "control-plane.alpha.kubernetes.io/leader"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
ADDRESSES_MAX = 1000
Family = tuple[str, tuple[tuple[str, str, int, str], ...]]  # address type, ports


@looks_at("metadata.labels")
def mirrored(slice_: Object) -> tuple[str, ...]:
    """Index function: the Service whose Endpoints a slice of ours mirrors."""
    labels = slice_["metadata"].get("labels") or {}
    if labels.get(MANAGED_BY) != MANAGER:
        return ()
    return (f"{slice_['metadata']['namespace']}/{labels.get(SERVICE_LABEL, '')}",)


def slice_to_endpoints(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The Endpoints that a slice of ours mirrors."""
    return {key: None for slice_ in (old, new) if slice_ is not None for key in mirrored(slice_)}


class MirroringController(ControllerBase):
    """Reconciles Endpoints by ``namespace/name``."""

    name = "endpointslice-mirroring-controller"
    resource = RESOURCE
    watches: Mapping[str, Mapper] = {RESOURCE: own_key, "services": own_key, SLICES: slice_to_endpoints}
    indexes: Mapping[str, Mapping[str, IndexFunction]] = {SLICES: {"mirrored": mirrored}}
    rationed = frozenset((SLICES,))

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Make, change and delete the slices of one Endpoints object."""
        slices = view.indexed(SLICES, "mirrored", key)
        endpoints, service = view.get(RESOURCE, key), view.get("services", key)
        if endpoints is None or not is_to_be_mirrored(endpoints) or service is None or service["spec"].get("selector"):
            return Result([_delete(slice_) for slice_ in slices.values()]) if slices else DONE
        wanted = contents(endpoints)
        requests: list[Request] = []
        spare = []
        for slice_ in slices.values():
            family = _family_of(slice_)
            found = wanted.pop(family, None)
            if found is None:
                spare.append(slice_)
                continue
            fresh = _slice(endpoints, slice_["metadata"], family, found)
            if any(fresh.get(field) != slice_.get(field) for field in ("endpoints", "ports")) or _says_other(fresh, slice_):
                requests.append(update(SLICES, fresh))
        for family, found in wanted.items():
            fitting = next((slice_ for slice_ in spare if slice_["addressType"] == family[0]), None)
            if fitting is not None:
                spare.remove(fitting)
                requests.append(update(SLICES, _slice(endpoints, fitting["metadata"], family, found)))
            else:
                metadata = {"generateName": f"{endpoints['metadata']['name']}-", "namespace": endpoints["metadata"]["namespace"]}
                requests.append(create(SLICES, metadata["namespace"], _slice(endpoints, metadata, family, found)))
        requests += [_delete(slice_) for slice_ in spare]
        return Result(requests)


def is_to_be_mirrored(endpoints: Object) -> bool:
    """Whether nobody said that these Endpoints are something else."""
    metadata = endpoints["metadata"]
    if LEADER_ANNOTATION in (metadata.get("annotations") or ()):
        return False
    return (metadata.get("labels") or {}).get(SKIP_LABEL) != "true" and not metadata.get("deletionTimestamp")


def contents(endpoints: Object) -> dict[Family, list[Object]]:
    """The endpoints of each address type and set of ports, in the order of the subsets; at most 1000 addresses of a subset."""
    found: dict[Family, list[Object]] = {}
    for subset in endpoints.get("subsets") or ():
        ports = tuple(
            (port.get("name", ""), port.get("protocol", "TCP"), port["port"], port.get("appProtocol", ""))
            for port in subset.get("ports") or ()
        )
        room = ADDRESSES_MAX
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in (subset.get(field) or ())[:room]:
                room -= 1
                type_ = "IPv6" if ":" in address["ip"] else "IPv4"
                found.setdefault((type_, ports), []).append(_endpoint(address, ready))
    return found


def _endpoint(address: Object, ready: bool) -> Object:
    endpoint: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for field in ("hostname", "targetRef", "nodeName"):
        if field in address:
            endpoint[field] = address[field]
    return endpoint


def _family_of(slice_: Object) -> Family:
    ports = tuple(
        (port.get("name") or "", port.get("protocol", "TCP"), port["port"], port.get("appProtocol", ""))
        for port in slice_.get("ports") or ()
    )
    return slice_["addressType"], ports


def _slice(endpoints: Object, metadata: Object, family: Family, found: Sequence[Object]) -> Object:
    own = endpoints["metadata"]
    labels = {key: value for key, value in (own.get("labels") or {}).items() if key not in (MANAGED_BY, SERVICE_LABEL, SKIP_LABEL)}
    annotations = {key: value for key, value in (own.get("annotations") or {}).items() if key not in (TRIGGER_TIME, LAST_APPLIED)}
    fresh = {**metadata, "labels": {**labels, MANAGED_BY: MANAGER, SERVICE_LABEL: own["name"]}}
    fresh.pop("annotations", None)
    if annotations:
        fresh["annotations"] = annotations
    fresh["ownerReferences"] = [controller_reference(endpoints)]
    ports = [
        {"name": name, "protocol": protocol, "port": number, **({"appProtocol": application} if application else {})}
        for name, protocol, number, application in family[1]
    ]
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": fresh,
        "addressType": family[0],
        "endpoints": list(found),
        "ports": ports or None,
    }


def _says_other(fresh: Object, slice_: Object) -> bool:
    return any(fresh["metadata"].get(field) != slice_["metadata"].get(field) for field in ("labels", "annotations"))


def _delete(slice_: Object) -> Request:
    namespace, _, name = key_of(slice_).partition("/")
    return delete(SLICES, namespace, name)


CONTROLLER = MirroringController
