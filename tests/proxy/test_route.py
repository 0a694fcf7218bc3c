"""What a node does with a flow: policies, short circuit, source ranges, affinity, and each mode's way to choose."""

from collections import Counter

import pytest

from kubesim.kernel.time import SECOND
from kubesim.proxy.endpoint import endpoints_of
from kubesim.proxy.modes import all_modes, mode_named
from kubesim.proxy.modes.contract import Balancer
from kubesim.proxy.modes.iptables import chain
from kubesim.proxy.route import Flow, Route, route
from kubesim.proxy.service_port import ServicePort, ports_of
from kubesim.proxy.table import Table, compile_table

POD_IP, OUTSIDE = "10.244.9.9", "203.0.113.1"


def service(**spec: object) -> dict:
    """Service a/web at 10.96.0.10:80."""
    body = {"clusterIP": "10.96.0.10", "ports": [{"port": 80, "protocol": "TCP"}], **spec}
    return {"metadata": {"namespace": "a", "name": "web"}, "spec": body}


def slices(*places: tuple[str, str]) -> list[dict]:
    """A slice of a/web with (ip, node) pairs on port 8080."""
    endpoints = [{"addresses": [ip], "nodeName": node, "conditions": {"ready": True}} for ip, node in places]
    labels = {"kubernetes.io/service-name": "web"}
    ports = [{"name": "", "port": 8080, "protocol": "TCP"}]
    metadata = {"namespace": "a", "name": "web-1", "labels": labels}
    return [{"metadata": metadata, "addressType": "IPv4", "ports": ports, "endpoints": endpoints}]


def table(obj: dict, *places: tuple[str, str]) -> Table:
    """The table of node "here"."""
    return compile_table("here", "", ["172.16.0.1"], ports_of(obj), endpoints_of(slices(*places)))


def ask(compiled: Table, ip: str = "10.96.0.10", port: int = 80, source: str = POD_IP) -> Route:
    """Route one flow by the mode iptables, drawing 0."""
    return route(compiled, Flow(source, ip, "TCP", port, source != OUTSIDE), Balancer(mode_named("iptables").chooser()), 0, lambda count: 0)


HERE, THERE = ("10.244.0.2", "here"), ("10.244.1.2", "there")


def test_cluster_ip_goes_to_an_endpoint_and_other_traffic_passes() -> None:
    compiled = table(service(), THERE)
    found = ask(compiled)
    assert found.backend is not None
    assert (found.verdict, found.backend.address) == ("accept", "10.244.1.2:8080")
    assert ask(compiled, port=81).verdict == "pass"
    assert ask(compiled, ip="10.244.1.2", port=8080).verdict == "pass"


def test_nobody_behind_is_refused_and_nobody_here_is_dropped() -> None:
    assert (ask(table(service())).verdict, ask(table(service())).why) == ("reject", "a/web has no endpoints")
    dropped = ask(table(service(internalTrafficPolicy="Local"), THERE))
    assert (dropped.verdict, dropped.why) == ("drop", "a/web has no local endpoints")


def test_external_policy_local_keeps_outsiders_here_and_lets_pods_go_anywhere() -> None:
    ports = [{"port": 80, "protocol": "TCP", "nodePort": 30080}]
    compiled = table(service(type="NodePort", externalTrafficPolicy="Local", ports=ports), THERE)
    assert ask(compiled, ip="172.16.0.1", port=30080, source=OUTSIDE).verdict == "drop"
    assert ask(compiled, ip="172.16.0.1", port=30080).verdict == "accept"
    near = table(service(type="NodePort", externalTrafficPolicy="Local", ports=ports), HERE, THERE)
    backend = ask(near, ip="172.16.0.1", port=30080, source=OUTSIDE).backend
    assert backend is not None
    assert backend.node == "here"


def test_source_ranges_of_a_load_balancer() -> None:
    obj = service(type="LoadBalancer", loadBalancerSourceRanges=["198.51.100.0/24"])
    obj["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    assert ask(table(obj, HERE), ip="192.0.2.1", source=OUTSIDE).verdict == "drop"
    assert ask(table(obj, HERE), ip="192.0.2.1", source="198.51.100.7").verdict == "accept"


@pytest.mark.parametrize("obj", [service(clusterIP="None"), service(type="ExternalName", clusterIP="")])
def test_no_rules_for_what_is_not_balanced(obj: dict) -> None:
    assert list(ports_of(obj)) == []


@pytest.mark.parametrize("mode", sorted(all_modes()))
def test_shares_are_equal(mode: str) -> None:
    compiled = table(service(), HERE, THERE, ("10.244.1.3", "there"))
    balancer, draws, hits = Balancer(mode_named(mode).chooser()), iter(range(300)), Counter[str]()
    for _ in range(300):
        found = route(compiled, Flow(POD_IP, "10.96.0.10", "TCP", 80, True), balancer, 0, lambda count: next(draws) % count)
        assert found.backend is not None
        hits[found.backend.ip] += 1
    assert hits == {"10.244.0.2": 100, "10.244.1.2": 100, "10.244.1.3": 100}


def test_session_affinity_lasts_its_time_after_the_last_use_and_follows_the_endpoints() -> None:
    spec = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10}}}
    both, one = table(service(**spec), HERE, THERE), table(service(**spec), HERE)
    balancer, last = Balancer(mode_named("iptables").chooser()), lambda count: count - 1

    def go(compiled: Table, seconds: int, draw: object) -> str:
        found = route(compiled, Flow(POD_IP, "10.96.0.10", "TCP", 80, True), balancer, seconds * SECOND, draw)  # type: ignore[arg-type]
        assert found.backend is not None
        return found.backend.ip

    assert go(both, 0, last) == "10.244.1.2"
    assert go(both, 10, lambda count: 0) == "10.244.1.2"
    assert go(both, 20, lambda count: 0) == "10.244.1.2"
    assert go(both, 31, lambda count: 0) == "10.244.0.2"
    assert go(one, 32, last) == "10.244.0.2"


def test_chain_names_are_upstreams() -> None:
    port = ServicePort("ns1", "svc1", "p80", "TCP", 80, "172.30.0.41")
    assert chain("KUBE-SVC", port) == "KUBE-SVC-XPGD46QRK7WJZT7O"
    assert chain("KUBE-SEP", port, "10.180.0.1:80") == "KUBE-SEP-SXIVWICOYRO3J4NJ"


@pytest.mark.parametrize("mode", sorted(all_modes()))
def test_a_dump_names_every_service_and_backend(mode: str) -> None:
    compiled = table(service(type="NodePort", ports=[{"port": 80, "nodePort": 30080}]), HERE, THERE)
    text = mode_named(mode).dump(compiled)
    for word in ("10.96.0.10", "30080", "10.244.0.2:8080", "10.244.1.2:8080"):
        assert word in text


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(ValueError, match="'userspace': expected one of iptables, ipvs, nftables"):
        mode_named("userspace")


def test_an_address_in_two_slices_counts_once() -> None:
    doubled = slices(HERE) + slices(HERE, THERE)
    assert [each.address for each in endpoints_of(doubled)["a/web", "", "TCP"]] == ["10.244.0.2:8080", "10.244.1.2:8080"]
