"""Sizes, texts and regular expressions: the standard functions, cel-go's strings and Kubernetes' find and findAll."""

import base64
import re
from typing import Any

from kubesim.api.cel.conversions import text_of
from kubesim.api.cel.errors import CelError
from kubesim.api.cel.table import function, method, need
from kubesim.api.cel.values import NONE
from kubesim.api.go_regexp import BadPattern, compile_pattern


@function("size")
@method("size")
def _size(value: Any) -> int:
    need(isinstance(value, str | bytes | list | dict))
    return len(value)


@method("startsWith")
def _starts_with(text: str, prefix: str) -> bool:
    return text.startswith(prefix)


@method("endsWith")
def _ends_with(text: str, suffix: str) -> bool:
    return text.endswith(suffix)


@method("contains")
def _contains(text: Any, part: Any) -> bool:
    need(isinstance(text, str) and isinstance(part, str))
    return part in text


def pattern(text: str) -> re.Pattern[str]:
    """A regular expression in RE2's syntax. Raises CelError."""
    try:
        return compile_pattern(text)
    except BadPattern as error:
        raise CelError(str(error)) from None


@function("matches")
@method("matches")
def _matches(text: str, expression: str) -> bool:
    return pattern(expression).search(text) is not None


@method("find")
def _find(text: str, expression: str) -> str:
    found = pattern(expression).search(text)
    return found[0] if found else ""


@method("findAll")
def _find_all(text: str, expression: str, limit: int = -1) -> list[str]:
    found = [match[0] for match in pattern(expression).finditer(text)]
    return found if limit < 0 else found[:limit]


@method("lowerAscii")
def _lower(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


@method("upperAscii")
def _upper(text: str) -> str:
    return "".join(letter.upper() if letter.isascii() else letter for letter in text)


@method("trim")
def _trim(text: str) -> str:
    return text.strip()


@method("charAt")
def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise CelError(f"index out of range: {index}")
    return text[index : index + 1]


@method("substring")
def _substring(text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    if not 0 <= start <= end <= len(text):
        raise CelError(f"index out of range: {start if not 0 <= start <= len(text) else end}")
    return text[start:end]


@method("replace")
def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    return text.replace(old, new, count)


@method("split")
def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if separator == "":
        letters = list(text)
        return letters if limit < 0 else [*letters[: limit - 1], "".join(letters[limit - 1 :])]
    return text.split(separator, limit - 1 if limit > 0 else -1)


@method("join")
def _join(values: list[str], separator: str = "") -> str:
    need(isinstance(values, list))
    return separator.join(values)


@method("reverse")
def _reverse(value: Any) -> Any:
    return value[::-1]


@function("strings.quote")
def _quote(text: str) -> str:
    return '"' + "".join({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(letter, letter) for letter in text) + '"'


@method("format")
def _format(template: str, values: list[Any]) -> str:
    """``%s``, ``%d``, ``%f``, ``%e``, ``%x``, ``%X``, ``%o``, ``%b`` with a precision for the floats."""
    need(isinstance(template, str) and isinstance(values, list))
    rest = iter(values)

    def one(match: re.Match[str]) -> str:
        if match[2] == "%":
            return "%"
        value: Any = next(rest, NONE)
        if value is NONE:
            raise CelError("index out of range in format arguments")
        if match[2] == "s":
            return _shown(value)
        if match[2] in "fe":
            return f"{float(value):.{match[1] or 6}{match[2]}}"
        return f"{int(value):{match[2]}}"

    return re.sub(r"%(?:\.(\d+))?([sdfexXob%])", one, template)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_shown(key)}: {_shown(value[key])}" for key in sorted(value, key=_shown)) + "}"
    return "null" if value is None else text_of(value)


@function("jsonpatch.escapeKey")
def _escape_key(text: str) -> str:
    return text.replace("~", "~0").replace("/", "~1")


@function("base64.encode")
def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode()


@function("base64.decode")
def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise CelError("illegal base64 data") from error
