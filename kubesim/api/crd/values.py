"""Validate a value against a structural schema, with the errors that upstream's validator makes.

Upstream: kube-openapi/pkg/validation (validate, errors), apiextensions-apiserver/pkg/apiserver/validation/validation.go (which turns them
into field errors) and pkg/apiserver/schema/listtype.
"""

import base64
import ipaddress
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from kubesim.api import errors, field
from kubesim.api.errors import FieldError
from kubesim.api.go_regexp import compile_pattern
from kubesim.kernel.time import parse_duration, parse_time

Object = dict[str, Any]
NO_PATH = "<nil>"
MISSING: Any = object()
ERRORS_MAX = 100
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UUID = re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_HOSTNAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_INTEGER_RANGES = {"int32": 2**31, "int64": 2**63}


def type_of(value: Any) -> str:
    """The JSON type as upstream names it; a float that is whole counts as an integer."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def validate(value: Any, given: Object, path: str = "", old: Any = MISSING) -> list[FieldError]:
    """Every error of ``value`` under ``path``, at most ERRORS_MAX; what is as it was in ``old`` is not judged again (ratcheting).

    O(value · schema at each place).
    """
    found: list[FieldError] = []
    for error in _errors(value, given, path, old):
        found.append(error)
        if len(found) == ERRORS_MAX:
            break
    return found


def _types(given: Object) -> tuple[str, ...]:
    if given.get("x-kubernetes-int-or-string"):
        return ("integer", "string")
    return (given["type"],) if given.get("type") else ()


def _errors(value: Any, given: Object, path: str, old: Any = MISSING) -> Iterator[FieldError]:
    if (value is None and given.get("nullable")) or (old is not MISSING and value == old):
        return
    types, kind = _types(given), type_of(value)
    if types and kind not in types and not (kind == "integer" and "number" in types):
        yield type_error(path, kind, types)
        if types == ("integer",) and kind == "number":
            why = f"Checked value must be of type integer (default format) in {path}"
            yield FieldError(NO_PATH, errors.INVALID, f'Invalid value: "": {why}')
        return
    if kind == "string":
        yield from _string_errors(value, given, path)
    elif kind in ("integer", "number"):
        yield from _number_errors(value, given, path)
    elif kind == "array":
        yield from _array_errors(value, given, path, old)
    elif kind == "object":
        yield from _object_errors(value, given, path, old)
    if given.get("enum") and value not in given["enum"]:
        names = [each if isinstance(each, str) else orjson.dumps(each).decode() for each in given["enum"]]
        yield field.not_supported(path, value, names)
    yield from _combined_errors(value, given, path)


def type_error(path: str, kind: str, types: Sequence[str]) -> FieldError:
    """A value of a wrong type: upstream shows the type's name in place of the value."""
    message = f'Invalid value: "{kind}": {path} in body must be of type {",".join(types)}: "{kind}"'
    return FieldError(path, "FieldValueTypeInvalid", message)


def _string_errors(value: str, given: Object, path: str) -> Iterator[FieldError]:
    longest, shortest, pattern = given.get("maxLength"), given.get("minLength"), given.get("pattern")
    if longest is not None and len(value) > longest:
        yield field.too_long(path, longest)
    if shortest is not None and len(value) < shortest:
        yield field.invalid(path, value, f"{path} in body should be at least {shortest} chars long")
    if pattern and not compile_pattern(pattern).search(value):
        yield field.invalid(path, value, f"{path} in body should match '{pattern}'")
    form = given.get("format", "")
    if form in FORMATS and not _has_form(value, form):
        yield field.invalid(path, value, f'{path} in body must be of type {form}: "{value}"')


def _number_errors(value: Any, given: Object, path: str) -> Iterator[FieldError]:
    most, least, step = given.get("maximum"), given.get("minimum"), given.get("multipleOf")
    limit = _INTEGER_RANGES.get(given.get("format", ""))
    if limit is not None and given.get("type") == "integer" and not -limit <= value < limit:
        what = f"Checked value must be of type integer with format {given['format']} in {path}"
        yield field.invalid(path, value, what)
    if step and not math.isclose(value / step, round(value / step), rel_tol=1e-9, abs_tol=1e-9):
        yield field.invalid(path, value, f"{path} in body should be a multiple of {_number(step)}")
    if most is not None and (value >= most if given.get("exclusiveMaximum") else value > most):
        than = "less than" if given.get("exclusiveMaximum") else "less than or equal to"
        yield field.invalid(path, value, f"{path} in body should be {than} {_number(most)}")
    if least is not None and (value <= least if given.get("exclusiveMinimum") else value < least):
        than = "greater than" if given.get("exclusiveMinimum") else "greater than or equal to"
        yield field.invalid(path, value, f"{path} in body should be {than} {_number(least)}")


def _number(value: Any) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _array_errors(value: list[Any], given: Object, path: str, old: Any) -> Iterator[FieldError]:
    most, fewest, items = given.get("maxItems"), given.get("minItems"), given.get("items")
    if isinstance(items, dict):
        for index, item in enumerate(value):
            yield from _errors(item, items, f"{path}[{index}]", _former(item, given, old))
    if fewest is not None and len(value) < fewest:
        yield field.invalid(path, len(value), f"{path} in body should have at least {fewest} items")
    if most is not None and len(value) > most:
        yield field.too_many(path, len(value), most)
    if given.get("uniqueItems") and len({orjson.dumps(item, option=orjson.OPT_SORT_KEYS) for item in value}) < len(value):
        yield field.invalid(path, value, f"{path} in body shouldn't contain duplicates")


