"""The admission plugins, one table each, and the chain that remembers what they did with a template."""

import pytest

from kubesim.apiserver.admission import DEFAULT_PROFILE, SERVE_PROFILE, choose_plugins, find_plugins
from kubesim.apiserver.admission.contract import CREATE
from kubesim.apiserver.requests import create, delete, get, patch, update
from tests.apiserver.builders import SPEC, changed, config_map, namespace, pod

CLASSES = "priorityclasses.scheduling.k8s.io"


def priority_class(name: str, value: int, **fields) -> dict:
    return {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value, **fields}


def spec_of(api, **spec) -> dict:
    return api(create("pods", "default", pod("", spec, generateName="p-")))["spec"]


def test_the_folder_is_the_list_of_plugins() -> None:
    assert set(DEFAULT_PROFILE) | set(SERVE_PROFILE) == set(find_plugins())
    assert [plugin.name for plugin in choose_plugins(("Priority", "NamespaceLifecycle"))] == ["Priority", "NamespaceLifecycle"]
    with pytest.raises(ValueError, match="profile: 'Nope': expected one of CertificateRequester, "):
        choose_plugins(("Nope",))


def test_plugins_asked_once_per_template_change_nothing_but_the_spec(api) -> None:
    for plugin in find_plugins().values():
        if plugin.of_template:
            assert CREATE in plugin.operations
    made = api(create("pods", "default", pod(labels={"a": "b"}, annotations={"c": "d"})))
    assert (made["metadata"]["labels"], made["metadata"]["annotations"]) == ({"a": "b"}, {"c": "d"})


class TestServiceAccount:
    def account(self, api, name: str, **fields) -> None:
        api(create("serviceaccounts", "default", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}, **fields}))

    def test_the_default_is_filled_in(self, api) -> None:
        spec = spec_of(api)
        assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("default", "default")

    def test_another_must_exist(self, api) -> None:
        expected = 'pods "p" is forbidden: error looking up service account default/robot: serviceaccount "robot" not found'
        asked = create("pods", "default", pod(spec={"serviceAccountName": "robot"}))
        assert api.outcome(asked) == (403, expected)
        self.account(api, "robot", imagePullSecrets=[{"name": "key"}])
        spec = spec_of(api, serviceAccountName="robot")
        assert (spec["serviceAccountName"], spec["imagePullSecrets"]) == ("robot", [{"name": "key"}])

    def test_the_name_of_a_generated_pod_is_its_base(self, api) -> None:
        _, message = api.outcome(create("pods", "default", pod("", {"serviceAccountName": "robot"}, generateName="web-")))
        assert message.startswith('pods "web-" is forbidden: ')


class TestPriority:
    def test_without_a_class(self, api) -> None:
        spec = spec_of(api)
        assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")
        assert "priorityClassName" not in spec

    def test_with_a_class(self, api) -> None:
        api(create(CLASSES, "", priority_class("high", 1000, preemptionPolicy="Never")))
        for _ in range(2):
            spec = spec_of(api, priorityClassName="high")
            assert (spec["priority"], spec["preemptionPolicy"]) == (1000, "Never")
        assert spec_of(api, priorityClassName="system-node-critical")["priority"] == 2_000_001_000

    def test_a_default_class(self, api) -> None:
        api(create(CLASSES, "", priority_class("usual", 7, globalDefault=True)))
        spec = spec_of(api)
        assert (spec["priority"], spec["priorityClassName"]) == (7, "usual")
        second = create(CLASSES, "", priority_class("more", 8, globalDefault=True))
        expected = "PriorityClass usual is already marked as default. Only one default can exist"
        assert api.outcome(second) == (403, f'{CLASSES} "more" is forbidden: {expected}')

    @pytest.mark.parametrize(
        ("spec", "why"),
        [
            ({"priorityClassName": "nope"}, "no PriorityClass with name nope was found"),
            (
                {"priority": 5},
                "the integer value of priority (5) must not be provided in pod spec; priority admission controller "
                "computed 0 from the given PriorityClass name",
            ),
            (
                {"preemptionPolicy": "Never"},
                "the string value of PreemptionPolicy (Never) must not be provided in pod spec; priority admission controller "
                "computed PreemptLowerPriority from the given PriorityClass name",
            ),
        ],
    )
    def test_refusals(self, api, spec, why) -> None:
        assert api.outcome(create("pods", "default", pod(spec=spec))) == (403, f'pods "p" is forbidden: {why}')

    def test_an_update_keeps_what_it_leaves_out(self, api) -> None:
        made = api(create("pods", "default", pod()))
        spec = {key: value for key, value in made["spec"].items() if key not in ("priority", "preemptionPolicy")}
        kept = api(update("pods", changed(made, spec=spec, metadata={"labels": {"a": "b"}})))
        assert kept["spec"] == made["spec"]


class TestDefaultTolerationSeconds:
    def tolerations(self, *given: dict, api) -> list[tuple]:
        spec = spec_of(api, tolerations=list(given))
        return [(each.get("key"), each.get("effect"), each.get("tolerationSeconds")) for each in spec["tolerations"]]

    def test_table(self, api) -> None:
        not_ready, unreachable = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
        both = [(not_ready, "NoExecute", 300), (unreachable, "NoExecute", 300)]
        assert self.tolerations(api=api) == both
        own = {"key": "x", "operator": "Exists"}
        assert self.tolerations(own, api=api) == [("x", None, None), *both]
        longer = {"key": not_ready, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9}
        assert self.tolerations(longer, api=api) == [(not_ready, "NoExecute", 9), both[1]]
        assert self.tolerations({"operator": "Exists"}, api=api) == [(None, None, None)]
        no_schedule = {"key": not_ready, "operator": "Exists", "effect": "NoSchedule"}
        assert self.tolerations(no_schedule, api=api) == [(not_ready, "NoSchedule", None), *both]


