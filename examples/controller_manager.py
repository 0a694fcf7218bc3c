"""The controller-manager: each controller drives one kind towards its spec, whatever happens to what it owns."""

from kubesim import Cluster
from kubesim.testing import builders

JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: sums}
spec:
  completions: 3
  parallelism: 2
  template:
    metadata:
      annotations: {kubesim.dev/run-for: 5s}
    spec:
      restartPolicy: Never
      containers: [{name: main, image: busybox:1.36}]
"""


def main() -> None:
    """Delete a Pod behind a Deployment's back, roll it out anew, and finish a Job."""
    with Cluster(nodes=3, seed=1) as cluster:
        cluster.apply(builders.deployment("web", 3), JOB)
        cluster.run_until("Deployment web available")
        victim = cluster.list("Pod", label_selector="app=web")[0]["metadata"]["name"]
        cluster.delete("Pod", victim)
        cluster.run_until_converged()
        names = [pod["metadata"]["name"] for pod in cluster.list("Pod", label_selector="app=web")]
        print(f"{victim} was replaced: {names}")
        assert len(names) == 3
        assert victim not in names

        cluster.apply(builders.deployment("web", 3, image="docker.io/library/nginx:1.28"))
        cluster.run_until_converged()
        sets = {each["metadata"]["name"]: each["spec"]["replicas"] for each in cluster.list("ReplicaSet")}
        print(f"after the rollout: {sets}")
        assert sorted(sets.values()) == [0, 3]

        status = cluster.get("Job", "sums")["status"]
        print(f"the Job: {status['succeeded']} of 3 succeeded")
        assert status["succeeded"] == 3


if __name__ == "__main__":
    main()
