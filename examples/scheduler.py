"""The scheduler: why a Pod is where it is, why another one is nowhere, and who goes when somebody more important comes."""

from kubesim import Cluster
from kubesim.testing import builders

URGENT = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "urgent"}, "value": 1000}


def main() -> None:
    """Place, explain, refuse, preempt."""
    nodes = [builders.node(name, cpu="4", memory="8Gi", pods="110") for name in ("node-1", "node-2")]
    with Cluster(nodes=nodes, seed=1) as cluster:
        cluster.apply(URGENT, [builders.pod(f"small-{index}", cpu="1500m") for index in range(4)])
        cluster.run_until_converged()
        print({pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in cluster.list("Pod")})

        cluster.apply(builders.pod("large", cpu="3"))
        cluster.run_until_converged()
        message = next(each["message"] for each in cluster.get("Pod", "large")["status"]["conditions"] if each["type"] == "PodScheduled")
        print(message)
        assert message.startswith("0/2 nodes are available: 2 Insufficient cpu.")

        cluster.apply(builders.pod("first-aid", cpu="3", priorityClassName="urgent"))
        cluster.run_until("Pod first-aid Running")
        left = [pod["metadata"]["name"] for pod in cluster.list("Pod") if pod["metadata"]["name"].startswith("small")]
        print(f"left: {left}")
        assert len(left) == 2, "the two on its node made room"


if __name__ == "__main__":
    main()
