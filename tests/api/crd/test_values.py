"""Values against structural schemas: upstream's errors, defaults, lists, and what the schema tables learn."""

from typing import Any

import pytest

from kubesim.api import schema
from kubesim.api.crd.defaults import default
from kubesim.api.crd.definitions import define
from kubesim.api.crd.values import list_errors, validate

Object = dict[str, Any]
INTEGER, TEXT = {"type": "integer"}, {"type": "string"}
TABLE: list[tuple[str, Any, Object, list[str]]] = [
    ("fits", {"a": 1}, {"type": "object", "properties": {"a": INTEGER}}, []),
    ("wrong type", {"a": "x"}, {"type": "object", "properties": {"a": INTEGER}},
     ['a: Invalid value: "string": a in body must be of type integer: "string"']),
    ("a whole float is an integer", {"a": 1.0}, {"type": "object", "properties": {"a": INTEGER}}, []),
    ("a broken one is not", {"a": 1.5}, {"type": "object", "properties": {"a": INTEGER}},
     ['a: Invalid value: "number": a in body must be of type integer: "number"',
      '<nil>: Invalid value: "": Checked value must be of type integer (default format) in a']),
    ("int or string", {"p": True}, {"type": "object", "properties": {"p": {"x-kubernetes-int-or-string": True}}},
     ['p: Invalid value: "boolean": p in body must be of type integer,string: "boolean"']),
    ("required", {}, {"type": "object", "required": ["a"]}, ["a: Required value"]),
    ("enum", "Z", {"type": "string", "enum": ["A", "B"]}, [': Unsupported value: "Z": supported values: "A", "B"']),
    ("minimum", 0, {"type": "integer", "minimum": 1}, [": Invalid value: 0:  in body should be greater than or equal to 1"]),
    ("exclusive maximum", 10, {"type": "number", "maximum": 10, "exclusiveMaximum": True},
     [": Invalid value: 10:  in body should be less than 10"]),
    ("multiple", 7, {"type": "integer", "multipleOf": 5}, [": Invalid value: 7:  in body should be a multiple of 5"]),
    ("too long", "abc", {"type": "string", "maxLength": 2}, [": Too long: may not be more than 2 bytes"]),
    ("too short", "", {"type": "string", "minLength": 1}, [': Invalid value: "":  in body should be at least 1 chars long']),
    ("pattern", "A1", {"type": "string", "pattern": "^[a-z]+$"}, [": Invalid value: \"A1\":  in body should match '^[a-z]+$'"]),
    ("format", "x", {"type": "string", "format": "ipv4"}, [': Invalid value: "x":  in body must be of type ipv4: "x"']),
    ("an unknown format", "x", {"type": "string", "format": "colour"}, []),
    ("too many items", [1, 2], {"type": "array", "maxItems": 1, "items": INTEGER}, [": Too many: 2: must have at most 1 item"]),
    ("an item", ["a", 1], {"type": "array", "items": TEXT},
     ['[1]: Invalid value: "integer": [1] in body must be of type string: "integer"']),
    ("a value of a map", {"a": 1}, {"type": "object", "additionalProperties": TEXT},
     ['a: Invalid value: "integer": a in body must be of type string: "integer"']),
    ("null where it may be", None, {"type": "string", "nullable": True}, []),
    ("not", "a", {"type": "string", "not": {"enum": ["a"]}}, [': Invalid value: "": "" must not validate the schema (not)']),
    ("one of none", 1, {"oneOf": [{"minimum": 2}, {"minimum": 3}]},
     [': Invalid value: "": "" must validate one and only one schema (oneOf). Found none valid',
      ": Invalid value: 1:  in body should be greater than or equal to 2"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "given", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_validate(name: str, value: Any, given: Object, expected: list[str]) -> None:
    assert [f"{error.field}: {error.message}" for error in validate(value, given)] == expected


def test_lists_that_are_sets_or_maps_have_no_duplicates() -> None:
    keyed = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {"type": "object"}}
    unique = {"type": "array", "x-kubernetes-list-type": "set", "items": TEXT}
    given = {"type": "object", "properties": {"m": keyed, "s": unique}}
    found = list(list_errors({"m": [{"k": "a", "v": 1}, {"k": "a"}], "s": ["x", "y", "x"]}, given))
    assert [f"{error.field}: {error.message}" for error in found] == ['m[1]: Duplicate value: {"k":"a"}', 's[2]: Duplicate value: "x"']


def test_defaults_fill_what_is_missing_and_share_what_is_not() -> None:
    inner = {"type": "object", "properties": {"size": {"type": "integer", "default": 2}, "note": {"type": "string", "nullable": True}}}
    given = {"type": "object", "properties": {"spec": inner, "gone": TEXT, "items": {"type": "array", "items": inner}}}
    assert default({"spec": {}}, given) == {"spec": {"size": 2}}
    assert default({"gone": None, "spec": {"note": None, "size": None}}, given) == {"spec": {"note": None, "size": 2}}
    assert default({"items": [{}, {"size": 1}]}, given) == {"items": [{"size": 2}, {"size": 1}]}
    complete = {"spec": {"size": 1}}
    assert default(complete, given) is complete


def test_the_schema_tables_find_unknown_fields_and_leave_types_alone() -> None:
    spec = {"type": "object", "properties": {"size": INTEGER, "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
    name = define({"type": "object", "properties": {"spec": spec}})
    assert name == define({"type": "object", "properties": {"spec": spec}})
    obj = {"kind": "K", "spec": {"size": "x", "other": 1, "free": {"any": 1}}}
    assert [problem.message for problem in schema.check(obj, name)] == ['unknown field "spec.other"']
    assert schema.clean(obj, name) == {"kind": "K", "spec": {"size": "x", "free": {"any": 1}}}
