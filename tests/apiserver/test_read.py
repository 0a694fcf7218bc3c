"""Get and list: selectors, pages, versions (rules A1, A2)."""

import pytest

from kubesim.apiserver.requests import bind, create, get, list_, patch
from kubesim.apiserver.verbs.read import decode_token, encode_token
from tests.apiserver.builders import config_map, namespace, pod


@pytest.fixture
def filled(api):
    """Ten ConfigMaps in default, two elsewhere."""
    api(create("namespaces", "", namespace("other")))
    for index in range(10):
        api(create("configmaps", "default", config_map(f"c{index}", labels={"odd": str(index % 2), "n": str(index)})))
    for index in range(2):
        api(create("configmaps", "other", config_map(f"o{index}", labels={"odd": "0"})))
    return api


def names(answer: dict) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"]]


SELECTIONS = [
    ({}, "default", [f"c{index}" for index in range(10)]),
    ({}, "", [*(f"c{index}" for index in range(10)), "o0", "o1"]),
    ({"labelSelector": "odd=1"}, "", ["c1", "c3", "c5", "c7", "c9"]),
    ({"labelSelector": "odd=0,n in (2,4)"}, "default", ["c2", "c4"]),
    ({"labelSelector": "!n"}, "", ["o0", "o1"]),
    ({"fieldSelector": "metadata.name=c3"}, "default", ["c3"]),
    ({"fieldSelector": "metadata.namespace!=default"}, "", ["o0", "o1"]),
    ({"fieldSelector": "metadata.name!=c3", "labelSelector": "odd=1"}, "default", ["c1", "c5", "c7", "c9"]),
    ({}, "empty", []),
]


@pytest.mark.parametrize(("options", "where", "expected"), SELECTIONS)
def test_lists_select_in_key_order(filled, options, where, expected) -> None:
    answer = filled(list_("configmaps", where, **options))
    assert names(answer) == expected
    assert (answer["kind"], answer["apiVersion"]) == ("ConfigMapList", "v1")
    assert answer["metadata"] == {"resourceVersion": str(filled.revision())}


def test_a_namespace_is_not_a_prefix_of_another(api) -> None:
    for name in ("n", "n-1", "n0"):
        api(create("namespaces", "", namespace(name)))
        api(create("configmaps", name, config_map(name)))
    assert names(api(list_("configmaps", "n"))) == ["n"]


