"""Connections in a whole cluster: through a Service, a node port, policies, cut links and dead nodes."""

from collections import Counter
from collections.abc import Iterator

import pytest

from kubesim import Cluster
from kubesim.api.errors import ApiError
from kubesim.testing import builders

PORTS = [{"port": 80, "targetPort": "http", "nodePort": 30080}]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(nodes=3, seed=1) as made:
        web = builders.deployment("web", 3)
        web["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 8080, "name": "http"}]
        made.apply([web, builders.service("web", type="NodePort", ports=PORTS), builders.pod("client")])
        made.run_until_converged()
        yield made


def test_a_service_reaches_every_pod_and_nobody_else(cluster: Cluster) -> None:
    hits = Counter(cluster.connect("client", "http://web").pod for _ in range(60))
    assert {f"default/{pod['metadata']['name']}" for pod in cluster.list("Pod", label_selector="app=web")} == set(hits)


def test_hops_tell_the_way(cluster: Cluster) -> None:
    found = cluster.connect("client", "http://web.default.svc.cluster.local")
    ip = cluster.get("Service", "web")["spec"]["clusterIP"]
    assert f"dns: web.default.svc.cluster.local is {ip}" == found.hops[0]
    assert found
    assert f"{found.pod} answers on {found.ip}:8080" == found.hops[2]


@pytest.mark.parametrize(
    ("source", "url", "outcome", "why"),
    [
        ("client", "http://nobody", "no such host", "'nobody': no such host"),
        ("client", "http://web:81", "timed out", "is the address of Service default/web, which has no port 81"),
        (None, "http://web", "no such host", "not known outside"),
        (None, "http://192.0.2.7", "timed out", "nobody has the address 192.0.2.7"),
        (None, "tcp://172.16.0.1:22", "refused", "nothing on node-1 listens on 172.16.0.1:22"),
        (None, "http://172.16.0.1:30080", "connected", "answers"),
        ("client", "http://172.16.0.3:30080", "connected", "answers"),
    ],
)
def test_outcomes(cluster: Cluster, source: str | None, url: str, outcome: str, why: str) -> None:
    found = cluster.connect(source, url)
    assert outcome == found.outcome
    assert why in found.hops[-1]


def test_a_port_that_nobody_listens_on_is_refused(cluster: Cluster) -> None:
    ip = cluster.list("Pod", label_selector="app=web")[0]["status"]["podIP"]
    assert cluster.connect("client", f"http://{ip}:9").outcome == "refused"


def test_a_policy_closes_and_says_so(cluster: Cluster) -> None:
    name = cluster.list("Pod", label_selector="app=web")[0]["metadata"]["name"]
    assert cluster.can_connect("client", name, 8080)
    spec = {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]}
    cluster.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"}, "spec": spec})
    cluster.run_until_converged()
    assert not cluster.can_connect("client", name, 8080)
    assert "is not allowed by NetworkPolicy deny" in cluster.connect("client", "http://web").hops[-1]


def test_cut_links_and_dead_nodes_time_out_until_they_are_back(cluster: Cluster) -> None:
    home = cluster.get("Pod", "client")["spec"]["nodeName"]
    far = next(pod for pod in cluster.list("Pod", label_selector="app=web") if pod["spec"]["nodeName"] != home)
    url = f"http://{far['status']['podIP']}:8080"
    cluster.network.links.partition([home], [far["spec"]["nodeName"]])
    assert f"the link between {home} and {far['spec']['nodeName']} is cut" == cluster.connect("client", url).hops[-1]
    cluster.network.links.heal()
    assert cluster.connect("client", url)
    cluster.fail_node(far["spec"]["nodeName"])
    assert cluster.connect("client", url).outcome == "timed out"
    cluster.restore_node(far["spec"]["nodeName"])
    cluster.run_until_converged()
    assert cluster.connect("client", "http://web")


def test_a_stopped_kube_proxy_keeps_its_old_rules(cluster: Cluster) -> None:
    home = cluster.get("Pod", "client")["spec"]["nodeName"]
    cluster.network.proxies.stop(home)
    old = {pod["status"]["podIP"] for pod in cluster.list("Pod", label_selector="app=web")}
    cluster.scale("Deployment", "web", 0)
    cluster.run_until_converged()
    stale = cluster.connect("client", "http://web")
    assert stale.outcome == "timed out"
    assert f"nobody has the address {stale.hops[-1].rpartition(' ')[2]}" == stale.hops[-1]
    assert stale.hops[-1].rpartition(" ")[2] in old
    cluster.network.proxies.restart(home)
    assert cluster.connect("client", "http://web").outcome == "refused"


@pytest.mark.parametrize("url", ["ftp://web", "http://", "tcp://web", "http://web:0x50"])
def test_a_url_that_is_none_is_named(cluster: Cluster, url: str) -> None:
    with pytest.raises(ValueError, match="expected http://host"):
        cluster.connect("client", url)


def test_unknown_pods_and_modes(cluster: Cluster) -> None:
    with pytest.raises(ApiError, match='pods "ghost" not found'):
        cluster.connect("ghost", "http://web")
    with pytest.raises(ValueError, match="proxy_mode is 'userspace'; expected one of iptables, ipvs, nftables"):
        Cluster(nodes=1, proxy_mode="userspace")
