"""kube-proxy: a Service spreads connections over its Pods, keeps a client with session affinity, and leaves out what is not ready."""

from collections import Counter

from kubesim import Cluster
from kubesim.testing import builders


def main() -> None:
    """Connect many times in each mode, then look at the rules."""
    for mode in ("iptables", "ipvs", "nftables"):
        with Cluster(nodes=3, seed=1, proxy_mode=mode) as cluster:
            cluster.apply(builders.deployment("web", 3), builders.service("web"), builders.service("sticky", selector={"app": "web"},
                          sessionAffinity="ClientIP"), builders.pod("client"))
            cluster.run_until_converged()
            hits = Counter(cluster.connect("client", "http://web").pod for _ in range(99))
            print(f"{mode}: {sorted(hits.values())}")
            assert len(hits) == 3
            assert mode != "ipvs" or set(hits.values()) == {33}, "round robin"
            assert len({cluster.connect("client", "http://sticky").pod for _ in range(20)}) == 1
            rules = cluster.network.proxies.rules("node-1")
            assert cluster.get("Service", "web")["spec"]["clusterIP"] in rules
    print(cluster.connect("client", "http://web").hops)


if __name__ == "__main__":
    main()
