"""The rules of a definition's schema before any object is asked: do they compile, are they about booleans, and what can they cost?

Every rule has a limit of its own, and all of a schema have one together. A rule below lists and maps counts as often as its place can
occur.

Upstream: apiextensions-apiserver/pkg/apis/apiextensions/validation (validation.go, cel_validation.go) and
pkg/apiserver/schema/cel/compilation.go.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from kubesim.api import cel, field
from kubesim.api.cel.checker import Checked, check
from kubesim.api.cel.cost import LIMIT, Range, estimate
from kubesim.api.cel.types import BOOL, STRING, Declared, Type, optional_of
from kubesim.api.crd.declared import cardinality_max, declared, objects_of
from kubesim.api.crd.go_schema import rules_shown
from kubesim.api.errors import FieldError

Object = dict[str, Any]
RULE_COST_MAX, SCHEMA_COST_MAX = 10_000_000, 100_000_000
EXPENSIVE_MAX = 4  # rules that are named when a schema costs too much
REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
ADVICE = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"


class Total:
    """What the rules of a schema cost together, and the most expensive of them."""

    def __init__(self) -> None:
        self.cost = 0
        self.expensive: list[tuple[int, str]] = []

    def add(self, path: str, cost: int) -> None:
        """One more expression."""
        self.cost = min(self.cost + cost, LIMIT)
        if cost >= SCHEMA_COST_MAX // 100:
            self.expensive = sorted([*self.expensive, (cost, path)], key=lambda each: -each[0])[:EXPENSIVE_MAX]


class Place(NamedTuple):
    """Where a schema stands: how often it can occur (None: no bound above it), and where ``oldSelf`` stopped being known."""

    times: int | None = 1
    lost_at: str = ""


def form_errors(given: Object, path: str) -> Iterator[FieldError]:
    """What is wrong with the rules of one place that can be told without compiling them."""
    for index, rule in enumerate(given.get("x-kubernetes-validations") or ()):
        at = f"{path}.x-kubernetes-validations[{index}]"
        text, message, computed = rule.get("rule") or "", rule.get("message") or "", rule.get("messageExpression") or ""
        if not text.strip():
            yield field.required(f"{at}.rule", "rule is not specified")
        elif message and not message.strip():
            yield field.invalid(f"{at}.message", message, "message must be non-empty if specified")
        elif _has_lines(message.strip()):
            yield field.invalid(f"{at}.message", message, "message must not contain line breaks")
        elif _has_lines(text.strip()) and not message.strip():
            yield field.required(f"{at}.message", "message must be specified if rule contains line breaks")
        if computed and not computed.strip():
            yield field.required(f"{at}.messageExpression", "messageExpression must be non-empty if specified")
        if rule.get("reason") is not None and rule["reason"] not in REASONS:
            yield field.not_supported(f"{at}.reason", rule["reason"], REASONS)
        where = rule.get("fieldPath") or ""
        if where and not where.strip():
            yield field.invalid(f"{at}.fieldPath", where, "fieldPath must be non-empty if specified")
        if _has_lines(where):
            yield field.invalid(f"{at}.fieldPath", where, "fieldPath must not contain line breaks")
        if where and not _leads_somewhere(given, where):
            yield field.invalid(f"{at}.fieldPath", where, "fieldPath must be a valid path")


def _has_lines(text: str) -> bool:
    return "\n" in text or "\r" in text


def _leads_somewhere(given: Any, path: str) -> bool:
    """Whether ``.a.b['c']`` names properties of a schema, or keys of a map."""
    rest = path.strip()
    while rest:
        if rest.startswith("['") and "']" in rest:
            name, _, rest = rest[2:].partition("']")
        elif rest.startswith("."):
            end = min((place for place in (rest.find(".", 1), rest.find("[", 1)) if place > 0), default=len(rest))
            name, rest = rest[1:end], rest[end:]
        else:
            return False
        more = given.get("additionalProperties")
        given = (given.get("properties") or {}).get(name, more if isinstance(more, dict) else None)
        if not name or given is None:
            return False
    return True


def schema_rule_errors(given: Object, path: str) -> list[FieldError]:
    """The errors of all rules of a schema that has none of form. O(schema)."""
    total = Total()
    found = [*_errors(given, path, Place(), total, True)]
    if total.cost > SCHEMA_COST_MAX:
        why = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        found += [field.forbidden(place, why) for _, place in total.expensive]
        name = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        found.append(field.forbidden(path, _too_much(name, total.cost, SCHEMA_COST_MAX)))
    return found


def _too_much(name: str, cost: int, limit: int) -> str:
    times = cost / limit
    factor = "more than 100x" if times > 100 else f"{times:.6f}x" if times < 1.5 else f"{times:.1f}x"
    return f"{name} exceeds budget by factor of {factor} {ADVICE}"


def _errors(given: Object, path: str, place: Place, total: Total, is_root: bool) -> Iterator[FieldError]:
    """The inner places first, as upstream goes."""
    for inner, at, inner_place in _inner(given, path, place):
        yield from _errors(inner, at, inner_place, total, inner.get("x-kubernetes-embedded-resource") is True)
    if given.get("x-kubernetes-validations"):
        type_ = declared(given, is_root=is_root)
        if type_ is None:
            kind, is_open = given.get("type", ""), str(given.get("x-kubernetes-preserve-unknown-fields") is True).lower()
            why = f"type: '{kind}' x-kubernetes-preserve-unknown-fields: '{is_open}'"
            message = f"Internal error: rule declared on schema that does not support validation rules {why}"
            yield FieldError(f"{path}.x-kubernetes-validations", "InternalError", message)
            return
        for index, rule in enumerate(given["x-kubernetes-validations"]):
            yield from _rule_errors(rule, f"{path}.x-kubernetes-validations[{index}]", type_, place, total)


def _inner(given: Object, path: str, place: Place) -> Iterator[tuple[Object, str, Place]]:
    more = given.get("additionalProperties")
    lost_at = place.lost_at or (path if given.get("x-kubernetes-map-type", "granular") != "granular" else "")
    if isinstance(more, dict):
        yield more, f"{path}.additionalProperties", Place(_times(place.times, given.get("maxProperties")), lost_at)
    for key, inner in sorted((given.get("properties") or {}).items()):
        yield inner, f"{path}.properties[{key}]", Place(place.times, lost_at)
    if isinstance(given.get("items"), dict):
        lost_at = place.lost_at or (path if given.get("x-kubernetes-list-type") != "map" else "")
        yield given["items"], f"{path}.items", Place(_times(place.times, given.get("maxItems")), lost_at)


def _times(count: int | None, most: int | None) -> int | None:
    return None if count is None or most is None else min(count * max(most, 0), LIMIT)


def _rule_errors(rule: Object, at: str, type_: Declared, place: Place, total: Total) -> Iterator[FieldError]:
    text, computed = rule["rule"], rule.get("messageExpression") or ""
    old = optional_of(type_.type) if rule.get("optionalOldSelf") else type_.type
    names = {"self": type_.type, "oldSelf": old}
    try:
        checked = _checked(text, names, type_)
    except cel.CompileError as error:
        yield field.invalid(f"{at}.rule", _shown(rule), f"compilation failed: {error}")
        return
    if checked.type != BOOL:
        yield field.invalid(f"{at}.rule", _shown(rule), "cel expression must evaluate to a bool")
        return
    cost = _cost(checked, type_).most
    count = place.times if place.times is not None else cardinality_max(type_)
    cost = min(cost * count, LIMIT)
    if cost > RULE_COST_MAX:
        yield field.forbidden(f"{at}.rule", _too_much("estimated rule cost", cost, RULE_COST_MAX))
    total.add(f"{at}.rule", cost)
    if computed:
        yield from _message_errors(rule, at, type_, names, total)
    if "oldSelf" in checked.names:
        if place.lost_at:
            why = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {place.lost_at}"
            yield field.invalid(f"{at}.rule", text, why)
    elif rule.get("optionalOldSelf") is not None:
        yield field.invalid(f"{at}.optionalOldSelf", rule["optionalOldSelf"], "may not be set if oldSelf is not used in rule")


def _message_errors(rule: Object, at: str, type_: Declared, names: dict[str, Type], total: Total) -> Iterator[FieldError]:
    try:
        checked = _checked(rule["messageExpression"], names, type_)
    except cel.CompileError as error:
        yield field.invalid(f"{at}.messageExpression", _shown(rule), f"messageExpression compilation failed: {error}")
        return
    if checked.type != STRING:
        yield field.invalid(f"{at}.messageExpression", _shown(rule), "messageExpression must evaluate to a string")
        return
    cost = _cost(checked, type_).most
    if cost > RULE_COST_MAX:
        yield field.forbidden(f"{at}.messageExpression", _too_much("estimated messageExpression cost", cost, RULE_COST_MAX))
    total.add(f"{at}.messageExpression", cost)


def _checked(source: str, names: dict[str, Type], type_: Declared) -> Checked:
    objects = objects_of(type_)

    def fields(of: Type, name: str) -> Type | None:
        found = objects.get(of.of, {}).get(name)
        return None if found is None else found.type

    return check(source, names, fields)


def _cost(checked: Checked, type_: Declared) -> Range:
    def size_of(path: tuple[str, ...]) -> Range | None:
        """The bounds of what is at a path; every name in front of it is ``self`` or a value of its type."""
        current: Declared | None = type_
        for step in path[1:]:
            assert current is not None
            if step in ("@items", "@values"):
                current = current.item
            elif step == "@keys":
                current = current.key
            else:
                current = (current.fields or {}).get(step)
            if current is None:
                return None
        return Range(0, current.size_max) if current is not None else None

    return estimate(checked, size_of)


def _shown(rule: Object) -> Object:
    """A rule as Go's encoder shows it."""
    found: Object = rules_shown([rule])[0]
    return found
