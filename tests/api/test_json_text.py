"""JSON texts: Go's words about broken ones, and members that appear twice."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.api.json_text import JsonError, Pairs, loads, pairs

BROKEN = [
    ("", "unexpected end of JSON input"),
    ('{"a": ', "unexpected end of JSON input"),
    ("not json", "invalid character 'o' in literal null (expecting 'u')"),
    ("{bad", "invalid character 'b' looking for beginning of object key string"),
    ('{"a" 1}', "invalid character '1' after object key"),
    ('{"a": 1 "b"}', "invalid character '\"' after object key:value pair"),
    ("[1 2]", "invalid character '2' after array element"),
    ("[1,]", "invalid character ']' looking for beginning of value"),
    ('{"a":1,}', "invalid character '}' looking for beginning of object key string"),
    ("{} x", "invalid character 'x' after top-level value"),
    ("-x", "invalid character 'x' in numeric literal"),
    ("1.x", "invalid character 'x' after decimal point in numeric literal"),
    ("1e+", "unexpected end of JSON input"),
    ('"a\nb"', "invalid character '\\n' in string literal"),
    ('"\\q"', "invalid character 'q' in string escape code"),
    ('"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"),
    ("'a'", r"invalid character '\'' looking for beginning of value"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_broken_texts(text: str, message: str) -> None:
    with pytest.raises(JsonError) as caught:
        loads(text.encode())
    assert str(caught.value) == message


SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(VALUES)
def test_good_texts_are_read(value: object) -> None:
    assert loads(json.dumps(value).encode()) == value


@given(st.text("{}[]\",:1.e-tn\\ u", max_size=12))
def test_refuses_exactly_what_json_refuses(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(JsonError):
            loads(text.encode())
    else:
        assert loads(text.encode()) == expected


def test_pairs_keep_members_that_appear_twice() -> None:
    assert pairs(b'{"a": 1, "a": {"b": []}}') == Pairs([("a", 1), ("a", Pairs([("b", [])]))])
