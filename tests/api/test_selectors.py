"""Selectors: upstream's grammar and messages as tables, matching against a plain twin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.api import selectors

MATCHES = [
    ("", {}, True),
    ("a=1", {"a": "1"}, True),
    ("a==1", {"a": "1"}, True),
    ("a=1", {"a": "2"}, False),
    ("a=1", {}, False),
    ("a!=1", {}, True),
    ("a!=1", {"a": "1"}, False),
    ("a=", {"a": ""}, True),
    ("a", {"a": "x"}, True),
    ("!a", {"a": "x"}, False),
    ("!a", {}, True),
    ("a in (x,y)", {"a": "y"}, True),
    ("a in (x,y)", {}, False),
    ("a notin (x,y)", {}, True),
    ("a notin (x,y)", {"a": "x"}, False),
    ("a in (x,)", {"a": ""}, True),
    ("a in ()", {"a": ""}, True),
    ("a>1", {"a": "2"}, True),
    ("a<1", {"a": "x"}, False),
    ("a<5,a>3", {"a": "4"}, True),
    (" a = 1 , b ", {"a": "1", "b": ""}, True),
    ("in in (in)", {"in": "in"}, True),
    ("example.com/x=1,b=2", {"example.com/x": "1", "b": "2"}, True),
]


@pytest.mark.parametrize(("text", "labels", "expected"), MATCHES)
def test_matching(text: str, labels: dict[str, str], expected: bool) -> None:
    assert expected is selectors.parse(text).matches(labels)


NAME = "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
ERRORS = [
    ("a===b", "unable to parse requirement: found '=', expected: identifier"),
    ("!", "unable to parse requirement: found '', expected: identifier"),
    ("n gt 5", "unable to parse requirement: found 'gt', expected: in, notin, =, ==, !=, gt, lt"),
    ("app=(web)", "unable to parse requirement: found '(', expected: identifier"),
    ("app=web,", "found '', expected: identifier after ','"),
    (",", "found ',', expected: !, identifier, or 'end of string'"),
    ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
    ("app in web", "unable to parse requirement: found 'web' expected: '('"),
    ("app!web", "unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt"),
    ("app notin (web", "unable to parse requirement: found '', expected: ',' or ')'"),
    ("a=1 b", "found 'b', expected: ',' or 'end of string'"),
    ("a>x", "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"),
    (
        "-k=v",
        f"unable to parse requirement: <nil>: Invalid value: \"-k\": name part must consist of {NAME} (e.g. 'MyName',  or 'my.name',  "
        "or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
    ),
    (
        "k=-v",
        f'unable to parse requirement: values[0][k]: Invalid value: "-v": a valid label must be an empty string or consist of {NAME} '
        "(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    ),
]


@pytest.mark.parametrize(("text", "message"), ERRORS, ids=[text for text, _ in ERRORS])
def test_messages_are_upstream_s(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        selectors.parse(text)
    assert message == str(caught.value)


def test_objects() -> None:
    selector = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "spot", "operator": "DoesNotExist"}],
    }
    compiled = selectors.from_object(selector)
    assert compiled is selectors.from_object(selector), "remembered by identity"
    assert compiled.matches({"app": "web", "tier": "b"})
    assert not compiled.matches({"app": "web", "tier": "b", "spot": ""})
    assert str(compiled) == "app=web,!spot,tier in (a,b)"
    assert not selectors.from_object(None).matches({}) and selectors.from_object({}).matches({})
    assert selectors.from_labels({"a": "1"}).matches({"a": "1", "b": "2"}) and selectors.from_labels(None).is_empty
    with pytest.raises(ValueError, match='"Has" is not a valid label selector operator'):
        selectors.from_object({"matchExpressions": [{"key": "a", "operator": "Has"}]})


KEYS, VALUES = st.sampled_from("abc"), st.sampled_from(["", "1", "2", "x"])
terms = st.one_of(
    st.tuples(KEYS, st.sampled_from(["=", "==", "!="]), st.tuples(VALUES)),
    st.tuples(KEYS, st.sampled_from(["in", "notin"]), st.lists(VALUES, min_size=1, max_size=3, unique=True).map(tuple)),
    st.tuples(KEYS, st.sampled_from(["exists", "!"]), st.just(())),
    st.tuples(KEYS, st.sampled_from([">", "<"]), st.tuples(st.sampled_from(["0", "1", "2"]))),
)


def text_of(key: str, operator: str, values: tuple[str, ...]) -> str:
    if operator == "exists":
        return key
    if operator == "!":
        return f"!{key}"
    return f"{key} {operator} ({','.join(values)})" if operator in ("in", "notin") else f"{key}{operator}{values[0]}"


def twin(key: str, operator: str, values: tuple[str, ...], labels: dict[str, str]) -> bool:
    """One term, as the documentation tells it."""
    value = labels.get(key)
    if operator in ("=", "==", "in"):
        return value is not None and value in values
    if operator in ("!=", "notin"):
        return value is None or value not in values
    if operator in ("exists", "!"):
        return (value is not None) == (operator == "exists")
    if value is None or not value.isdecimal():
        return False
    return int(value) > int(values[0]) if operator == ">" else int(value) < int(values[0])


@given(st.lists(terms, max_size=4), st.dictionaries(KEYS, VALUES, max_size=3))
def test_a_selector_is_the_conjunction_of_its_terms(chosen: list, labels: dict[str, str]) -> None:
    expected = all(twin(*term, labels) for term in chosen)
    selector = selectors.parse(",".join(text_of(*term) for term in chosen))
    assert expected is selector.matches(labels)
    assert expected is selectors.parse(str(selector)).matches(labels), "its text means the same"


FIELD_ERRORS = [
    ("metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
    ("status.phase in (Running)", "invalid selector: 'status.phase in (Running)'; can't understand 'status.phase in (Running)'"),
]


@pytest.mark.parametrize(("text", "message"), FIELD_ERRORS)
def test_field_messages(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        selectors.parse_fields(text)
    assert message == str(caught.value)


def test_fields() -> None:
    terms = selectors.parse_fields(r"spec.nodeName=n\,1,status.phase!=Failed,a==b\=c")
    assert [tuple(term) for term in terms] == [("spec.nodeName", "=", "n,1"), ("status.phase", "!=", "Failed"), ("a", "=", "b=c")]
    getters = {"spec.nodeName": lambda obj: obj["node"], "status.phase": lambda obj: obj["phase"], "a": lambda obj: "b=c"}
    matches = selectors.compile_fields(terms, getters)
    assert matches({"node": "n,1", "phase": "Running"})
    assert not matches({"node": "n,1", "phase": "Failed"})
    assert selectors.compile_fields((), {})({})
