"""Volumes from claim to mount: provisioned, bound, attached, mounted; and back when the Pod and the claim go."""

from kubesim import Cluster

CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "user"},
    "spec": {
        "containers": [{"name": "main", "image": "nginx", "volumeMounts": [{"name": "d", "mountPath": "/d"}]}],
        "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}],
    },
}


def test_a_claim_gets_a_volume_and_gives_it_back() -> None:
    with Cluster(nodes=2) as cluster:
        cluster.apply(CLAIM, POD)
        cluster.run_until_converged()
        assert cluster.get("Pod", "user")["status"]["phase"] == "Running"
        claim = cluster.get("PersistentVolumeClaim", "data")
        volume = cluster.get("PersistentVolume", claim["spec"]["volumeName"])
        assert claim["spec"]["storageClassName"] == "standard"
        assert (claim["status"]["phase"], volume["status"]["phase"]) == ("Bound", "Bound")
        (attachment,) = cluster.list("VolumeAttachment")
        assert attachment["status"]["attached"]
        assert attachment["spec"]["nodeName"] == cluster.get("Pod", "user")["spec"]["nodeName"]

        cluster.delete("PersistentVolumeClaim", "data")
        cluster.run_until_converged()
        assert cluster.get("PersistentVolumeClaim", "data")["metadata"]["finalizers"], "a Pod uses it"
        cluster.delete("Pod", "user")
        cluster.run_until_converged()
        assert cluster.list("PersistentVolumeClaim") == cluster.list("PersistentVolume") == cluster.list("VolumeAttachment") == []


def test_a_volume_of_a_cloud_is_attached_by_its_driver() -> None:
    with Cluster(nodes=1) as cluster:
        volume = {"name": "d", "cinder": {"volumeID": "bd82f7e2", "fsType": "ext4"}}
        cluster.apply({**POD, "spec": {**POD["spec"], "volumes": [volume]}})
        cluster.run_until_converged()
        assert cluster.get("Pod", "user")["status"]["phase"] == "Running"
        (attachment,) = cluster.list("VolumeAttachment")
        assert attachment["spec"]["attacher"] == "cinder.csi.openstack.org"


def test_a_pod_waits_for_a_claim_that_nobody_serves() -> None:
    with Cluster(nodes=1) as cluster:
        cluster.apply({**CLAIM, "spec": {**CLAIM["spec"], "storageClassName": "none"}}, POD)
        cluster.run_until_converged()
        assert cluster.get("PersistentVolumeClaim", "data")["status"]["phase"] == "Pending"
        assert any("unbound immediate PersistentVolumeClaims" in str(wait) for wait in cluster.waits())
