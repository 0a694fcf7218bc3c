"""Metadata, conditions, the memo and shape: copies change one path and share the rest."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.api import conditions, meta
from kubesim.api.kinds.parts import shape
from kubesim.api.memo import IdentityMemo

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"a": "1"}},
    "spec": {"containers": []},
    "status": {"phase": "Pending"},
}


def test_keys() -> None:
    assert (meta.key_of(POD), meta.key("", "x"), meta.key("n", "x")) == ("n/p", "x", "n/x")
    assert (meta.split_key("n/p"), meta.split_key("p")) == (("n", "p"), ("", "p"))
    assert (meta.name_of(POD), meta.namespace_of(POD), meta.uid_of(POD), meta.generation_of(POD)) == ("p", "n", "u", 0)


def test_owners() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "r", "uid": "o"}}
    reference = meta.controller_reference(owner)
    assert reference == {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "r",
        "uid": "o",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    child = meta.with_metadata(POD, ownerReferences=[{"uid": "x"}, reference])
    assert meta.controller_of(child) is reference and meta.is_controlled_by(child, owner)
    assert meta.controller_of(POD) is None and not meta.is_controlled_by(POD, owner)
    assert meta.owner_references_of(POD) == []


def test_copies_share_what_does_not_change() -> None:
    changed = meta.with_labels(POD, {"b": "2", "a": None})
    assert changed["metadata"]["labels"] == {"b": "2"} and changed["spec"] is POD["spec"]
    assert "labels" not in meta.with_labels(POD, {"a": None})["metadata"]
    assert meta.annotations_of(meta.with_annotations(POD, {"x": "y"})) == {"x": "y"} and meta.annotations_of(POD) == {}
    assert meta.with_status(POD, phase="Running", reason=None)["status"] == {"phase": "Running"}
    assert meta.with_field(POD, ("spec", "nodeName"), "x")["spec"] == {"containers": [], "nodeName": "x"}
    assert meta.with_field({}, ("a", "b"), 1) == {"a": {"b": 1}}
    assert meta.without_field(POD, ("status", "phase"))["status"] == {}
    assert meta.without_field(POD, ("spec", "nope")) is POD and meta.without_field(POD, ("nope", "x")) is POD
    assert meta.is_terminating(meta.with_metadata(POD, deletionTimestamp="t")) and not meta.is_terminating(POD)
    assert POD["metadata"] == {"name": "p", "namespace": "n", "uid": "u", "labels": {"a": "1"}}, "nothing was written into"


def test_a_condition_moves_its_time_only_with_its_status() -> None:
    first = conditions.set_condition(None, {"type": "Ready", "status": "False", "reason": "A"}, "t1")
    assert first == [{"type": "Ready", "status": "False", "reason": "A", "lastTransitionTime": "t1"}]
    assert conditions.set_condition(first, {"type": "Ready", "status": "False", "reason": "A"}, "t2") is first
    same = conditions.set_condition(first, {"type": "Ready", "status": "False", "reason": "B"}, "t2")
    assert same[0]["lastTransitionTime"] == "t1" and same[0]["reason"] == "B"
    moved = conditions.set_condition(same, {"type": "Ready", "status": "True"}, "t3")
    assert moved == [{"type": "Ready", "status": "True", "lastTransitionTime": "t3"}]
    two = conditions.set_condition(moved, {"type": "X", "status": "Unknown"}, "t4")
    assert conditions.types_of(two) == ["Ready", "X"]
    assert conditions.types_of(conditions.without_condition(two, "Ready")) == ["X"]
    assert conditions.without_condition(two, "nope") is two
    obj = {"status": {"conditions": two}}
    assert conditions.is_true(obj, "Ready") and not conditions.is_true(obj, "nope")
    assert conditions.status_of(obj, "nope") == "Unknown" == conditions.status_of({}, "Ready")


def test_the_memo_computes_once_per_object_and_forgets_the_oldest() -> None:
    calls: list[Any] = []
    memo: IdentityMemo[int] = IdentityMemo(lambda obj: calls.append(obj) or len(calls), size_max=2)
    objects = [{"n": number} for number in range(3)]
    assert [memo(objects[0]), memo(objects[0]), memo(objects[1]), memo(objects[2])] == [1, 1, 2, 3]
    assert len(memo) == 2
    assert memo(objects[2]) == 3 and memo(objects[0]) == 4, "the first was forgotten"
    memo.remember(objects[0], 9)
    assert memo(objects[0]) == 9 and len(memo) == 2
    memo.clear()
    assert len(memo) == 0
    with pytest.raises(ValueError, match="size_max: 0: expected at least 1"):
        IdentityMemo(len, size_max=0)


def test_an_equal_object_is_not_the_same_object() -> None:
    memo: IdentityMemo[list] = IdentityMemo(lambda obj: [obj])
    one, other = {"a": 1}, {"a": 1}
    assert memo(one) is memo(one) and memo(one) is not memo(other)


def test_a_remembered_object_stays_alive() -> None:
    memo: IdentityMemo[dict] = IdentityMemo(lambda obj: obj)
    assert all(memo({"n": number})["n"] == number for number in range(100)), "a reused address would give an old answer"


dicts = st.dictionaries(st.sampled_from("abcd"), st.one_of(st.none(), st.integers(0, 2)))


@given(dicts, dicts)
def test_fill_fills_what_is_missing_and_nothing_else(values: dict, defaults: dict) -> None:
    filled = shape.fill(values, defaults)
    assert filled == {**defaults, **{key: value for key, value in values.items() if value is not None or key not in defaults}}
    if all(values.get(key) is not None for key in defaults):
        assert filled is values


def test_shape_shares() -> None:
    values = {"a": {"x": 1}, "l": [1, 2], "m": {"k": 1}}
    assert shape.change(values, "a", lambda item: item) is values and shape.change(values, "none", len) is values
    assert shape.change_each(values, "l", lambda item: item) is values and shape.change_each(values, "none", len) is values
    assert shape.change_each(values, "m", lambda item: item + 1) == {**values, "m": {"k": 2}}
    assert shape.put(values, "a", values["a"]) is values and shape.put(values, "b", 1)["b"] == 1
    assert shape.put({"a": 1}, "a", 1) == {"a": 1} and shape.without(values, "none") is values
    assert shape.get_in(values, "a", "x") == 1 and shape.get_in(values, "a", "y", "z") is None
    assert shape.keep_status({"status": 1}, {}) == {} and shape.keep_status({"status": 1}, {"status": 2}) == {"status": 2}
    assert shape.empty_status({"a": 1}) == {"a": 1, "status": {}} and shape.without_status({"a": 1}) == {"a": 1}
