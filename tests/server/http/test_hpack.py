"""Header compression: the examples of RFC 7541, appendix C, and what is encoded here is decoded to itself."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubesim.server.http.hpack import Decoder, HpackError, encode

REQUESTS = (
    {":method": "GET", ":scheme": "http", ":path": "/", ":authority": "www.example.com"},
    {":method": "GET", ":scheme": "http", ":path": "/", ":authority": "www.example.com", "cache-control": "no-cache"},
    {":method": "GET", ":scheme": "https", ":path": "/index.html", ":authority": "www.example.com", "custom-key": "custom-value"},
)
EXAMPLES = {
    "C.3, literal": (
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ),
    "C.4, Huffman": ("828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf", "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_standard(example: str) -> None:
    decoder = Decoder()
    assert tuple(decoder.decode(bytes.fromhex(block)) for block in EXAMPLES[example]) == REQUESTS


def test_a_response_of_the_standard() -> None:
    block = "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3"
    assert Decoder().decode(bytes.fromhex(block)) == {
        ":status": "302",
        "cache-control": "private",
        "date": "Mon, 21 Oct 2013 20:13:21 GMT",
        "location": "https://www.example.com",
    }


def test_the_table_forgets_what_does_not_fit() -> None:
    decoder = Decoder()
    for number in range(200):  # each counts 32 bytes and its own
        decoder.decode(b"\x40\x03k%02d\x03v%02d" % (number % 100, number % 100))
    assert decoder.decode(b"\xbe") == {"k99": "v99"}
    with pytest.raises(HpackError, match="no header has index 200"):
        decoder.decode(b"\xff\x49")
    assert decoder.decode(b"\x20\x82") == {":method": "GET"}, "a table of no size"
    with pytest.raises(HpackError, match="no header has index 62"):
        decoder.decode(b"\xbe")


def test_a_block_that_was_seen_means_something_else_after_the_table_has_changed() -> None:
    decoder = Decoder()
    decoder.decode(b"\x40\x01a\x011")
    assert decoder.decode(b"\xbe") == {"a": "1"}
    decoder.decode(b"\x40\x01b\x012")
    assert decoder.decode(b"\xbe") == {"b": "2"}


BAD = {
    "an index of 0": b"\x80",
    "a string that is cut off": b"\x40\x05ab",
    "an integer without end": b"\xff\xff\xff\xff\xff\xff\xff",
    "a table that is too large": b"\x3f\xe2\x1f",
    "padding of zeros": b"\x40\x81\x18\x01v",
    "a name alone": b"\x40\x01a",
}


@pytest.mark.parametrize("bad", BAD)
def test_blocks_that_are_none(bad: str) -> None:
    with pytest.raises(HpackError):
        Decoder().decode(BAD[bad])


NAMES = st.from_regex("[a-z0-9:-]{1,20}", fullmatch=True)
VALUES = st.text(st.characters(max_codepoint=255), max_size=300)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_what_is_encoded_is_decoded(headers: list[tuple[str, str]]) -> None:
    expected: dict[str, str] = {}
    for name, value in headers:
        expected.setdefault(name, value)
    assert Decoder().decode(encode(headers)) == expected


@given(st.binary(max_size=60))
def test_no_bytes_break_it(data: bytes) -> None:
    with suppress(HpackError):
        Decoder().decode(data)
