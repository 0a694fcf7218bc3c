"""Mode iptables: a random endpoint; the dump is what iptables-restore is given (tables filter and nat).

Upstream: pkg/proxy/iptables/proxier.go; chain names are the first 16 characters of base32(sha256(name + protocol [+ endpoint])).
"""

from base64 import b32encode
from collections.abc import Iterator, Sequence
from hashlib import sha256

from kubesim.proxy.endpoint import Endpoint
from kubesim.proxy.modes.contract import Mode, at_random
from kubesim.proxy.service_port import ServicePort
from kubesim.proxy.table import CLUSTER_IP, LOAD_BALANCER, NODE_PORT, Rule, Table

CLUSTER_CIDR = "10.0.0.0/8"
FILTER_CHAINS = ("KUBE-NODEPORTS", "KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-FIREWALL", "KUBE-FORWARD", "KUBE-PROXY-FIREWALL")
NAT_CHAINS = ("KUBE-NODEPORTS", "KUBE-SERVICES", "KUBE-MARK-MASQ", "KUBE-POSTROUTING")


def chain_hash(text: str) -> str:
    """The 16 characters of a chain's name."""
    return b32encode(sha256(text.encode()).digest()).decode()[:16]


def chain(prefix: str, port: ServicePort, endpoint: str = "") -> str:
    """The name of a chain: ``KUBE-SVC``, ``-SVL``, ``-EXT``, ``-FW`` of a Service port, ``KUBE-SEP`` of an endpoint."""
    return f"{prefix}-{chain_hash(port.name + port.protocol.lower() + endpoint)}"


