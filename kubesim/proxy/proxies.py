"""The kube-proxies of all nodes: one set of informers; a node's table is compiled when somebody asks and kept until something changed.

A table that nobody looks at costs nothing, however many Services change: what a real kube-proxy would have written by now is what is
compiled from the caches now. ``stop`` stops a node's proxy: it keeps the table it had, as rules stay in a kernel.

Upstream: cmd/kube-proxy, pkg/proxy/config (handlers), one process per node there.
"""

from typing import Any

from kubesim.client.contract import Link
from kubesim.client.informer import Informer, InformerFactory
from kubesim.kernel.loop import Kernel
from kubesim.proxy.endpoint import Endpoint, Key, endpoints_of
from kubesim.proxy.modes import mode_named
from kubesim.proxy.modes.contract import Balancer
from kubesim.proxy.route import Flow, Route, route
from kubesim.proxy.service_port import ServicePort, ports_of
from kubesim.proxy.table import Table, compile_table
from kubesim.proxy.topology import ZONE_LABEL

NO_TABLE: tuple[int, Table | None] = (-1, None)


class Proxies:
    """kube-proxy on every node, in one mode. ``start()`` begins to watch; ``route`` and ``table`` answer for a node.

    Raises ValueError for a mode that does not exist.
    """

    def __init__(self, kernel: Kernel, link: Link, mode: str = "iptables", factory: InformerFactory | None = None) -> None:
        self.kernel = kernel
        self.mode = mode_named(mode)
        self.factory = factory or InformerFactory(link)
        self._services = self._watched("services")
        self._slices = self._watched("endpointslices.discovery.k8s.io")
        self._nodes = self._watched("nodes")
        self._version = 0
        self._compiled = -1
        self._ports: list[ServicePort] = []
        self._endpoints: dict[Key, tuple[Endpoint, ...]] = {}
        self._tables: dict[str, tuple[int, Table | None]] = {}
        self._balancers: dict[str, Balancer] = {}
        self._stopped: dict[str, Table] = {}

    def _watched(self, resource: str) -> Informer:
        informer = self.factory.informer(resource)
        informer.add_handler(self._on_change)
        return informer

    def start(self) -> None:
        """Begin to watch."""
        self.factory.start()

    def _on_change(self, old: Any, new: Any) -> None:
        self._version += 1

    def table(self, node: str) -> Table:
        """The rules of a node as of now. Raises ValueError for an unknown node. O(Services + endpoints) after a change."""
        stopped = self._stopped.get(node)
        if stopped is not None:
            return stopped
        version, table = self._tables.get(node, NO_TABLE)
        if table is None or version != self._version:
            table = self._compile(node)
            self._tables[node] = (self._version, table)
        return table

    def _compile(self, node: str) -> Table:
        found = self._nodes.objects.get(node)
        if found is None:
            raise ValueError(f"node: {node!r}: there is no such node; expected one of the {len(self._nodes.objects)} registered ones")
        if self._compiled != self._version:
            self._ports = [port for service in self._services.objects.values() for port in ports_of(service)]
            self._endpoints = endpoints_of(self._slices.objects.values())
            self._compiled = self._version
        zone = (found["metadata"].get("labels") or {}).get(ZONE_LABEL, "")
        addresses = (found.get("status") or {}).get("addresses") or ()
        node_ips = [each["address"] for each in addresses if each["type"] in ("InternalIP", "ExternalIP")]
        return compile_table(node, zone, node_ips, self._ports, self._endpoints)

    def route(self, node: str, flow: Flow) -> Route:
        """What the node does with a flow. Raises ValueError for an unknown node."""
        balancer = self._balancers.get(node)
        if balancer is None:
            balancer = self._balancers[node] = Balancer(self.mode.chooser())
        return route(self.table(node), flow, balancer, self.kernel.now_ns, self.kernel.rng(f"kube-proxy/{node}").below)

    def rules(self, node: str) -> str:
        """The rules of a node as its mode's tool shows them. Raises ValueError for an unknown node."""
        return self.mode.dump(self.table(node))

    def stop(self, node: str) -> None:
        """kube-proxy of a node stops: its rules stay as they are. Raises ValueError for an unknown node."""
        self._stopped[node] = self.table(node)

    def restart(self, node: str) -> None:
        """Undo ``stop``; session affinities are lost, as with a flushed chain. Nothing to do for one that runs."""
        if self._stopped.pop(node, None) is not None:
            self._balancers.pop(node, None)
