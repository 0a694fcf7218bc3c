"""Patches: laws, RFC examples, directives. The recordings (test_recordings.py) hold them to a real server."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.api.errors import ApiError
from kubesim.api.patch import apply_json_patch, apply_merge_patch, apply_strategic_patch
from kubesim.api.patch.merge import merged

POD = "io.k8s.api.core.v1.Pod"

# The examples of RFC 7386, appendix A: original, patch, result.
MERGES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("original", "patch", "result"), MERGES)
def test_the_examples_of_the_rfc(original: Any, patch: Any, result: Any) -> None:
    assert result == merged(original, patch)


values = st.recursive(
    st.one_of(st.integers(0, 3), st.booleans(), st.sampled_from(["", "x"])),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=8,
)
maps = st.dictionaries(st.sampled_from("abc"), values, max_size=3)
patches = st.dictionaries(st.sampled_from("abc"), st.one_of(st.none(), values), max_size=3)


def twin(target: Any, patch: Any) -> Any:
    """The pseudocode of the RFC."""
    if not isinstance(patch, dict):
        return patch
    result = copy.deepcopy(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = twin(result.get(key), value)
    return result


@given(maps, patches)
def test_merge_is_the_pseudocode_and_writes_into_nothing(obj: dict, patch: dict) -> None:
    before = copy.deepcopy((obj, patch))
    result = apply_merge_patch(obj, patch)
    assert twin(obj, patch) == result
    assert before == (obj, patch)
    assert result == apply_merge_patch(result, patch), "a second time changes nothing"


@given(maps)
def test_merging_an_object_into_itself_is_itself(obj: dict) -> None:
    assert apply_merge_patch(obj, {}) is obj
    assert obj == apply_merge_patch(obj, obj)


@given(maps, maps)
def test_a_json_patch_can_make_any_map_of_any_other(old: dict, new: dict) -> None:
    operations: list[dict] = [{"op": "remove", "path": f"/{key}"} for key in old if key not in new]
    operations += [{"op": "add", "path": f"/{key}", "value": value} for key, value in new.items()]
    before = copy.deepcopy(old)
    result = apply_json_patch(old, operations)
    assert new == result and before == old
    tests = [{"op": "test", "path": f"/{key}", "value": value} for key, value in new.items()]
    assert result == apply_json_patch(result, tests)


JSON_PATCHES = [
    ("add to a list", {"a": [1, 2]}, [{"op": "add", "path": "/a/1", "value": 9}], {"a": [1, 9, 2]}),
    ("append", {"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
    ("add at the end", {"a": [1]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2]}),
    ("a negative index", {"a": [1, 2]}, [{"op": "replace", "path": "/a/-1", "value": 9}], {"a": [1, 9]}),
    ("replace what is not there", {}, [{"op": "replace", "path": "/a", "value": 9}], {"a": 9}),
    ("move", {"a": 1}, [{"op": "move", "from": "/a", "path": "/b"}], {"b": 1}),
    ("copy", {"a": {"x": 1}}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": {"x": 1}, "b": {"x": 1}}),
    ("escapes", {"a/b": {"~": 1}}, [{"op": "remove", "path": "/a~1b/~0"}], {"a/b": {}}),
    ("test null of nothing", {}, [{"op": "test", "path": "/a", "value": None}], {}),
]


@pytest.mark.parametrize(("name", "obj", "operations", "result"), JSON_PATCHES, ids=[row[0] for row in JSON_PATCHES])
def test_json_patch(name: str, obj: dict, operations: list, result: dict) -> None:
    assert result == apply_json_patch(obj, operations)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/none"},
        {"op": "test", "path": "/a", "value": 2},
        {"op": "test", "path": "/a", "value": True},
        {"op": "add", "path": "/none/deep", "value": 1},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "", "value": {}},
        {"op": "nope", "path": "/a"},
        {"path": "/a"},
        {"op": "replace", "path": "/l/7", "value": 1},
        {"op": "add", "path": "/l/x", "value": 1},
        {"op": "move", "from": "/none/x", "path": "/a"},
        {"op": "add", "path": "/a/b", "value": 1},
    ],
    ids=str,
)
def test_a_json_patch_that_does_not_apply(operation: dict) -> None:
    with pytest.raises(ApiError) as caught:
        apply_json_patch({"a": 1, "l": [1]}, [operation])
    assert (caught.value.code, caught.value.message) == (422, "the server rejected our request due to an error in our request")


def pod(**spec: Any) -> dict:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


STRATEGIC = [
    (
        "containers merge by name",
        pod(containers=[{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]),
        {"spec": {"containers": [{"name": "b", "image": "3"}]}},
        pod(containers=[{"name": "a", "image": "1"}, {"name": "b", "image": "3"}]),
    ),
    (
        "a new item goes first",
        pod(containers=[{"name": "a"}]),
        {"spec": {"containers": [{"name": "c", "$retainKeys": ["name"]}]}},
        pod(containers=[{"name": "c"}, {"name": "a"}]),
    ),
    (
        "an item is deleted",
        pod(containers=[{"name": "a"}, {"name": "b"}]),
        {"spec": {"containers": [{"name": "a", "$patch": "delete"}]}},
        pod(containers=[{"name": "b"}]),
    ),
    (
        "a list is replaced",
        pod(containers=[{"name": "a"}, {"name": "b"}]),
        {"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}},
        pod(containers=[{"name": "c"}]),
    ),
    (
        "a map is replaced",
        pod(nodeSelector={"a": "1"}, hostname="h"),
        {"spec": {"$patch": "replace", "hostname": "i"}},
        pod(hostname="i"),
    ),
    (
        "a map is deleted",
        pod(securityContext={"runAsUser": 1}),
        {"spec": {"securityContext": {"$patch": "delete"}}},
        pod(securityContext={}),
    ),
    ("null removes", pod(nodeSelector={"a": "1", "b": "2"}), {"spec": {"nodeSelector": {"a": None}}}, pod(nodeSelector={"b": "2"})),
    (
        "an atomic list is replaced",
        pod(tolerations=[{"key": "a"}]),
        {"spec": {"tolerations": [{"key": "b"}]}},
        pod(tolerations=[{"key": "b"}]),
    ),
    (
        "only the retained keys of a volume stay",
        pod(volumes=[{"name": "v", "emptyDir": {}}]),
        {"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]}},
        pod(volumes=[{"name": "v", "hostPath": {"path": "/x"}}]),
    ),
    (
        "values leave a list of scalars",
        {"metadata": {"finalizers": ["a/1", "a/2"]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/1"]}},
        {"metadata": {"finalizers": ["a/2"]}},
    ),
    (
        "scalars merge as a set",
        {"metadata": {"finalizers": ["a/1"]}},
        {"metadata": {"finalizers": ["a/2", "a/1"]}},
        {"metadata": {"finalizers": ["a/2", "a/1"]}},
    ),
    (
        "an order is set",
        pod(containers=[{"name": "a"}, {"name": "b"}]),
        {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}},
        pod(containers=[{"name": "b"}, {"name": "a"}]),
    ),
    (
        "the server's own items keep their place",
        pod(containers=[{"name": "a"}, {"name": "x"}, {"name": "b"}]),
        {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "b", "image": "2"}]}},
        pod(containers=[{"name": "x"}, {"name": "b", "image": "2"}, {"name": "a"}]),
    ),
]


@pytest.mark.parametrize(("name", "obj", "patch", "result"), STRATEGIC, ids=[row[0] for row in STRATEGIC])
def test_strategic_merge(name: str, obj: dict, patch: dict, result: dict) -> None:
    before = copy.deepcopy((obj, patch))
    assert result == apply_strategic_patch(obj, patch, POD)
    assert before == (obj, patch), "nothing is written into"


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"$patch": "nope"}, "unknown patch type: nope in map: map[$patch:nope]"),
        ({"spec": {"containers": [{"image": "x"}]}}, "map: map[image:x] does not contain declared merge key: name"),
        ({"spec": {"containers": [{"name": "a", "$patch": "merge"}]}}, "merging lists cannot yet be specified in the patch"),
        ({"spec": {"$retainKeys": ["a"], "b": 1}}, "invalid patch format of retainKeys"),
        (
            {"spec": {"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "a"}]}},
            "The order in patch list:\n[map[name:a]]\n doesn't match $setElementOrder list:\n[map[name:b]]\n",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_directives(patch: dict, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        apply_strategic_patch(pod(containers=[{"name": "a"}]), patch, POD)
    assert message == caught.value.message


@pytest.mark.parametrize("body", [[], "x", 5])
def test_a_patch_of_the_wrong_type(body: Any) -> None:
    for apply in (apply_merge_patch, lambda obj, patch: apply_strategic_patch(obj, patch, POD)):
        with pytest.raises(ApiError, match="json: cannot unmarshal"):
            apply({}, body)
    with pytest.raises(ApiError, match=r"Go value of type \[\]handlers.jsonPatchOp"):
        apply_json_patch({}, {"op": "add"})
