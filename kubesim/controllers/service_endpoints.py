"""What every Service should have as endpoints, what its slices show, and where the two differ: kept by difference.

A derived view of Pods, Services, EndpointSlices and Nodes. A Pod that becomes ready costs the same in a Service of 5,000 endpoints as
in one of five: its endpoint is made once, compared once with the slice that shows it, and noted as a difference until a slice
event shows it too. Nothing is decided here about slices (``endpoint_plan.py``).

Upstream: endpointslice/{reconciler,utils}.go, endpointslice/util/controller_utils.go (ShouldPodBeInEndpoints, podToEndpoint, FindPort).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kubesim.api.meta import key_of
from kubesim.api.selectors import Selector, from_labels
from kubesim.apiserver.requests import Object
from kubesim.client.informer import looks_at
from kubesim.controllers.owned_pods import ENDED, is_ready
from kubesim.controllers.view import SERVICE_ENDPOINTS, Caches

SLICES = "endpointslices.discovery.k8s.io"
MANAGER = "endpointslice-controller.k8s.io"
SERVICE_LABEL, MANAGED_BY = "kubernetes.io/service-name", "endpointslice.kubernetes.io/managed-by"
ZONE_LABEL = "topology.kubernetes.io/zone"

PortsKey = tuple[tuple[str, str, int, str], ...]  # name, protocol, port, appProtocol
Labels = frozenset[tuple[str, str]]
Member = tuple[Any, tuple[str, ...], "Facts | None"]  # a Pod's labels (the very dict), the Services that select it, its facts


class Endpoint(NamedTuple):
    """An endpoint as it should be: the ports of its slice, and the API object."""

    ports: PortsKey
    value: Object


class Facts(NamedTuple):
    """What decides about a Pod's endpoints, besides the Service."""

    addresses: tuple[str, ...]
    ready: bool
    terminating: bool
    node: str
    hostname: str
    subdomain: str


def facts_of(pod: Object) -> Facts | None:
    """The facts; None for a Pod that has ended or has no address."""
    status = pod.get("status") or {}
    if status.get("phase") in ENDED:
        return None
    addresses = tuple(entry["ip"] for entry in status.get("podIPs") or ()) or ((status["podIP"],) if status.get("podIP") else ())
    if not addresses:
        return None
    spec = pod["spec"]
    dying = bool(pod["metadata"].get("deletionTimestamp"))
    return Facts(addresses, is_ready(pod), dying, spec.get("nodeName", ""), spec.get("hostname", ""), spec.get("subdomain", ""))


def ports_of(service: Object, pod: Object) -> PortsKey:
    """The Service's ports as this Pod has them; a port that it does not have is left out."""
    found = []
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol", "TCP")
        number = _port_number(port.get("targetPort", port["port"]), protocol, pod)
        if number is not None:
            found.append((port.get("name", ""), protocol, number, port.get("appProtocol") or ""))
    return tuple(found)


def _port_number(target: Any, protocol: str, pod: Object) -> int | None:
    """A number as it is; a name is looked up in the containers, then in the init containers that keep running."""
    if not isinstance(target, str):
        return int(target) if target else None
    spec = pod["spec"]
    sidecars = [container for container in spec.get("initContainers") or () if container.get("restartPolicy") == "Always"]
    for container in [*spec["containers"], *sidecars]:
        for port in container.get("ports") or ():
            if port.get("name") == target and port.get("protocol", "TCP") == protocol:
                return int(port["containerPort"])
    return None


