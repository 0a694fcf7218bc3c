"""CSI: a claim is provisioned where its Pod is scheduled, attached, mounted, and outlives the Pod."""

from kubesim import Cluster
from kubesim.testing import builders

CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
VOLUMES = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]


def main() -> None:
    """Use one claim from two Pods, one after the other."""
    with Cluster(nodes=2, seed=1) as cluster:
        cluster.apply(CLAIM, builders.pod("first", volumes=VOLUMES))
        cluster.run_until("Pod first Running")
        claim = cluster.get("PersistentVolumeClaim", "data")
        volume = cluster.get("PersistentVolume", claim["spec"]["volumeName"])
        print(f"{claim['status']['phase']}: {volume['metadata']['name']} of class {volume['spec']['storageClassName']}")
        assert volume["spec"]["claimRef"]["name"] == "data"

        cluster.delete("Pod", "first")
        cluster.run_until("Pod first deleted")
        cluster.apply(builders.pod("second", volumes=VOLUMES))
        cluster.run_until("Pod second Running")
        assert cluster.get("PersistentVolumeClaim", "data")["spec"]["volumeName"] == volume["metadata"]["name"]
        print("the second Pod has the same volume")


if __name__ == "__main__":
    main()
