"""The audit log: which rule counts, what of a request is in an event, and what a policy cannot say."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from kubesim.server.apiserver.audit import Audit, policy_of, read_policy
from tests.server.door import Door

MAPS = "/api/v1/namespaces/default/configmaps"


def policy(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": list(rules), **more}


def audited(door: Door, path: Path, document: dict[str, Any]) -> Audit:
    door.app.audit = Audit(policy_of(document), str(path), lambda: door.kernel.now_ns, door.kernel.rng("audit").uuid)
    return door.app.audit


def events(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_levels_decide_what_of_a_request_is_told(door: Door, tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    rules = [
        {"level": "None", "users": ["alice"]},
        {"level": "RequestResponse", "resources": [{"group": "", "resources": ["configmaps"]}], "verbs": ["create"]},
        {"level": "Request", "resources": [{"group": "", "resources": ["configmaps"]}], "verbs": ["update"]},
        {"level": "Metadata", "nonResourceURLs": ["/version", "/healthz*"]},
    ]
    audit = audited(door, path, policy(*rules, omitStages=["RequestReceived"], omitManagedFields=True))
    made = door.ask("POST", MAPS, {"metadata": {"name": "m"}, "data": {"a": "b"}}).json
    door.ask("PUT", f"{MAPS}/m", {**made, "data": {"a": "c"}})
    door.ask("GET", "/version")
    door.ask("GET", f"{MAPS}/m")  # no rule
    door.ask("POST", MAPS, {"metadata": {"name": "n"}}, user="alice")
    audit.close()
    created, replaced, version = events(path)
    assert (created["kind"], created["apiVersion"], created["level"], created["stage"]) == (
        "Event", "audit.k8s.io/v1", "RequestResponse", "ResponseComplete",
    )  # fmt: skip
    assert created["user"]["username"] == "admin"
    assert created["objectRef"] == {"resource": "configmaps", "namespace": "default", "apiVersion": "v1"}
    assert created["requestObject"]["data"] == {"a": "b"}
    assert created["responseObject"]["metadata"]["uid"] == made["metadata"]["uid"]
    assert "managedFields" not in created["responseObject"]["metadata"]
    assert created["responseStatus"] == {"metadata": {}, "code": 201}
    assert created["annotations"]["authorization.k8s.io/decision"] == "allow"
    assert (replaced["verb"], replaced["requestObject"]["data"]) == ("update", {"a": "c"})
    assert "responseObject" not in replaced
    assert (version["requestURI"], version["level"]) == ("/version", "Metadata")
    assert "requestObject" not in version


def test_stages_refusals_and_impersonation(door: Door, tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    audit = audited(door, path, policy({"level": "Metadata"}))
    door.watch(f"{MAPS}?watch=true")
    door.ask("GET", MAPS, headers={"impersonate-user": "alice", "audit-id": "mine"})
    door.ask("GET", MAPS, headers={"authorization": "Bearer wrong"}, user=None)
    audit.close()
    found = events(path)
    assert [(each["stage"], each["verb"]) for each in found[:3]] == [
        ("RequestReceived", "watch"), ("ResponseStarted", "watch"), ("ResponseComplete", "watch"),
    ]  # fmt: skip
    assert len({each["auditID"] for each in found[:3]}) == 1
    refused = found[4]
    assert (refused["auditID"], refused["impersonatedUser"]["username"]) == ("mine", "alice")
    assert (refused["responseStatus"]["code"], refused["responseStatus"]["reason"]) == (403, "Forbidden")
    assert refused["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert found[-1]["responseStatus"]["code"] == 401


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "expected an object of apiVersion audit.k8s.io/v1 and kind Policy"),
        (policy(), "rules: expected at least one rule"),
        (policy({"level": "Everything"}), "rules[0].level: 'Everything': expected one of None, Metadata, Request, RequestResponse"),
        (policy({"level": "None", "verb": ["get"]}), "rules[0].verb: an unknown field"),
        (policy({"level": "None", "verbs": "get"}), "rules[0].verbs: 'get': expected a list"),
        (policy({"level": "None"}, omitStages=["Soon"]), "omitStages: 'Soon': expected some of RequestReceived"),
        (policy({"level": "None", "nonResourceURLs": ["/x"], "namespaces": ["a"]}), "rules[0].nonResourceURLs: ['/x']: expected either"),
    ],
)
def test_a_bad_policy_is_one_sentence(document: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(orjson.dumps(document))
    with pytest.raises(ValueError, match="^--audit-policy-file ") as refused:
        read_policy(str(path))
    assert message in str(refused.value)


def test_resources_subresources_and_names() -> None:
    from kubesim.server.apiserver.audit import fits
    from kubesim.server.apiserver.call import Call

    (rule,) = policy_of(
        policy({"level": "Metadata", "resources": [{"group": "", "resources": ["pods/log", "*/scale"], "resourceNames": ["a"]}]})
    ).rules
    space = "/api/v1/namespaces/n"
    asked = {
        f"{space}/pods/a/log": True,
        f"{space}/pods/b/log": False,
        f"{space}/pods/a": False,
        f"{space}/replicationcontrollers/a/scale": True,
        "/apis/apps/v1/namespaces/n/deployments/a/scale": False,
    }
    assert {path: fits(rule, Call("GET", path, "", [])) for path in asked} == asked
