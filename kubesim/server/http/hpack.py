"""HPACK: header compression of HTTP/2 (RFC 7541). Decodes everything; encodes without a dynamic table, so every block stands alone.

The Huffman code is canonical, so its lengths say all: they stand below, the codes are made from them.
"""

HEADER_BYTES_MAX = 64 << 10
TABLE_BYTES_MAX = 4096
ENTRY_BYTES = 32  # what an entry counts beside its name and value

STATIC = """
:authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204|:status 206|:status 304
:status 400|:status 404|:status 500|accept-charset|accept-encoding gzip, deflate|accept-language|accept-ranges|accept
access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|content-encoding|content-language|content-length
content-location|content-range|content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range
if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after
server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate
"""
STATIC_TABLE: list[tuple[str, str]] = []
for _text in STATIC.strip().replace("\n", "|").split("|"):
    _name, _, _value = _text.partition(" ")
    STATIC_TABLE.append((_name, _value))
STATIC_INDEX = {name: i + 1 for i, (name, _) in reversed(list(enumerate(STATIC_TABLE)))}

# The length in bits of the code of each byte, and of the end of the string, as runs: length, "x", how many in a row.
_LENGTHS = """
13 23 28x7 24 30 28x2 30 28x8 30 28x9 6 10x2 12 13 6 8 11 10x2 8 11 8 6x3 5x3 6x7 7 8 15 6 12 10 13 6 7x22 8 7 8 13 19 13 14 6 15 5 6 5 6
5 6x3 5 7x2 6x3 5 6 7 6 5x2 6 7x5 15 11 14 13 28 20 22 20x2 22x3 23 22 23x5 24 23 24x2 22 23 24 23x4 21 22 23 22 23x2 24 22 21 20 22x2
23x2 21 23 22x2 24 21 22 23x2 21x2 22 21 23 22 23x2 20 22x3 23 22x2 23 26x2 20 19 22 23 22 25 26x3 27x2 26 24 25 19 21 26 27x2 26 27 24
21x2 26x2 28 27x3 20 24 20 21 22 21x2 23 22x2 25x2 24x2 26 23 26 27 26x2 27x5 28 27x5 26 30
"""
END = 256


class HpackError(ValueError):
    """A header block that is none."""


def _code_lengths() -> list[int]:
    lengths: list[int] = []
    for run in _LENGTHS.split():
        length, _, count = run.partition("x")
        lengths += [int(length)] * int(count or 1)
    return lengths


def _codes() -> dict[tuple[int, int], int]:
    """(length, code) -> symbol."""
    codes, code, last = {}, 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(_code_lengths())):
        code <<= length - last
        codes[length, code] = symbol
        code += 1
        last = length
    return codes


CODES = _codes()
CODE_BITS_MIN = 5


def huffman_decode(data: bytes) -> bytes:
    """Return what Huffman-coded bytes stand for. Raises HpackError."""
    out = bytearray()
    code = length = 0
    codes = CODES
    for byte in data:
        for bit in (7, 6, 5, 4, 3, 2, 1, 0):
            code = code << 1 | byte >> bit & 1
            length += 1
            if length >= CODE_BITS_MIN:
                symbol = codes.get((length, code))
                if symbol is not None:
                    if symbol == END:
                        raise HpackError("the end of the string inside it")
                    out.append(symbol)
                    code = length = 0
    if length > 7 or code != (1 << length) - 1:
        raise HpackError("bad padding of a string")
    return bytes(out)


