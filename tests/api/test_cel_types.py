"""Types and costs of expressions before they run: tables, and the limits at which the real validator was seen to refuse a rule."""

from typing import Any

import pytest

from kubesim.api import cel
from kubesim.api.cel.checker import check
from kubesim.api.cel.cost import LIMIT, Range, estimate
from kubesim.api.cel.types import Type, parse_type
from kubesim.api.crd.rule_checks import schema_rule_errors

Object = dict[str, Any]
NAMES = {name: parse_type(text) for name, text in {
    "i": "int", "d": "double", "s": "string", "b": "bool", "t": "timestamp", "xs": "list(string)", "ns": "list(int)",
    "m": "map(string, int)", "any": "dyn", "o": "optional(string)", "nested": "list(list(string))",
}.items()} | {"self": Type("object", (), "selfType")}  # fmt: skip


def fields(of: Type, name: str) -> Type | None:
    """The object ``self`` has two fields."""
    return {"a": parse_type("int"), "inner": Type("object", (), "selfType.inner")}.get(name) if of.of == "selfType" else None


@pytest.mark.parametrize(
    ("expression", "type_"),
    [
        ("i + 1", "int"), ("s + 'x'", "string"), ("xs + ['a']", "list(string)"), ("i < d", "bool"), ("i == any", "bool"),
        ("self.a", "int"), ("has(self.inner)", "bool"), ("self.?a", "optional_type(int)"), ("xs[0]", "string"), ("m['a']", "int"),
        ("m.a", "int"), ("xs[?0].orValue('')", "string"), ("b ? 1 : 2", "int"), ("b ? any : 2", "dyn"), ("xs.map(x, size(x))", "list(int)"),
        ("m.map(k, k)", "list(string)"), ("m.all(k, v, v > 0 && k != '')", "bool"), ("xs.filter(x, x != '')", "list(string)"),
        ("ns.exists_one(x, x == 1)", "bool"), ("[]", "list(A)"), ("[1, 2]", "list(int)"), ("{'a': 1}", "map(string, int)"),
        ("t - t", "google.protobuf.Duration"), ("type(i) == int", "bool"), ("o.optMap(x, size(x))", "optional_type(int)"),
        ("quantity('1').isGreaterThan(quantity('2'))", "bool"), ("s.split(',').join('.')", "string"), ("'a' in m", "bool"),
        ("cidr('10.0.0.0/8').ip()", "net.IP"), ("cel.bind(x, i, x + 1)", "int"), ("nested.map(x, x.size())", "list(int)"),
        ("dyn(i) == 'a'", "bool"), ("ns.sum()", "int"), ("math.greatest(i, 2)", "int"),
    ],
)  # fmt: skip
def test_types(expression: str, type_: str) -> None:
    assert str(check(expression, NAMES, fields).type) == type_


@pytest.mark.parametrize(
    ("expression", "place", "message"),
    [
        ("self.a == 'a'", 8, "found no matching overload for '_==_' applied to '(int, string)'"),
        ("i + s", 3, "found no matching overload for '_+_' applied to '(int, string)'"),
        ("s.startsWith(i)", 13, "found no matching overload for 'startsWith' applied to 'string.(int)'"),
        ("self.nope", 5, "undefined field 'nope'"),
        ("has(self.nope)", 4, "undefined field 'nope'"),
        ("i.x", 2, "type 'int' does not support field selection"),
        ("nope", 1, "undeclared reference to 'nope' (in container '')"),
        ("nope(1)", 5, "undeclared reference to 'nope' (in container '')"),
        ("i.all(x, true)", 1, "expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)"),
        ("xs.all(x, x)", 7, "found no matching overload for '_&&_' applied to '(bool, string)'"),
        ("xs.filter(x, 1)", 10, "found no matching overload for '_?_:_' applied to '(int, list(string), list(string))'"),
        ("[1, 'a']", 5, "expected type 'int' but found 'string'"),
        ("xs['a']", 3, "found no matching overload for '_[_]' applied to '(list(string), string)'"),
        ("!i", 1, "found no matching overload for '!_' applied to '(int)'"),
        ("i in xs", 3, "found no matching overload for '@in' applied to '(int, list(string))'"),
        ("xs == null", 4, "found no matching overload for '_==_' applied to '(list(string), null)'"),
    ],
)  # fmt: skip
def test_what_does_not_fit(expression: str, place: int, message: str) -> None:
    with pytest.raises(cel.CompileError) as caught:
        check(expression, NAMES, fields)
    assert str(caught.value) == f"ERROR: <input>:1:{place}: {message}\n | {expression}\n | {'.' * (place - 1)}^"


