"""The endpoints of Service ports, merged from EndpointSlices.

Slices overlap while the controller moves endpoints between them: an address and port counts once. Sorted by text, as upstream sorts.

Upstream: pkg/proxy/endpoint.go, pkg/proxy/endpointslicecache.go.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

SERVICE_NAME = "kubernetes.io/service-name"
HEADLESS = "service.kubernetes.io/headless"
Key = tuple[str, str, str]  # "namespace/service", port name, protocol


class Endpoint(NamedTuple):
    """An address and port that serves a Service port."""

    ip: str
    port: int
    node: str
    ready: bool
    serving: bool
    terminating: bool
    zone_hints: tuple[str, ...]
    node_hints: tuple[str, ...]

    @property
    def address(self) -> str:
        """``ip:port``."""
        return f"{self.ip}:{self.port}"


def endpoints_of(slices: Iterable[Mapping[str, Any]]) -> dict[Key, tuple[Endpoint, ...]]:
    """The endpoints by Service port, sorted by ``ip:port``. O(endpoints · log)."""
    found: dict[Key, dict[str, Endpoint]] = {}
    for each in slices:
        metadata = each["metadata"]
        labels = metadata.get("labels") or {}
        service = labels.get(SERVICE_NAME)
        if not service or HEADLESS in labels or each.get("addressType") != "IPv4":
            continue
        for port in each.get("ports") or ():
            number = port.get("port")
            if number is None:
                continue
            key = (f"{metadata['namespace']}/{service}", port.get("name") or "", port.get("protocol") or "TCP")
            place = found.setdefault(key, {})
            for raw in each.get("endpoints") or ():
                if raw.get("addresses"):
                    endpoint = _endpoint(raw, number)
                    place.setdefault(endpoint.address, endpoint)
    return {key: tuple(place[address] for address in sorted(place)) for key, place in found.items()}


def _endpoint(raw: Mapping[str, Any], port: int) -> Endpoint:
    conditions = raw.get("conditions") or {}
    hints = raw.get("hints") or {}
    return Endpoint(
        ip=raw["addresses"][0],
        port=port,
        node=raw.get("nodeName") or "",
        ready=conditions.get("ready") is not False,
        serving=conditions.get("serving") is not False,
        terminating=conditions.get("terminating") is True,
        zone_hints=tuple(each["name"] for each in hints.get("forZones") or ()),
        node_hints=tuple(each["name"] for each in hints.get("forNodes") or ()),
    )
