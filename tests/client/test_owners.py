"""Owner references: the table of adopt, keep, release and ignore."""

import pytest

from kubesim.api.meta import controller_reference
from kubesim.apiserver.requests import Object
from kubesim.client.owners import adopt_request, claim, release_request

OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web", "namespace": "shop", "uid": "rs"}}
DYING = {**OWNER, "metadata": {**OWNER["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}


def pod(app: str, owner: str = "", dying: bool = False) -> Object:
    metadata: Object = {"name": "p", "namespace": "shop", "uid": "u", "labels": {"app": app}}
    if owner:
        reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": owner, "controller": True}
        metadata["ownerReferences"] = [{"uid": "plain owner", "kind": "ConfigMap"}, reference]
    if dying:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata}


@pytest.mark.parametrize(
    ("owner", "obj", "expected"),
    [
        (OWNER, pod("web", "rs"), "owned"),
        (OWNER, pod("web", "rs", dying=True), "owned"),
        (OWNER, pod("db", "rs"), "release"),
        (OWNER, pod("web", "other"), ""),
        (OWNER, pod("web"), "adopt"),
        (OWNER, pod("db"), ""),
        (OWNER, pod("web", dying=True), ""),
        (DYING, pod("web"), ""),
        (DYING, pod("db", "rs"), ""),
        (DYING, pod("web", "rs"), "owned"),
    ],
)
def test_claim(owner: Object, obj: Object, expected: str) -> None:
    result = claim(owner, [obj], lambda labels: labels.get("app") == "web")
    assert {name for name in ("owned", "adopt", "release") if getattr(result, name)} == ({expected} if expected else set())


def test_the_requests_name_the_object_by_uid() -> None:
    adopt, release = adopt_request(OWNER, "pods", pod("web")), release_request(OWNER, "pods", pod("db", "rs"))
    assert adopt.options == release.options == {"patchType": "strategic"}
    assert adopt.obj == {"metadata": {"ownerReferences": [controller_reference(OWNER)], "uid": "u"}}
    assert release.obj == {"metadata": {"ownerReferences": [{"$patch": "delete", "uid": "rs"}], "uid": "u"}}
