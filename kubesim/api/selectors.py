"""Label and field selectors, compiled once into a function of the labels.

Upstream: apimachinery/pkg/labels/selector.go and pkg/fields/selector.go, their grammar and messages. ``LabelSelector`` objects
(matchLabels, matchExpressions) are remembered by identity, selector strings by text.

    app=web,tier!=db,env in (a,b),zone notin (x),gpu,!spot,size>3
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.memo import IdentityMemo

Labels = Mapping[str, str]
Matcher = Callable[[Labels], bool]
IN, NOT_IN, EQUALS, DOUBLE_EQUALS, NOT_EQUALS = "in", "notin", "=", "==", "!="
EXISTS, DOES_NOT_EXIST, GREATER, LESS = "exists", "!", "gt", "lt"
_MEMO_MAX = 8192
_BINARY = "in, notin, =, ==, !=, gt, lt"
_OPERATORS = {"In": IN, "NotIn": NOT_IN, "Exists": EXISTS, "DoesNotExist": DOES_NOT_EXIST, "Gt": GREATER, "Lt": LESS}
_TOKEN = re.compile(r"\s*(==|=|!=|!|\(|\)|,|>|<|[^\s=!(),><]+)")
_INTEGER = re.compile(r"[+-]?[0-9]+\Z", re.ASCII)
_SYMBOLS = frozenset(("==", "=", "!=", "!", "(", ")", ",", ">", "<"))


class Requirement(NamedTuple):
    """One term: ``values`` are sorted and without duplicates."""

    key: str
    operator: str
    values: tuple[str, ...]


class Selector:
    """A compiled label selector: ``matches(labels)``; ``requirements`` None matches nothing, an empty one everything."""

    __slots__ = ("matches", "requirements")

    def __init__(self, requirements: tuple[Requirement, ...] | None) -> None:
        self.requirements = requirements
        self.matches: Matcher = _compile(requirements)

    @property
    def is_empty(self) -> bool:
        """Whether it selects everything."""
        return self.requirements == ()

    def __str__(self) -> str:
        return ",".join(_text(requirement) for requirement in self.requirements or ())

    def __repr__(self) -> str:
        return f"<Selector {'(nothing)' if self.requirements is None else self}>"


def _text(requirement: Requirement) -> str:
    key, operator, values = requirement
    if operator == EXISTS:
        return key
    if operator == DOES_NOT_EXIST:
        return f"!{key}"
    if operator in (IN, NOT_IN):
        return f"{key} {operator} ({','.join(values)})"
    return f"{key}{ {GREATER: '>', LESS: '<'}.get(operator, operator) }{values[0]}".replace(" ", "")


def _everything(_: Labels) -> bool:
    return True


def _nothing(_: Labels) -> bool:
    return False


def _compile(requirements: tuple[Requirement, ...] | None) -> Matcher:
    """One closure for the whole selector; exact terms, by far the most, are one pass over pairs."""
    if requirements is None:
        return _nothing
    pairs = {(key, values[0]) for key, operator, values in requirements if _is_exact(operator, values)}
    rest = tuple(_matcher(requirement) for requirement in requirements if not _is_exact(requirement.operator, requirement.values))
    exact = _exact(tuple(sorted(pairs)))
    if not rest:
        return exact
    if not pairs and len(rest) == 1:
        return rest[0]
    return lambda labels: exact(labels) and all(matches(labels) for matches in rest)


def _is_exact(operator: str, values: tuple[str, ...]) -> bool:
    return operator in (EQUALS, DOUBLE_EQUALS) or (operator == IN and len(values) == 1)


def _exact(pairs: tuple[tuple[str, str], ...]) -> Matcher:
    if not pairs:
        return _everything
    if len(pairs) == 1:
        ((key, value),) = pairs
        return lambda labels: labels.get(key) == value

    def matches(labels: Labels) -> bool:
        for name, wanted in pairs:  # noqa: SIM110 - all() with a generator costs three times as much
            if labels.get(name) != wanted:
                return False
        return True

    return matches


def _matcher(requirement: Requirement) -> Matcher:
    key, operator, values = requirement
    chosen = frozenset(values)
    if operator == IN:
        return lambda labels: labels.get(key) in chosen
    if operator in (NOT_IN, NOT_EQUALS):
        return lambda labels: key not in labels or labels[key] not in chosen
    if operator == EXISTS:
        return lambda labels: key in labels
    if operator == DOES_NOT_EXIST:
        return lambda labels: key not in labels
    bound = int(values[0])
    if operator == GREATER:
        return lambda labels: _is_integer(labels.get(key)) and int(labels[key]) > bound
    return lambda labels: _is_integer(labels.get(key)) and int(labels[key]) < bound


def _is_integer(text: str | None) -> bool:
    return text is not None and _INTEGER.match(text) is not None and -(2**63) <= int(text) < 2**63


EVERYTHING = Selector(())
NOTHING = Selector(None)


def _joined(wrong: list[FieldError]) -> str:
    texts = list(dict.fromkeys(f"{error.field}: {error.message}" for error in wrong))
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _requirement(key: str, operator: str, values: Iterable[str], path: str = "") -> Requirement:
    """Check and make one term; upstream's NewRequirement.

    Raises:
        ValueError: with upstream's message.
    """
    ordered = tuple(sorted(set(values)))
    at = f"{path}.values" if path else "values"
    wrong = [field.invalid(f"{path}.key" if path else "key", key, message) for message in names.check_qualified_name(key)]
    if operator in (IN, NOT_IN) and not ordered:
        wrong.append(field.invalid(at, [], "for 'in', 'notin' operators, values set can't be empty"))
    elif operator in (EXISTS, DOES_NOT_EXIST) and ordered:
        wrong.append(field.invalid(at, list(ordered), "values set must be empty for exists and does not exist"))
    elif operator in (GREATER, LESS):
        if len(ordered) != 1:
            wrong.append(field.invalid(at, list(ordered), "for 'Gt', 'Lt' operators, exactly one value is required"))
        wrong += [
            field.invalid(f"{at}[{index}]", value, "for 'Gt', 'Lt' operators, the value must be an integer")
            for index, value in enumerate(ordered)
            if not _is_integer(value)
        ]
    for index, value in enumerate(ordered):
        wrong += [field.invalid(f"{at}[{index}][{key}]", value, message) for message in names.check_label_value(value)]
    if wrong:
        raise ValueError(_joined(wrong))
    return Requirement(key, operator, ordered)


class _Parser:
    """Upstream's grammar over a list of tokens; the end is the token ''."""

    def __init__(self, text: str) -> None:
        self._tokens = [match[1] for match in _TOKEN.finditer(text)]
        self._position = 0

    def peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self._position += 1
        return token

    def requirements(self) -> Iterator[Requirement]:
        while token := self.peek():
            if token in _SYMBOLS and token != "!":
                raise ValueError(f"found '{token}', expected: !, identifier, or 'end of string'")
            try:
                yield self._requirement()
            except ValueError as error:
                raise ValueError(f"unable to parse requirement: {error}") from None
            separator = self.take()
            if not separator:
                return
            if separator != ",":
                raise ValueError(f"found '{separator}', expected: ',' or 'end of string'")
            after = self.peek()
            if not after or (after in _SYMBOLS and after != "!"):
                raise ValueError(f"found '{after}', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        key = self.take()
        absent = key == "!"
        if absent:
            key = self.take()
        if not key or key in _SYMBOLS:
            raise ValueError(f"found '{key}', expected: identifier")
        wrong = [field.invalid("<nil>", key, message) for message in names.check_qualified_name(key)]
        if wrong:
            raise ValueError(_joined(wrong))
        if absent:
            return _requirement(key, DOES_NOT_EXIST, ())
        if self.peek() in ("", ","):
            return _requirement(key, EXISTS, ())
        operator = self.take()
        if operator in (IN, NOT_IN):
            return _requirement(key, operator, self._values())
        if operator in (EQUALS, DOUBLE_EQUALS, NOT_EQUALS):
            return _requirement(key, operator, [self._value()])
        if operator in (">", "<"):
            return _requirement(key, GREATER if operator == ">" else LESS, [self._value()])
        raise ValueError(f"found '{operator}', expected: {_BINARY}")

    def _value(self) -> str:
        if self.peek() in ("", ","):
            return ""
        token = self.take()
        if token in _SYMBOLS:
            raise ValueError(f"found '{token}', expected: identifier")
        return token

    def _values(self) -> set[str]:
        opening = self.take()
        if opening != "(":
            raise ValueError(f"found '{opening}' expected: '('")
        token = self.peek()
        if token == ")":
            self.take()
            return {""}
        if token != "," and (not token or token in _SYMBOLS):
            raise ValueError(f"found '{token}', expected: ',', ')' or identifier")
        values = self._identifiers()
        self.take()
        return values

    def _identifiers(self) -> set[str]:
        values: set[str] = set()
        while True:
            token = self.take()
            if token == ",":
                if not values:
                    values.add("")
                after = self.peek()
                if after == ")":
                    values.add("")
                    return values
                if after == ",":
                    self.take()
                    values.add("")
            elif token and token not in _SYMBOLS:
                values.add(token)
                after = self.peek()
                if after == ")":
                    return values
                if after != ",":
                    raise ValueError(f"found '{after}', expected: ',' or ')'")
            else:
                raise ValueError(f"found '{token}', expected: ',', or identifier")


@lru_cache(_MEMO_MAX)
def parse(text: str) -> Selector:
    """Compile a label selector string; the empty string selects everything.

    Raises:
        ValueError: with upstream's message.
    """
    if not text:
        return EVERYTHING
    return Selector(tuple(sorted(_Parser(text).requirements(), key=lambda requirement: requirement.key)))


def from_labels(labels: Labels | None) -> Selector:
    """The selector of a plain map, as a Service or a ReplicationController has it; empty or None selects everything."""
    return _from_labels(labels) if labels else EVERYTHING


def _selector_of_labels(labels: Labels) -> Selector:
    return Selector(tuple(Requirement(key, EQUALS, (labels[key],)) for key in sorted(labels)))


def _selector_of_object(selector: Mapping[str, Any]) -> Selector:
    labels, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or ()
    if not labels and not expressions:
        return EVERYTHING
    terms = [_requirement(key, EQUALS, [value]) for key, value in labels.items()]
    for expression in expressions:
        operator = expression["operator"]
        if operator not in _OPERATORS or operator in ("Gt", "Lt"):
            raise ValueError(f"{field.quote(operator)} is not a valid label selector operator")
        terms.append(_requirement(expression["key"], _OPERATORS[operator], expression.get("values") or ()))
    return Selector(tuple(sorted(terms, key=lambda requirement: requirement.key)))


_from_labels: IdentityMemo[Selector] = IdentityMemo(_selector_of_labels)
_from_object: IdentityMemo[Selector] = IdentityMemo(_selector_of_object)


def from_object(selector: Mapping[str, Any] | None) -> Selector:
    """Compile a LabelSelector object: None selects nothing, ``{}`` everything. Remembered by identity.

    Raises:
        ValueError: with upstream's message.
    """
    return NOTHING if selector is None else _from_object(selector)


def node_requirement(expression: Mapping[str, Any]) -> Requirement:
    """One matchExpressions term of a NodeSelectorTerm; Gt and Lt are allowed here.

    Raises:
        ValueError: with upstream's message.
    """
    operator = _OPERATORS.get(expression["operator"])
    if operator is None:
        raise ValueError(f"{field.quote(expression['operator'])} is not a valid node selector operator")
    return _requirement(expression["key"], operator, expression.get("values") or ())


class FieldRequirement(NamedTuple):
    """One term of a field selector; ``operator`` is "=" or "!="."""

    field: str
    operator: str
    value: str


_FIELD_TERM = re.compile(r"(?:[^\\,]|\\.)+", re.S)
_FIELD_PARTS = re.compile(r"(.*?)(==|!=|=)(.*)\Z", re.S)
_ESCAPES = {"\\": "\\", ",": ",", "=": "="}


def _unescape(text: str) -> str:
    if "\\" not in text:
        if "=" in text or "," in text:
            found = next(character for character in text if character in "=,")
            raise ValueError(f"invalid field selector: unescaped character in value: {found}")
        return text
    out: list[str] = []
    characters = iter(text)
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            if following not in _ESCAPES:
                raise ValueError(f"invalid field selector: invalid escape sequence: \\{following}")
            out.append(following)
        else:
            out.append(character)
    return "".join(out)


@lru_cache(_MEMO_MAX)
def parse_fields(text: str) -> tuple[FieldRequirement, ...]:
    """Split a field selector into terms (an AND); whether a field exists for a kind is the kind's business.

    Raises:
        ValueError: with upstream's message.
    """
    terms: list[FieldRequirement] = []
    for term in _FIELD_TERM.findall(text):
        match = _FIELD_PARTS.match(term)
        if match is None:
            raise ValueError(f"invalid selector: '{text}'; can't understand '{term}'")
        terms.append(FieldRequirement(match[1], "!=" if match[2] == "!=" else "=", _unescape(match[3])))
    return tuple(terms)


def compile_fields(terms: tuple[FieldRequirement, ...], getters: Mapping[str, Callable[[Any], str]]) -> Callable[[Any], bool]:
    """A function of an object for parsed terms; ``getters`` maps every field named in them to its value in an object."""
    checks = tuple((getters[term.field], term.value, term.operator == "=") for term in terms)
    if not checks:
        return lambda obj: True
    if len(checks) == 1:
        ((getter, value, equal),) = checks
        return (lambda obj: getter(obj) == value) if equal else (lambda obj: getter(obj) != value)
    return lambda obj: all((getter(obj) == value) is equal for getter, value, equal in checks)
