"""What a client meets at the door: codes, forms, refusals. The recordings say what is right; these are the cases one looks at first."""

import orjson
import pytest

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


def test_an_object_comes_and_goes(door) -> None:
    created = door.ask("POST", CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}})
    assert (created.status, created.json["kind"], created.json["data"]) == (201, "ConfigMap", {"k": "v"})
    assert door.ask("GET", f"{CONFIG_MAPS}/a").body == created.body
    listed = door.ask("GET", CONFIG_MAPS).json
    assert listed["kind"] == "ConfigMapList"
    assert [set(item) & {"kind", "apiVersion"} for item in listed["items"]] == [set()]
    assert door.ask("DELETE", f"{CONFIG_MAPS}/a").json["status"] == "Success"
    assert door.ask("GET", f"{CONFIG_MAPS}/a").status == 404


def test_zero_values_are_written_as_go_writes_them(door) -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    answer = door.ask("POST", "/api/v1/namespaces/default/pods", pod).json
    assert answer["spec"]["containers"][0]["resources"] == {}


@pytest.mark.parametrize(
    ("accept", "kind"), [(TABLE, "Table"), (PARTIAL_LIST, "PartialObjectMetadataList"), ("*/*", "ConfigMapList"), ("", "ConfigMapList")]
)
def test_a_list_has_the_form_that_was_asked_for(door, accept: str, kind: str) -> None:
    assert door.ask("GET", CONFIG_MAPS, headers={"accept": accept}).json["kind"] == kind


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "reason"),
    [
        ("GET", "/api/v1/nopes", {}, 404, "NotFound"),
        ("GET", "/api/v9", {}, 404, "NotFound"),
        ("GET", "/api/v1/pods/x", {}, 404, "NotFound"),
        ("PUT", CONFIG_MAPS, {}, 405, "MethodNotAllowed"),
        ("BREW", CONFIG_MAPS, {}, 405, "MethodNotAllowed"),
        ("GET", CONFIG_MAPS, {"accept": "text/html"}, 406, "NotAcceptable"),
        ("GET", CONFIG_MAPS, {"accept": "application/json;as=Nope;v=v1;g=meta.k8s.io"}, 406, "NotAcceptable"),
        ("GET", CONFIG_MAPS, {"authorization": "Bearer nobody"}, 401, "Unauthorized"),
        ("POST", CONFIG_MAPS, {"content-type": "text/plain", "content-length": "1"}, 415, "UnsupportedMediaType"),
        ("POST", CONFIG_MAPS, {"content-length": str(4 << 20)}, 413, "RequestEntityTooLarge"),
    ],
)
def test_refusals(door, method: str, path: str, headers: dict[str, str], status: int, reason: str) -> None:
    answer = door.ask(method, path, user=None if "authorization" in headers else "admin", headers=headers)
    assert (answer.status, answer.json["kind"], answer.json["reason"]) == (status, "Status", reason)


def test_what_is_nowhere_is_a_plain_page(door) -> None:
    answer = door.ask("GET", "/nope")
    assert (answer.status, answer.body) == (404, b"404 page not found\n")


def test_unknown_fields_are_warned_about(door) -> None:
    answer = door.ask("POST", CONFIG_MAPS, {"metadata": {"name": "w"}, "bogus": 1})
    assert (answer.status, answer.headers["warning"]) == (201, ['299 - "unknown field \\"bogus\\""'])


