"""What a fresh server has, and that a server can be driven by answers that come later."""

from kubesim.apiserver.requests import create, get, list_


def test_a_cluster_starts_with_what_upstream_has(api) -> None:
    names = [item["metadata"]["name"] for item in api(list_("namespaces"))["items"]]
    assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]
    classes = {item["metadata"]["name"]: item["value"] for item in api(list_("priorityclasses.scheduling.k8s.io"))["items"]}
    assert classes == {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
    assert api(get("services", "default", "kubernetes"))["spec"]["clusterIP"] == "10.96.0.1"


def test_a_verb_asks_etcd_and_waits_for_the_answer(api) -> None:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
    generator = api.server.handle(create("configmaps", "default", obj))
    asked = generator.send(None)
    assert asked[:2] == ("put_if", b"/registry/configmaps/default/a")
    try:
        generator.send(api.server.etcd.execute(asked))
    except StopIteration as stop:
        created = stop.value
    assert created == api(get("configmaps", "default", "a"))
    assert created["metadata"]["resourceVersion"] == str(api.revision())
