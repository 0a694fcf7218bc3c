"""CEL: a table of expressions and their values or errors; Google's own implementation as the oracle where it is installed."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubesim.api import cel
from kubesim.api.cel.values import UInt

try:
    from cel_expr_python import cel as google
except ImportError:  # pragma: no cover
    google = None

VALUES = [
    ("1 + 2 * 3 == 7 && 'a' in ['a']", True),
    ("-7 / 2", -3),
    ("-7 % 2", -1),
    ("7u / 2u", UInt(3)),
    ("0x1F", 31),
    ("1.5e3", 1500.0),
    ("1 == 1.0 && 1 == 1u && 1 != true", True),
    ("[1, 'a', null] == [1.0, 'a', null]", True),
    ("{'a': 1}['a']", 1),
    ("self.items[1]", "y"),
    ("has(self.spec.replicas) && !has(self.spec.nothing)", True),
    ("self.spec.?nothing.orValue(5)", 5),
    ("self.spec[?'replicas'].hasValue()", True),
    ("[?self.spec.?nothing, 2]", [2]),
    ("self.spec.?replicas.optMap(x, x * 2).orValue(0)", 6),
    ("true || 1 / 0 == 1", True),
    ("1 / 0 == 1 || true", True),
    ("false && 1 / 0 == 1", False),
    ("[1, 2, 3].all(x, x > 0) && [1, 2].exists(x, x == 2) && [1, 1].exists_one(x, x == 2) == false", True),
    ("[0, 1].exists(x, 1 / x == 1)", True),
    ("[1, 2, 3].filter(x, x > 1).map(x, x * x)", [4, 9]),
    ("[1, 2, 3].map(x, x > 1, x * 2)", [4, 6]),
    ("[5, 6].all(i, v, v == i + 5)", True),
    ("{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v + 1)", {"b": 3}),
    ("{'a': 1}.all(k, k == 'a')", True),
    ("cel.bind(x, 3, x * x)", 9),
    ("size(self.items) == self.items.size()", True),
    ("'héllo'.size()", 5),
    ("r'\\d' + \"\\x41\\u00e9\\n\"", "\\dAé\n"),
    ("b'abc' == bytes('abc')", True),
    ("'abc'.startsWith('a') && 'abc'.endsWith('c') && 'abc'.contains('b')", True),
    ("'a-1'.matches('^[a-z]-[0-9]$')", True),
    ("'a,b,c'.split(',').join('-').upperAscii()", "A-B-C"),
    ("'abcd'.substring(1, 3) + 'abc'.replace('b', 'x')", "bcaxc"),
    ("'%s is %d of %.1f'.format(['a', 3, 2.5])", "a is 3 of 2.5"),
    ("'a1b22'.findAll('[0-9]+')", ["1", "22"]),
    ("[3, 1, 2].max() + [3, 1].min() + [1, 2].sum() + [4, 5].indexOf(5)", 8),
    ("[1, 2].isSorted() && sets.contains([1, 2], [2])", True),
    ("int('42') + int(3.9) + int(2u)", 47),
    ("string(1.0) + string(true) + string(7u)", "1true7"),
    ("type(1) == int && type('a') != int", True),
    ("duration('90s') > duration('1m') && timestamp('2026-01-01T00:00:30Z') - timestamp('2026-01-01T00:00:00Z') == duration('30s')", True),
    ("timestamp('2026-03-04T05:06:07Z').getMonth() * 100 + timestamp('2026-03-04T05:06:07Z').getDate()", 204),
    ("quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('1000m') == quantity('1')", True),
    ("quantity('1k').add(quantity('1')).asInteger()", 1001),
    ("isQuantity('1x') || isQuantity('500m')", True),
    ("semver('1.2.3').isLessThan(semver('1.10.0-rc.1')) && semver('1.0.0-a.2').compareTo(semver('1.0.0-a.10')) < 0", True),
    ("semver('v1.02', true) == semver('1.2.0') && !isSemver('v1.0.0')", True),
    ("-9223372036854775808", -(2**63)),
    ("self.spec.replicas > 2 ? 'many' : 'few'", "many"),
]
SELF = {"self": {"items": ["x", "y"], "spec": {"replicas": 3}}}


@pytest.mark.parametrize(("expression", "value"), VALUES, ids=[expression for expression, _ in VALUES])
def test_an_expression_has_its_value(expression: str, value: Any) -> None:
    found = cel.compile_expression(expression, ["self"]).evaluate(SELF)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("self.nothing", "no such key: nothing"),
        ("self.items[2]", "index out of bounds: 2"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "modulus by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("0u - 1u", "unsigned integer overflow"),
        ("1 + 1.0", "no such overload"),
        ("1 < 'a'", "no such overload"),
        ("self.items.foo", "no such overload"),
        ("'a' && true", "no such overload"),
        ("[1].all(x, x)", "no such overload"),
        ("'a'.matches('(?=a)')", "error parsing regexp"),
        ("quantity('1x')", "quantities must match the regular expression"),
        ("semver('1.2')", "No Major.Minor.Patch elements found"),
        ("optional.none().value()", "optional.none() dereference"),
        ("[].min()", "min called on empty list"),
        ("'a'.size(1)", "no such overload"),
        ("int('x')", 'parsing "x": invalid syntax'),
    ],
)
def test_an_evaluation_that_fails_says_why(expression: str, message: str) -> None:
    with pytest.raises(cel.CelError) as caught:
        cel.compile_expression(expression, ["self"]).evaluate(SELF)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("foo", "ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')\n | foo\n | ^"),
        ("1 +\n bar()", "ERROR: <input>:2:5: undeclared reference to 'bar' (in container '')\n |  bar()\n | ....^"),
        ("1 +", "ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>'"),
        ("self.a b", "Syntax error: mismatched input 'b' expecting <EOF>"),
        ("'a", "Syntax error: token recognition error"),
        ("9223372036854775808", "invalid int literal"),
        ("has(self)", "invalid argument to has() macro"),
        ("for", "reserved identifier: for"),
        ("(" * 300 + "1" + ")" * 300, "expression recursion limit exceeded: 100"),
    ],
)
def test_what_means_nothing_is_refused(expression: str, message: str) -> None:
    with pytest.raises(cel.CompileError) as caught:
        cel.compile_expression(expression, ["self"])
    assert message in str(caught.value)


def test_loops_have_a_limit() -> None:
    loops = ".".join(["self.map(a, self"] * 1) + ".map(b, self.map(c, self.map(d, 1)).size()))"
    with pytest.raises(cel.CelError, match="actual cost limit exceeded"):
        cel.compile_expression(loops, ["self"]).evaluate({"self": list(range(300))})


numbers = st.integers(-5, 5)
OTHERS = ("1.5", "2.0", "true", "false", "'a'", "'ab'", "null", "x", "y", "[1, 2]", "m")
leaves = st.one_of(numbers.map(str), numbers.map(lambda n: f"{abs(n)}u"), st.sampled_from(OTHERS))


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "&&", "||"])
    return st.one_of(
        st.builds("({} {} {})".format, inner, operators, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("[{}, {}].exists(v, v == {})".format, inner, inner, inner),
        st.builds("[{}].all(v, {})".format, inner, inner),
        st.builds("m[{}]".format, inner),
        st.builds("({} in [{}, 2])".format, inner, inner),
        st.builds("size({})".format, inner),
    )


@pytest.mark.skipif(google is None, reason="cel-expr-python is not installed")
@settings(max_examples=400, deadline=None)
@given(st.recursive(leaves, grown, max_leaves=6))
def test_values_are_those_of_googles_implementation(expression: str) -> None:
    """Errors need not read alike; whether there is one, and every value and type, must be the same."""
    bindings = {"x": 3, "y": "ab", "m": {"a": 1, "b": 2.5}}
    environment = google.NewEnv(variables=dict.fromkeys(bindings, google.Type.DYN))
    theirs = environment.compile(expression, disable_check=True).eval(data=bindings)
    try:
        mine: Any = cel.compile_expression(expression, list(bindings)).evaluate(bindings)
    except cel.CelError:
        mine = google.Type.ERROR
    if mine is google.Type.ERROR or theirs.type() == google.Type.ERROR:
        assert mine is google.Type.ERROR and theirs.type() == google.Type.ERROR, (expression, mine, theirs.plain_value())
    else:
        assert theirs.plain_value() == mine, expression
