"""Namespaces: emptied Pods first, finalized when empty, with upstream's conditions; and their default ServiceAccount."""

from typing import Any

from world import DEPLOYMENTS, World, deployment

from kubesim.apiserver.requests import Object
from kubesim.controllers import all_controllers


def namespaced(obj: Object, namespace: str = "shop") -> Object:
    return {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}


def make_world(**options: Any) -> World:
    world = World(all_controllers(), **options)
    world.create("namespaces", {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "shop"}})
    world.run()
    return world


def conditions(world: World) -> dict[str, tuple[str, str, str]]:
    status = world.get("namespaces", "shop", "")["status"]
    return {found["type"]: (found["status"], found["reason"], found["message"]) for found in status["conditions"]}


def test_every_namespace_has_its_default_service_account() -> None:
    world = make_world()
    assert world.find("serviceaccounts", "default", "shop") is not None
    world.delete("serviceaccounts", "default", "shop")
    world.run()
    assert world.find("serviceaccounts", "default", "shop") is not None


def test_an_empty_namespace_goes_after_five_seconds() -> None:
    world = make_world()
    world.delete("namespaces", "shop", "")
    world.run(4.5)
    assert world.get("namespaces", "shop", "")["status"]["phase"] == "Terminating"
    world.run(1)
    assert world.find("namespaces", "shop", "") is None
    assert world.all("serviceaccounts", "shop") == []


def test_a_full_namespace_goes_pods_first_and_waits_for_a_finalizer_as_recorded() -> None:
    world = make_world()
    world.create(DEPLOYMENTS, namespaced(deployment("web", 2)))
    service = {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "web"}}
    world.create("services", namespaced({**service, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}))
    held = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
    world.create("configmaps", namespaced(held))
    world.run(2)
    assert len(world.all("pods", "shop")) == 2
    world.delete("namespaces", "shop", "")
    world.run_until(lambda: "conditions" in world.get("namespaces", "shop", "")["status"])
    message = "unexpected items still remain in namespace: shop for gvr: /v1, Resource=pods"
    failure = ("True", "ContentDeletionFailed", f"Failed to delete all resource types, 1 remaining: {message}")
    assert conditions(world)["NamespaceDeletionContentFailure"] == failure
    assert world.all(DEPLOYMENTS, "shop"), "nothing else goes before the last Pod"
    world.run(3)
    assert world.all("pods", "shop") == [] and world.all(DEPLOYMENTS, "shop") == []
    assert conditions(world) == {
        "NamespaceDeletionDiscoveryFailure": ("False", "ResourcesDiscovered", "All resources successfully discovered"),
        "NamespaceDeletionGroupVersionParsingFailure": ("False", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
        "NamespaceDeletionContentFailure": (
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        "NamespaceContentRemaining": ("True", "SomeResourcesRemain", "Some resources are remaining: configmaps. has 1 resource instances"),
        "NamespaceFinalizersRemaining": (
            "True",
            "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
        ),
    }
    world.merge("configmaps", "held", {"metadata": {"finalizers": None}}, "shop")
    world.run(15)
    assert world.find("namespaces", "shop", "") is None
    created = [what for _, _, verb, what in world.writes if verb == "create" and what.startswith("pods/") and "/binding" not in what]
    assert len(created) == 2, "no Pod came back"
