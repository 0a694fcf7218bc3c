"""The tokens of CEL: numbers, texts with their escapes, names, operators. Specification: github.com/google/cel-spec, langdef.md."""

import re
from typing import Any, NamedTuple

from kubesim.api.cel.errors import CompileError
from kubesim.api.cel.values import INT_MAX, UINT_MAX, UInt

INT, STRING, NAME, OPERATOR, END = "int", "string", "name", "operator", "end"
RESERVED = frozenset(
    "as break const continue else for function if import let loop package namespace return var void while".split()  # noqa: SIM905
)
_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n\f]+|//[^\n]*)"
    r"|(?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)"
    r"|(?P<int>0[xX][0-9a-fA-F]+[uU]?|\d+[uU]?)"
    r"|(?P<string>[rR]?[bB]?[rR]?(?:\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'))"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<quoted>`[A-Za-z0-9_.\-/ ]+`)"
    r"|(?P<operator>==|!=|<=|>=|&&|\|\||\.\?|\[\?|[-+*/%!<>?:.,()\[\]{}])",
    re.DOTALL,
)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPE = re.compile(r"\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.DOTALL)


class Token(NamedTuple):
    """``kind`` is one of the constants above; ``value`` a literal's value, or the text of a name or operator."""

    kind: str
    value: Any
    position: int


def tokens(source: str) -> list[Token]:
    """The tokens of an expression, END last. Raises CompileError."""
    found: list[Token] = []
    position = 0
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            raise CompileError(source, position, f"Syntax error: token recognition error at: '{source[position]}'")
        kind, text = match.lastgroup, match[0]
        if kind == "float":
            found.append(Token(INT, float(text), position))
        elif kind == "int":
            found.append(Token(INT, _number(source, text, position), position))
        elif kind == "string":
            found.append(Token(STRING, _text(source, text, position), position))
        elif kind in ("name", "quoted"):
            found.append(Token(NAME, text.strip("`"), position))
        elif kind == "operator":
            found.append(Token(OPERATOR, text, position))
        position = match.end()
    found.append(Token(END, "<EOF>", len(source)))
    return found


def _number(source: str, text: str, position: int) -> int:
    is_unsigned = text[-1] in "uU"
    value = int(text.rstrip("uU"), 16 if text[:2] in ("0x", "0X") else 10)
    if value > (UINT_MAX if is_unsigned else INT_MAX + 1):  # one more, for the negative one
        raise CompileError(source, position, "invalid uint literal" if is_unsigned else "invalid int literal")
    return UInt(value) if is_unsigned else value


def _text(source: str, text: str, position: int) -> str | bytes:
    quote = min(place for place in (text.find("'"), text.find('"')) if place >= 0)
    prefix, body = text[:quote].lower(), text[quote:]
    body = body[3:-3] if body[:3] in ('"""', "'''") and len(body) >= 6 else body[1:-1]
    is_bytes = "b" in prefix
    if "r" in prefix:
        return body.encode() if is_bytes else body
    if not is_bytes:
        return _ESCAPE.sub(lambda match: _character(source, match, position), body)
    parts, last = [], 0
    for match in _ESCAPE.finditer(body):
        parts.append(body[last : match.start()].encode())
        octet = match[1] or match[4]
        base = 16 if match[1] else 8
        parts.append(bytes([int(octet, base)]) if octet else _character(source, match, position).encode())
        last = match.end()
    return b"".join([*parts, body[last:].encode()])


def _character(source: str, match: re.Match[str], position: int) -> str:
    for group, base in ((1, 16), (2, 16), (3, 16), (4, 8)):
        if match[group]:
            code = int(match[group], base)
            if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                raise CompileError(source, position, "invalid unicode code point")
            return chr(code)
    letter = match[5]
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    if letter in "\\'\"`?":
        return str(letter)
    raise CompileError(source, position, f"unable to unescape string: \\{letter}")
