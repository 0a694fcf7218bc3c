"""What a Service gets beside its own object: a cluster address, node ports, its IP families.

Upstream: pkg/registry/core/service/storage/{alloc,storage}.go. Called by the verbs: before the write (allocate what the new state needs),
after a failed one (give it back) and after a delete. IPv4 single-stack only, as a cluster with one IPv4 Service CIDR is.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from kubesim._core.random import Stream
from kubesim.api import field
from kubesim.api.errors import FieldError, invalid
from kubesim.apiserver.allocators import SERVICE_CIDR, AddressAllocator, PortAllocator, Taken

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
HEADLESS = "None"
WITH_NODE_PORTS = ("NodePort", "LoadBalancer")


class ServiceExtension:
    """Allocates for Services and gives back."""

    def __init__(self, stream: Stream, cidr: str = SERVICE_CIDR) -> None:
        self._addresses = AddressAllocator(stream, cidr)
        self._ports = PortAllocator(stream)

    def before_create(self, server: "ApiServer", service: Object, dry_run: bool) -> Generator[Any, Any, Object]:
        """The Service with its address and node ports. Raises ApiError 422 when they cannot be had."""
        return (yield from self._allocate(server, service, None, dry_run))

    def prepare_update(self, service: Object, old: Object) -> Object:
        """The changed Service with the address and ports that the client left out but the old one has (patchAllocatedValues); pure."""
        return keep_allocated(without_stale_fields(service, old), old)

    def before_update(self, server: "ApiServer", service: Object, old: Object, dry_run: bool) -> Generator[Any, Any, Object]:
        """The changed Service with what it already had and what it newly needs."""
        return (yield from self._allocate(server, service, old, dry_run))

    def after_update(self, service: Object, old: Object) -> Generator[Any, Any, None]:
        """Give back what the old state held and the new one does not."""
        yield from self._give_back(old, service)

    def failed(self, service: Object, old: Object | None) -> Generator[Any, Any, None]:
        """Give back what was allocated for a write that did not happen."""
        yield from self._give_back(service, old)

    def after_delete(self, service: Object) -> Generator[Any, Any, None]:
        """Give everything back."""
        yield from self._give_back(service, None)

    def _give_back(self, held: Object, kept: Object | None) -> Generator[Any, Any, None]:
        stays = _addresses_of(kept) if kept else ()
        for address in _addresses_of(held):
            if address not in stays:
                yield from self._addresses.release(address)
        ports = _held_ports_of(kept) if kept else []
        yield from self._ports.release(port for port in _held_ports_of(held) if port not in ports)

    def _allocate(self, server: "ApiServer", service: Object, old: Object | None, dry_run: bool) -> Generator[Any, Any, Object]:
        spec = service["spec"]
        if spec.get("type") == "ExternalName":
            return service
        spec = yield from self._with_address(server, service, {**spec}, old, dry_run)
        complete = {**service, "spec": spec}
        try:
            if spec.get("type") in WITH_NODE_PORTS and not (
                spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False
            ):
                spec["ports"] = yield from self._with_node_ports(complete, old, dry_run)
            if _needs_check_port(spec):
                spec["healthCheckNodePort"] = yield from self._check_port(complete, old, dry_run)
        except Taken as reason:
            if not dry_run:
                yield from self._give_back_address(complete, old)
            port, _, why = str(reason).partition(":")
            index = next((i for i, entry in enumerate(spec["ports"]) if entry.get("nodePort") == int(port)), 0)
            raise _refused(service, [field.invalid(f"spec.ports[{index}].nodePort", int(port), why)]) from None
        return complete

    def _give_back_address(self, service: Object, old: Object | None) -> Generator[Any, Any, None]:
        kept = _addresses_of(old) if old else ()
        for address in _addresses_of(service):
            if address not in kept:
                yield from self._addresses.release(address)

    def _with_address(
        self, server: "ApiServer", service: Object, spec: Object, old: Object | None, dry_run: bool
    ) -> Generator[Any, Any, Object]:
        _set_families(service, spec)
        wanted = spec.get("clusterIP") or (spec.get("clusterIPs") or [""])[0]
        held = _addresses_of(old) if old else ()
        if wanted != HEADLESS and wanted not in held:
            try:
                wanted = yield from self._take(server, service, wanted, dry_run)
            except Taken as reason:
                why = f"failed to allocate IP {wanted}: {reason}" if wanted else f"failed to allocate a serviceIP: {reason}"
                raise _refused(service, [field.invalid("spec.clusterIPs", [wanted] if wanted else [], why)]) from None
        spec["clusterIP"], spec["clusterIPs"] = wanted, [wanted]
        return spec

    def _take(self, server: "ApiServer", service: Object, wanted: str, dry_run: bool) -> Generator[Any, Any, str]:
        address = wanted or (yield from self._addresses.draw())
        if not dry_run:
            yield from self._addresses.take(address, _address_object(server, service, address))
        return address

    def _with_node_ports(self, service: Object, old: Object | None, dry_run: bool) -> Generator[Any, Any, list[Object]]:
        ports: list[Object] = service["spec"]["ports"]
        held = _node_ports_of(old) if old else []
        wanted = list(dict.fromkeys(entry["nodePort"] for entry in ports if entry.get("nodePort") and entry["nodePort"] not in held))
        missing = sum(not entry.get("nodePort") for entry in ports)
        metadata = service["metadata"]
        drawn = iter((yield from self._ports.take(wanted, missing, f"{metadata['namespace']}/{metadata['name']}", dry_run)))
        return [entry if entry.get("nodePort") else {**entry, "nodePort": next(drawn)} for entry in ports]


    def _check_port(self, service: Object, old: Object | None, dry_run: bool) -> Generator[Any, Any, int]:
        """The port at which a load balancer asks a node about its endpoints: as wished, as before, or a new one."""
        wanted: int = service["spec"].get("healthCheckNodePort") or 0
        before: int = old["spec"].get("healthCheckNodePort", 0) if old and _needs_check_port(old["spec"]) else 0
        if before and wanted in (0, before):
            return before
        metadata = service["metadata"]
        name = f"{metadata['namespace']}/{metadata['name']}"
        drawn = yield from self._ports.take([wanted] if wanted else [], int(not wanted), name, dry_run)
        return wanted or drawn[0]


def _needs_check_port(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _held_ports_of(service: Object) -> list[int]:
    """All ports of the nodes' range that a Service holds."""
    check_port = service["spec"].get("healthCheckNodePort")
    return _node_ports_of(service) + ([check_port] if check_port and _needs_check_port(service["spec"]) else [])


