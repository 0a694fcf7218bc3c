"""Create and update: what the server fills in, what it refuses, what it leaves alone (rules A1, A3, A8, A11 of the catalogue)."""

import pytest

from kubesim.apiserver.requests import Request, create, get, list_, patch, update
from kubesim.kernel.time import SECOND
from tests.apiserver.builders import changed, config_map, deployment, namespace, pod, service

NAME_REQUIRED = "name or generateName is required"
NOT_SERVED = (404, "the server could not find the requested resource")
NOT_ALLOWED = (405, "the server does not allow this method on the requested resource")
IMMUTABLE = 'Invalid value: "2020-01-01T00:00:00Z": field is immutable'
MODIFIED = 'configmaps "a": the object has been modified; please apply your changes to the latest version and try again'


def test_a_create_gets_the_system_fields(api) -> None:
    api.run(90 * SECOND)
    sent = pod(labels={"app": "x"}, selfLink="/x", uid="mine", deletionGracePeriodSeconds=3)
    metadata = api(create("pods", "default", sent))["metadata"]
    assert metadata["creationTimestamp"] == "2026-01-01T00:01:30Z"
    assert metadata["resourceVersion"] == str(api.revision())
    assert (metadata["namespace"], metadata["generation"], metadata["labels"]) == ("default", 1, {"app": "x"})
    assert len(metadata["uid"]) == 36
    assert set(metadata) == {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "labels"}


def test_uids_and_generated_names_come_from_the_seed_and_never_repeat(api) -> None:
    made = [api(create("pods", "default", pod("", generateName="web-"))) for _ in range(50)]
    assert len({obj["metadata"]["uid"] for obj in made}) == 50
    names = [obj["metadata"]["name"] for obj in made]
    assert len(set(names)) == 50
    assert all(name.startswith("web-") and len(name) == len("web-") + 5 for name in names)
    assert type(api)()(create("pods", "default", pod("", generateName="web-"))) == made[0]


def test_a_generated_name_is_drawn_again_when_it_is_taken(api, monkeypatch) -> None:
    class Suffixes:
        def __init__(self) -> None:
            self.left = ["aaaaa", "aaaaa", "aaaaa", "bbbbb"] + ["aaaaa"] * 20

        def suffix(self) -> str:
            return self.left.pop(0)

    suffixes = Suffixes()
    monkeypatch.setattr(api.server, "name_stream", suffixes)
    names = [api(create("configmaps", "default", config_map("", generateName="c-")))["metadata"]["name"] for _ in range(2)]
    assert names == ["c-aaaaa", "c-bbbbb"]
    assert api.outcome(create("configmaps", "default", config_map("", generateName="c-")))[0] == 409
    assert len(suffixes.left) == 12, "eight tries"


def test_a_long_base_leaves_room_for_the_suffix(api) -> None:
    made = api(create("configmaps", "default", config_map("", generateName="x" * 80)))
    assert len(made["metadata"]["name"]) == 63


CREATE_REFUSED = [
    ("taken", "default", config_map("kept"), (409, 'configmaps "kept" already exists')),
    ("no name", "default", config_map(""), (422, f'ConfigMap "" is invalid: metadata.name: Required value: {NAME_REQUIRED}')),
    ("versioned", "default", config_map(resourceVersion="5"), (500, "resourceVersion should not be set on objects to be created")),
    (
        "other namespace",
        "default",
        config_map(namespace="kube-system"),
        (400, "the namespace of the provided object does not match the namespace sent on the request"),
    ),
    ("no namespace", "", config_map(), (400, "an empty namespace may not be set during creation")),
    ("absent namespace", "nowhere", config_map(), (404, 'namespaces "nowhere" not found')),
    (
        "other kind",
        "default",
        {**config_map(), "kind": "Nope"},
        (
            400,
            'Nope in version "v1" cannot be handled as a ConfigMap: no kind "Nope" is registered for version "v1" '
            'in scheme "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30"',
        ),
    ),
]


@pytest.mark.parametrize(("name", "where", "obj", "expected"), CREATE_REFUSED, ids=[row[0] for row in CREATE_REFUSED])
def test_refused_creates_store_nothing(api, name, where, obj, expected) -> None:
    api(create("configmaps", "default", config_map("kept")))
    before = api.revision()
    assert api.outcome(Request("create", "configmaps", where, obj["metadata"].get("name", ""), obj)) == expected
    assert api.revision() == before


PATHS_REFUSED = [
    (Request("get", "nopes", "default", "a"), NOT_SERVED),
    (Request("get", "configmaps", "default", "a", subresource="status"), NOT_SERVED),
    (Request("delete", "pods", "default", "a", subresource="status"), NOT_ALLOWED),
    (Request("get", "configmaps", "default", "absent"), (404, 'configmaps "absent" not found')),
    (Request("get", "deployments.apps", "default", "absent"), (404, 'deployments.apps "absent" not found')),
    (update("configmaps", config_map(namespace="default")), (404, 'configmaps "a" not found')),
    (patch("configmaps", "default", "absent", {}), (404, 'configmaps "absent" not found')),
]