class Decoder:
    """One direction of a connection: a dynamic table, and the blocks that were decoded since it last changed."""

    __slots__ = ("_blocks", "_size_bytes", "_table", "_table_bytes_max")

    def __init__(self) -> None:
        self._table: list[tuple[str, str]] = []  # the newest last
        self._size_bytes = 0
        self._table_bytes_max = TABLE_BYTES_MAX
        self._blocks: dict[bytes, dict[str, str]] = {}

    def decode(self, block: bytes) -> dict[str, str]:
        """Return the headers of a block; of a repeated one the first, pseudo-headers with their colon. Raises HpackError."""
        known = self._blocks.get(block)
        if known is not None:
            return known
        try:
            headers, has_changed = self._decode(block)
        except IndexError:
            raise HpackError("a header block is cut off") from None
        if has_changed:
            self._blocks.clear()
        elif len(self._blocks) < 64:
            self._blocks[block] = headers
        return headers

    def _decode(self, block: bytes) -> tuple[dict[str, str], bool]:
        headers: dict[str, str] = {}
        at, size_bytes, has_changed = 0, 0, False
        while at < len(block):
            byte = block[at]
            if byte & 0x80:
                index, at = _integer(block, at, 7)
                name, value = self._entry(index)
            elif byte & 0xE0 == 0x20:
                self._table_bytes_max, at = _integer(block, at, 5)
                if self._table_bytes_max > TABLE_BYTES_MAX:
                    raise HpackError("the table is larger than it may be")
                self._shrink(self._table_bytes_max)
                has_changed = True
                continue
            else:
                is_indexed = byte & 0x40
                index, at = _integer(block, at, 6 if is_indexed else 4)
                if index:
                    name = self._entry(index)[0]
                else:
                    name, at = _string(block, at)
                value, at = _string(block, at)
                if is_indexed:
                    self._add(name, value)
                    has_changed = True
            size_bytes += len(name) + len(value) + ENTRY_BYTES
            if size_bytes > HEADER_BYTES_MAX:
                raise HpackError("the headers are too large")
            headers.setdefault(name, value)
        return headers, has_changed

    def _entry(self, index: int) -> tuple[str, str]:
        if 0 < index <= len(STATIC_TABLE):
            return STATIC_TABLE[index - 1]
        place = index - len(STATIC_TABLE)
        if not 0 < place <= len(self._table):
            raise HpackError(f"no header has index {index}")
        return self._table[-place]

    def _add(self, name: str, value: str) -> None:
        size_bytes = len(name) + len(value) + ENTRY_BYTES
        self._shrink(self._table_bytes_max - size_bytes)
        if size_bytes <= self._table_bytes_max:
            self._table.append((name, value))
            self._size_bytes += size_bytes

    def _shrink(self, size_bytes_max: int) -> None:
        while self._table and self._size_bytes > size_bytes_max:
            name, value = self._table.pop(0)
            self._size_bytes -= len(name) + len(value) + ENTRY_BYTES


def _integer(data: bytes, at: int, bits: int) -> tuple[int, int]:
    limit = (1 << bits) - 1
    number = data[at] & limit
    at += 1
    if number < limit:
        return number, at
    shift = 0
    while True:
        byte = data[at]
        at += 1
        number += (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 28:
            raise HpackError("an integer is too large")


def _string(data: bytes, at: int) -> tuple[str, int]:
    is_coded = data[at] & 0x80
    size, at = _integer(data, at, 7)
    text = data[at : at + size]
    if len(text) < size:
        raise HpackError("a string is cut off")
    return (huffman_decode(text) if is_coded else text).decode("latin-1"), at + size


def _encode_integer(number: int, bits: int, first: int) -> bytes:
    limit = (1 << bits) - 1
    if number < limit:
        return bytes((first | number,))
    out = bytearray((first | limit,))
    number -= limit
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode(headers: list[tuple[str, str]]) -> bytes:
    """Return a header block that stands alone.

    >>> encode([(":status", "200")]).hex()
    '88'
    """
    out = []
    for name, value in headers:
        if (name, value) in STATIC_TABLE:
            out.append(_encode_integer(STATIC_TABLE.index((name, value)) + 1, 7, 0x80))
            continue
        index = STATIC_INDEX.get(name, 0)
        out.append(_encode_integer(index, 4, 0))
        if not index:
            out += (_encode_integer(len(name), 7, 0), name.encode("latin-1"))
        data = value.encode("latin-1")
        out += (_encode_integer(len(data), 7, 0), data)
    return b"".join(out)
