"""Apply: all or nothing, create or update, and the merge with what was applied last."""

import copy
import json

import pytest

from kubesim import ApiError, Cluster, ManifestError
from kubesim.cluster.apply import LAST_APPLIED
from kubesim.cluster.three_way import patch_of
from kubesim.testing.builders import config_map, deployment, namespace, pod, service

POD = "io.k8s.api.core.v1.Pod"


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(nodes=0)


def test_apply_returns_what_is_stored_with_its_defaults(cluster: Cluster) -> None:
    (stored,) = cluster.apply(deployment("web", 3))
    assert stored["spec"]["strategy"]["type"] == "RollingUpdate"
    assert stored is cluster.get("Deployment", "web") is cluster.get("deploy", "web")
    assert json.loads(stored["metadata"]["annotations"][LAST_APPLIED])["spec"]["replicas"] == 3


def test_sources_may_be_mixed(cluster: Cluster, tmp_path) -> None:
    (tmp_path / "a.yaml").write_text(json.dumps(config_map("a")))
    (tmp_path / "b.json").write_text(json.dumps(config_map("b")))
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
    stored = cluster.apply(tmp_path, text, config_map("d"), [config_map("e"), config_map("f")], [str(tmp_path / "a.yaml"), config_map("g")])
    assert [obj["metadata"]["name"] for obj in stored] == ["a", "b", "c", "d", "e", "f", "a", "g"]
    with pytest.raises(ValueError, match="expected a path, a text, an object or a list of objects"):
        cluster.apply(3)  # type: ignore[arg-type]


def test_nothing_of_a_bad_source_is_applied(cluster: Cluster) -> None:
    before = cluster.digest
    with pytest.raises(ManifestError) as caught:
        cluster.apply([config_map("fine"), deployment("web", -1), deployment("two", template={})])
    assert len(caught.value.problems) >= 2
    assert cluster.digest == before
    with pytest.raises(ApiError, match='configmaps "fine" not found'):
        cluster.get("ConfigMap", "fine")


def test_earlier_objects_are_foundations_of_later_ones(cluster: Cluster) -> None:
    stored = cluster.apply([namespace("shop"), deployment("web", namespace="shop"), service("web", namespace="shop")])
    assert [obj["metadata"].get("namespace") for obj in stored] == [None, "shop", "shop"]
    with pytest.raises(ManifestError, match="must be greater than or equal to 0"):
        cluster.apply([namespace("other"), deployment("web", -1, namespace="other")])
    with pytest.raises(ManifestError, match='namespaces "nowhere" not found'):
        cluster.apply(deployment("web", namespace="nowhere"))


def test_applying_twice_changes_nothing(cluster: Cluster) -> None:
    (first,) = cluster.apply(deployment("web", 3))
    (second,) = cluster.apply(deployment("web", 3))
    assert second["metadata"]["generation"] == 1
    assert second["spec"] == first["spec"]


def test_a_field_that_is_gone_from_the_manifest_is_removed(cluster: Cluster) -> None:
    one = deployment("web", 3, minReadySeconds=5)
    one["metadata"]["labels"] = {"tier": "front", "stage": "test"}
    cluster.apply(one)
    two = copy.deepcopy(one)
    del two["spec"]["minReadySeconds"], two["metadata"]["labels"]["stage"]
    two["spec"]["template"]["spec"]["containers"][0]["name"] = "other"
    (stored,) = cluster.apply(two)
    assert stored["metadata"]["labels"] == {"tier": "front"}
    assert stored["spec"].get("minReadySeconds", 0) == 0
    assert [each["name"] for each in stored["spec"]["template"]["spec"]["containers"]] == ["other"]


def test_what_others_wrote_stays(cluster: Cluster) -> None:
    manifest = deployment("web", 3)
    del manifest["spec"]["replicas"]
    cluster.apply(manifest)
    cluster.scale("Deployment", "web", 7)
    cluster.patch("Deployment", "web", {"metadata": {"annotations": {"by": "someone"}}})
    (stored,) = cluster.apply(manifest)
    assert stored["spec"]["replicas"] == 7
    assert stored["metadata"]["annotations"]["by"] == "someone"


def test_an_immutable_field_is_refused(cluster: Cluster) -> None:
    cluster.apply(deployment("web"))
    other = deployment("web")
    other["spec"]["selector"] = other["spec"]["template"]["metadata"]["labels"] = None
    other["spec"]["selector"] = {"matchLabels": {"app": "x"}}
    other["spec"]["template"]["metadata"] = {"labels": {"app": "x"}}
    with pytest.raises(ManifestError, match=r"spec\.selector: Invalid value: .*field is immutable"):
        cluster.apply(other)


def test_names_of_kinds(cluster: Cluster) -> None:
    cluster.apply(pod("one"))
    for word in ("Pod", "pod", "pods", "po", "PODS"):
        assert cluster.get(word, "one")["kind"] == "Pod"
    with pytest.raises(ValueError, match="there is no kind called 'Podd'; expected Pod"):
        cluster.list("Podd")
    with pytest.raises(ValueError, match="expected a kind of Kubernetes"):
        cluster.get("zzz", "x")


PATCHES = [
    ({}, {"spec": {"a": 1}}, {"spec": {"a": 1}}),
    ({"spec": {"hostNetwork": True}}, {"spec": {}}, {"spec": {"hostNetwork": None}}),
    (
        {"spec": {"containers": [{"name": "a", "image": "x", "tty": True}, {"name": "b"}]}},
        {"spec": {"containers": [{"name": "a", "image": "y"}]}},
        {"spec": {"containers": [{"name": "a", "image": "y", "tty": None}, {"name": "b", "$patch": "delete"}]}},
    ),
    ({"spec": {"containers": [{"name": "a", "args": ["1"]}]}}, {"spec": {"containers": [{"name": "a", "args": ["2"]}]}}, None),
    (
        {"spec": {"nodeSelector": {"a": "1", "b": "2"}}},
        {"spec": {"nodeSelector": {"b": "3"}}},
        {"spec": {"nodeSelector": {"b": "3", "a": None}}},
    ),
    ({"unknown": [{"name": "a"}]}, {"unknown": []}, {"unknown": []}),
]


@pytest.mark.parametrize(("before", "after", "expected"), PATCHES)
def test_the_patch_from_one_manifest_to_the_next(before: dict, after: dict, expected: dict | None) -> None:
    assert patch_of(before, after, POD) == (after if expected is None else expected)
