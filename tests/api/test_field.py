"""Texts in messages, quoted as Go's strconv.Quote does it; names of managers, refused as upstream refuses them."""

import pytest

from kubesim.api import field
from kubesim.api.errors import ApiError
from kubesim.apiserver.options import write_options


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", '"a b"'),
        ('a"b\\', r'"a\"b\\"'),
        ("\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        ("a\x00b\x1f\x7f", r'"a\x00b\x1f\x7f"'),
        ("é日", '"é日"'),
        ("\u00a0\u200b\ufeff", r'"\u00a0\u200b\ufeff"'),
        ("\U000e0001\ud800", r'"\U000e0001\ufffd"'),
    ],
    ids=repr,
)
def test_quoted(text: str, expected: str) -> None:
    assert field.quote(text) == expected


@pytest.mark.parametrize(("manager", "code", "position"), [("a\x00b", "U+0000", 1), ("é\n", "U+000A", 2), ("日\u200b", "U+200B", 3)])
def test_a_manager_that_cannot_be_printed_is_refused_with_the_position_in_bytes(manager: str, code: str, position: int) -> None:
    with pytest.raises(ApiError) as caught:
        write_options("create", {"fieldManager": manager})
    expected = f"fieldManager: Invalid value: {field.quote(manager)}: invalid character {code} (at position {position})"
    assert caught.value.message == f'CreateOptions.meta.k8s.io "" is invalid: {expected}'
