"""CustomResourceDefinitions in process: names, objects, versions' storage, scale, and deletion of everything that is left."""

from collections.abc import Iterator
from typing import Any

import pytest

from kubesim import Cluster
from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Request

Object = dict[str, Any]
SPEC = {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1, "default": 2}, "replicas": {"type": "integer"}}}
STATUS = {"type": "object", "properties": {"replicas": {"type": "integer"}}}
SCALE = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}


def definition(plural: str = "widgets", kind: str = "Widget", **names: Any) -> Object:
    """A definition in example.com with a status and a scale subresource."""
    schema = {"type": "object", "properties": {"spec": SPEC, "status": STATUS}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    version["subresources"] = {"status": {}, "scale": SCALE}
    spec = {"group": "example.com", "scope": "Namespaced", "names": {"plural": plural, "kind": kind, **names}, "versions": [version]}
    metadata = {"name": f"{plural}.example.com"}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}


def widget(name: str = "one", **spec: Any) -> Object:
    """A Widget."""
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(nodes=0) as made:
        made.apply(definition())
        made.run_until("CustomResourceDefinition widgets.example.com Established")
        yield made


def test_objects_are_defaulted_pruned_and_validated(cluster: Cluster) -> None:
    (stored,) = cluster.apply(widget())
    assert stored["spec"] == {"size": 2}
    assert stored["metadata"]["generation"] == 1
    with pytest.raises(ApiError, match="spec.size in body should be greater than or equal to 1"):
        cluster.apiserver.call(Request("create", "widgets.example.com", "default", obj=widget("two", size=0)))


def test_status_and_scale_are_apart_from_the_spec(cluster: Cluster) -> None:
    (stored,) = cluster.apply(widget(replicas=1))
    changed = {**stored, "spec": {"size": 9}, "status": {"replicas": 3}}
    after = cluster.apiserver.call(Request("update", "widgets.example.com", "default", "one", obj=changed, subresource="status"))
    assert (after["spec"], after["status"]) == (stored["spec"], {"replicas": 3})
    scale = cluster.scale("Widget", "one", 4)
    assert (scale["spec"], scale["status"]) == ({"replicas": 4}, {"replicas": 3})
    assert cluster.get("Widget", "one")["metadata"]["generation"] == 2


def test_a_name_that_is_taken_is_not_accepted_until_it_is_free(cluster: Cluster) -> None:
    cluster.apply(definition("gadgets", "Widget"))
    cluster.run_until_converged()
    other = cluster.get("CustomResourceDefinition", "gadgets.example.com")
    assert [(each["type"], each["status"], each["reason"]) for each in other["status"]["conditions"]] == [
        ("NamesAccepted", "False", "ListKindConflict"),
        ("Established", "False", "NotAccepted"),
    ]
    cluster.delete("CustomResourceDefinition", "widgets.example.com")
    cluster.run_until("CustomResourceDefinition gadgets.example.com Established")
    assert cluster.apply(widget())[0]["kind"] == "Widget"


def test_a_definition_goes_after_its_objects(cluster: Cluster) -> None:
    held = widget("held")
    held["metadata"]["finalizers"] = ["example.com/wait"]
    cluster.apply(held, widget("free"))
    cluster.delete("CustomResourceDefinition", "widgets.example.com")
    cluster.run_until_converged()
    assert [obj["metadata"]["name"] for obj in cluster.list("Widget")] == ["held"]
    with pytest.raises(ApiError, match="create not allowed while custom resource definition is terminating"):
        cluster.apiserver.call(Request("create", "widgets.example.com", "default", obj=widget("late")))
    cluster.patch("Widget", "held", {"metadata": {"finalizers": None}}, patch_type="merge")
    cluster.run_until("CustomResourceDefinition widgets.example.com deleted")
    cluster.run_until_converged()
    assert "widgets.example.com" not in cluster.apiserver.registry.by_name


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"scope": "Galaxy"}, 'spec.scope: Unsupported value: "Galaxy": supported values: "Cluster", "Namespaced"'),
        ({"group": "example"}, 'spec.group: Invalid value: "example": should be a domain with at least one dot'),
        ({"versions": []}, "must have exactly one version marked as storage version"),
    ],
)
def test_a_bad_definition_says_what_was_expected(change: Object, why: str) -> None:
    bad = definition()
    bad["spec"] = {**bad["spec"], **change}
    bad["metadata"]["name"] = f"widgets.{bad['spec']['group']}"
    with Cluster(nodes=0) as cluster, pytest.raises(ApiError) as caught:
        cluster.apiserver.call(Request("create", "customresourcedefinitions.apiextensions.k8s.io", "", obj=bad))
    assert why in caught.value.message
