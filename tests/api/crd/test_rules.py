"""CEL rules of schemas: who breaks which, transitions, messages, and rules that mean nothing."""

from typing import Any

import pytest

from kubesim.api.crd.custom_kind import kind_of
from kubesim.api.crd.rule_checks import schema_rule_errors
from kubesim.api.crd.rules import compile_rules, rule_errors

Object = dict[str, Any]


def schema(*rules: Object, **properties: Any) -> Object:
    """A root with a ``spec`` that has rules."""
    spec = {"type": "object", "properties": properties, "x-kubernetes-validations": list(rules)}
    return {"type": "object", "properties": {"spec": spec}}


def broken(given: Object, spec: Object, old: Object | None = None) -> list[str]:
    """The errors of an object, as text."""
    rules = compile_rules(given)
    assert rules is not None
    found = rule_errors(rules, {"metadata": {"name": "x"}, "spec": spec}, None if old is None else {"spec": old})
    return [f"{error.field}: {error.message}" for error in found]


TABLE: list[tuple[str, Object, Object, Object | None, list[str]]] = [
    ("holds", schema({"rule": "self.min <= self.max"}), {"min": 1, "max": 2}, None, []),
    ("broken", schema({"rule": "self.min <= self.max"}), {"min": 3, "max": 2}, None,
     ['spec: Invalid value: "object": failed rule: self.min <= self.max']),
    ("a message", schema({"rule": "self.a > 0", "message": "too small"}), {"a": 0}, None, ['spec: Invalid value: "object": too small']),
    ("a message that is computed", schema({"rule": "self.a > 1", "messageExpression": "'a is ' + string(self.a)"}), {"a": 0}, None,
     ['spec: Invalid value: "object": a is 0']),
    ("a path and a reason", schema({"rule": "self.a > 0", "fieldPath": ".a", "reason": "FieldValueForbidden", "message": "no"}),
     {"a": 0}, None, ["spec.a: Forbidden: no"]),
    ("a transition of a new object", schema({"rule": "self.a == oldSelf.a"}), {"a": 1}, None, []),
    ("a transition", schema({"rule": "self.a == oldSelf.a", "message": "immutable"}), {"a": 1}, {"a": 2},
     ['spec: Invalid value: "object": immutable']),
    ("an error inside", schema({"rule": "self.b > 0"}), {"a": 1}, None,
     ['spec: Invalid value: "object": no such key: b evaluating rule: self.b > 0']),
    ("items", schema(xs={"type": "array", "items": {"type": "string", "x-kubernetes-validations": [{"rule": "self != 'b'"}]}}),
     {"xs": ["a", "b"]}, None, ["spec.xs[1]: Invalid value: \"string\": failed rule: self != 'b'"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "spec", "old", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_rules(name: str, given: Object, spec: Object, old: Object | None, expected: list[str]) -> None:
    assert broken(given, spec, old) == expected


def test_a_schema_without_rules_has_none() -> None:
    assert compile_rules({"type": "object", "properties": {"a": {"type": "string"}}}) is None


def test_items_of_a_list_by_keys_are_compared_with_their_former_selves() -> None:
    item = {"type": "object", "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v", "message": "only upwards"}]}
    listed = {"type": "array", "x-kubernetes-list-map-keys": ["k"], "items": item}
    found = broken(schema(xs=listed), {"xs": [{"k": "b", "v": 1}, {"k": "a", "v": 3}]}, {"xs": [{"k": "a", "v": 2}, {"k": "b", "v": 2}]})
    assert found == ['spec.xs[0]: Invalid value: "object": only upwards']


def test_a_rule_that_means_nothing_is_shown_with_its_place() -> None:
    given = {"type": "object", "x-kubernetes-validations": [{"rule": "self.(("}, {"rule": "1 +"}]}
    found = list(schema_rule_errors(given, "schema"))
    assert [error.field for error in found] == ["schema.x-kubernetes-validations[0].rule", "schema.x-kubernetes-validations[1].rule"]
    assert "compilation failed: ERROR: <input>:1:6: Syntax error: no viable alternative at input '.('" in found[0].message


def kind(spec: Object) -> Any:
    """The kind of a definition with this schema of its spec."""
    whole = {"type": "object", "properties": {"spec": spec}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": whole}}
    names = {"plural": "xs", "kind": "X"}
    given = {"group": "g.io", "scope": "Namespaced", "names": names, "versions": [version]}
    return kind_of({"metadata": {"name": "xs.g.io"}, "spec": given})


def changed(spec: Object, old: Any, new: Any) -> list[str]:
    """The fields of the errors of a change."""
    metadata = {"name": "x", "namespace": "n", "uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    before, after = ({"apiVersion": "g.io/v1", "kind": "X", "metadata": metadata, "spec": each} for each in (old, new))
    return [error.field for error in kind(spec).validate_update(after, before)]


NUMBER = {"type": "integer", "maximum": 5, "x-kubernetes-validations": [{"rule": "self != 3"}]}


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"a": 9, "b": 1}, {"a": 9, "b": 2}, []),
        ({"a": 9, "b": 1}, {"a": 8, "b": 1}, ["spec.a"]),
        ({"a": 3}, {"a": 3, "b": 1}, []),
        ({"a": 2}, {"a": 3}, ["spec.a"]),
        ({"items": [{"k": "x", "v": 9}]}, {"items": [{"k": "y", "v": 1}, {"k": "x", "v": 9}]}, []),
        ({"items": [{"k": "x", "v": 9}]}, {"items": [{"k": "y", "v": 9}]}, ["spec.items[0].v"]),
        ({}, {"text": 1}, ["spec.text", "<nil>"]),
    ],
)
def test_what_was_there_is_not_judged_again(old: Object, new: Object, found: list[str]) -> None:
    item = {"type": "object", "properties": {"k": {"type": "string"}, "v": NUMBER}}
    listed = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": item}
    spec = {"type": "object", "properties": {"a": NUMBER, "b": NUMBER, "items": listed, "text": {"type": "string"}}}
    assert changed(spec, old, new) == found


def test_values_have_the_types_of_their_formats() -> None:
    when = {"type": "string", "format": "date-time"}
    given = schema({"rule": "self.a < timestamp('2026-01-02T00:00:00Z') && self.b / 2.0 == 1.5 && self.c__dash__d == bytes('x')"},
                   a=when, b={"type": "number"}, **{"c-d": {"type": "string", "format": "byte"}})  # fmt: skip
    assert broken(given, {"a": "2026-01-01T00:00:00Z", "b": 3, "c-d": "eA=="}) == []
    assert len(broken(given, {"a": "2026-01-03T00:00:00Z", "b": 3, "c-d": "eA=="})) == 1


def test_a_rule_may_ask_whether_there_was_a_value_before() -> None:
    given = schema({"rule": "oldSelf.optMap(o, o.a <= self.a).orValue(self.a == 0)", "optionalOldSelf": True})
    assert [len(broken(given, {"a": 1})), len(broken(given, {"a": 0})), len(broken(given, {"a": 1}, {"a": 2}))] == [1, 0, 1]
