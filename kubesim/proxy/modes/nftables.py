"""Mode nftables: a random endpoint by ``numgen random``; the dump is the table ``ip kube-proxy`` as ``nft list`` shows it.

Upstream: pkg/proxy/nftables/proxier.go; a chain's name is hash-namespace/service/protocol/port, its hash the first 8 characters.
"""

from collections.abc import Iterator, Sequence

from kubesim.proxy.endpoint import Endpoint
from kubesim.proxy.modes.contract import Mode, at_random
from kubesim.proxy.modes.iptables import CLUSTER_CIDR, chain_hash
from kubesim.proxy.service_port import ServicePort
from kubesim.proxy.table import CLUSTER_IP, Rule, Table


def chain(prefix: str, port: ServicePort, endpoint: str = "") -> str:
    """The name of a chain: ``service-``, ``local-``, ``external-`` of a Service port, ``endpoint-`` of an endpoint."""
    protocol = port.protocol.lower()
    digest = chain_hash(f"{port.namespace}/{port.service}/{port.port_name}/{protocol}/{endpoint}")[:8]
    tail = f"__{endpoint.replace(':', '/')}" if endpoint else ""
    return f"{prefix}-{digest}-{port.namespace}/{port.service}/{protocol}/{port.port_name}{tail}"


def dump(table: Table) -> str:
    """The rules of a node: verdict maps from a place to a chain, and the chains."""
    services: list[str] = []
    node_ports: list[str] = []
    missing: list[str] = []
    missing_ports: list[str] = []
    chains: list[str] = []
    done: set[str] = set()
    for (ip, protocol, number), rule in table.rules.items():
        where = f"{ip} . {protocol.lower()} . {number}" if ip else f"{protocol.lower()} . {number}"
        if rule.usable.cluster or rule.usable.local:
            (services if ip else node_ports).append(f"{where} : goto {_target(rule)}")
        else:
            verdict = "drop" if rule.usable.has_any else "goto reject-chain"
            (missing if ip else missing_ports).append(f'{where} comment "{rule.port.name}" : {verdict}')
        for name, lines in _chains(rule):
            if name not in done:
                done.add(name)
                chains += [f"  chain {name} {{", *(f"    {line}" for line in lines), "  }"]
    lines = [
        "table ip kube-proxy {",
        '  comment "rules for kube-proxy"',
        *_map("service-ips", "ipv4_addr . inet_proto . inet_service", services),
        *_map("service-nodeports", "inet_proto . inet_service", node_ports),
        *_map("no-endpoint-services", "ipv4_addr . inet_proto . inet_service", missing),
        *_map("no-endpoint-nodeports", "inet_proto . inet_service", missing_ports),
        "  chain services {",
        "    ip daddr . meta l4proto . th dport vmap @service-ips",
        f"    ip daddr {{ {', '.join(table.node_ips)} }} meta l4proto . th dport vmap @service-nodeports",
        "  }",
        "  chain mark-for-masquerade { meta mark set meta mark or 0x4000 }",
        "  chain reject-chain { reject }",
        *chains,
        "}",
    ]
    return "\n".join(lines) + "\n"


def _map(name: str, type_: str, elements: Sequence[str]) -> Iterator[str]:
    yield f"  map {name} {{"
    yield f"    type {type_} : verdict"
    if elements:
        yield "    elements = {"
        yield from (f"      {element}," for element in elements)
        yield "    }"
    yield "  }"


def _target(rule: Rule) -> str:
    if rule.kind != CLUSTER_IP:
        return chain("external", rule.port)
    return chain("local" if rule.port.internal_local else "service", rule.port)


def _chains(rule: Rule) -> Iterator[tuple[str, list[str]]]:
    port, usable = rule.port, rule.usable
    if usable.cluster:
        name = chain("service", port)
        masquerade = (f"ip daddr {port.cluster_ip} {port.protocol.lower()} dport {port.port} ip saddr != {CLUSTER_CIDR} "
                      "jump mark-for-masquerade")
        yield name, [masquerade, *_balance(port, usable.cluster)]
    if port.uses_local_endpoints and usable.local:
        yield chain("local", port), list(_balance(port, usable.local))
    if rule.kind != CLUSTER_IP and (usable.cluster or usable.local):
        lines = ["jump mark-for-masquerade", f"goto {chain('service', port)}"]
        if port.external_local:
            lines = [f"ip saddr {CLUSTER_CIDR} goto {chain('service', port)} comment \"short-circuit pod traffic\"",
                     "fib saddr type local jump mark-for-masquerade comment \"masquerade local traffic\"",
                     f"fib saddr type local goto {chain('service', port)} comment \"short-circuit local traffic\""]
            lines += [f"goto {chain('local', port)}"] if usable.local else []
        yield chain("external", port), lines
    for endpoint in dict.fromkeys((*usable.cluster, *usable.local)):
        yield chain("endpoint", port, endpoint.address), [
            f"ip saddr {endpoint.ip} jump mark-for-masquerade",
            f"meta l4proto {port.protocol.lower()} dnat to {endpoint.address}",
        ]


def _balance(port: ServicePort, endpoints: Sequence[Endpoint]) -> Iterator[str]:
    targets = ", ".join(f"{index} : goto {chain('endpoint', port, each.address)}" for index, each in enumerate(endpoints))
    yield f"numgen random mod {len(endpoints)} vmap {{ {targets} }}"


MODE = Mode("nftables", lambda: at_random, dump)