def dump(table: Table) -> str:
    """The rules of a node as iptables-restore reads them."""
    by_port: dict[str, list[tuple[tuple[str, str, int], Rule]]] = {}
    for place, rule in table.rules.items():
        by_port.setdefault(rule.port.name + rule.port.protocol, []).append((place, rule))
    chains: list[str] = []
    filters: list[str] = []
    nat: list[str] = []
    for entries in by_port.values():
        for (ip, _, number), rule in entries:
            _entry(rule, ip, number, filters, nat)
        _port_chains(entries[0][1], {rule.kind for _, rule in entries}, chains, nat)
    nat.append('-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" '
               "-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS")
    filters += [
        "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
        '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
        '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    ]
    postrouting = [
        "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
        "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
        '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE',
        "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
    ]
    lines = ["*filter", *(f":{name} - [0:0]" for name in FILTER_CHAINS), *filters, "COMMIT"]
    lines += ["*nat", *(f":{name} - [0:0]" for name in (*NAT_CHAINS, *chains)), *postrouting, *nat, "COMMIT"]
    return "\n".join(lines) + "\n"


def _match(port: ServicePort) -> str:
    return f"-m {port.protocol.lower()} -p {port.protocol.lower()}"


def _entry(rule: Rule, ip: str, number: int, filters: list[str], nat: list[str]) -> None:
    """The rule that leads from a place into a Service port's chains, or refuses it when there is nobody behind."""
    port = rule.port
    what = f"{port.name} {rule.kind}" if rule.kind != NODE_PORT else port.name
    where = f"-d {ip} --dport {number}" if ip else f"--dport {number}"
    if not (rule.usable.cluster or rule.usable.local):
        table_chain = "KUBE-SERVICES" if rule.kind == CLUSTER_IP else "KUBE-EXTERNAL-SERVICES"
        local = "" if ip else " -m addrtype --dst-type LOCAL"
        missing, verdict = ("has no local endpoints", "DROP") if rule.usable.has_any else ("has no endpoints", "REJECT")
        filters.append(f'-A {table_chain} -m comment --comment "{port.name} {missing}"{local} {_match(port)} {where} -j {verdict}')
        return
    target = chain("KUBE-FW" if rule.kind == LOAD_BALANCER and port.source_ranges else "KUBE-EXT", port)
    if rule.kind == CLUSTER_IP:
        target = chain("KUBE-SVL" if port.internal_local else "KUBE-SVC", port)
    comment = f'"{what}"' if " " in what else what
    nat.append(f"-A {'KUBE-SERVICES' if ip else 'KUBE-NODEPORTS'} -m comment --comment {comment} {_match(port)} {where} -j {target}")


def _port_chains(rule: Rule, kinds: set[str], chains: list[str], nat: list[str]) -> None:
    port, usable = rule.port, rule.usable
    svc, svl, ext = chain("KUBE-SVC", port), chain("KUBE-SVL", port), chain("KUBE-EXT", port)
    if usable.cluster and (not port.internal_local or port.is_external):
        chains.append(svc)
        nat.append(f'-A {svc} -m comment --comment "{port.name} cluster IP" {_match(port)} -d {port.cluster_ip} --dport {port.port} '
                   f"! -s {CLUSTER_CIDR} -j KUBE-MARK-MASQ")
        nat.extend(_balance(svc, port, usable.cluster))
    if port.uses_local_endpoints and usable.local:
        chains.append(svl)
        nat.extend(_balance(svl, port, usable.local))
    if kinds - {CLUSTER_IP} and (usable.cluster or usable.local):
        chains.append(ext)
        if port.external_local:
            nat.append(f'-A {ext} -m comment --comment "pod traffic for {port.name} external destinations" -s {CLUSTER_CIDR} -j {svc}')
            nat.append(f'-A {ext} -m comment --comment "masquerade LOCAL traffic for {port.name} external destinations" '
                       "-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ")
            nat.append(f'-A {ext} -m comment --comment "route LOCAL traffic for {port.name} external destinations" '
                       f"-m addrtype --src-type LOCAL -j {svc}")
            if usable.local:
                nat.append(f"-A {ext} -j {svl}")
        else:
            nat.append(f'-A {ext} -m comment --comment "masquerade traffic for {port.name} external destinations" -j KUBE-MARK-MASQ')
            nat.append(f"-A {ext} -j {svc}")
    if LOAD_BALANCER in kinds and port.source_ranges:
        firewall = chain("KUBE-FW", port)
        chains.append(firewall)
        comment = f'-m comment --comment "{port.name} loadbalancer IP"'
        nat.extend(f"-A {firewall} {comment} -s {source} -j {ext}" for source in port.source_ranges)
        nat.append(f'-A {firewall} -m comment --comment "other traffic to {port.name} will be dropped by KUBE-PROXY-FIREWALL"')
    for endpoint in dict.fromkeys((*usable.cluster, *usable.local)):
        sep = chain("KUBE-SEP", port, endpoint.address)
        chains.append(sep)
        nat.append(f"-A {sep} -m comment --comment {port.name} -s {endpoint.ip} -j KUBE-MARK-MASQ")
        affinity = f" -m recent --name {sep} --set" if port.affinity_seconds else ""
        nat.append(f"-A {sep} -m comment --comment {port.name}{affinity} {_match(port)} -j DNAT --to-destination {endpoint.address}")


def _balance(name: str, port: ServicePort, endpoints: Sequence[Endpoint]) -> Iterator[str]:
    """The n-th of m endpoints takes 1/(m-n) of what is left, so that each gets the same share."""
    if port.affinity_seconds:
        for endpoint in endpoints:
            sep = chain("KUBE-SEP", port, endpoint.address)
            yield (f'-A {name} -m comment --comment "{port.name} -> {endpoint.address}" -m recent --name {sep} --rcheck '
                   f"--seconds {port.affinity_seconds} --reap -j {sep}")
    count = len(endpoints)
    for index, endpoint in enumerate(endpoints):
        share = f" -m statistic --mode random --probability {1 / (count - index):0.10f}" if index < count - 1 else ""
        yield f'-A {name} -m comment --comment "{port.name} -> {endpoint.address}"{share} -j {chain("KUBE-SEP", port, endpoint.address)}'


MODE = Mode("iptables", lambda: at_random, dump)
