"""A Pod of two containers that share a volume: what the app writes, the log sidecar reads."""

from kubesim import Cluster

POD = """
apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations:
    kubesim.dev/writes.app: "/var/log/app/access.log 10s GET /item/%d 200"
    kubesim.dev/tails.shipper: /logs/access.log
spec:
  containers:
  - name: app
    image: docker.io/library/nginx:1.27
    volumeMounts: [{name: logs, mountPath: /var/log/app}]
  - name: shipper
    image: docker.io/library/fluentd:1.17
    volumeMounts: [{name: logs, mountPath: /logs, readOnly: true}]
  volumes:
  - name: logs
    emptyDir: {}
"""


def main() -> None:
    """Let the app write for a minute and read the sidecar's log."""
    with Cluster(nodes=1, seed=1) as cluster:
        cluster.apply(POD)
        cluster.run_until("Pod web Ready")
        cluster.run_for("1m")
        kubelets = cluster.parts.kubelets
        written = [line.text for line in kubelets.file("default", "web", "app", "/var/log/app/access.log").read(cluster.kernel.now_ns)]
        shipped = [line.text for line in kubelets.logs("default", "web", "shipper")]
        print("\n".join(shipped))
        assert len(shipped) >= 5
        assert shipped == written[-len(shipped) :]


if __name__ == "__main__":
    main()
