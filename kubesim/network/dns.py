"""Names inside a cluster, as CoreDNS answers them: Services, headless Services with their Pods, ExternalName, addresses of Pods.

The search list of a Pod (``ClusterFirst``) is tried first for a name with fewer than five dots, as its resolv.conf says.

Upstream: the DNS specification of Kubernetes (schema 1.1.0), pkg/kubelet/network/dns.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DOMAIN = "cluster.local"
NDOTS = 5
CNAME_MAX = 8
SERVICE_NAME = "kubernetes.io/service-name"
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a name resolves to: addresses in order; ``name`` is the full name that answered, ``cname`` a name outside the cluster."""

    name: str
    addresses: tuple[str, ...] = ()
    cname: str = ""


class NameNotFound(LookupError):
    """NXDOMAIN: no such name, whichever suffix of the search list is put behind it."""


class Zone:
    """The names of a cluster at one moment: Services by ``namespace/name``, and the EndpointSlices."""

    def __init__(self, services: Mapping[str, Object], slices: Iterable[Object], domain: str = DOMAIN) -> None:
        self.domain = domain
        self._services = services
        self._slices: dict[str, list[Object]] = {}
        for each in slices:
            metadata = each["metadata"]
            owner = (metadata.get("labels") or {}).get(SERVICE_NAME)
            if owner and each.get("addressType") == "IPv4":
                self._slices.setdefault(f"{metadata['namespace']}/{owner}", []).append(each)

    def resolve(self, name: str, namespace: str = "default") -> Answer:
        """Resolve a name as a Pod in ``namespace`` does. Raises NameNotFound."""
        for full in self.candidates(name, namespace):
            answer = self._follow(full)
            if answer is not None:
                return answer
        raise NameNotFound(f"name: {name!r}: no such host (asked from namespace {namespace})")

    def candidates(self, name: str, namespace: str) -> list[str]:
        """The full names to try, in order."""
        if name.endswith("."):
            return [name.rstrip(".")]
        searched = [f"{name}.{suffix}" for suffix in (f"{namespace}.svc.{self.domain}", f"svc.{self.domain}", self.domain)]
        return [*searched, name] if name.count(".") < NDOTS else [name, *searched]

    def _follow(self, full: str) -> Answer | None:
        """Follow ExternalNames that lead back into the cluster."""
        for _ in range(CNAME_MAX):
            answer = self._lookup(full)
            if answer is None or not answer.cname.endswith(f".svc.{self.domain}"):
                return answer
            full = answer.cname
        return None

    def _lookup(self, full: str) -> Answer | None:
        if not full.endswith("." + self.domain):
            return None
        labels = full.removesuffix("." + self.domain).split(".")
        if labels[-1] == "pod" and len(labels) == 3:
            return Answer(full, (labels[0].replace("-", "."),)) if labels[0].count("-") == 3 else None
        if labels[-1] != "svc" or not 3 <= len(labels) <= 5:
            return None
        service_name, namespace = labels[-3], labels[-2]
        service = self._services.get(f"{namespace}/{service_name}")
        if service is None:
            return None
        spec = service.get("spec") or {}
        if spec.get("type") == "ExternalName":
            return Answer(full, cname=spec["externalName"]) if len(labels) == 3 else None
        if spec.get("clusterIP") not in (None, "", "None"):
            return Answer(full, (spec["clusterIP"],)) if len(labels) == 3 else None
        host = labels[0] if len(labels) == 4 else ""
        addresses = self._headless(f"{namespace}/{service_name}", host, spec.get("publishNotReadyAddresses") is True)
        return Answer(full, addresses) if addresses else None

    def _headless(self, key: str, host: str, all_of_them: bool) -> tuple[str, ...]:
        """The addresses behind a headless Service, or of the one Pod that is called ``host`` there."""
        found: dict[str, None] = {}
        for each in self._slices.get(key, ()):
            for endpoint in each.get("endpoints") or ():
                ready = (endpoint.get("conditions") or {}).get("ready") is not False
                if (ready or all_of_them) and (not host or host in _hosts(endpoint)):
                    found.update(dict.fromkeys(endpoint["addresses"]))
        return tuple(found)


def _hosts(endpoint: Object) -> Sequence[str]:
    """The host names of an endpoint: its own, or its address with dashes."""
    if endpoint.get("hostname"):
        return (endpoint["hostname"],)
    return tuple(address.replace(".", "-") for address in endpoint["addresses"])
