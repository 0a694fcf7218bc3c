"""The CEL rules of a schema (``x-kubernetes-validations``): compiled once per schema, asked of every object that is otherwise valid.

A rule that names ``oldSelf`` is about a change: it is asked where there was a value before, or with an optional one (``optionalOldSelf``).
What is unchanged is not judged again (ratcheting). Definitions are checked by ``rule_checks``; an evaluation that goes on for too long is
an error (``api/cel``).

Upstream: apiextensions-apiserver/pkg/apiserver/schema/cel (compilation.go, validation.go).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from kubesim.api import cel, errors, field
from kubesim.api.cel.values import NONE, Optional
from kubesim.api.crd.declared import Convert, converter
from kubesim.api.errors import FieldError

Object = dict[str, Any]
ROOT_METADATA = ("name", "generateName")


class Rule(NamedTuple):
    """A compiled rule; ``is_transition``: it compares with the value before."""

    given: Object
    program: cel.Program
    is_transition: bool
    message: cel.Program | None

    @property
    def takes_none(self) -> bool:
        """Whether it is asked of a new value too."""
        return self.given.get("optionalOldSelf") is True


class Rules(NamedTuple):
    """The rules at one place of a schema and below it; None where there are none."""

    own: tuple[Rule, ...]
    type: str
    properties: dict[str, "Rules"]
    values: "Rules | None"  # of a map or a list
    list_keys: tuple[str, ...]
    convert: Convert | None = None  # makes times of texts and the like, where this place has rules


def compile_rules(given: Object) -> Rules | None:
    """Compile every rule of a schema; None when it has none. Raises CompileError."""
    own = tuple(_compiled(each) for each in given.get("x-kubernetes-validations") or ())
    properties = {key: rules for key, each in (given.get("properties") or {}).items() if (rules := compile_rules(each)) is not None}
    inner = next((each for each in (given.get("items"), given.get("additionalProperties")) if isinstance(each, dict)), None)
    values = compile_rules(inner) if inner is not None else None
    if not own and not properties and values is None:
        return None
    keys = tuple(given.get("x-kubernetes-list-map-keys") or ())
    return Rules(own, given.get("type", ""), properties, values, keys, converter(given) if own else None)


def _compiled(given: Object) -> Rule:
    message = cel.compile_expression(given["messageExpression"], ("self", "oldSelf")) if given.get("messageExpression") else None
    try:
        return Rule(given, cel.compile_expression(given["rule"], ("self",)), False, message)
    except cel.CompileError:
        return Rule(given, cel.compile_expression(given["rule"], ("self", "oldSelf")), True, message)


def rule_errors(rules: Rules, value: Any, old: Any = None, path: str = "", is_root: bool = True) -> Iterator[FieldError]:
    """The rules that an object breaks. ``old`` is the object before, None for a new one. O(value · rules)."""
    shown, shown_old = (_root_view(value), _root_view(old)) if is_root else (value, old)
    if rules.convert is not None:
        shown, shown_old = rules.convert(shown), rules.convert(shown_old) if shown_old is not None else None
    is_same = old is not None and value == old
    for rule in rules.own:
        if (rule.is_transition and old is None and not rule.takes_none) or (is_same and not rule.is_transition):
            continue
        former = (NONE if old is None else Optional((shown_old,))) if rule.takes_none else shown_old
        bindings = {"self": shown, "oldSelf": former} if rule.is_transition or rule.message is not None else {"self": shown}
        try:
            holds = rule.program.evaluate(bindings)
        except cel.CelError as error:
            yield _error(rules, rule, path, f"{error} evaluating rule: {rule.given.get('message') or rule.given['rule']}")
            continue
        if holds is not True:
            yield _error(rules, rule, path, _message(rule, bindings))
    if isinstance(value, dict):
        for key, item in value.items():
            inner = rules.properties.get(key, rules.values)
            if inner is not None:
                before = old.get(key) if isinstance(old, dict) else None
                yield from rule_errors(inner, item, before, f"{path}.{key}" if path else key, False)
    elif isinstance(value, list) and rules.values is not None:
        for index, item in enumerate(value):
            yield from rule_errors(rules.values, item, _counterpart(rules, item, old), f"{path}[{index}]", False)


def _root_view(obj: Any) -> Any:
    """Of its metadata an object shows only its name to rules."""
    if not isinstance(obj, dict) or "metadata" not in obj:
        return obj
    return {**obj, "metadata": {key: obj["metadata"][key] for key in ROOT_METADATA if key in obj["metadata"]}}


def _counterpart(rules: Rules, item: Any, old: Any) -> Any:
    """The item of the old list with the same keys; items of other lists have none."""
    if not rules.list_keys or not isinstance(old, list) or not isinstance(item, dict):
        return None
    identity = [item.get(key) for key in rules.list_keys]
    return next((each for each in old if isinstance(each, dict) and [each.get(key) for key in rules.list_keys] == identity), None)


def _message(rule: Rule, bindings: Object) -> str:
    if rule.message is not None:
        try:
            text = rule.message.evaluate(bindings)
        except cel.CelError:
            text = None
        if isinstance(text, str) and text.strip() and "\n" not in text:
            return text.strip()
    given: str = rule.given.get("message") or f"failed rule: {rule.given['rule']}"
    return given.strip()


def _error(rules: Rules, rule: Rule, path: str, message: str) -> FieldError:
    place = path + rule.given.get("fieldPath", "") if path else rule.given.get("fieldPath", "").removeprefix(".")
    reason = rule.given.get("reason")
    if reason == errors.FORBIDDEN:
        return field.forbidden(place, message)
    if reason == errors.REQUIRED:
        return field.required(place, message)
    if reason == errors.DUPLICATE:
        return field.duplicate(place, rules.type)
    return field.invalid(place or "<nil>", rules.type, message)
