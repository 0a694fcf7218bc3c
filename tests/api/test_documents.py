"""Text into values, as kubectl reads it."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kubesim.api.documents import TextError, read_documents, tokens, value_at

SCALARS = [
    ("22:22", "22:22"),  # YAML 1.1 would make it a number to the base of 60
    ("2026-01-01", "2026-01-01"),
    ("0644", 0o644),
    ("0o17", 15),
    ("0x1F", 31),
    ("1_000", 1000),
    ("yes", True),
    ("off", False),
    ("1e3", 1000.0),
    ("0.5", 0.5),
    ("-3", -3),
    ("1.2.3", "1.2.3"),
    ("~", None),
    ("null", None),
    ('"5"', "5"),
    ("500m", "500m"),
    ("0", 0),
    ("08", 8.0),  # not octal, so a number like any other: as go-yaml has it
]


@pytest.mark.parametrize(("text", "expected"), SCALARS, ids=[text for text, _ in SCALARS])
def test_a_plain_scalar_is_what_kubectl_takes_it_for(text: str, expected: object) -> None:
    (document,) = read_documents(f"value: {text}\n")
    found = document.value["value"]
    assert found == expected
    assert type(found) is type(expected)


def test_keys_are_strings() -> None:
    (document,) = read_documents("1: a\ntrue: b\n~: c\n1.5: d\n")
    assert document.value == {"1": "a", "true": "b", "null": "c", "1.5": "d"}


def test_anchors_and_merges() -> None:
    (document,) = read_documents("base: &base {a: 1, b: 2}\nit: {<<: *base, b: 3}\nmany: {<<: [*base, {c: 4}]}\n")
    assert document.value["it"] == {"a": 1, "b": 3}
    assert document.value["many"] == {"a": 1, "b": 2, "c": 4}


def test_documents_are_counted_from_one_also_the_empty_ones() -> None:
    assert [(each.number, each.value) for each in read_documents("a: 1\n---\n---\nb: 2\n")] == [(1, {"a": 1}), (2, None), (3, {"b": 2})]


def test_json_texts_may_follow_one_another() -> None:
    assert [each.value for each in read_documents('{"a": 1}\n{"b": [2]}\n')] == [{"a": 1}, {"b": [2]}]


def test_a_forgotten_separator_is_reported_and_the_last_value_counts() -> None:
    (document,) = read_documents("kind: Service\nspec: {a: 1}\nkind: Pod\nspec: {b: 2}\n")
    assert document.value == {"kind": "Pod", "spec": {"b": 2}}
    assert document.warnings == [
        'line 3: "kind", "spec" appear twice in one mapping (the first time in line 1); the last one counts, as with kubectl. '
        'Is a line "---" missing before it?'
    ]
    assert document.line_of("spec.b") == 4


def test_a_value_knows_its_line() -> None:
    (document,) = read_documents("spec:\n  containers:\n    - name: a\n      image: x\n    - name: b\n  labels:\n    x/y.z: 1\n")
    lines = {"spec": 1, "spec.containers[0].image": 4, "spec.containers[1].name": 5, "spec.labels[x/y.z]": 7, "spec.containers[7].name": 2}
    assert {path: document.line_of(path) for path in lines} == lines
    assert value_at(document.value, "spec.containers[1].name") == "b"
    assert value_at(document.value, "spec.containers[9]") is None
    assert tokens("a.b[0][x/y]") == ["a", "b", "0", "x/y"]


BAD = [
    ("a: b: c", "mapping values are not allowed", 1, 5),
    ("a: 1\n---\nb: [1", "did not find expected ',' or ']'", 4, 1),
    ("a: *b", "undefined alias", 1, 4),
    ("a:\n\t- x", "cannot start any token", 2, 1),
    ("a: \x00", "control characters", 0, 0),
    ('{"a": }', "not JSON", 1, 7),
    ("&a [*a]", "nested too deeply", 1, 1),
    ("? [1]\n: 2", "expected a string", 1, 3),
    ("a: !!int x", "type of its tag 'int'", 1, 4),
    ("<<: 3", 'the value of "<<" is not a mapping', 1, 5),
]


@pytest.mark.parametrize(("text", "message", "line", "column"), BAD, ids=[text for text, *_ in BAD])
def test_what_is_no_document_is_refused_with_its_place(text: str, message: str, line: int, column: int) -> None:
    with pytest.raises(TextError) as caught:
        list(read_documents(text))
    assert message in str(caught.value)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_a_bomb_of_aliases_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubesim.api.documents.NODES_MAX", 10_000)
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9)]
    with pytest.raises(TextError, match="aliases expand to too many values"):
        list(read_documents("\n".join(lines)))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text("abcxyz-./", min_size=1), children, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abcxyz", min_size=1), VALUES, min_size=1))
def test_json_is_read_back_as_json_and_as_yaml(value: dict) -> None:
    text = json.dumps(value, ensure_ascii=False)
    for form in (text, "---\n" + text):
        (document,) = read_documents(form)
        assert document.value == value


@given(st.dictionaries(st.text("abcxz", min_size=1), st.integers() | st.text("abcxz .:-#", min_size=2), min_size=1))
def test_what_a_yaml_dumper_writes_is_read_back(value: dict) -> None:
    (document,) = read_documents(yaml.safe_dump(value, allow_unicode=True))
    assert document.value == value
