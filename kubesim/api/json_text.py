"""JSON texts as Go reads them: the value, what its decoder says about a broken text, and the members that appear twice.

``loads`` is orjson with the messages of encoding/json; ``pairs`` keeps every member of every object, for a decoder that has to name
duplicates. Nothing here knows of Kubernetes.
"""

import json
import re
from typing import Any

import orjson

DEPTH_MAX = 10_000
_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_LITERALS = {"t": "true", "f": "false", "n": "null"}
_ESCAPES = '"\\/bfnrt'
_HEX = "0123456789abcdefABCDEF"


class JsonError(ValueError):
    """A text that is no JSON, in Go's words."""


class Pairs(list[tuple[str, Any]]):
    """An object as the list of its members, in the order of the text."""


def loads(raw: bytes) -> Any:
    """The value of a JSON text; JsonError when it is none. Of members that appear twice the last counts."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    text = raw.decode("utf-8", "replace")
    _check(text)
    try:
        return json.loads(text)  # what Go takes and orjson does not: broken UTF-8, lone surrogates, numbers beyond 64 bits
    except RecursionError:
        raise JsonError("exceeded max depth") from None


def pairs(raw: bytes) -> Any:
    """The value of a good JSON text with every object as ``Pairs``."""
    return json.loads(raw.decode("utf-8", "replace"), object_pairs_hook=Pairs)


def member_text(raw: bytes, name: str) -> str:
    """The text of the last member ``name`` of the object that a good JSON text is; empty when it has none."""
    text, decoder = raw.decode("utf-8", "replace"), json.JSONDecoder()
    at, found = _space(text, 0) + 1, ""
    while text[at := _space(text, at)] != "}":
        key, at = decoder.raw_decode(text, at)
        start = _space(text, _space(text, at) + 1)
        _, at = decoder.raw_decode(text, start)
        if key == name:
            found = text[start:at]
        at = _space(text, at)
        at += text[at] == ","
    return found


def quoted(character: str) -> str:
    """A character as Go's scanner shows it."""
    if character == "'":
        return r"'\''"
    if character == '"':
        return "'\"'"
    escaped = json.dumps(character)[1:-1] if ord(character) < 32 or character == "\\" else character
    return f"'{escaped}'"


def _fail(text: str, at: int, where: str) -> JsonError:
    if at >= len(text):
        return JsonError("unexpected end of JSON input")
    return JsonError(f"invalid character {quoted(text[at])} {where}")


def _space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _check(text: str) -> None:
    """Raise what Go's scanner says about the first wrong character. A loop with a stack of its own, so that depth costs memory only."""
    at, stack, expects = 0, [], "value"
    while True:
        at = _space(text, at)
        if expects == "value":
            character = text[at : at + 1]
            if character in ("{", "["):
                stack.append(character)
                if len(stack) > DEPTH_MAX:
                    raise JsonError("exceeded max depth")
                at = _space(text, at + 1)
                closing = "}" if character == "{" else "]"
                if text[at : at + 1] == closing:
                    stack.pop()
                    at, expects = at + 1, "end"
                else:
                    expects = "key" if character == "{" else "value"
                continue
            at, expects = _scalar(text, at), "end"
        elif expects == "key":
            if text[at : at + 1] != '"':
                raise _fail(text, at, "looking for beginning of object key string")
            at = _space(text, _string(text, at))
            if text[at : at + 1] != ":":
                raise _fail(text, at, "after object key")
            at, expects = at + 1, "value"
        elif not stack:
            if at < len(text):
                raise _fail(text, at, "after top-level value")
            return
        elif text[at : at + 1] == ",":
            at, expects = at + 1, "key" if stack[-1] == "{" else "value"
        elif text[at : at + 1] == ("}" if stack[-1] == "{" else "]"):
            stack.pop()
            at += 1
        else:
            raise _fail(text, at, "after object key:value pair" if stack[-1] == "{" else "after array element")


def _scalar(text: str, at: int) -> int:
    """The end of the string, number or literal at ``at``."""
    character = text[at : at + 1]
    if character == '"':
        return _string(text, at)
    if character in _LITERALS and character:
        word = _LITERALS[character]
        for offset, letter in enumerate(word):
            if text[at + offset : at + offset + 1] != letter:
                raise _fail(text, at + offset, f"in literal {word} (expecting {quoted(letter)})")
        return at + len(word)
    if character == "-" or character.isdigit():
        return _number(text, at)
    raise _fail(text, at, "looking for beginning of value")


def _number(text: str, at: int) -> int:
    match = _NUMBER.match(text, at)
    if match is None:
        raise _fail(text, at + 1, "in numeric literal")
    end = match.end()
    if text[end : end + 1] == "." and "." not in match[0] and "e" not in match[0].lower():
        raise _fail(text, end + 1, "after decimal point in numeric literal")
    if text[end : end + 1] in ("e", "E") and "e" not in match[0].lower():
        sign = end + 1 + (text[end + 1 : end + 2] in ("+", "-"))
        raise _fail(text, sign, "in exponent of numeric literal")
    return end


def _string(text: str, at: int) -> int:
    at += 1
    while True:
        character = text[at : at + 1]
        if character == '"':
            return at + 1
        if not character or ord(character) < 32:
            raise _fail(text, at, "in string literal")
        at += 1
        if character != "\\":
            continue
        escape = text[at : at + 1]
        if escape == "u":
            for offset in range(1, 5):
                if text[at + offset : at + offset + 1] not in _HEX or not text[at + offset : at + offset + 1]:
                    raise _fail(text, at + offset, "in \\u hexadecimal character escape")
            at += 5
        elif escape and escape in _ESCAPES:
            at += 1
        else:
            raise _fail(text, at, "in string escape code")
