"""The Pod network: addresses from each node's range, a NetworkPolicy, and a cut between two nodes."""

from ipaddress import ip_address, ip_network

from kubesim import Cluster
from kubesim.testing import builders

DENY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "only-front"},
    "spec": {"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "front"}}}]}]},
}


def main() -> None:
    """Who may speak to whom, and what a partition does."""
    with Cluster(nodes=2, seed=1) as cluster:
        places = {"front": "node-1", "db": "node-2", "x": "node-1"}
        pods = [builders.pod(name, labels={"app": name}, nodeName=node) for name, node in places.items()]
        cluster.apply(pods, DENY)
        cluster.run_until_converged()
        ranges = {node["metadata"]["name"]: ip_network(node["spec"]["podCIDR"]) for node in cluster.list("Node")}
        for pod in cluster.list("Pod"):
            assert ip_address(pod["status"]["podIP"]) in ranges[pod["spec"]["nodeName"]]
        assert cluster.can_connect("front", "db", 5432)
        assert not cluster.can_connect("x", "db", 5432)
        print(cluster.network.can_connect("x", "db", 5432).why)

        cluster.network.links.partition(["node-1"], ["node-2"])
        assert not cluster.can_connect("front", "db", 5432)
        print(cluster.network.can_connect("front", "db", 5432).why)
        cluster.network.links.heal()
        assert cluster.can_connect("front", "db", 5432)


if __name__ == "__main__":
    main()