def test_who_may_do_what(door) -> None:
    refused = door.ask("GET", CONFIG_MAPS, user="alice")
    assert refused.status == 403
    assert refused.json["message"] == (
        'configmaps is forbidden: User "alice" cannot list resource "configmaps" in API group "" in the namespace "default"'
    )
    binding = {
        "metadata": {"name": "dev"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:aggregate-to-view"},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "dev"}],
    }
    assert door.ask("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", binding).status == 201
    assert door.ask("GET", CONFIG_MAPS, user="alice").status == 200
    assert door.ask("GET", "/api/v1/configmaps", user="alice").status == 403
    assert door.ask("GET", CONFIG_MAPS, headers={"impersonate-user": "alice", "impersonate-group": "dev"}).status == 200
    assert door.ask("GET", CONFIG_MAPS, user=None).status == 403


def test_nobody_gives_away_what_they_do_not_have(door) -> None:
    rules = [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"]}]
    roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
    assert door.ask("POST", roles, {"metadata": {"name": "maker"}, "rules": rules}).status == 201
    binding = {
        "metadata": {"name": "maker"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "maker"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice"}],
    }
    door.ask("POST", roles.replace("roles", "rolebindings"), binding)
    assert door.ask("POST", roles, {"metadata": {"name": "same"}, "rules": rules}, user="alice").status == 201
    more = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    refused = door.ask("POST", roles, {"metadata": {"name": "more"}, "rules": more}, user="alice")
    assert refused.status == 403
    assert '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}' in refused.json["message"]


def test_a_token_of_a_service_account_is_its_user(door) -> None:
    door.ask("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "bot"}})
    request = door.ask("POST", "/api/v1/namespaces/default/serviceaccounts/bot/token", {"spec": {}})
    assert request.status == 201
    token = request.json["status"]["token"]
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    who = door.ask(
        "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, user=None, headers={"authorization": f"Bearer {token}"}
    )
    assert who.json["status"]["userInfo"]["username"] == "system:serviceaccount:default:bot"
    forged = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    assert door.ask("GET", CONFIG_MAPS, user=None, headers={"authorization": f"Bearer {forged}"}).status == 401


def test_a_watch_begins_with_the_state_and_a_marked_bookmark(door) -> None:
    door.ask("POST", CONFIG_MAPS, {"metadata": {"name": "a"}})
    query = "watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    lines = [orjson.loads(line) for line in door.ask("GET", f"{CONFIG_MAPS}?{query}").body.splitlines()]
    assert [line["type"] for line in lines] == ["ADDED", "BOOKMARK"]
    assert lines[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_events_are_shown_in_both_groups(door) -> None:
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "message": "m",
        "reason": "R",
    }
    door.ask("POST", "/api/v1/namespaces/default/events", event)
    shown = door.ask("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e").json
    assert (shown["apiVersion"], shown["regarding"]["name"], shown["note"]) == ("events.k8s.io/v1", "p", "m")
    assert "involvedObject" not in shown


def test_an_autoscaler_keeps_what_version_1_cannot_say(door) -> None:
    base = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
    memory = {"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 60}}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    spec = {"scaleTargetRef": target, "maxReplicas": 3, "metrics": [memory]}
    door.ask("POST", base.format("v2"), {"metadata": {"name": "h"}, "spec": spec})
    shown = door.ask("GET", base.format("v1") + "/h").json
    assert "metrics" not in shown["spec"]
    shown["spec"]["maxReplicas"] = 4
    assert door.ask("PUT", base.format("v1") + "/h", shown).status == 200
    stored = door.ask("GET", base.format("v2") + "/h").json
    assert (stored["spec"]["maxReplicas"], stored["spec"]["metrics"]) == (4, [memory])


def test_a_pod_is_bound_by_the_collection_of_old(door) -> None:
    door.ask("POST", "/api/v1/namespaces/default/pods", {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
    bound = door.ask("POST", "/api/v1/namespaces/default/bindings", binding)
    assert (bound.status, bound.json["status"]) == (201, "Success")
    assert door.ask("GET", "/api/v1/namespaces/default/pods/p").json["spec"]["nodeName"] == "n"
    assert door.ask("POST", "/api/v1/namespaces/default/bindings", {**binding, "metadata": {"name": "q"}}).status == 404


def test_a_token_that_is_bound_to_nothing_says_so(door) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot"}}
    door.ask("POST", "/api/v1/namespaces/default/serviceaccounts", account)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    made = door.ask("POST", "/api/v1/namespaces/default/serviceaccounts/bot/token", request).json
    assert made["spec"] == {"audiences": ["https://kubernetes.default.svc"], "expirationSeconds": 3600, "boundObjectRef": None}
