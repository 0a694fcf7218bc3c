"""One port of one Service, as kube-proxy reads it. IPv4 only, like the rest of the simulated network.

Upstream: pkg/proxy/serviceport.go, pkg/proxy/util/utils.go (ShouldSkipService).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PROXY_NAME = "service.kubernetes.io/service-proxy-name"
AFFINITY_SECONDS_DEFAULT = 10800


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a Service: its addresses, policies and session affinity (``affinity_seconds`` 0: none)."""

    namespace: str
    service: str
    port_name: str
    protocol: str
    port: int
    cluster_ip: str
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    affinity_seconds: int = 0
    internal_local: bool = False
    external_local: bool = False
    health_check_node_port: int = 0

    @property
    def name(self) -> str:
        """``namespace/service:port``, without the colon when the port has no name."""
        return f"{self.namespace}/{self.service}" + (f":{self.port_name}" if self.port_name else "")

    @property
    def key(self) -> tuple[str, str, str]:
        """What endpoints are filed under."""
        return (f"{self.namespace}/{self.service}", self.port_name, self.protocol)

    @property
    def is_external(self) -> bool:
        """Whether anything outside the cluster may come in here."""
        return bool(self.node_port or self.load_balancer_ips or self.external_ips)

    @property
    def uses_cluster_endpoints(self) -> bool:
        """Also with an external policy Local: traffic from inside the cluster is short-circuited to all endpoints."""
        return not self.internal_local or self.is_external

    @property
    def uses_local_endpoints(self) -> bool:
        """Whether some traffic may only stay on the node."""
        return self.internal_local or (self.external_local and self.is_external)


def ports_of(service: Mapping[str, Any]) -> Iterator[ServicePort]:
    """The ports of a Service in its order; none for one that kube-proxy leaves alone (headless, ExternalName, another proxy's)."""
    metadata, spec = service["metadata"], service.get("spec") or {}
    cluster_ip = spec.get("clusterIP") or ""
    if cluster_ip in ("", "None") or spec.get("type") == "ExternalName" or PROXY_NAME in (metadata.get("labels") or {}):
        return
    affinity_seconds = 0
    if spec.get("sessionAffinity") == "ClientIP":
        client = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        affinity_seconds = client.get("timeoutSeconds") or AFFINITY_SECONDS_DEFAULT
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    for port in spec.get("ports") or ():
        yield ServicePort(
            namespace=metadata["namespace"],
            service=metadata["name"],
            port_name=port.get("name") or "",
            protocol=port.get("protocol") or "TCP",
            port=port["port"],
            cluster_ip=cluster_ip,
            node_port=port.get("nodePort") or 0,
            external_ips=_ipv4(spec.get("externalIPs") or ()),
            load_balancer_ips=_ipv4(each.get("ip") or "" for each in ingress if each.get("ipMode", "VIP") == "VIP"),
            source_ranges=tuple(each.strip() for each in spec.get("loadBalancerSourceRanges") or ()),
            affinity_seconds=affinity_seconds,
            internal_local=spec.get("internalTrafficPolicy") == "Local",
            external_local=spec.get("externalTrafficPolicy") == "Local",
            health_check_node_port=spec.get("healthCheckNodePort") or 0,
        )


def _ipv4(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(address for address in addresses if "." in address)
