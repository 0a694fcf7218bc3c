"""Custom resources are owners, dependents, content of namespaces and counted as any other: with one master and with three."""

from typing import Any

import pytest

from kubesim.api.errors import ApiError
from kubesim.cluster.cluster import Cluster

Object = dict[str, Any]
DEFINITION: Object = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "lions.zoo.example"},
    "spec": {
        "group": "zoo.example", "scope": "Namespaced", "names": {"plural": "lions", "singular": "lion", "kind": "Lion"},
        "versions": [
            {"name": name, "served": True, "storage": name == "v1", "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}}}
            for name in ("v1", "v1beta1")
        ],
    },
}  # fmt: skip


def lion(name: str, namespace: str = "default", **metadata: Any) -> Object:
    """A custom object."""
    metadata = {"name": name, "namespace": namespace, **metadata}
    return {"apiVersion": "zoo.example/v1", "kind": "Lion", "metadata": metadata, "spec": {"a": 1}}


def settings(name: str, namespace: str = "default", **metadata: Any) -> Object:
    """A ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace, **metadata}}


def reference(owner: Object, version: str = "", **more: Any) -> Object:
    """An owner reference."""
    named = {"apiVersion": version or owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"]}
    return {**named, "uid": owner["metadata"]["uid"], **more}


def is_there(cluster: Cluster, kind: str, name: str, namespace: str = "default") -> bool:
    """Whether an object exists."""
    try:
        cluster.get(kind, name, namespace)
    except ApiError as error:
        assert error.code == 404
        return False
    return True


@pytest.fixture(scope="module", params=[1, 3], ids=["one master", "three masters"])
def cluster(request):
    """A cluster that serves the custom resource."""
    with Cluster(nodes=1, control_planes=request.param) as found:
        found.apply(DEFINITION)
        found.run_until_converged()
        yield found


def test_an_owner_takes_its_dependents_along(cluster: Cluster) -> None:
    [owner] = cluster.apply(lion("alpha"))
    cluster.apply(settings("of-alpha", ownerReferences=[reference(owner)]))
    cluster.apply(settings("of-beta", ownerReferences=[reference(owner, "zoo.example/v1beta1")]))
    [cub] = cluster.apply(lion("cub", ownerReferences=[reference(owner)]))
    cluster.apply(settings("of-cub", ownerReferences=[reference(cub)]))
    cluster.run_until_converged()
    assert is_there(cluster, "ConfigMap", "of-cub")
    cluster.delete("Lion", "alpha")
    cluster.run_until_converged()
    kept = [name for kind, name in (("ConfigMap", "of-alpha"), ("ConfigMap", "of-beta"), ("Lion", "cub"), ("ConfigMap", "of-cub"))
            if is_there(cluster, kind, name)]  # fmt: skip
    assert kept == []


def test_a_dependent_goes_with_its_owner_and_a_foreground_deletion_waits(cluster: Cluster) -> None:
    [owner] = cluster.apply(settings("boss"))
    cluster.apply(lion("servant", ownerReferences=[reference(owner)]))
    [king] = cluster.apply(lion("king"))
    cluster.apply(settings("held", ownerReferences=[reference(king, blockOwnerDeletion=True)], finalizers=["example.com/hold"]))
    cluster.run_until_converged()
    cluster.delete("ConfigMap", "boss")
    cluster.delete("Lion", "king", propagationPolicy="Foreground")
    cluster.run_until_converged()
    assert not is_there(cluster, "Lion", "servant")
    assert "deletionTimestamp" in cluster.get("Lion", "king")["metadata"]
    cluster.patch("ConfigMap", "held", {"metadata": {"finalizers": None}}, patch_type="merge")
    cluster.run_until_converged()
    assert not is_there(cluster, "Lion", "king")


def test_orphans_stay(cluster: Cluster) -> None:
    [owner] = cluster.apply(lion("mother"))
    cluster.apply(settings("orphan", ownerReferences=[reference(owner)]))
    cluster.run_until_converged()
    cluster.delete("Lion", "mother", propagationPolicy="Orphan")
    cluster.run_until_converged()
    assert "ownerReferences" not in cluster.get("ConfigMap", "orphan")["metadata"]
    cluster.delete("ConfigMap", "orphan")


def test_a_namespace_is_emptied_of_them(cluster: Cluster) -> None:
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "zoo"}})
    cluster.run_until_converged()
    cluster.apply(lion("a", "zoo"), lion("b", "zoo", finalizers=["example.com/hold"]))
    cluster.delete("Namespace", "zoo", "")
    cluster.run_for("30s")
    found = {condition["type"]: condition for condition in cluster.get("Namespace", "zoo", "")["status"]["conditions"]}
    assert found["NamespaceContentRemaining"]["message"] == "Some resources are remaining: lions.zoo.example has 1 resource instances"
    cluster.patch("Lion", "b", {"metadata": {"finalizers": None}}, "zoo", "merge")
    cluster.run_for("60s")
    assert not is_there(cluster, "Namespace", "zoo", "")


def test_a_quota_counts_them(cluster: Cluster) -> None:
    hard = {"count/lions.zoo.example": "2"}
    cluster.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": hard}})
    cluster.run_until_converged()
    cluster.apply(lion("one"), lion("two"))
    with pytest.raises(Exception, match="exceeded quota: q, requested: count/lions.zoo.example=1, used: count/lions.zoo.example=2"):
        cluster.apply(lion("three"))
    cluster.delete("Lion", "one")
    cluster.run_until_converged()
    assert cluster.get("ResourceQuota", "q")["status"]["used"] == {"count/lions.zoo.example": "1"}
    cluster.delete("ResourceQuota", "q")
    cluster.delete("Lion", "two")


def test_a_definition_comes_again(cluster: Cluster) -> None:
    cluster.apply(lion("last"))
    cluster.delete("CustomResourceDefinition", "lions.zoo.example", "")
    cluster.run_for("20s")
    assert not is_there(cluster, "CustomResourceDefinition", "lions.zoo.example", "")
    cluster.apply(DEFINITION)
    cluster.run_for("20s")
    [owner] = cluster.apply(lion("again"))
    cluster.apply(settings("of-again", ownerReferences=[reference(owner)]))
    cluster.run_for("5s")
    cluster.delete("Lion", "again")
    cluster.run_for("20s")
    assert not is_there(cluster, "ConfigMap", "of-again")