def test_every_error_is_told_in_the_order_of_places() -> None:
    with pytest.raises(cel.CompileError) as caught:
        check("self.x == 1 &&\n nope", NAMES, fields)
    assert [line for line in str(caught.value).splitlines() if "ERROR" in line] == [
        "ERROR: <input>:1:5: undefined field 'x'", "ERROR: <input>:2:2: undeclared reference to 'nope' (in container '')",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "sizes", "cost"),
    [  # the numbers of cel-go's own tests, where they have the case
        ("'Hello World!'", {}, (0, 0)),
        ("xs", {}, (1, 1)),
        ("m['key']", {}, (2, 2)),
        ("m.key", {}, (2, 2)),
        ("xs.all(x, true)", {"xs": 100}, (2, 302)),
        ("nested.all(x, x.all(y, true))", {"nested": 50, "nested.@items": 10}, (2, 1752)),
        ("xs.all(x, true)", {}, (2, LIMIT)),
        ("s.contains(s)", {"s": 500}, (2, 2502)),
        (r"s.matches('\\d+a\\d+b')", {"s": 500}, (3, 103)),
        ("s.startsWith(s)", {"s": 500}, (2, 52)),
        ("i == 1 ? i : 2", {"i": 0}, (1, 2)),
        ("i > 1 && s.startsWith('abc')", {"i": 1}, (2, 4)),
        ("xs.exists(x, x == 'a')", {"xs": 2, "xs.@items": 8}, (2, 14)),
        ("xs.filter(x, true)", {"xs": 10}, (12, 142)),
        ("xs.map(x, x)", {"xs": 10}, (12, 142)),
        ("'a' + string(i)", {}, (3, 1844674407370955266)),
        ("has(self.a)", {}, (1, 1)),
        ("[1, 2].exists_one(x, x == 1)", {}, (18, 20)),
    ],
)  # fmt: skip
def test_costs(expression: str, sizes: dict[str, int], cost: tuple[int, int]) -> None:
    def size_of(path: tuple[str, ...]) -> Range | None:
        most = sizes.get(".".join(path))
        return None if most is None else Range(0, most)

    assert tuple(estimate(check(expression, NAMES, fields), size_of)) == cost


def tags(length: int, count: int) -> Object:
    """A list of texts of which none may contain a word."""
    rule = {"rule": "self.all(x, x.contains('gpu'))"}
    listed = {"type": "array", "maxItems": count, "items": {"type": "string", "maxLength": length}, "x-kubernetes-validations": [rule]}
    return {"type": "object", "properties": {"tags": listed}}


@pytest.mark.parametrize(("length", "count"), [(16, 909_090), (63, 333_333), (253, 94_339), (1024, 24_154)])
def test_the_limit_of_a_rule_is_where_the_real_validator_has_it(length: int, count: int) -> None:
    assert schema_rule_errors(tags(length, count), "s") == []
    found = schema_rule_errors(tags(length, count + 1), "s")
    advice = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    start = "Forbidden: estimated rule cost exceeds budget by factor of 1.0000"
    assert [error.field for error in found] == ["s.properties[tags].x-kubernetes-validations[0].rule"]
    assert found[0].message.startswith(start)
    assert found[0].message.endswith(advice)


def rule(text: str, **more: Any) -> Object:
    """A string with a rule."""
    return {"type": "string", "maxLength": 10, "x-kubernetes-validations": [{"rule": text, **more}]}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (rule("self.size()"), ["rule: Invalid value: cel expression must evaluate to a bool"]),
        (rule("self == 'a'", messageExpression="1"), ["messageExpression: Invalid value: messageExpression must evaluate to a string"]),
        (rule("self == 'a'", optionalOldSelf=True), ["optionalOldSelf: Invalid value: may not be set if oldSelf is not used in rule"]),
        (rule("!oldSelf.hasValue()", optionalOldSelf=True), []),
        ({"type": "array", "items": rule("self == oldSelf"), "maxItems": 1},
         ["rule: Invalid value: oldSelf cannot be used on the uncorrelatable portion of the schema within s"]),
        ({"type": "string", "format": "date-time", "x-kubernetes-validations": [{"rule": "self > timestamp('2026-01-01T00:00:00Z')"}]}, []),
        ({"type": "object", "properties": {"a-b": {"type": "integer"}, "if": {"type": "boolean"}},
          "x-kubernetes-validations": [{"rule": "self.a__dash__b > 0 && self.__if__"}]}, []),
        ({"type": "integer", "x-kubernetes-validations": [{"rule": "self > 0", "messageExpression": "'%d'.format([self])"}]}, []),
    ],
)  # fmt: skip
def test_rules_of_a_schema(given: Object, found: list[str]) -> None:
    shown = [(error.field.rpartition(".")[2], error.message) for error in schema_rule_errors(given, "s")]
    assert [f"{name}: {text.partition(':')[0]}: {text.rpartition(': ')[2]}" for name, text in shown] == found
