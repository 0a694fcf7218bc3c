"""Deletion: grace, finalizers, propagation, preconditions, namespaces (rules A4, A9, A10, A12)."""

import pytest

from kubesim.apiserver.requests import Request, bind, create, delete, get, list_, patch, update
from kubesim.kernel.time import SECOND
from tests.apiserver.builders import SPEC, changed, config_map, namespace, pod

GONE = (404, 'configmaps "a" not found')


def test_a_plain_object_is_gone_at_once(api) -> None:
    made = api(create("configmaps", "default", config_map()))
    answer = api(delete("configmaps", "default", "a"))
    details = {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    assert answer == {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    assert api.outcome(get("configmaps", "default", "a")) == GONE
    assert api.outcome(delete("configmaps", "default", "a")) == GONE


def test_some_kinds_answer_with_the_object_at_the_revision_of_the_delete(api) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x"}}
    made = api(create("serviceaccounts", "default", account))
    answer = api(delete("serviceaccounts", "default", "x"))
    assert answer == changed(made, metadata={"resourceVersion": str(api.revision())})


GRACE = [  # bound, spec, options, phase -> grace in seconds, or None when the Pod is gone at once
    ("unscheduled", False, {}, {}, "Pending", None),
    ("unscheduled with grace", False, {}, {"gracePeriodSeconds": 30}, "Pending", None),
    ("default", True, {}, {}, "Running", 30),
    ("of the spec", True, {"terminationGracePeriodSeconds": 300}, {}, "Running", 300),
    ("of the spec, zero", True, {"terminationGracePeriodSeconds": 0}, {}, "Running", None),
    ("of the request", True, {}, {"gracePeriodSeconds": 5}, "Running", 5),
    ("as a text", True, {}, {"gracePeriodSeconds": "5"}, "Running", 5),
    ("forced", True, {}, {"gracePeriodSeconds": 0}, "Running", None),
    ("negative", True, {}, {"gracePeriodSeconds": -1}, "Running", 1),
    ("finished", True, {}, {}, "Succeeded", None),
    ("failed", True, {}, {"gracePeriodSeconds": 30}, "Failed", None),
]


@pytest.mark.parametrize(("name", "bound", "spec", "options", "phase", "expected"), GRACE, ids=[row[0] for row in GRACE])
def test_grace(api, name, bound, spec, options, phase, expected) -> None:
    made = api(create("pods", "default", pod(spec=spec)))
    if bound:
        api(bind("default", "p", made["metadata"]["uid"], "n1"))
    api(patch("pods", "default", "p", {"status": {"phase": phase}}, subresource="status"))
    answer = api(delete("pods", "default", "p", **options))["metadata"]
    if expected is None:
        assert answer["deletionGracePeriodSeconds"] == 0
        assert api.outcome(get("pods", "default", "p"))[0] == 404
        return
    stored = api(get("pods", "default", "p"))["metadata"]
    assert stored == answer
    assert (stored["deletionGracePeriodSeconds"], stored["generation"]) == (expected, 2)
    assert stored["deletionTimestamp"] == f"2026-01-01T00:{expected // 60:02}:{expected % 60:02}Z"


def test_grace_only_gets_shorter(api) -> None:
    made = api(create("pods", "default", pod()))
    api(bind("default", "p", made["metadata"]["uid"], "n1"))

    def asked(grace_seconds: int | None) -> tuple[int, str]:
        options = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
        metadata = api(delete("pods", "default", "p", **options))["metadata"]
        return metadata["deletionGracePeriodSeconds"], metadata["deletionTimestamp"][-4:]

    assert asked(60) == (60, ":00Z")
    before = api.revision()
    api.run(10 * SECOND)
    assert asked(None) == asked(90) == asked(60) == (60, ":00Z")
    assert api.revision() == before
    assert asked(20) == (20, ":20Z")
    assert asked(0) == (0, ":00Z")
    assert api.outcome(get("pods", "default", "p"))[0] == 404


def test_a_finalizer_holds_the_object_until_it_is_removed(api) -> None:
    api(create("configmaps", "default", config_map(finalizers=["example.com/a", "example.com/b"])))
    held = api(delete("configmaps", "default", "a"))
    assert held["metadata"]["deletionGracePeriodSeconds"] == 0
    assert held["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"
    before = api.revision()
    assert api(delete("configmaps", "default", "a")) == held
    assert api.revision() == before
    assert api.outcome(create("configmaps", "default", config_map())) == (409, 'object is being deleted: configmaps "a" already exists')
    code, message = api.outcome(patch("configmaps", "default", "a", {"metadata": {"finalizers": ["example.com/a", "example.com/c"]}}))
    assert code == 422
    assert 'no new finalizers can be added if the object is being deleted, found new finalizers []string{"example.com/c"}' in message
    kept = api(patch("configmaps", "default", "a", {"metadata": {"deletionTimestamp": None, "finalizers": ["example.com/b"]}}))
    assert kept["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"
    last = api(patch("configmaps", "default", "a", {"metadata": {"finalizers": None}}))
    assert "finalizers" not in last["metadata"]
    assert last["metadata"]["resourceVersion"] == kept["metadata"]["resourceVersion"]
    assert api.outcome(get("configmaps", "default", "a")) == GONE


def test_removing_a_finalizer_of_a_living_object_keeps_it(api) -> None:
    api(create("configmaps", "default", config_map(finalizers=["example.com/a"])))
    api(patch("configmaps", "default", "a", {"metadata": {"finalizers": None}}))
    assert api.outcome(get("configmaps", "default", "a")) == (200, "")


PROPAGATION = [
    ("configmaps", {}, None),
    ("configmaps", {"propagationPolicy": "Background"}, None),
    ("configmaps", {"propagationPolicy": "Foreground"}, ["foregroundDeletion"]),
    ("configmaps", {"propagationPolicy": "Orphan"}, ["orphan"]),
    ("configmaps", {"orphanDependents": True}, ["orphan"]),
    ("replicationcontrollers", {}, ["orphan"]),
    ("replicationcontrollers", {"propagationPolicy": "Background"}, None),
    ("events", {"propagationPolicy": "Foreground"}, None),
]


@pytest.mark.parametrize(("resource", "options", "finalizers"), PROPAGATION)
def test_propagation_is_a_finalizer(api, resource, options, finalizers) -> None:
    kind = api.server.registry.resource(resource).kind
    obj = {"apiVersion": "v1", "kind": kind.kind, "metadata": {"name": "a"}}
    if resource == "events":
        obj["involvedObject"] = {"namespace": "default"}
    if resource == "replicationcontrollers":
        labels = {"app": "a"}
        obj["spec"] = {"selector": labels, "template": {"metadata": {"labels": labels}, "spec": SPEC}}
    api(create(resource, "default", obj))
    answer = api(delete(resource, "default", "a", **options))
    assert answer.get("metadata", {}).get("finalizers") == finalizers
    assert (api.outcome(get(resource, "default", "a"))[0] == 404) is (finalizers is None)


def test_an_unknown_policy_is_refused(api) -> None:
    api(create("configmaps", "default", config_map()))
    code, message = api.outcome(delete("configmaps", "default", "a", propagationPolicy="Sideways"))
    assert code == 422
    assert 'propagationPolicy: Unsupported value: "Sideways": supported values' in message


def test_preconditions(api) -> None:
    made = api(create("configmaps", "default", config_map()))
    uid, version = made["metadata"]["uid"], made["metadata"]["resourceVersion"]
    other = "11111111-2222-3333-4444-555555555555"
    assert api.outcome(delete("configmaps", "default", "a", preconditions={"uid": other})) == (
        409,
        f'Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition ({other}) does not match the UID in record '
        f"({uid}). The object might have been deleted and then recreated",
    )
    assert api.outcome(delete("configmaps", "default", "a", preconditions={"resourceVersion": "1"})) == (
        409,
        'Operation cannot be fulfilled on ConfigMap "a": the ResourceVersion in the precondition (1) does not match the '
        f"ResourceVersion in record ({version}). The object might have been modified",
    )
    assert api.outcome(delete("configmaps", "default", "a", preconditions={"uid": uid, "resourceVersion": version})) == (200, "")


def test_a_collection_goes_by_its_selectors(api) -> None:
    for index in range(6):
        finalizers = ["example.com/f"] if index == 3 else []
        api(create("configmaps", "default", config_map(f"d{index}", labels={"l": "xy"[index % 2]}, finalizers=finalizers)))

    def names(answer: dict) -> list[str]:
        return [item["metadata"]["name"] for item in answer["items"]]

    gone = api(Request("deletecollection", "configmaps", "default", options={"labelSelector": "l=x"}))
    assert (gone["kind"], names(gone)) == ("ConfigMapList", ["d0", "d2", "d4"])
    assert names(api(Request("deletecollection", "configmaps", "default", options={"fieldSelector": "metadata.name=d5"}))) == ["d5"]
    assert names(api(Request("deletecollection", "configmaps", "default", options={"dryRun": True}))) == ["d1", "d3"]
    api(Request("deletecollection", "configmaps", "default"))
    assert names(api(list_("configmaps", "default"))) == ["d3"]
    code, message = api.outcome(Request("deletecollection", "namespaces"))
    assert (code, message) == (405, "the server does not allow this method on the requested resource")


def test_a_dry_delete_changes_nothing(api) -> None:
    made = api(create("pods", "default", pod()))
    api(bind("default", "p", made["metadata"]["uid"], "n1"))
    before = api.revision()
    stored = api(get("pods", "default", "p"))
    answer = api(delete("pods", "default", "p", dryRun=True))["metadata"]
    assert (answer["deletionGracePeriodSeconds"], answer["resourceVersion"]) == (30, stored["metadata"]["resourceVersion"])
    assert api(get("pods", "default", "p")) == stored
    assert api.revision() == before


class TestNamespaces:
    """A namespace is emptied by its controller; here is what the server does."""

    def finalize(self, name: str, finalizers: list[str]) -> Request:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": finalizers}}
        return Request("update", "namespaces", "", name, body, "finalize")

    def test_a_delete_makes_it_terminating(self, api) -> None:
        made = api(create("namespaces", "", namespace("n")))
        assert (made["spec"], made["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})
        assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "n"}
        answer = api(delete("namespaces", "", "n"))
        assert answer["status"] == {"phase": "Terminating"}
        assert answer["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"
        before = api.revision()
        assert api(delete("namespaces", "", "n")) == answer
        assert api.revision() == before

    def test_nothing_new_in_a_terminating_namespace(self, api) -> None:
        api(create("namespaces", "", namespace("n")))
        api(create("configmaps", "n", config_map("old")))
        api(delete("namespaces", "", "n"))
        code, message = api.outcome(create("configmaps", "n", config_map("late")))
        assert code == 403
        assert message == 'configmaps "late" is forbidden: unable to create new content in namespace n because it is being terminated'
        assert api.outcome(patch("configmaps", "n", "old", {"data": {"x": "y"}})) == (200, "")
        assert api.outcome(delete("configmaps", "n", "old")) == (200, "")

    def test_it_goes_with_its_last_finalizer(self, api) -> None:
        api(create("namespaces", "", namespace("n")))
        api(delete("namespaces", "", "n"))
        api(self.finalize("n", []))
        assert api.outcome(get("namespaces", "", "n")) == (404, 'namespaces "n" not found')
        assert api.outcome(create("configmaps", "n", config_map())) == (404, 'namespaces "n" not found')

    def test_finalizing_a_living_one_leaves_it(self, api) -> None:
        api(create("namespaces", "", namespace("n")))
        assert api(self.finalize("n", []))["spec"] == {}
        assert api.outcome(update("namespaces", {**namespace("n"), "spec": {"finalizers": ["kubernetes"]}})) == (200, "")
        assert api(get("namespaces", "", "n"))["spec"] == {}
        assert api(delete("namespaces", "", "n"))["status"]["phase"] == "Terminating"
        api(delete("namespaces", "", "n"))
        assert api.outcome(get("namespaces", "", "n"))[0] == 404

    @pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
    def test_some_are_for_ever(self, api, name) -> None:
        message = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
        assert api.outcome(delete("namespaces", "", name)) == (403, message)
