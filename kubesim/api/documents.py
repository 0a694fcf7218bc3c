"""Turn text into documents: plain values, and where each of them stands in the text.

YAML is read as kubectl reads it (sigs.k8s.io/yaml, which is go-yaml v2): timestamps and ``22:22`` are strings, ``yes`` and ``on`` are
booleans, ``0644`` is octal, keys become strings. JSON is a text that starts with ``{``; several may follow one another.
A key that appears twice counts with its last value, as with kubectl, and is reported in ``Document.warnings``: a forgotten ``---``
looks like this. This module knows nothing of Kubernetes.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

BYTES_MAX = 64 << 20
NODES_MAX = 5_000_000  # values after expanding aliases: stops a file of nested aliases that would fill the memory
DEPTH_MAX = 200

_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TRUE = frozenset(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"))
_FALSE = frozenset(("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"))
_SPECIAL_FLOATS = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}
_PATH_TOKEN = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")
_TAG = "tag:yaml.org,2002:"


class TextError(ValueError):
    """The text is not YAML or JSON; ``line`` and ``column`` count from 1 (0: unknown). ``go_message`` is what go-yaml says."""

    def __init__(self, message: str, document: int = 0, line: int = 0, column: int = 0, go_message: str = "") -> None:
        super().__init__(message)
        self.go_message = go_message or message
        self.document = document
        self.line = line
        self.column = column


class Document:
    """One document of a text. ``number`` counts from 1; ``value`` is None for an empty document.

    ``duplicates`` are (line, key) of keys that a mapping of YAML has already.
    """

    __slots__ = ("_node", "duplicates", "number", "value", "warnings")

    def __init__(
        self, number: int, value: Any, node: yaml.Node | None, warnings: list[str], duplicates: list[tuple[int, str]] | None = None
    ) -> None:
        self.number = number
        self.duplicates = duplicates or []
        self.value = value
        self.warnings = warnings
        self._node = node

    def line_of(self, path: str) -> int:
        """The line of the value at ``path`` (``spec.containers[0].image``), or of its nearest parent; 0 for JSON."""
        node = self._node
        if node is None:
            return 0
        line = node.start_mark.line
        for token in tokens(path):
            found = _child(node, token)
            if found is None:
                break
            line, node = found
        return line + 1


class _Loader(_BASE):
    """PyYAML's safe loader with go-yaml's idea of what a plain scalar is."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"^(?:y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$", "yYnNtTfFoO"),
    ("int", r"^[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|0|[1-9][0-9_]*)$", "-+0123456789"),
    (
        "float",
        r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$",
        "-+.0123456789",
    ),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("merge", r"^<<$", "<"),
):
    _Loader.add_implicit_resolver(_TAG + _tag, re.compile(_pattern), list(_first))


def read_documents(text: str) -> Iterator[Document]:
    """Yield the documents of ``text``, empty ones too; raise TextError where it is neither YAML nor JSON."""
    if len(text) > BYTES_MAX:
        raise TextError(f"the text has {len(text)} characters; expected at most {BYTES_MAX}")
    if text.lstrip()[:1] == "{":
        yield from _read_json(text)
    else:
        yield from _read_yaml(text)


def tokens(path: str) -> list[str]:
    """Split a field path: ``a.b[0][x/y]`` is ``a``, ``b``, ``0``, ``x/y``."""
    return [bracketed or plain for bracketed, plain in _PATH_TOKEN.findall(path)]


def value_at(value: Any, path: str) -> Any:
    """The value at ``path`` inside ``value``, None where there is none."""
    for token in tokens(path):
        if isinstance(value, dict):
            value = value.get(token)
        elif isinstance(value, list) and token.isdigit() and int(token) < len(value):
            value = value[int(token)]
        else:
            return None
    return value


def _read_json(text: str) -> Iterator[Document]:
    decoder, position, number = json.JSONDecoder(), 0, 0
    while True:
        rest = len(text) - len(text[position:].lstrip())
        if rest >= len(text):
            return
        number += 1
        try:
            value, position = decoder.raw_decode(text, rest)
        except json.JSONDecodeError as error:
            raise TextError(f"not JSON: {error.msg}", number, error.lineno, error.colno) from None
        except RecursionError:
            raise TextError("the value is nested too deeply", number) from None
        yield Document(number, value, None, [])


