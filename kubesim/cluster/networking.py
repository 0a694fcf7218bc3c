"""What a connection inside a cluster meets, hop by hop: DNS, kube-proxy on the way, NetworkPolicies, the links, and whoever listens.

Nothing is sent. A packet's way is a function of what the rooms know now: the tables of the nodes' kube-proxies, the policies, the
kubelets' containers. Built when it is first asked for; a cluster that nobody asks has no watches for it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kubesim.api.errors import not_found
from kubesim.apiserver.requests import Object
from kubesim.client.informer import InformerFactory
from kubesim.cluster.assemble import Parts
from kubesim.cluster.masters import Masters
from kubesim.kernel.time import MILLISECOND
from kubesim.network.dns import Answer, NameNotFound, Zone
from kubesim.network.links import NodeLinks
from kubesim.network.policy import Peer, Verdict, check
from kubesim.proxy.proxies import Proxies
from kubesim.proxy.route import ACCEPT, DROP, PASS, REJECT, Flow, Route

PORTS = {"http": 80, "https": 443}
SCHEMES = {"http": "TCP", "https": "TCP", "tcp": "TCP", "udp": "UDP", "sctp": "SCTP"}
CONNECTED, REFUSED, TIMED_OUT, NO_SUCH_HOST = "connected", "refused", "timed out", "no such host"
OUTSIDE_IP = "203.0.113.1"  # an address of the world outside (RFC 5737)
OUTSIDE_LATENCY_NS = MILLISECOND


@dataclass(frozen=True, slots=True)
class Connection:
    """What became of an attempt: ``outcome`` is connected, refused, timed out or no such host; ``hops`` are sentences, in order."""

    outcome: str
    hops: tuple[str, ...]
    ip: str = ""
    port: int = 0
    pod: str = ""  # "namespace/name" of the Pod that answered; empty for what is no Pod
    latency_ns: int = 0

    def __bool__(self) -> bool:
        return self.outcome == CONNECTED


class _End(Exception):
    """An attempt has ended before it was connected."""

    def __init__(self, outcome: str, hop: str) -> None:
        self.outcome, self.hop = outcome, hop


class Networking:
    """The network of a cluster, as its Pods see it. ``links`` are the links between nodes, ``proxies`` the kube-proxies."""

    def __init__(self, parts: Parts | Masters, proxy_mode: str = "iptables") -> None:
        self._parts = parts
        self.links = NodeLinks()
        self._factory = InformerFactory(parts.link("kube-proxy"))
        self.proxies = Proxies(parts.kernel, self._factory.link, proxy_mode, self._factory)
        self._pods = self._factory.informer("pods")
        self._pods.add_index("address", _addresses)
        self._nodes = self._factory.informer("nodes")
        self._nodes.add_index("address", _node_addresses)
        self._policies = self._factory.informer("networkpolicies.networking.k8s.io")
        self._namespaces = self._factory.informer("namespaces")
        self._services = self._factory.informer("services")
        self._slices = self._factory.informer("endpointslices.discovery.k8s.io")
        self._factory.start()

    # -- questions --

    def resolve(self, name: str, namespace: str = "default") -> Answer:
        """Resolve a name as a Pod of ``namespace`` does. Raises NameNotFound. O(EndpointSlices)."""
        return Zone(self._services.objects, self._slices.objects.values()).resolve(name, namespace)

    def can_connect(self, source: str, destination: str, port: int, protocol: str = "TCP") -> Verdict:
        """Whether a packet of one Pod reaches another's address: links, nodes and policies; not whether anybody listens there.

        Pods are ``namespace/name`` (or a name in ``default``). Raises ApiError 404, and ValueError for a Pod without an address.
        """
        one, other = self._pod_peer(source), self._pod_peer(destination)
        for stop in self._obstacles(one, other, port, protocol):
            return Verdict(False, stop.hop)
        return Verdict(True)

    def connect(self, source: str | None, url: str) -> Connection:
        """Try to connect from a Pod (``None``: from outside the cluster) to ``http://service:port``, an address, ``tcp://…`` or ``udp://…``.

        Raises ApiError 404 for an unknown Pod and ValueError for a URL that is none. A Service with several endpoints sends each attempt
        where its kube-proxy's mode decides.
        """
        protocol, host, port = parse_url(url)
        peer = Peer(OUTSIDE_IP) if source is None else self._pod_peer(source)
        hops: list[str] = []
        try:
            ip = self._address(host, peer, hops)
            return self._travel(peer, ip, protocol, port, hops)
        except _End as end:
            return Connection(end.outcome, (*hops, end.hop))

    # -- the way --

    def _address(self, host: str, peer: Peer, hops: list[str]) -> str:
        if all(part.isdigit() for part in host.split(".")):
            return host
        if peer.pod is None:
            raise _End(NO_SUCH_HOST, f"{host}: names of the cluster are not known outside it")
        try:
            answer = self.resolve(host, peer.namespace)
        except NameNotFound as error:
            raise _End(NO_SUCH_HOST, str(error)) from None
        if not answer.addresses:
            raise _End(NO_SUCH_HOST, f"{answer.name} is an alias of {answer.cname}, which is outside the cluster")
        address = answer.addresses[self._draw(len(answer.addresses))] if len(answer.addresses) > 1 else answer.addresses[0]
        hops.append(f"dns: {answer.name} is {address}")
        return address

    def _travel(self, peer: Peer, ip: str, protocol: str, port: int, hops: list[str]) -> Connection:
        node = peer.node or self._entry_node(ip, protocol, port)
        if node:
            ip, port = self._proxied(node, peer, ip, protocol, port, hops)
        target_node = self._node_of_address(ip)
        if target_node and target_node != node and not self._pods.indexed("address", ip):
            self._cross(node or "outside", target_node)
            ip, port = self._proxied(target_node, peer, ip, protocol, port, hops)  # a node port of another node
        destination = self._listener(ip, port, protocol)
        for stop in self._obstacles(peer, destination, port, protocol):
            raise stop
        if destination.pod is None and not destination.node:
            raise _End(TIMED_OUT, self._nobody(ip, port))
        name = _name(destination.pod)
        _check_listens(destination, port, protocol)
        latency = self.links.latency_ns(peer.node, destination.node) if peer.node else OUTSIDE_LATENCY_NS
        hops.append(f"{name or destination.node} answers on {ip}:{port}")
        return Connection(CONNECTED, tuple(hops), ip, port, name, latency)

    def _proxied(self, node: str, peer: Peer, ip: str, protocol: str, port: int, hops: list[str]) -> tuple[str, int]:
        found: Route = self.proxies.route(node, Flow(peer.ip, ip, protocol, port, peer.pod is not None or bool(peer.node)))
        if found.verdict == PASS:
            return ip, port
        if found.verdict in (REJECT, DROP):
            raise _End(REFUSED if found.verdict == REJECT else TIMED_OUT, f"kube-proxy on {node}: {found.why}")
        assert found.verdict == ACCEPT and found.backend is not None and found.rule is not None
        hops.append(f"kube-proxy on {node}: {found.rule.port.name} ({found.rule.kind}) picks {found.backend.address}")
        return found.backend.ip, found.backend.port

    def _entry_node(self, ip: str, protocol: str, port: int) -> str:
        """Where traffic from outside comes in: the node with the address, or any ready one (with local endpoints) for a load balancer's."""
        node = self._node_of_address(ip)
        if node:
            return node
        for service in self._services.objects.values():
            ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
            if any(each.get("ip") == ip for each in ingress) or ip in (service["spec"].get("externalIPs") or ()):
                ready = [name for name in self._nodes.objects if self._is_up(name)]
                if service["spec"].get("externalTrafficPolicy") == "Local":
                    ready = [name for name in ready if self._has_local(name, ip, protocol, port)]
                return ready[self._draw(len(ready))] if ready else ""
        return ""

    def _has_local(self, node: str, ip: str, protocol: str, port: int) -> bool:
        rule = self.proxies.table(node).find(ip, protocol, port)
        return rule is not None and bool(rule.usable.local)

    def _obstacles(self, one: Peer, other: Peer, port: int, protocol: str) -> Iterator[_End]:
        """What stops a packet on its way, first things first."""
        if one.node and not self._is_up(one.node):
            yield _End(TIMED_OUT, f"node {one.node} is down")
        if other.node and not self._is_up(other.node):
            yield _End(TIMED_OUT, f"node {other.node} is down")
        if one.node and other.node and self._is_cut(one.node, other.node):
            yield _End(TIMED_OUT, f"the link between {one.node} and {other.node} is cut")
        verdict = check(self._policies.objects.values(), self._namespaces.objects, one, other, port, protocol)
        if not verdict.allowed:
            yield _End(TIMED_OUT, verdict.why)

    def _cross(self, source: str, destination: str) -> None:
        if not self._is_up(destination):
            raise _End(TIMED_OUT, f"node {destination} is down")
        if self._is_cut(source, destination):
            raise _End(TIMED_OUT, f"the link between {source} and {destination} is cut")

    def _is_cut(self, source: str, destination: str) -> bool:
        return self.links.is_cut(source, destination) or self.links.is_cut(destination, source)

    def _nobody(self, ip: str, port: int) -> str:
        for key, service in self._services.objects.items():
            if service["spec"].get("clusterIP") == ip:
                return f"{ip} is the address of Service {key}, which has no port {port}"
        return f"nobody has the address {ip}"

    # -- who is where --

    def _pod_peer(self, source: str) -> Peer:
        key = source if "/" in source else f"default/{source}"
        pod = self._pods.objects.get(key)
        if pod is None:
            raise not_found("pods", key.partition("/")[2])
        ip = (pod.get("status") or {}).get("podIP")
        if not ip:
            raise ValueError(f"pod: {key!r}: it has no address yet; expected a Pod that runs")
        return Peer(ip, None if pod["spec"].get("hostNetwork") else pod, pod["spec"]["nodeName"])

    def _listener(self, ip: str, port: int, protocol: str) -> Peer:
        """Who has an address; of several Pods on a node's own, the one with the port."""
        pods = [pod for pod in self._pods.indexed("address", ip).values() if pod["status"].get("phase") == "Running"]
        for pod in pods:
            if not pod["spec"].get("hostNetwork") or (port, protocol) in _declared(pod):
                return Peer(ip, pod, pod["spec"]["nodeName"])
        return Peer(ip, None, self._node_of_address(ip))

    def _node_of_address(self, ip: str) -> str:
        return next(iter(self._nodes.indexed("address", ip)), "")

    def _is_up(self, node: str) -> bool:
        agent = self._parts.kubelets.nodes.get(node)
        return agent is not None and agent.alive

    def _draw(self, count: int) -> int:
        return self._parts.kernel.rng("network").below(count) if count else 0