class TestRuntimeClass:
    def test_it_gives_overhead_and_a_node_selector(self, api) -> None:
        runtime_class = {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": "vm"},
            "handler": "vm",
            "overhead": {"podFixed": {"cpu": "250m"}},
            "scheduling": {"nodeSelector": {"vm": "yes"}},
        }
        missing = 'pods "p" is forbidden: pod rejected: RuntimeClass "vm" not found'
        assert api.outcome(create("pods", "default", pod(spec={"runtimeClassName": "vm"}))) == (403, missing)
        api(create("runtimeclasses.node.k8s.io", "", runtime_class))
        spec = spec_of(api, runtimeClassName="vm", nodeSelector={"disk": "ssd"})
        assert (spec["overhead"], spec["nodeSelector"]) == ({"cpu": "250m"}, {"disk": "ssd", "vm": "yes"})
        code, message = api.outcome(create("pods", "default", pod(spec={"overhead": {"cpu": "1"}})))
        expected = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
        assert (code, message) == (403, f'pods "p" is forbidden: {expected}')


class TestStorage:
    def claim(self, **spec) -> dict:
        resources = {"requests": {"storage": "1Gi"}}
        spec = {"accessModes": ["ReadWriteOnce"], "resources": resources, **spec}
        return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"generateName": "c-"}, "spec": spec}

    def storage_class(self, name: str, default: bool) -> dict:
        annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
        kind = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "x"}
        return {**kind, "metadata": {"name": name, "annotations": annotations}}

    def test_the_default_class(self, api) -> None:
        def chosen(**spec) -> str | None:
            return api(create("persistentvolumeclaims", "default", self.claim(**spec)))["spec"].get("storageClassName")

        assert chosen() is None
        api(create("storageclasses.storage.k8s.io", "", self.storage_class("plain", False)))
        assert chosen() is None
        api(create("storageclasses.storage.k8s.io", "", self.storage_class("usual", True)))
        assert chosen() == "usual"
        assert chosen(storageClassName="") == ""
        assert chosen(storageClassName="plain") == "plain"
        api.run(5 * 10**9)
        api(create("storageclasses.storage.k8s.io", "", self.storage_class("newer", True)))
        assert chosen() == "newer"

    def test_claims_and_volumes_are_protected(self, api) -> None:
        made = api(create("persistentvolumeclaims", "default", self.claim()))
        assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]


def test_a_new_node_is_not_ready(api) -> None:
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    own = {"key": "gpu", "effect": "NoSchedule", "value": "yes"}
    for name, given, expected in (("a", [], [taint]), ("b", [own], [own, taint]), ("c", [taint], [taint])):
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"taints": given}}
        assert api(create("nodes", "", node))["spec"]["taints"] == expected


def test_a_default_ingress_class(api) -> None:
    mark = {"ingressclass.kubernetes.io/is-default-class": "true"}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "spec": {"controller": "example.com/x"}}
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"generateName": "i-"}}
    backend = {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}

    def chosen() -> str | None:
        return api(create("ingresses.networking.k8s.io", "default", {**ingress, "spec": backend}))["spec"].get("ingressClassName")

    assert chosen() is None
    api(create("ingressclasses.networking.k8s.io", "", {**kind, "metadata": {"name": "usual", "annotations": mark}}))
    assert chosen() == "usual"


class TestTheMemoOfTemplates:
    """An admitted template holds until a policy object changes, and never for another namespace."""

    def test_another_namespace_is_asked_again(self, api) -> None:
        api(create("namespaces", "", namespace("n")))
        sent = pod()
        api(create("pods", "n", sent))
        api(create("pods", "default", sent))
        api(delete("namespaces", "", "n"))
        assert api.outcome(create("pods", "n", changed(sent, metadata={"name": "late"})))[0] == 403
        assert api.outcome(create("pods", "absent", sent))[0] == 404
        assert api.outcome(create("pods", "default", changed(sent, metadata={"name": "late"}))) == (200, "")

    def test_a_changed_class_counts_for_the_next_pod(self, api) -> None:
        api(create(CLASSES, "", priority_class("c", 1)))
        spec = {**SPEC, "priorityClassName": "c"}
        sent = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-"}, "spec": spec}
        assert api(create("pods", "default", sent))["spec"]["priority"] == 1
        api(delete(CLASSES, "", "c"))
        assert api.outcome(create("pods", "default", sent))[0] == 403
        api(create(CLASSES, "", priority_class("c", 2)))
        assert api(create("pods", "default", sent))["spec"]["priority"] == 2

    def test_a_change_by_another_server_counts_when_it_is_seen(self, api) -> None:
        spec = {**SPEC}
        sent = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-"}, "spec": spec}
        api(create("pods", "default", sent))
        found = api(get("namespaces", "", "default"))
        terminating = {**found, "metadata": {**found["metadata"], "resourceVersion": ""}, "status": {"phase": "Terminating"}}
        key = b"/registry/namespaces/default"
        api.server.etcd.execute(("put_if", key, terminating, api.server.store.get(key).mod_revision))
        api.run()
        assert api.outcome(create("pods", "default", sent))[0] == 403
        assert api(get("namespaces", "", "default"))["metadata"]["resourceVersion"] == str(api.revision())

    def test_kinds_without_a_spec(self, api) -> None:
        assert api.outcome(create("configmaps", "default", config_map("a"))) == (200, "")
        assert api.outcome(create("configmaps", "absent", config_map("a")))[0] == 404
        api(patch("namespaces", "", "default", {"metadata": {"labels": {"x": "y"}}}))
        assert api.outcome(create("configmaps", "default", config_map("b"))) == (200, "")
