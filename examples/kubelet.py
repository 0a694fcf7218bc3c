"""The kubelet: init containers in order, a crash loop with its back-off, a probe that keeps a Pod out of its Service, graceful deletion."""

from kubesim import Cluster
from kubesim.testing import builders

LOOP = {"kubesim.dev/run-for.main": "1s", "kubesim.dev/exit-code.main": "1"}


def main() -> None:
    """Run three Pods that behave differently and print what their kubelet reports."""
    with Cluster(nodes=1, seed=3) as cluster:
        steps = [{"name": name, "image": "busybox:1.36"} for name in ("fetch", "unpack")]
        careful = builders.pod("careful", initContainers=steps)
        crashing = builders.pod("crashing")
        crashing["metadata"]["annotations"] = LOOP
        late = builders.pod("late")
        late["metadata"]["annotations"] = {"kubesim.dev/ready-after": "30s"}
        late["spec"]["containers"][0]["readinessProbe"] = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 5}
        cluster.apply([careful, crashing, late])

        cluster.run_for("20s")
        ready = {pod["metadata"]["name"]: _ready(pod) for pod in cluster.list("Pod")}
        print(f"after 20 s ready: {ready}")
        assert ready == {"careful": True, "crashing": False, "late": False}

        cluster.run_for("5m")
        state = cluster.get("Pod", "crashing")["status"]["containerStatuses"][0]
        print(f"after 5 min: {state['restartCount']} restarts, {state['state']}")
        assert state["restartCount"] == 6, "at once, then after 10, 20, 40, 80 and 160 seconds"
        assert _ready(cluster.get("Pod", "late"))

        cluster.delete("Pod", "careful")
        cluster.run_for("1s")
        print([event["reason"] for event in cluster.list("Event") if event["involvedObject"]["name"] == "careful"])
        cluster.run_until("Pod careful deleted", timeout="31s")


def _ready(pod: dict) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"]["conditions"])


if __name__ == "__main__":
    main()