def _read_yaml(text: str) -> Iterator[Document]:
    number = 1
    loader: Any = None
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            builder = _Builder(number)
            yield Document(number, builder.value(node, 0), node, builder.warnings, builder.duplicates)
            number += 1
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise TextError(f"not YAML: {what}", number, line, column, _go_message(error)) from None
    except yaml.YAMLError as error:  # a character that YAML forbids: the reader's error carries no mark
        raise TextError(f"not YAML: {str(error).splitlines()[0]}", number, go_message=f"yaml: {_reader_problem(error)}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _go_message(error: yaml.MarkedYAMLError) -> str:
    """How go-yaml v2 words it: the first line that is not the first, and one more for its scanner (decode.go, fail)."""
    line = next((mark.line for mark in (error.context_mark, error.problem_mark) if mark is not None and mark.line), 0)
    if line and isinstance(error, yaml.scanner.ScannerError):
        line += 1
    return f"yaml: line {line}: {error.problem}" if line else f"yaml: {error.problem}"


def _reader_problem(error: yaml.YAMLError) -> str:
    text = str(error).splitlines()[0]
    return "control characters are not allowed" if "control characters" in text or "special characters" in text else text


class _Builder:
    """Makes plain values from the nodes of one document."""

    def __init__(self, document: int) -> None:
        self.document = document
        self.warnings: list[str] = []
        self.duplicates: list[tuple[int, str]] = []
        self.count = 0

    def value(self, node: yaml.Node, depth: int) -> Any:
        self.count += 1
        if depth > DEPTH_MAX or self.count > NODES_MAX:
            self._fail(node, "the value is nested too deeply, or its aliases expand to too many values")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, depth + 1) for item in node.value]
        return self._mapping(node, depth)

    def _mapping(self, node: yaml.Node, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        lines: dict[str, int] = {}
        twice: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                self._merge(merged, value_node, depth)
                continue
            key = self._key(key_node)
            line = key_node.start_mark.line + 1
            if key in result:
                self.duplicates.append((line, key))
            if lines.setdefault(key, line) != line:
                twice.setdefault(key, line)
            result[key] = self.value(value_node, depth + 1)
        if twice:
            self.warnings.append(_twice(twice, lines))
        return {**merged, **result} if merged else result

    def _merge(self, merged: dict[str, Any], node: yaml.Node, depth: int) -> None:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                self._fail(part, 'the value of "<<" is not a mapping')
            for key, value in self._mapping(part, depth + 1).items():
                merged.setdefault(key, value)

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self._fail(node, "a key is a list or a mapping; expected a string")
        value = self._scalar(node)
        if isinstance(value, bool):
            return "true" if value else "false"
        return "null" if value is None else str(value)

    def _scalar(self, node: yaml.Node) -> Any:
        tag, text = node.tag, node.value
        try:
            if tag == _TAG + "int":
                return _integer(text)
            if tag == _TAG + "bool":
                return _boolean(text)
            if tag == _TAG + "float":
                return _SPECIAL_FLOATS[text.lower()] if text.lower() in _SPECIAL_FLOATS else float(text)
        except ValueError:
            self._fail(node, f"{text!r} does not have the type of its tag {tag.removeprefix(_TAG)!r}")
        return None if tag == _TAG + "null" else text

    def _fail(self, node: yaml.Node, what: str) -> None:
        raise TextError(what, self.document, node.start_mark.line + 1, node.start_mark.column + 1)


def _twice(twice: dict[str, int], lines: dict[str, int]) -> str:
    names = ", ".join(f'"{key}"' for key in twice)
    key, line = next(iter(twice.items()))
    return (
        f'line {line}: {names} appear{"s" if len(twice) == 1 else ""} twice in one mapping (the first time in line {lines[key]}); '
        'the last one counts, as with kubectl. Is a line "---" missing before it?'
    )


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    unsigned = digits.lstrip("+-")
    if len(unsigned) > 1 and unsigned[0] == "0" and unsigned[1] in "01234567":
        digits = digits.replace("0", "0o", 1)  # YAML 1.1: a leading zero means octal
    return int(digits, 0)


def _boolean(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(text)


def _child(node: yaml.Node, token: str) -> tuple[int, yaml.Node] | None:
    """The line and node of one step down: of the last key with this name, as the value is the last one's."""
    if isinstance(node, yaml.SequenceNode):
        if token.isdigit() and int(token) < len(node.value):
            item = node.value[int(token)]
            return item.start_mark.line, item
        return None
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):
            if key.value == token:
                return key.start_mark.line, value
    return None