BAD_SELECTORS = [
    ({"labelSelector": "a b"}, "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
    ({"fieldSelector": "metadata.name"}, "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
    ({"fieldSelector": "data=x"}, '"data" is not a known field selector: only "metadata.name", "metadata.namespace"'),
]


@pytest.mark.parametrize(("options", "message"), BAD_SELECTORS)
def test_bad_selectors(api, options, message) -> None:
    assert api.outcome(list_("configmaps", "default", **options)) == (400, message)


def test_pods_are_selected_by_their_node_and_phase(api) -> None:
    for name in "abc":
        made = api(create("pods", "default", pod(name)))
        if name != "c":
            api(bind("default", name, made["metadata"]["uid"], f"node-{name}"))
    assert names(api(list_("pods", fieldSelector="spec.nodeName=node-b"))) == ["b"]
    assert names(api(list_("pods", fieldSelector="spec.nodeName="))) == ["c"]
    assert names(api(list_("pods", fieldSelector="status.phase=Pending,spec.nodeName!=node-a"))) == ["b", "c"]


@pytest.mark.parametrize("limit", [1, 3, 7, 10, 11])
def test_pages_show_one_revision(filled, limit) -> None:
    first = filled(list_("configmaps", "default", limit=limit))
    before = filled(list_("configmaps", "default"))
    filled(create("configmaps", "default", config_map("c00")))
    filled(patch("configmaps", "default", "c9", {"data": {"k": "late"}}))
    items, page, left = list(first["items"]), first, 10 - limit
    while "continue" in page["metadata"]:
        assert page["metadata"]["remainingItemCount"] == left
        page = filled(list_("configmaps", "default", limit=limit, **{"continue": page["metadata"]["continue"]}))
        assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        items += page["items"]
        left -= limit
    assert items == before["items"]


def test_pages_of_a_selection_are_full(filled) -> None:
    first = filled(list_("configmaps", "default", limit=3, labelSelector="odd=1"))
    assert names(first) == ["c1", "c3", "c5"]
    assert "remainingItemCount" not in first["metadata"]
    rest = filled(list_("configmaps", "default", limit=3, labelSelector="odd=1", **{"continue": first["metadata"]["continue"]}))
    assert names(rest) == ["c7", "c9"]


def test_tokens_are_upstream_s() -> None:
    token = encode_token(7, "default/a\0")
    assert token == "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6Nywic3RhcnQiOiJkZWZhdWx0L2FcdTAwMDAifQ"
    assert decode_token(token) == (7, "default/a\0")


BAD_OPTIONS = [
    ({"continue": encode_token(3, "a\0"), "resourceVersion": "5"}, 400, "specifying resource version is not allowed when using continue"),
    ({"continue": encode_token(3, "../a\0")}, 400, "invalid continue token: continue key is not valid: ../a"),
    ({"continue": "bm90anNvbg"}, 400, "invalid continue token: continue key is not valid: "),
    ({"resourceVersion": "1.5"}, 400, 'invalid resource version: resourceVersion: Invalid value: "1.5": strconv.ParseUint: parsing "1.5"'),
    ({"resourceVersion": "99999999999999999999"}, 400, "value out of range"),
    ({"resourceVersion": "999999999"}, 504, "Timeout: Too large resource version: 999999999, current: "),
    ({"resourceVersion": "0", "resourceVersionMatch": "Exact"}, 422, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
    ({"resourceVersionMatch": "NotOlderThan"}, 422, "resourceVersionMatch is forbidden unless resourceVersion is provided"),
    ({"resourceVersion": "1", "resourceVersionMatch": "About"}, 422, 'Unsupported value: "About"'),
]


@pytest.mark.parametrize(("options", "code", "message"), BAD_OPTIONS)
def test_bad_list_options(api, options, code, message) -> None:
    got, text = api.outcome(list_("configmaps", "default", **options))
    assert got == code
    assert message in text


def test_lists_at_a_version(filled) -> None:
    at = filled.revision()
    filled(create("configmaps", "default", config_map("late")))

    def found(**options: str) -> int:
        return len(filled(list_("configmaps", "default", **options))["items"])

    assert found(resourceVersion=str(at), resourceVersionMatch="Exact") == 10
    assert found(resourceVersion=str(at), resourceVersionMatch="NotOlderThan") == 11
    assert found(resourceVersion=str(at)) == 11
    assert found(resourceVersion=str(at), limit="20") == 10
    assert found(resourceVersion="0", limit="3") == 11


def test_a_compacted_version_is_expired(filled) -> None:
    first = filled(list_("configmaps", "default", limit=4))
    at = filled.revision()
    filled(create("configmaps", "default", config_map("late")))
    filled.server.etcd.execute(("compact", filled.revision()))
    exact = list_("configmaps", "default", resourceVersion=str(at), resourceVersionMatch="Exact")
    assert filled.outcome(exact) == (410, "The resourceVersion for the provided list is too old.")
    code, message = filled.outcome(list_("configmaps", "default", limit=4, **{"continue": first["metadata"]["continue"]}))
    assert code == 410
    assert message.startswith("The provided continue parameter is too old to display a consistent list result.")


def test_an_object_has_the_version_of_its_last_write(filled) -> None:
    for item in filled(list_("configmaps"))["items"]:
        key = f"/registry/configmaps/{item['metadata']['namespace']}/{item['metadata']['name']}".encode()
        assert item["metadata"]["resourceVersion"] == str(filled.server.store.get(key).mod_revision)


def test_get_asks_for_no_version_to_come(filled) -> None:
    assert filled.outcome(get("configmaps", "default", "c1", resourceVersion="0")) == (200, "")
    assert filled.outcome(get("configmaps", "default", "c1", resourceVersion="999999"))[0] == 504
    code, message = filled.outcome(get("configmaps", "default", "c1", resourceVersion="abc"))
    assert (code, message) == (500, 'resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax')