def is_managed(slice_: Object) -> bool:
    """Whether this controller made the slice."""
    return (slice_["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER


def service_key_of(slice_: Object) -> str:
    """The key of the Service that a slice belongs to."""
    return f"{slice_['metadata']['namespace']}/{(slice_['metadata'].get('labels') or {}).get(SERVICE_LABEL, '')}"


def slice_ports_key(slice_: Object) -> PortsKey:
    """The ports of a slice as a key."""
    ports = slice_.get("ports") or ()
    return tuple((port.get("name") or "", port.get("protocol", "TCP"), port["port"], port.get("appProtocol") or "") for port in ports)


class Family:
    """One address family of a Service: should be (``desired``), is (``actual``), and where they differ (``different``), by Pod key."""

    __slots__ = ("actual", "desired", "different", "groups", "odd", "slices", "type")

    def __init__(self, type_: str) -> None:
        self.type = type_  # IPv4 or IPv6
        self.desired: dict[str, Endpoint] = {}
        self.groups: dict[PortsKey, int] = {}  # how many desired endpoints have these ports
        self.actual: dict[str, tuple[str, Endpoint]] = {}  # Pod key -> slice key and what it shows
        self.different: dict[str, None] = {}  # in the order in which they became so
        self.slices: dict[str, Object] = {}
        self.odd: dict[str, None] = {}  # slices that show something twice, or something that is no Pod

    def want(self, key: str, endpoint: Endpoint | None) -> None:
        """Set or take away what should be there for a Pod."""
        old = self.desired.pop(key, None)
        if old is not None:
            left = self.groups[old.ports] - 1
            if left:
                self.groups[old.ports] = left
            else:
                del self.groups[old.ports]
        if endpoint is not None:
            self.desired[key] = endpoint
            self.groups[endpoint.ports] = self.groups.get(endpoint.ports, 0) + 1
        self.compare(key)

    def compare(self, key: str) -> None:
        """Note whether should be and is differ for a Pod."""
        wanted, shown = self.desired.get(key), self.actual.get(key)
        if (wanted is None and shown is None) or (wanted is not None and shown is not None and wanted == shown[1]):
            self.different.pop(key, None)
        else:
            self.different.setdefault(key)

    def show(self, slice_key: str, new: Object | None) -> None:
        """Take in what a slice shows now (None: it is gone). O(endpoints of the slice)."""
        before = self.slices.pop(slice_key, None)
        self.odd.pop(slice_key, None)
        affected: dict[str, None] = {}
        for endpoint in (before.get("endpoints") or ()) if before is not None else ():
            key = pod_key_of(endpoint)
            known = self.actual.get(key)
            if known is not None and known[0] == slice_key:
                del self.actual[key]
                affected[key] = None
        if new is not None:
            self.slices[slice_key] = new
            self._claim(slice_key, affected)
        for odd in list(self.odd):  # what this slice has given up may be shown there: an endpoint on its way from one to another
            self._claim(odd, affected)
        for key in affected:
            self.compare(key)

    def _claim(self, slice_key: str, affected: dict[str, None]) -> None:
        """Note what a slice shows, as far as no other does; the slice is odd if there is more in it."""
        slice_ = self.slices[slice_key]
        ports = slice_ports_key(slice_)
        mine = set()
        odd = False
        for endpoint in slice_.get("endpoints") or ():
            key = pod_key_of(endpoint)
            known = self.actual.get(key)
            if not key or key in mine or (known is not None and known[0] != slice_key):
                odd = True
                continue
            mine.add(key)
            if known is None:
                self.actual[key] = (slice_key, Endpoint(ports, endpoint))
                affected[key] = None
        if odd:
            self.odd[slice_key] = None
        else:
            self.odd.pop(slice_key, None)


def pod_key_of(endpoint: Object) -> str:
    """The key of the Pod that an endpoint stands for, empty if it is none."""
    target = endpoint.get("targetRef") or {}
    return f"{target.get('namespace', '')}/{target.get('name', '')}" if target.get("kind") == "Pod" else ""


class ServiceState:
    """One Service with a selector, its address families, and slices of ours in a family that it does not have (any more)."""

    __slots__ = ("families", "selector", "service", "unsupported")

    def __init__(self, service: Object) -> None:
        self.service = service
        self.selector: Selector = from_labels(service["spec"]["selector"])
        self.families = {type_: Family(type_) for type_ in service["spec"].get("ipFamilies") or ["IPv4"]}
        self.unsupported: dict[str, None] = {}

    def show(self, key: str, slice_: Object, shown: bool) -> None:
        """Take in a slice of this Service (``shown``), or take it out."""
        family = self.families.get(slice_["addressType"])
        if family is not None:
            family.show(key, slice_ if shown else None)
        elif shown:
            self.unsupported[key] = None
        else:
            self.unsupported.pop(key, None)


class ServiceEndpoints:
    """The derived view. ``touched`` holds the keys of the Services that the event being delivered may have given something to do.

    The signal SERVICE_ENDPOINTS says that there are such.
    """

    __slots__ = ("_caches", "_members", "_memo", "_missing", "by_key", "by_namespace", "touched")

    def __init__(self, caches: Caches) -> None:
        self.by_key: dict[str, ServiceState] = {}
        self.by_namespace: dict[str, dict[str, ServiceState]] = {}
        self.touched: tuple[str, ...] = ()
        self._caches = caches
        self._members: dict[str, dict[str, Member]] = {}  # namespace -> Pod key -> what is known of it
        self._memo: dict[str, dict[Labels, tuple[str, ...]]] = {}  # namespace -> label set -> Services
        self._missing: dict[str, dict[str, None]] = {}  # Node that does not exist -> Pods that claim to run there
        for resource, handler in (("nodes", self.on_node), ("services", self.on_service), ("pods", self.on_pod), (SLICES, self.on_slice)):
            caches.informer(resource).add_keyed_handler(handler)

    def _tell(self, resource: str) -> None:
        """End the handling of a change: who reads ``touched`` is asked when there is something in it."""
        if self.touched:
            self._caches.informer(resource).changed |= SERVICE_ENDPOINTS

    # -- Services --

    def on_service(self, key: str, old: Object | None, new: Object | None) -> None:
        """A Service came, changed or went: when its selector, ports or publishing changed, all its Pods are looked at again."""
        self.touched = (key,)
        self._tell("services")
        known = self.by_key.get(key)
        namespace = key.partition("/")[0]
        if new is None or not new["spec"].get("selector") or new["spec"].get("type") == "ExternalName":
            if known is not None:
                del self.by_key[key], self.by_namespace[namespace][key]
                self._forget_members(namespace)
            return
        if known is not None and known.service["spec"] == new["spec"] and old is not None:
            known.service = new
            return
        state = self.by_key[key] = ServiceState(new)
        self.by_namespace.setdefault(namespace, {})[key] = state
        self._forget_members(namespace)
        self._adopt_slices(key, state)
        for pod in self._caches.list("pods", namespace):
            if state.selector.matches(pod["metadata"].get("labels") or {}):
                self._refresh(key_of(pod), pod)

    def _adopt_slices(self, key: str, state: ServiceState) -> None:
        for slice_ in self._caches.list(SLICES, key.partition("/")[0]):
            if is_managed(slice_) and service_key_of(slice_) == key:
                state.show(key_of(slice_), slice_, True)

    def _forget_members(self, namespace: str) -> None:
        """The Services of a namespace have changed: who selects whom is found out again, per label set, when a Pod asks."""
        self._memo.pop(namespace, None)
        if not self.by_namespace.get(namespace):
            self._members.pop(namespace, None)
        members = self._members.get(namespace, {})
        for key, (_, services, facts) in members.items():
            members[key] = (None, services, facts)

    # -- Pods --

    @looks_at(
        "metadata.labels", "metadata.deletionTimestamp", "spec",
        "status.phase", "status.podIP", "status.podIPs", "status.conditions",
    )  # fmt: skip
    def on_pod(self, key: str, old: Object | None, new: Object | None) -> None:
        """A Pod came, changed or went. O(its Services) when something of it that counts has changed."""
        if not self.by_namespace.get(key.partition("/")[0]):
            return  # no Service, nothing to know
        self.touched = ()
        if new is None:
            self._drop(key)
        else:
            self._take(key, old, new)
        self._tell("pods")

    def _take(self, key: str, old: Object | None, new: Object) -> None:
        metadata = new["metadata"]
        labels = metadata.get("labels")
        members = self._members.get(metadata.get("namespace", ""))
        member = members.get(key) if members is not None else None
        if member is None or members is None or member[0] is not labels or labels is None:
            self._refresh(key, new)
            return
        if not member[1]:
            return
        facts = facts_of(new)
        if facts != member[2] or (old is not None and old["spec"] is not new["spec"]):
            members[key] = (labels, member[1], facts)
            self._want_all(key, new, member[1], facts)

    def _refresh(self, key: str, pod: Object) -> None:
        """Find out which Services select a Pod, and bring all its endpoints up to date."""
        labels = pod["metadata"].get("labels")
        namespace = pod["metadata"].get("namespace", "")
        services = self._selecting(namespace, labels or {})
        members = self._members.setdefault(namespace, {})
        before = members.get(key)
        facts = facts_of(pod) if services else None
        members[key] = (labels, services, facts)
        for service in before[1] if before is not None else ():
            if service not in services:
                self._want(key, pod, service, None)
        self._want_all(key, pod, services, facts)

    def _drop(self, key: str) -> None:
        members = self._members.get(key.partition("/")[0], {})
        member = members.pop(key, None)
        for service in member[1] if member is not None else ():
            self._want(key, None, service, None)

    def _selecting(self, namespace: str, labels: Mapping[str, str]) -> tuple[str, ...]:
        services = self.by_namespace.get(namespace)
        if not services:
            return ()
        memo = self._memo.setdefault(namespace, {})
        label_set = frozenset(labels.items())
        found = memo.get(label_set)
        if found is None:
            found = memo[label_set] = tuple(key for key, state in services.items() if state.selector.matches(labels))
        return found

    def _want_all(self, key: str, pod: Object, services: tuple[str, ...], facts: Facts | None) -> None:
        for service in services:
            self._want(key, pod, service, facts)

    def _want(self, key: str, pod: Object | None, service_key: str, facts: Facts | None) -> None:
        state = self.by_key.get(service_key)
        if state is None:
            return
        self.touched = (*self.touched, service_key)
        node = None
        if facts is not None and pod is not None:
            node = self._caches.get("nodes", facts.node) if facts.node else None
            if node is None and facts.node and not state.service["spec"].get("publishNotReadyAddresses"):
                self._missing.setdefault(facts.node, {})[key] = None
                facts = None
        for family in state.families.values():
            endpoint = None
            if facts is not None and pod is not None:
                endpoint = endpoint_of(state.service, pod, facts, node, family.type)
            family.want(key, endpoint)

    # -- Nodes and slices --

    @looks_at("metadata.labels")
    def on_node(self, name: str, old: Object | None, new: Object | None) -> None:
        """A Node came or changed its zone: the endpoints of Pods on it are made again."""
        self.touched = ()
        waiting = self._missing.pop(name, None)
        if old is not None and new is not None and _zone_of(old) == _zone_of(new) and not waiting:
            return
        pods = self._caches.informer("pods")
        on_node = [key for key, pod in pods.objects.items() if pod["spec"].get("nodeName") == name] if old is not None else waiting or ()
        for key in on_node:
            pod = pods.objects.get(key)
            if pod is not None:
                self._refresh(key, pod)
        self._tell("nodes")

    def on_slice(self, key: str, old: Object | None, new: Object | None) -> None:
        """A slice of ours shows something else."""
        self.touched = ()
        known = new if new is not None else old
        if known is None or not (is_managed(known) or (old is not None and is_managed(old))):
            return
        keys: dict[str, None] = {}
        for slice_ in (old, new):
            if slice_ is not None:
                keys[service_key_of(slice_)] = None
        for service_key in keys:
            state = self.by_key.get(service_key)
            if state is None:
                continue
            if new is not None and is_managed(new) and service_key_of(new) == service_key:
                state.show(key, new, True)
            elif old is not None:
                state.show(key, old, False)
        self.touched = tuple(keys)
        self._tell(SLICES)


def endpoint_of(service: Object, pod: Object, facts: Facts, node: Object | None, type_: str) -> Endpoint | None:
    """The endpoint of a Pod for a Service in one family, None without an address of it. Fields in upstream's order."""
    addresses = [address for address in facts.addresses if (":" in address) == (type_ == "IPv6")]
    if not addresses:
        return None
    spec, metadata = service["spec"], pod["metadata"]
    ready = bool(spec.get("publishNotReadyAddresses")) or (facts.ready and not facts.terminating)
    value: Object = {"addresses": addresses, "conditions": {"ready": ready, "serving": facts.ready, "terminating": facts.terminating}}
    if facts.hostname and facts.subdomain == service["metadata"]["name"]:
        value["hostname"] = facts.hostname
    value["targetRef"] = {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}
    if facts.node:
        value["nodeName"] = facts.node
    zone = _zone_of(node) if node is not None else ""
    if zone:
        value["zone"] = zone
    return Endpoint(ports_of(service, pod), value)


def _zone_of(node: Object) -> str:
    zone: str = (node["metadata"].get("labels") or {}).get(ZONE_LABEL, "")
    return zone
