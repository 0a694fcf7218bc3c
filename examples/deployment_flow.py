"""Follow one Deployment from kubectl to running containers: every write, with who made it and the revision it got."""

from kubesim import Cluster
from kubesim.testing import builders


def main() -> None:
    """Apply a Deployment and print its way through the components."""
    with Cluster(nodes=2, seed=1) as cluster:
        flow = cluster.follow()
        cluster.apply(builders.deployment("hello", 1))
        cluster.run_until("Deployment hello available")
        for step in flow.steps:
            print(f"{step.time:<14} {step.component:<28} {step.object:<40} {step.revision:>5}  {step.text}")
        components = [step.component for step in flow.steps]
        order = ["kubectl", "deployment", "replicaset", "scheduler", "node"]
        first = [next(index for index, name in enumerate(components) if word in name) for word in order]
        assert first == sorted(first), "each component acts after the one before it"


if __name__ == "__main__":
    main()
