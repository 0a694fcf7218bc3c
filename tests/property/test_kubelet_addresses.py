"""Addresses against a plain model: never twice while in use, none lost, given out in a circle."""

import ipaddress

from hypothesis import given, settings
from hypothesis import strategies as st

from kubesim.kubelet.doors.cni import NODE_COUNT_MAX, CniPlugin, node_address, pod_cidr

owners = st.sampled_from([f"pod-{index}" for index in range(10)])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["10.1.0.0/29", "10.2.3.0/24", "192.168.1.8/30"]), st.lists(st.tuples(st.booleans(), owners), max_size=80))
def test_never_twice(cidr: str, steps: list[tuple[bool, str]]) -> None:
    plugin = CniPlugin(cidr)
    network = ipaddress.ip_network(cidr, strict=False)
    held: dict[str, str] = {}
    capacity = network.num_addresses - 3
    for is_add, owner in steps:
        if not is_add:
            plugin.delete(owner)
            held.pop(owner, None)
            continue
        ip, error = plugin.add(owner)
        if owner in held:
            assert ip == held[owner], "asking again gives the same address"
        elif len(held) >= capacity:
            assert not ip and error.startswith("no IP addresses available in range set: ")
        else:
            address = ipaddress.ip_address(ip)
            assert not error and address in network
            assert address not in (network.network_address, network.network_address + 1, network.broadcast_address)
            assert ip not in held.values()
            held[owner] = ip
        assert plugin.in_use == held


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, NODE_COUNT_MAX - 1), min_size=2, max_size=20, unique=True))
def test_nodes_do_not_overlap(indexes: list[int]) -> None:
    ranges = [ipaddress.ip_network(pod_cidr(index)) for index in indexes]
    assert len(set(ranges)) == len(indexes)
    assert all(network.prefixlen == 24 and network.subnet_of(ipaddress.ip_network("10.0.0.0/8")) for network in ranges)
    assert not any(network.overlaps(ipaddress.ip_network("10.96.0.0/12")) for network in ranges), "the Services' range is another one"
    addresses = {node_address(index) for index in indexes}
    assert len(addresses) == len(indexes)
    assert all(ipaddress.ip_address(address) in ipaddress.ip_network("172.16.0.0/12") for address in addresses)
