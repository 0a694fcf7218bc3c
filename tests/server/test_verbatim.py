"""Fields that upstream keeps as the bytes they came in: a rule against change compares the texts."""

import pytest

REVISIONS = "/apis/apps/v1/namespaces/default/controllerrevisions"
MERGE = {"content-type": "application/merge-patch+json"}
HEAD = b'{"metadata":{"name":"r"},"revision":1,"data":'
SPACED, PACKED = b'{"spec": {"x": [1, 2]}}', b'{"spec":{"x":[1,2]}}'


@pytest.mark.parametrize(("data", "status"), [(SPACED, 422), (PACKED, 200)])
def test_a_patch_packs_what_it_does_not_touch(door, data: bytes, status: int) -> None:
    created = door.ask("POST", REVISIONS, HEAD + data + b"}", headers={"content-type": "application/json"})
    assert created.json["data"] == {"spec": {"x": [1, 2]}}
    assert b'"data":' + PACKED in created.body
    answer = door.ask("PATCH", f"{REVISIONS}/r", {"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    assert answer.status == status
    if status == 422:
        assert answer.json["message"].endswith('data: Invalid value: {"spec":{"x":[1,2]}}: field is immutable')


@pytest.mark.parametrize("first", [SPACED, PACKED])
@pytest.mark.parametrize("second", [SPACED, PACKED])
def test_an_update_must_send_the_same_text(door, first: bytes, second: bytes) -> None:
    door.ask("POST", REVISIONS, HEAD + first + b"}", headers={"content-type": "application/json"})
    answer = door.ask("PUT", f"{REVISIONS}/r", HEAD + second + b"}", headers={"content-type": "application/json"})
    assert answer.status == (200 if first == second else 422)


def test_what_a_component_has_written_can_be_labelled(door) -> None:
    from kubesim.apiserver.requests import Request

    revision = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "r"}, "revision": 1, "data": {"spec": {}}}
    door.server.call(Request("create", "controllerrevisions.apps", "default", "r", revision))
    body = {"metadata": {"labels": {"a": "b"}}}
    patched = door.server.call(Request("patch", "controllerrevisions.apps", "default", "r", body, options={"patchType": "merge"}))
    assert patched["metadata"]["labels"] == {"a": "b"}