@pytest.mark.parametrize(("request_", "expected"), PATHS_REFUSED, ids=lambda value: repr(value)[:60])
def test_what_is_not_there(api, request_, expected) -> None:
    assert api.outcome(request_) == expected


def test_an_update_replaces_and_moves_the_version(api) -> None:
    old = api(create("configmaps", "default", config_map(labels={"a": "1"})))
    new = api(update("configmaps", changed(old, data={"k": "w"}, metadata={"labels": {}})))
    assert new["data"] == {"k": "w"}
    assert "labels" not in new["metadata"]
    assert int(new["metadata"]["resourceVersion"]) == int(old["metadata"]["resourceVersion"]) + 1
    assert api(get("configmaps", "default", "a")) == new
    kept = ("uid", "creationTimestamp", "name", "namespace")
    assert [new["metadata"][key] for key in kept] == [old["metadata"][key] for key in kept]


def test_a_stale_version_is_a_conflict_and_no_version_is_not(api) -> None:
    old = api(create("configmaps", "default", config_map()))
    api(update("configmaps", changed(old, data={"k": "1"})))
    expected = (409, f"Operation cannot be fulfilled on {MODIFIED}")
    assert api.outcome(update("configmaps", changed(old, data={"k": "2"}))) == expected
    assert api.outcome(update("configmaps", config_map(namespace="default"))) == (200, "")


def test_some_kinds_need_a_version(api) -> None:
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l", "namespace": "default"}, "spec": {}}
    api(create("leases.coordination.k8s.io", "default", lease))
    code, message = api.outcome(update("leases.coordination.k8s.io", lease))
    assert (code, message.partition(": ")[2]) == (422, "metadata.resourceVersion: Invalid value: 0: must be specified for an update")


def test_an_update_that_changes_nothing_writes_nothing(api) -> None:
    for resource, obj in (("configmaps", config_map()), ("services", service()), ("deployments.apps", deployment())):
        stored = api(create(resource, "default", obj))
        before = api.revision()
        assert api(update(resource, changed(obj, metadata={"namespace": "default"}))) == stored
        assert api(update(resource, stored)) == stored
        assert api(patch(resource, "default", stored["metadata"]["name"], {"metadata": {"labels": {}}})) == stored
        assert api.revision() == before


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("uid", "11111111-2222-3333-4444-555555555555", "Precondition failed: UID in precondition: 11111111-2222-3333-4444-555555555555"),
        ("creationTimestamp", "2020-01-01T00:00:00Z", f"metadata.creationTimestamp: {IMMUTABLE}"),
        ("deletionTimestamp", "2020-01-01T00:00:00Z", f"metadata.deletionTimestamp: {IMMUTABLE}"),
    ],
)
def test_system_fields_cannot_be_changed(api, field, value, message) -> None:
    old = api(create("configmaps", "default", config_map()))
    code, text = api.outcome(update("configmaps", changed(old, metadata={field: value})))
    assert code in (409, 422)
    assert message in text


def test_the_generation_counts_changes_of_the_spec_only(api) -> None:
    def generation() -> int:
        return api(get("deployments.apps", "default", "web"))["metadata"]["generation"]

    old = api(create("deployments.apps", "default", deployment()))
    assert generation() == 1
    api(patch("deployments.apps", "default", "web", {"metadata": {"labels": {"x": "y"}}}))
    assert generation() == 1
    api(patch("deployments.apps", "default", "web", {"spec": {"replicas": 5}}))
    assert generation() == 2
    api(patch("deployments.apps", "default", "web", {"status": {"replicas": 5}}, subresource="status"))
    assert generation() == 2
    api(update("deployments.apps", {**old, "metadata": {"name": "web", "namespace": "default", "generation": 9}}))
    assert generation() == 3


def test_status_and_spec_are_apart(api) -> None:
    old = api(create("pods", "default", pod()))
    written = api(update("pods", changed(old, spec={}, status={**old["status"], "phase": "Running"}), "status"))
    assert (written["spec"], written["status"]) == (old["spec"], {"phase": "Running", "qosClass": "BestEffort"})
    kept = api(update("pods", changed(written, status={"phase": "Failed"}, metadata={"labels": {"a": "b"}})))
    assert kept["status"]["phase"] == "Running"


def test_equal_owner_references_are_merged(api) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u"}
    made = api(create("configmaps", "default", config_map(ownerReferences=[owner, dict(owner)])))
    assert made["metadata"]["ownerReferences"] == [owner]
    controllers = [{**owner, "uid": uid, "controller": True} for uid in ("u1", "u2")]
    assert api.outcome(create("configmaps", "default", config_map("b", ownerReferences=controllers)))[0] == 422


def test_a_dry_run_answers_and_stores_nothing(api) -> None:
    before = api.revision()
    made = api(create("configmaps", "default", config_map(), dryRun=True))
    assert "resourceVersion" not in made["metadata"]
    assert made["metadata"]["uid"]
    assert api.outcome(get("configmaps", "default", "a"))[0] == 404
    stored = api(create("configmaps", "default", config_map()))
    assert api.outcome(create("configmaps", "default", config_map(), dryRun=True))[0] == 409
    tried = api(patch("configmaps", "default", "a", {"data": {"k": "w"}}, dryRun=True))
    assert (tried["data"], tried["metadata"]["resourceVersion"]) == ({"k": "w"}, stored["metadata"]["resourceVersion"])
    assert api.revision() == before + 1


