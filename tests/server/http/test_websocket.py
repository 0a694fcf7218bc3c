"""WebSockets as bytes: the examples of RFC 6455, fragments with control frames in between, pieces of any size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.server.http.websocket import BINARY, CONTINUATION, PING, TEXT, Decoder, WebSocketError, frame


def masked(kind: int, data: bytes, mask: bytes = b"\x37\xfa\x21\x3d", is_last: bool = True) -> bytes:
    """A client's frame, written from the standard's drawing."""
    first = (0x80 if is_last else 0) | kind
    size = len(data)
    if size < 126:
        length = bytes((0x80 | size,))
    else:
        length = b"\xfe" + size.to_bytes(2, "big") if size < 65536 else b"\xff" + size.to_bytes(8, "big")
    return bytes((first,)) + length + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


def test_the_examples_of_the_standard() -> None:
    assert Decoder().receive(bytes.fromhex("818537fa213d7f9f4d5158")) == [(TEXT, b"Hello")]
    assert frame(TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")
    assert frame(BINARY, bytes(256)) == bytes.fromhex("827e0100") + bytes(256)
    assert frame(BINARY, bytes(65536)) == bytes.fromhex("827f0000000000010000") + bytes(65536)


def test_fragments_are_one_message_and_a_ping_may_come_between() -> None:
    data = masked(TEXT, b"Hel", is_last=False) + masked(PING, b"?") + masked(CONTINUATION, b"lo")
    assert Decoder().receive(data) == [(PING, b"?"), (TEXT, b"Hello")]


@pytest.mark.parametrize("data", [frame(TEXT, b"not masked"), b"\xf1\x80\0\0\0\0", b"\x82\xff" + (1 << 50).to_bytes(8, "big")])
def test_frames_that_are_none(data: bytes) -> None:
    with pytest.raises(WebSocketError):
        Decoder().receive(data)


@given(
    st.lists(st.tuples(st.binary(max_size=300), st.binary(min_size=4, max_size=4)), max_size=5),
    st.lists(st.integers(1, 200), max_size=20),
)
def test_pieces_of_any_size_are_the_same(messages: list[tuple[bytes, bytes]], sizes: list[int]) -> None:
    data = b"".join(masked(BINARY, message, mask) for message, mask in messages)
    decoder, at, found = Decoder(), 0, []
    for size in [*sizes, len(data)]:
        found += decoder.receive(data[at : at + size])
        at += size
    assert found == [(BINARY, message) for message, _ in messages]