def without_stale_fields(service: Object, old: Object) -> Object:
    """A Service of another type than before, without what only the old type may have if the client left it as it was.

    Upstream: dropTypeDependentFields in pkg/registry/core/service/strategy.go.
    """
    spec, before = service["spec"], old["spec"]
    type_, type_before = spec.get("type"), before.get("type")
    if type_ == type_before:
        return service
    spec = {**spec}
    if type_ == "ExternalName":
        for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"):
            _drop_if_same(spec, before, key)
    if type_ not in WITH_NODE_PORTS and _node_ports_of(service) == _node_ports_of(old):
        spec["ports"] = [{key: value for key, value in entry.items() if key != "nodePort"} for entry in spec.get("ports") or ()]
    if type_ not in WITH_NODE_PORTS:
        _drop_if_same(spec, before, "externalTrafficPolicy")
    if type_ != "LoadBalancer":
        for key in ("healthCheckNodePort", "allocateLoadBalancerNodePorts", "loadBalancerClass"):
            _drop_if_same(spec, before, key)
    if type_ != "ExternalName":
        _drop_if_same(spec, before, "externalName")
    return {**service, "spec": spec}


def _drop_if_same(spec: Object, before: Object, key: str) -> None:
    if key in spec and spec[key] == before.get(key):
        del spec[key]


def keep_allocated(service: Object, old: Object) -> Object:
    """See ``ServiceExtension.prepare_update``. Upstream: patchAllocatedValues in pkg/registry/core/service/strategy.go."""
    spec, before = service["spec"], old["spec"]
    changes: Object = {}
    if "ExternalName" not in (spec.get("type"), before.get("type")):
        changes = {key: before[key] for key in ("ipFamilies", "ipFamilyPolicy") if not spec.get(key) and before.get(key)}
        if spec.get("clusterIP") and spec["clusterIP"] != before.get("clusterIP") and spec.get("clusterIPs") == before.get("clusterIPs"):
            changes["clusterIPs"] = [spec["clusterIP"]]  # a client that knows the singular field only (NormalizeClusterIPs)
        for key in ("clusterIP", "clusterIPs"):
            other = "clusterIPs" if key == "clusterIP" else "clusterIP"
            if not spec.get(key) and before.get(key) and spec.get(other) in (None, "", [], before.get(other)):
                changes[key] = before[key]
    if spec.get("type") in WITH_NODE_PORTS and before.get("type") in WITH_NODE_PORTS:
        kept = {(entry.get("port"), entry.get("protocol")): entry["nodePort"] for entry in before["ports"] if entry.get("nodePort")}
        used = set(_node_ports_of(service))
        ports = [_with_kept_port(entry, kept, used) for entry in spec.get("ports") or ()]
        if ports != spec.get("ports"):
            changes["ports"] = ports
    return {**service, "spec": {**spec, **changes}} if changes else service


def _with_kept_port(entry: Object, kept: dict[tuple[Any, Any], int], used: set[int]) -> Object:
    port = kept.get((entry.get("port"), entry.get("protocol")))
    return entry if entry.get("nodePort") or port is None or port in used else {**entry, "nodePort": port}


def _set_families(service: Object, spec: Object) -> None:
    """Default the IP families and refuse those that a cluster with IPv4 only does not have."""
    headless = HEADLESS in (spec.get("clusterIP"), *(spec.get("clusterIPs") or ()))
    if headless and not spec.get("selector"):  # its endpoints come from elsewhere and may be of any family
        spec.setdefault("ipFamilies", ["IPv4", "IPv6"])
        spec.setdefault("ipFamilyPolicy", "RequireDualStack")
        return
    if spec.get("ipFamilyPolicy") == "RequireDualStack":
        why = "this cluster is not configured for dual-stack services"
        raise _refused(service, [field.invalid("spec.ipFamilyPolicy", "RequireDualStack", why)])
    for index, family in enumerate(spec.get("ipFamilies") or ()):
        if family != "IPv4":
            raise _refused(service, [field.invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")])
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")


def _addresses_of(service: Object) -> tuple[str, ...]:
    return tuple(address for address in service["spec"].get("clusterIPs") or () if address and address != HEADLESS)


def _node_ports_of(service: Object) -> list[int]:
    return [entry["nodePort"] for entry in service["spec"].get("ports") or () if entry.get("nodePort")]


def _refused(service: Object, errors: list[FieldError]) -> Exception:
    return invalid("Service", service["metadata"]["name"], errors)


def _address_object(server: "ApiServer", service: Object, address: str) -> Object:
    metadata = service["metadata"]
    return {
        "kind": "IPAddress",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {
            "name": address,
            "uid": server.uid_stream.uuid(),
            "resourceVersion": "",
            "creationTimestamp": server.now_text(),
            "labels": {"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"},
        },
        "spec": {"parentRef": {"resource": "services", "namespace": metadata["namespace"], "name": metadata["name"]}},
    }
