"""Bodies: what is refused, what is a warning, what is dropped."""

from typing import Any

import pytest

from kubesim.api.errors import ApiError
from kubesim.api.kinds import KINDS
from kubesim.apiserver.decoding import IGNORE, STRICT, WARN, YAML, decode_object

POD = KINDS.by_resource("pods")
HEAD = b'{"apiVersion":"v1","kind":"Pod",'
TWICE = HEAD + b'"metadata":{"name":"a","name":"b"},"spec":{"x":1,"containers":[{"name":"c","image":"a","image":"b"}]}}'
TWICE_MESSAGES = ['duplicate field "metadata.name"', 'unknown field "spec.x"', 'duplicate field "spec.containers[0].image"']
YAML_TWICE = b"metadata:\n  name: a\n  name: b\nspec:\n  bogus: 1\n"


def test_warnings_come_in_the_order_of_the_text() -> None:
    warnings: list[str] = []
    obj = decode_object(POD, TWICE, validation=WARN, warn=warnings.append)
    assert warnings == TWICE_MESSAGES
    assert obj["metadata"] == {"name": "b"} and obj["spec"] == {"containers": [{"name": "c", "image": "b"}]}


def test_strict_refuses_with_all_of_them() -> None:
    with pytest.raises(ApiError) as caught:
        decode_object(POD, TWICE, validation=STRICT)
    head = 'Pod in version "v1" cannot be handled as a Pod: strict decoding error: '
    assert caught.value.code == 400 and caught.value.message == head + ", ".join(TWICE_MESSAGES)


def test_strict_yaml_names_lines() -> None:
    with pytest.raises(ApiError) as caught:
        decode_object(POD, YAML_TWICE, YAML, STRICT)
    assert caught.value.message.endswith('yaml: unmarshal errors:\n  line 3: key "name" already set in map, unknown field "spec.bogus"')


def test_ignore_says_nothing() -> None:
    warnings: list[str] = []
    decode_object(POD, TWICE, validation=IGNORE, warn=warnings.append)
    assert warnings == []


@pytest.mark.parametrize(
    ("raw", "end"),
    [
        (b"", "unexpected end of JSON input (<empty>)"),
        (b'{"apiVersion": "v1", "kind": "Pod", "metadata"', 'unexpected end of JSON input ({"apiVersion": "v1", "kind": " ...)'),
        (b"[]", '"json:\\"kind,omitempty\\"" } (5b5d)'),
    ],
)
def test_what_is_no_object(raw: bytes, end: str) -> None:
    with pytest.raises(ApiError) as caught:
        decode_object(POD, raw)
    start = "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: "
    assert caught.value.message.startswith(start) and caught.value.message.endswith(end)


@pytest.mark.parametrize("value", ["null", "{}"])
def test_nothing_is_an_empty_object(value: Any) -> None:
    assert decode_object(POD, value.encode()) == {}
