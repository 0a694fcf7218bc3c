"""Mode ipvs: endpoints in turn (the scheduler rr); the dump is what ``ipvsadm -Ln`` shows.

Upstream: pkg/proxy/ipvs/proxier.go; the kernel's round robin moves on with every connection of a virtual server.
"""

from collections.abc import Sequence
from itertools import pairwise

from kubesim.proxy.endpoint import Endpoint
from kubesim.proxy.modes.contract import Draw, Mode
from kubesim.proxy.service_port import ServicePort
from kubesim.proxy.table import CLUSTER_IP, Table


class RoundRobin:
    """The virtual servers of a node: each remembers the real server it used last, and takes the next in order."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], str] = {}

    def __call__(self, port: ServicePort, endpoints: Sequence[Endpoint], draw: Draw) -> Endpoint:
        """The endpoint after the last one; the first when that one has gone."""
        key = (port.name, port.protocol)
        last = self._last.get(key)
        chosen = next((after for before, after in pairwise(endpoints) if before.address == last), endpoints[0])
        self._last[key] = chosen.address
        return chosen


def dump(table: Table) -> str:
    """The virtual servers of a node and their real servers."""
    lines = ["IP Virtual Server version 1.2.1 (size=4096)", "Prot LocalAddress:Port Scheduler Flags",
             "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn"]
    for (ip, protocol, number), rule in table.rules.items():
        local = (rule.is_local and rule.kind != CLUSTER_IP) or (rule.kind == CLUSTER_IP and rule.port.internal_local)
        endpoints = rule.usable.local if local else rule.usable.cluster
        persistent = f" persistent {rule.port.affinity_seconds}" if rule.port.affinity_seconds else ""
        for address in (ip,) if ip else table.node_ips:
            lines.append(f"{protocol:<4} {address}:{number} rr{persistent}")
            lines += [f"  -> {each.address:<28} Masq    1      0          0" for each in endpoints]
    return "\n".join(lines) + "\n"


MODE = Mode("ipvs", RoundRobin, dump)