def test_some_kinds_are_created_by_an_update(api) -> None:
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l", "namespace": "default"}, "spec": {}}
    made = api(update("leases.coordination.k8s.io", lease))
    assert made["metadata"]["uid"]


PATCHES = [
    ("merge", {"data": {"k": None, "n": "1"}}, {"n": "1"}),
    ("json", [{"op": "add", "path": "/data/n", "value": "1"}], {"k": "v", "n": "1"}),
    ("strategic", {"data": {"n": "1"}}, {"k": "v", "n": "1"}),
]


@pytest.mark.parametrize(("patch_type", "body", "data"), PATCHES, ids=[row[0] for row in PATCHES])
def test_patches(api, patch_type, body, data) -> None:
    api(create("configmaps", "default", config_map()))
    assert api(patch("configmaps", "default", "a", body, patch_type))["data"] == data


PATCHES_REFUSED = [
    ("unknown language", "apply-ish", {}, (415, "415: Unsupported Media Type")),
    ("stale", "merge", {"metadata": {"resourceVersion": "1"}}, (409, f"Operation cannot be fulfilled on {MODIFIED}")),
    ("other name", "merge", {"metadata": {"name": "b"}}, (400, "the name of the object (b) does not match the name on the URL (a)")),
    ("mistyped", "merge", {"data": {"k": 5}}, (422, "json: cannot unmarshal number into Go struct field ConfigMap.data of type string")),
    ("other kind", "merge", {"kind": "Node"}, (422, 'no kind "Node" is registered for version "v1" in scheme')),
    ("another kind's mistakes", "merge", {"kind": "Secret"}, (422, "illegal base64 data at input byte 0")),
]


@pytest.mark.parametrize(("name", "patch_type", "body", "expected"), PATCHES_REFUSED, ids=[row[0] for row in PATCHES_REFUSED])
def test_refused_patches(api, name, patch_type, body, expected) -> None:
    api(create("configmaps", "default", config_map()))
    before = api.revision()
    code, message = api.outcome(patch("configmaps", "default", "a", body, patch_type))
    assert code == expected[0]
    assert expected[1] in message
    assert api.revision() == before


def test_a_patch_without_a_version_is_tried_again_when_somebody_else_wrote(api) -> None:
    api(create("configmaps", "default", config_map()))
    generator = api.server.handle(patch("configmaps", "default", "a", {"data": {"mine": "1"}}))
    execute = api.server.etcd.execute
    found = execute(generator.send(None))
    api(patch("configmaps", "default", "a", {"data": {"theirs": "1"}}))
    asked = generator.send(found)
    assert asked[0] == "put_if"
    asked = generator.send(execute(asked))
    assert asked == ("get", b"/registry/configmaps/default/a")
    asked = generator.send(execute(asked))
    with pytest.raises(StopIteration):
        generator.send(execute(asked))
    assert api(get("configmaps", "default", "a"))["data"] == {"k": "v", "mine": "1", "theirs": "1"}


def test_stored_objects_are_read_only(api) -> None:
    stored = api(create("pods", "default", pod(labels={"a": "b"})))
    for write in (
        lambda: stored.update(x=1),
        lambda: stored["metadata"].__setitem__("name", "x"),
        stored["metadata"]["labels"].clear,
        lambda: stored["spec"]["containers"].append({}),
    ):
        with pytest.raises(TypeError, match="read-only"):
            write()


def test_pods_of_one_template_share_their_spec(api) -> None:
    spec = {"containers": [{"name": "app", "image": "app:1"}]}
    made = [api(create("pods", "default", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})) for name in "abc"]
    assert made[0]["spec"] is made[1]["spec"] is made[2]["spec"]
    api(create("namespaces", "", namespace("other")))
    again = api(create("pods", "default", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "d"}, "spec": spec}))
    assert again["spec"] == made[0]["spec"]


def test_audit_and_trace_see_every_write_once(api) -> None:
    seen: list[tuple[str, str, str, int]] = []
    records: list[tuple] = []

    def audit(time_ns: int, request: Request, obj: dict, revision: int) -> None:
        seen.append((request.verb, request.user, obj["metadata"]["name"], revision))

    api.server.audit.append(audit)
    api.kernel.trace.listen(records.append)
    head = api.revision()
    api(Request("create", "configmaps", "default", "a", config_map(), user="me"))
    api(list_("configmaps"))
    api(Request("delete", "configmaps", "default", "a", user="me"))
    assert seen == [("create", "me", "a", head + 1), ("delete", "me", "a", head + 2)]
    assert [record[1:] for record in records] == [
        ("me", "create", "configmaps", "/registry/configmaps/default/a", head + 1),
        ("me", "delete", "configmaps", "/registry/configmaps/default/a", head + 2),
    ]
