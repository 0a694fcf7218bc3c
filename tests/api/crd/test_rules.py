"""CEL rules of schemas: who breaks which, transitions, messages, and rules that mean nothing."""

from typing import Any

import pytest

from kubesim.api.crd.rules import compile_rules, rule_errors, schema_rule_errors

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
    given = {"x-kubernetes-validations": [{"rule": "self.(("}, {"rule": " "}]}
    found = list(schema_rule_errors(given, "schema"))
    assert [error.field for error in found] == ["schema.x-kubernetes-validations[0].rule", "schema.x-kubernetes-validations[1].rule"]
    assert "compilation failed: ERROR: <input>:1:6: Syntax error: no viable alternative at input '.('" in found[0].message
