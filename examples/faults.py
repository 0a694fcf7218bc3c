"""A scenario of faults: a node is lost, the scheduler dies meanwhile, and everything is there again at the end."""

from pathlib import Path

from kubesim.cluster.cluster import Cluster

HERE = Path(__file__).parent


def main() -> None:
    """Run the shop through the scenario of examples/faults.yaml and print what happened."""
    cluster = Cluster(nodes=6)
    cluster.apply(HERE / "shop.yaml")
    cluster.inject_file(HERE / "faults.yaml")
    cluster.run_until_converged()
    for entry in cluster.faults.log:
        print(f"{(entry.time_ns - cluster.start_ns) / 1e9:6.0f} s  {entry.name} {entry.what}")
    for deployment in cluster.list("Deployment"):
        status = deployment["status"]
        print(f"{deployment['metadata']['name']}: {status['availableReplicas']} of {status['replicas']} Pods available")


if __name__ == "__main__":
    main()
