"""Status, scale, binding, eviction (rules A8, A15; C1, C2 at the server)."""

import pytest

from kubesim.apiserver.requests import Request, bind, create, delete, get, patch
from tests.apiserver.builders import changed, deployment, pod

SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
OTHER = "11111111-2222-3333-4444-555555555555"


class TestBinding:
    def request(self, name: str = "p", node: str = "n1", kind: str = "Node", **metadata) -> Request:
        body = {"metadata": {"name": name, **metadata}, "target": {"kind": kind, "name": node}}
        return Request("create", "pods", "default", "p", body, "binding")

    def test_a_bound_pod_has_its_node_and_condition(self, api) -> None:
        made = api(create("pods", "default", pod(labels={"a": "b"}, annotations={"x": "y"})))
        assert api(self.request(uid=made["metadata"]["uid"], labels={"zone": "z"}, annotations={"from": "binding"})) == SUCCESS
        bound = api(get("pods", "default", "p"))
        assert bound["spec"] == {**made["spec"], "nodeName": "n1"}
        assert bound["status"]["conditions"] == [
            {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": "2026-01-01T00:00:00Z"}
        ]
        assert bound["metadata"]["labels"] == {"a": "b", "zone": "z"}
        assert bound["metadata"]["annotations"] == {"x": "y", "from": "binding"}
        assert bound["metadata"]["generation"] == 1
        assert bound["spec"]["containers"] is made["spec"]["containers"]

    def test_refusals(self, api) -> None:
        made = api(create("pods", "default", pod()))
        uid = made["metadata"]["uid"]
        conflict = 'Operation cannot be fulfilled on pods/binding "p": '
        why = f"Precondition failed: UID in precondition: {OTHER}, UID in object meta: {uid}"
        storage = "StorageError: invalid object, Code: 4, Key: /registry/pods/default/p, ResourceVersion: 0, AdditionalErrorMsg: "
        assert api.outcome(self.request(uid=OTHER)) == (409, f'Operation cannot be fulfilled on pods "p": {storage}{why}')
        assert api.outcome(self.request("zz")) == (400, "name in URL does not match name in Binding object")
        assert api.outcome(self.request(node="")) == (500, "target.name: Required value")
        unsupported = 'target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>"'
        assert api.outcome(self.request(kind="Pod")) == (500, unsupported)
        assert api.outcome(bind("default", "q", "", "n1")) == (404, 'pods "q" not found')
        api(bind("default", "p", uid, "n1"))
        assert api.outcome(bind("default", "p", uid, "n2")) == (409, f'{conflict}pod p is already assigned to node "n1"')
        api(delete("pods", "default", "p"))
        assert api.outcome(bind("default", "p", uid, "n2")) == (409, f"{conflict}pod p is being deleted, cannot be assigned to a host")

    def test_a_gated_pod_is_not_bound(self, api) -> None:
        api(create("pods", "default", pod(spec={"schedulingGates": [{"name": "example.com/g"}]})))
        expected = 'Operation cannot be fulfilled on pods/binding "p": pod p has non-empty .spec.schedulingGates'
        assert api.outcome(self.request()) == (409, expected)

    def test_a_dry_binding_binds_nothing(self, api) -> None:
        made = api(create("pods", "default", pod()))
        request = self.request()
        request.options = {"dryRun": True}
        assert api(request) == SUCCESS
        assert api(get("pods", "default", "p")) == made


class TestScale:
    def scale(self, replicas: int, **metadata) -> Request:
        body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web", **metadata}, "spec": {"replicas": replicas}}
        return Request("update", "deployments.apps", "default", "web", body, "scale")

    def read(self, api) -> dict:
        return api(Request("get", "deployments.apps", "default", "web", subresource="scale"))

    def test_it_reads_and_sets_replicas(self, api) -> None:
        made = api(create("deployments.apps", "default", deployment(replicas=3)))
        kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        assert self.read(api) == {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {key: made["metadata"][key] for key in kept},
            "spec": {"replicas": 3},
            "status": {"replicas": 0, "selector": "app=web"},
        }
        assert api(self.scale(36))["spec"] == {"replicas": 36}
        stored = api(get("deployments.apps", "default", "web"))
        assert (stored["spec"]["replicas"], stored["metadata"]["generation"]) == (36, 2)
        assert api(patch("deployments.apps", "default", "web", {"spec": {"replicas": 0}}, subresource="scale"))["spec"] == {}
        before = api.revision()
        api(patch("deployments.apps", "default", "web", {"spec": {"replicas": 0}}, subresource="scale"))
        assert api.revision() == before

    @pytest.mark.parametrize(
        ("replicas", "metadata", "code", "message"),
        [
            (-1, {}, 422, 'Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'),
            (1, {"name": "other"}, 400, "the name of the object (other) does not match the name on the URL (web)"),
            (1, {"resourceVersion": "1"}, 409, "the object has been modified; please apply your changes"),
            (1, {"uid": OTHER}, 409, f"UID in precondition: {OTHER}"),
        ],
    )
    def test_refusals(self, api, replicas, metadata, code, message) -> None:
        api(create("deployments.apps", "default", deployment()))
        got, text = api.outcome(self.scale(replicas, **metadata))
        assert got == code
        assert message in text

    def test_not_every_kind_has_one(self, api) -> None:
        expected = (404, "the server could not find the requested resource")
        assert api.outcome(Request("get", "daemonsets.apps", "default", "x", subresource="scale")) == expected


class TestEviction:
    def evict(self, name: str = "p", **options) -> Request:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, "deleteOptions": options}
        return Request("create", "pods", "default", "p", body, "eviction")

    def running(self, api, ready: str = "True") -> None:
        made = api(create("pods", "default", pod(labels={"app": "x"})))
        api(bind("default", "p", made["metadata"]["uid"], "n1"))
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}
        api(patch("pods", "default", "p", {"status": status}, subresource="status"))

    def budget(self, api, name: str = "pdb", **status) -> None:
        spec = {"minAvailable": 4, "selector": {"matchLabels": {"app": "x"}}}
        made = api(create("poddisruptionbudgets.policy", "default", {"metadata": {"name": name}, "spec": spec}))
        body = changed(made, status={"observedGeneration": 1, "desiredHealthy": 4, "expectedPods": 6, **status})
        api(Request("update", "poddisruptionbudgets.policy", "default", name, body, "status"))

    def is_going(self, api) -> bool:
        code, _ = api.outcome(get("pods", "default", "p"))
        return code == 404 or "deletionTimestamp" in api(get("pods", "default", "p"))["metadata"]

    def test_without_a_budget_it_is_a_delete(self, api) -> None:
        self.running(api)
        assert api(self.evict(gracePeriodSeconds=0)) == SUCCESS
        assert api.outcome(get("pods", "default", "p"))[0] == 404

    def test_it_spends_the_budget(self, api) -> None:
        self.running(api)
        self.budget(api, disruptionsAllowed=1, currentHealthy=5)
        assert api(self.evict()) == SUCCESS
        assert self.is_going(api)
        status = api(get("poddisruptionbudgets.policy", "default", "pdb"))["status"]
        assert (status["disruptionsAllowed"], status["disruptedPods"]) == (0, {"p": "2026-01-01T00:00:00Z"})
        assert [(condition["type"], condition["status"]) for condition in status["conditions"]] == [("DisruptionAllowed", "False")]

    @pytest.mark.parametrize(
        ("status", "cause"),
        [
            ({"observedGeneration": 0}, "The disruption budget pdb is still being processed by the server."),
            ({"disruptionsAllowed": 0, "currentHealthy": 4}, "The disruption budget pdb needs 4 healthy pods and has 4 currently"),
            ({"disruptionsAllowed": 0, "currentHealthy": 6}, "The disruption budget pdb does not allow evicting pods currently"),
        ],
    )
    def test_a_budget_protects(self, api, status, cause) -> None:
        self.running(api)
        self.budget(api, **status)
        error = api.error(self.evict())
        assert (error.code, error.message) == (429, "Cannot evict pod as it would violate the pod's disruption budget.")
        assert error.details["causes"] == [{"reason": "DisruptionBudget", "message": cause}]
        assert not self.is_going(api)

    def test_pods_that_are_not_ready(self, api) -> None:
        self.running(api, ready="False")
        self.budget(api, disruptionsAllowed=0, currentHealthy=4)
        assert api(self.evict()) == SUCCESS
        assert self.is_going(api)

    def test_two_budgets_are_too_many(self, api) -> None:
        self.running(api)
        self.budget(api, disruptionsAllowed=1)
        self.budget(api, "other", disruptionsAllowed=1)
        expected = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        assert api.outcome(self.evict()) == (500, expected)

    def test_the_names_must_agree(self, api) -> None:
        self.running(api)
        assert api.outcome(self.evict("zz")) == (400, "name in URL does not match name in Eviction object")


def test_no_status_write_changes_a_spec(api) -> None:
    kinds = [resource.kind for resource in api.server.registry.by_name.values() if "status" in resource.kind.subresources]
    assert len(kinds) > 15
    for kind in kinds:
        old = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "a"}, "spec": {"kept": 1}, "status": {"a": 1}}
        new = {**old, "spec": {"kept": 2, "more": 3}, "status": {"a": 2}, "data": {"x": "y"}}
        assert {key: value for key, value in kind.prepare_status(new, old).items() if key != "status"} == {
            key: value for key, value in old.items() if key != "status"
        }, kind.resource