def _former(item: Any, given: Object, old: Any) -> Any:
    """What an item of a list was: in a map by keys the one with the same keys, elsewhere nobody knows."""
    keys = given.get("x-kubernetes-list-map-keys") or ()
    if given.get("x-kubernetes-list-type") != "map" or not isinstance(old, list) or not isinstance(item, dict):
        return MISSING
    identity = [item.get(key) for key in keys]
    return next((each for each in old if isinstance(each, dict) and [each.get(key) for key in keys] == identity), MISSING)


def _object_errors(value: Object, given: Object, path: str, old: Any) -> Iterator[FieldError]:
    most, fewest = given.get("maxProperties"), given.get("minProperties")
    if most is not None and len(value) > most:
        yield field.invalid(path, len(value), f"{path} in body should have at most {most} properties")
    if fewest is not None and len(value) < fewest:
        yield field.invalid(path, len(value), f"{path} in body should have at least {fewest} properties")
    properties, more = given.get("properties") or {}, given.get("additionalProperties")
    for key in given.get("required") or ():
        if key not in value:
            yield field.required(_child(path, key))
    for key, item in value.items():
        inner = properties.get(key, more if isinstance(more, dict) else None)
        if inner is not None:
            yield from _errors(item, inner, _child(path, key), old.get(key, MISSING) if isinstance(old, dict) else MISSING)


def _child(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _combined_errors(value: Any, given: Object, path: str) -> Iterator[FieldError]:
    """``allOf``, ``anyOf``, ``oneOf`` and ``not``: their parts' own errors are told where upstream tells them."""
    shown = f'"{path}"'
    any_of, one_of, all_of, no = given.get("anyOf"), given.get("oneOf"), given.get("allOf") or (), given.get("not")
    if any_of and not given.get("x-kubernetes-int-or-string"):
        tries = [validate(value, each, path) for each in any_of]
        if all(tries):
            yield field.invalid(path, "", f"{shown} must validate at least one schema (anyOf)")
            yield from min(tries, key=len)
    if one_of:
        tries = [validate(value, each, path) for each in one_of]
        fitting = sum(not each for each in tries)
        if fitting != 1:
            found = "Found none valid" if not fitting else f"Found {fitting} valid alternatives"
            yield field.invalid(path, "", f"{shown} must validate one and only one schema (oneOf). {found}")
            if not fitting:
                yield from min(tries, key=len)
    if all_of:
        wrong = [error for each in all_of for error in validate(value, each, path)]
        if wrong:
            yield field.invalid(path, "", f"{shown} must validate all the schemas (allOf)")
            yield from wrong
    if no and not validate(value, no, path):
        yield field.invalid(path, "", f"{shown} must not validate the schema (not)")


def _is(function: Callable[[str], object]) -> Callable[[str], object]:
    def check(text: str) -> bool:
        try:
            function(text)
        except ValueError:
            return False
        return True

    return check


def _is_date(text: str) -> bool:
    return bool(_DATE.fullmatch(text)) and bool(_is(parse_time)(f"{text}T00:00:00Z"))


# The formats that v1.36 knows; another one is not looked at.
FORMATS: Mapping[str, Callable[[str], object]] = {
    "byte": _is(lambda text: base64.b64decode(text, validate=True)),
    "date": _is_date,
    "date-time": _is(parse_time),
    "duration": _is(parse_duration),
    "email": _EMAIL.fullmatch,
    "hostname": _HOSTNAME.fullmatch,
    "ipv4": _is(ipaddress.IPv4Address),
    "ipv6": _is(ipaddress.IPv6Address),
    "cidr": _is(ipaddress.ip_network),
    "uuid": _UUID.fullmatch,
}


def _has_form(value: str, form: str) -> bool:
    return bool(FORMATS[form](value))


def list_errors(value: Any, given: Object, path: str = "") -> Iterator[FieldError]:
    """Duplicates in lists that are sets or maps by key."""
    if isinstance(value, dict):
        properties, more = given.get("properties") or {}, given.get("additionalProperties")
        for key, item in value.items():
            inner = properties.get(key, more if isinstance(more, dict) else None)
            if inner is not None:
                yield from list_errors(item, inner, _child(path, key))
    elif isinstance(value, list) and isinstance(given.get("items"), dict):
        kind, keys = given.get("x-kubernetes-list-type"), given.get("x-kubernetes-list-map-keys") or ()
        seen: set[bytes] = set()
        for index, item in enumerate(value):
            if kind == "set" or (kind == "map" and isinstance(item, dict)):
                identity = {key: item[key] for key in keys if key in item} if kind == "map" else item
                text = orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)
                if text in seen:
                    yield field.duplicate(f"{path}[{index}]", identity)
                seen.add(text)
            yield from list_errors(item, given["items"], f"{path}[{index}]")
