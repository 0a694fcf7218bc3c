"""Three masters behind two load balancers: a master dies, the balancer dies, and the cluster goes on."""

from kubesim import Cluster
from kubesim.testing import builders


def main() -> None:
    """Run a Deployment, take away a master and a balancer, and scale meanwhile."""
    with Cluster(nodes=2, control_planes=3, seed=1) as cluster:
        cluster.apply(builders.deployment("web", 2))
        cluster.run_until_converged()
        print("served:", {name: process.request_count for name, process in cluster.parts.apiservers.items()})

        leader = cluster.parts.etcd_cluster.leader.name.removesuffix("/etcd")
        print(f"{leader} leads etcd, and loses its power")
        cluster.hosts[leader].kill()
        cluster.scale("Deployment", "web", 4)
        cluster.run_until_converged()
        assert len(cluster.list("Pod")) == 4
        print("now", cluster.parts.etcd_cluster.leader.name.removesuffix("/etcd"), "leads etcd")

        start_ns = cluster.kernel.now_ns
        cluster.hosts["lb-1"].kill()
        cluster.run_for("5s")
        moved_ns, holder = cluster.parts.address.moves[-1]
        print(f"{holder} took the address over after {(moved_ns - start_ns) / 1e9:.3f} s")
        cluster.scale("Deployment", "web", 5)
        cluster.run_until_converged()
        assert len(cluster.list("Pod")) == 5


if __name__ == "__main__":
    main()