def parse_url(url: str) -> tuple[str, str, int]:
    """Protocol, host and port of ``scheme://host[:port]``. Raises ValueError that says what was expected."""
    expected = f"url: {url!r}: expected http://host[:port], https://…, tcp://host:port or udp://host:port"
    parts = urlsplit(url if "://" in url else f"tcp://{url}")
    try:
        port = parts.port if parts.port is not None else PORTS.get(parts.scheme)
    except ValueError:
        raise ValueError(expected) from None
    if parts.scheme not in SCHEMES or not parts.hostname or not port:
        raise ValueError(expected)
    return SCHEMES[parts.scheme], parts.hostname, port


def _addresses(pod: Object) -> Iterable[str]:
    ip = (pod.get("status") or {}).get("podIP")
    return (ip,) if ip else ()


def _node_addresses(node: Object) -> Iterable[str]:
    addresses = (node.get("status") or {}).get("addresses") or ()
    return tuple(each["address"] for each in addresses if each["type"] in ("InternalIP", "ExternalIP"))


def _name(pod: Any) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" if pod is not None else ""


def _declared(pod: Mapping[str, Any]) -> set[tuple[int, str]]:
    containers = [*pod["spec"]["containers"], *(each for each in pod["spec"].get("initContainers") or () if each.get("restartPolicy"))]
    return {(port["containerPort"], port.get("protocol") or "TCP") for container in containers for port in container.get("ports") or ()}


def _check_listens(destination: Peer, port: int, protocol: str) -> None:
    """A container listens on the ports it declares; one that declares none listens on all, for nobody knows."""
    if destination.pod is None:
        raise _End(REFUSED, f"nothing on {destination.node} listens on {destination.ip}:{port}")
    declared = _declared(destination.pod)
    if declared and (port, protocol) not in declared:
        raise _End(REFUSED, f"{_name(destination.pod)} does not listen on {protocol} port {port}")
