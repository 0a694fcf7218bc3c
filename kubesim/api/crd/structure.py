"""Check the schema of a CustomResourceDefinition: that it is structural, that lists say how they merge, that defaults fit.

Upstream: apiextensions-apiserver/pkg/apiserver/schema/validation.go (ValidateStructural, whose errors are sorted by their text),
pkg/apis/apiextensions/validation/validation.go (ValidateCustomResourceDefinitionOpenAPISchema) and schema/defaulting/validation.go.
"""

from collections.abc import Iterator
from typing import Any

from kubesim.api import field
from kubesim.api.crd import go_schema, rule_checks, values
from kubesim.api.errors import FieldError
from kubesim.api.go_regexp import BadPattern, compile_pattern

Object = dict[str, Any]
ROOT, ITEM, FIELD = "at the root", "for specified array items", "for specified object fields"
TYPES = ("array", "boolean", "integer", "number", "object", "string")
SCALARS = ("boolean", "integer", "number", "string")
INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
UNSUPPORTED = ("$ref", "additionalItems", "definitions", "dependencies", "id", "patternProperties")
AT_ROOT_WITH_STATUS = (  # in upstream's order, by their Go names
    "Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum", "MaxLength", "MinLength",
    "Pattern", "MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required", "Items", "Properties", "ExternalDocs", "Example",
    "XPreserveUnknownFields", "XValidations",
)  # fmt: skip
_FORBIDDEN_INSIDE = (  # what may not stand inside allOf, anyOf, oneOf and not
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("externalDocs", "must be undefined to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)


def schema_errors(given: Any, path: str, has_status: bool) -> list[FieldError]:
    """Every error of a version's ``openAPIV3Schema``, in upstream's order."""
    if not isinstance(given, dict):
        return [field.required(path)]
    wrong: list[FieldError] = []
    if has_status:
        wrong += _root_errors(given, path)
    wrong += _openapi_errors(given, path)
    structural = [*_structural_errors(given, ROOT, path), *_completeness_errors(given, given, path)]
    wrong += sorted(structural, key=lambda error: f"{error.field}: {error.message}")
    wrong += _rule_form_errors(given, path)
    return wrong or [*_default_errors(given, path)] or rule_checks.schema_rule_errors(given, path)


def _rule_form_errors(given: Object, path: str) -> Iterator[FieldError]:
    """Rules of every place that are not even to be compiled."""
    for inner, place, _ in _inner(given, path):
        yield from _rule_form_errors(inner, place)
    yield from rule_checks.form_errors(given, path)


def _root_errors(given: Object, path: str) -> Iterator[FieldError]:
    """With a status subresource the root is a plain object."""
    type_ = given.get("type", "")
    if type_ and type_ != "object":
        why = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
        yield field.invalid(f"{path}.type", type_, why)
    if any(given.get(name) not in (None, "", False) and shown not in AT_ROOT_WITH_STATUS for name, shown, _ in go_schema.FIELDS):
        why = f"only [{' '.join(AT_ROOT_WITH_STATUS)}] fields are allowed at the root of the schema if the status subresource is enabled"
        yield field.invalid(path, go_schema.shown(given), why)


# -- each schema by itself --


def _openapi_errors(given: Object, path: str) -> Iterator[FieldError]:
    for name in UNSUPPORTED:
        if given.get(name):
            yield field.forbidden(f"{path}.{name}", f"{name} is not supported")
    type_ = given.get("type")
    if type_ == "null":
        yield field.forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    elif type_ and type_ not in TYPES:
        yield field.not_supported(f"{path}.type", type_, TYPES)
    if given.get("uniqueItems") is True:
        yield field.forbidden(f"{path}.uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic")
    more = given.get("additionalProperties")
    if more is not None and given.get("properties") and more is not True:
        yield field.forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    yield from _list_errors(given, path)
    yield from _map_errors(given, path)
    for inner, place, _ in _inner(given, path):
        yield from _openapi_errors(inner, place)
    for name in ("allOf", "anyOf", "oneOf"):
        for index, inner in enumerate(given.get(name) or ()):
            yield from _openapi_errors(inner, f"{path}.{name}[{index}]")
    if isinstance(given.get("not"), dict):
        yield from _openapi_errors(given["not"], f"{path}.not")


def _inner(given: Object, path: str) -> Iterator[tuple[Object, str, str]]:
    """The schemas of items, fields and values: (schema, its path, where it stands)."""
    if isinstance(given.get("items"), dict):
        yield given["items"], f"{path}.items", ITEM
    for key, inner in sorted((given.get("properties") or {}).items()):
        yield inner, f"{path}.properties[{key}]", FIELD
    if isinstance(given.get("additionalProperties"), dict):
        yield given["additionalProperties"], f"{path}.additionalProperties", FIELD


def _list_errors(given: Object, path: str) -> Iterator[FieldError]:
    kind, keys, type_ = given.get("x-kubernetes-list-type"), given.get("x-kubernetes-list-map-keys") or [], given.get("type", "")
    if kind is not None and type_ != "array":
        why = "must be array if x-kubernetes-list-type is specified"
        yield field.invalid(f"{path}.type", type_, why) if type_ else field.required(f"{path}.type", why)
    if kind is not None and kind not in ("atomic", "set", "map"):
        yield field.not_supported(f"{path}.x-kubernetes-list-type", kind, ("atomic", "map", "set"))
    if keys and kind != "map":
        why = "must be map if x-kubernetes-list-map-keys is non-empty"
        yield field.invalid(f"{path}.x-kubernetes-list-type", kind, why) if kind else field.required(f"{path}.x-kubernetes-list-type", why)
    items = given.get("items")
    if kind == "map":
        yield from _list_map_errors(given, keys, path)
    elif kind == "set" and isinstance(items, dict):
        if items.get("nullable"):
            yield field.forbidden(f"{path}.items.nullable", "cannot be nullable when x-kubernetes-list-type is set")
        atomic = items.get("x-kubernetes-map-type") == "atomic"
        if items.get("type") == "object" and not atomic:
            given_type = items.get("x-kubernetes-map-type")
            why = "must be atomic as item of a list with x-kubernetes-list-type=set"
            yield field.invalid(f"{path}.items.x-kubernetes-map-type", given_type, why)
        if items.get("type") == "array" and items.get("x-kubernetes-list-type", "atomic") != "atomic":
            why = "must be atomic as item of a list with x-kubernetes-list-type=set"
            yield field.invalid(f"{path}.items.x-kubernetes-list-type", items["x-kubernetes-list-type"], why)


def _list_map_errors(given: Object, keys: list[str], path: str) -> Iterator[FieldError]:
    items = given.get("items")
    place = f"{path}.x-kubernetes-list-map-keys"
    if not keys:
        yield field.required(place, "must not be empty if x-kubernetes-list-type is map")
        return
    if not isinstance(items, dict):
        yield field.required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")
        return
    if items.get("type") != "object":
        why = "must be object if parent array's x-kubernetes-list-type is map"
        yield field.invalid(f"{path}.items.type", items.get("type", ""), why)
        return
    seen: set[str] = set()
    for key in keys:
        inner = (items.get("properties") or {}).get(key)
        if inner is None:
            yield field.invalid(place, keys, "entries must all be names of item properties")
            continue
        if inner.get("type") not in SCALARS:
            why = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield field.invalid(f"{path}.items.properties[{key}].type", inner.get("type", ""), why)
        if key in seen:
            yield field.invalid(place, keys, "must not contain duplicate entries")
        seen.add(key)
        if key not in (items.get("required") or ()) and "default" not in inner:
            why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            yield field.required(f"{path}.items.properties[{key}].default", why)


def _map_errors(given: Object, path: str) -> Iterator[FieldError]:
    kind, type_ = given.get("x-kubernetes-map-type"), given.get("type", "")
    if kind is None:
        return
    if type_ != "object":
        why = "must be object if x-kubernetes-map-type is specified"
        yield field.invalid(f"{path}.type", type_, why) if type_ else field.required(f"{path}.type", why)
    if kind not in ("atomic", "granular"):
        yield field.not_supported(f"{path}.x-kubernetes-map-type", kind, ("atomic", "granular"))


# -- structure --


def _structural_errors(given: Object, level: str, path: str) -> Iterator[FieldError]:
    type_, properties = given.get("type", ""), given.get("properties") or {}
    is_embedded, is_open = given.get("x-kubernetes-embedded-resource") is True, given.get("x-kubernetes-preserve-unknown-fields") is True
    is_either = given.get("x-kubernetes-int-or-string") is True
    if type_ == "array" and not isinstance(given.get("items"), dict):
        yield field.required(f"{path}.items", "must be specified")
    for inner, place, where in _inner(given, path):
        yield from _structural_errors(inner, where, place)
    if given.get("additionalProperties") is not None and level == ROOT:
        yield field.forbidden(f"{path}.additionalProperties", "must not be used at the root")
    if is_either and is_open:
        why = "must be false if x-kubernetes-int-or-string is true"
        yield field.invalid(f"{path}.x-kubernetes-preserve-unknown-fields", True, why)
    if is_either and is_embedded:
        yield field.invalid(f"{path}.x-kubernetes-embedded-resource", True, "must be false if x-kubernetes-int-or-string is true")
    yield from _junctor_errors(given, path, _is_either_pattern(given), False)
    if is_embedded and type_ != "object":
        why = "must be object if x-kubernetes-embedded-resource is true"
        yield field.invalid(f"{path}.type", type_, why) if type_ else field.required(f"{path}.type", why)
    elif not type_ and not is_either and not is_open:
        yield field.required(f"{path}.type", f"must not be empty {level}")
    if is_embedded and given.get("additionalProperties") is not None:
        yield field.forbidden(f"{path}.additionalProperties", "must not be used if x-kubernetes-embedded-resource is set")
    if level == ROOT and type_ and type_ != "object":
        yield field.invalid(f"{path}.type", type_, "must be object at the root")
    if level == ROOT or is_embedded:
        yield from _type_field_errors(properties, path)
    if "metadata" in properties:
        yield from _metadata_errors(properties["metadata"], level, level == ROOT or is_embedded, f"{path}.properties[metadata]")
    if is_embedded and not is_open and not properties:
        why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        yield field.required(f"{path}.properties", why)


def _type_field_errors(properties: Object, path: str) -> Iterator[FieldError]:
    for name in ("kind", "apiVersion"):
        if name in properties and properties[name].get("type") != "string":
            yield field.invalid(f"{path}.properties[{name}].type", properties[name].get("type", ""), "must be string")


def _metadata_errors(given: Object, level: str, checked: bool, path: str) -> Iterator[FieldError]:
    if checked and given.get("type") != "object":
        yield field.invalid(f"{path}.type", given.get("type", ""), "must be object")
    if level == ROOT:
        rest = {key: value for key, value in given.items() if key not in ("type", "default", "properties")}
        if rest or set(given.get("properties") or ()) - {"name", "generateName"}:
            why = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            yield field.forbidden(path, why)


def _is_either_pattern(given: Object) -> bool:
    """The two ways in which ``x-kubernetes-int-or-string`` may be written out."""
    all_of = given.get("allOf") or ()
    return given.get("anyOf") == INT_OR_STRING or bool(all_of and all_of[0].get("anyOf") == INT_OR_STRING)


def _junctor_errors(given: Object, path: str, skips_any_of: bool, is_nested: bool) -> Iterator[FieldError]:
    for name in ("anyOf", "allOf", "oneOf"):
        for index, inner in enumerate(given.get(name) or ()):
            if name == "anyOf" and given["anyOf"] == INT_OR_STRING and skips_any_of:
                continue
            yield from _nested_errors(inner, f"{path}.{name}[{index}]", skips_any_of and name == "allOf" and index == 0)
    if isinstance(given.get("not"), dict):
        yield from _nested_errors(given["not"], f"{path}.not", False)
    if given.get("pattern"):
        try:
            compile_pattern(given["pattern"])
        except BadPattern as error:
            yield field.invalid(f"{path}.pattern", given["pattern"], f"must be a valid regular expression, but isn't: {error}")


def _nested_errors(given: Object, path: str, skips_any_of: bool) -> Iterator[FieldError]:
    yield from _junctor_errors(given, path, skips_any_of, True)
    if isinstance(given.get("items"), dict):
        yield from _nested_errors(given["items"], f"{path}.items", False)
    for key, inner in sorted((given.get("properties") or {}).items()):
        yield from _nested_errors(inner, f"{path}.properties[{key}]", False)
    for name, why in _FORBIDDEN_INSIDE:
        if given.get(name) not in (None, False, "", []):
            yield field.forbidden(f"{path}.{name}", why)
    if "metadata" in (given.get("properties") or {}):
        yield field.forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")


def _completeness_errors(part: Object, outer: Object, path: str) -> Iterator[FieldError]:
    """What is validated inside a junctor has to be specified outside of it."""
    for name in ("anyOf", "allOf", "oneOf"):
        for index, inner in enumerate(part.get(name) or ()):
            yield from _specified_errors(inner, outer, f"{path}.{name}[{index}]", path)
    if isinstance(part.get("not"), dict):
        yield from _specified_errors(part["not"], outer, f"{path}.not", path)
    if part is outer:
        for inner, place, _ in _inner(part, path):
            yield from _completeness_errors(inner, inner, place)


def _specified_errors(inner: Object, outer: Object, path: str, outer_path: str) -> Iterator[FieldError]:
    items = inner.get("items")
    if isinstance(items, dict):
        if not isinstance(outer.get("items"), dict):
            yield field.required(f"{outer_path}.items", f"because it is defined in {path}.items")
        else:
            yield from _specified_errors(items, outer["items"], f"{path}.items", f"{outer_path}.items")
    for key, each in sorted((inner.get("properties") or {}).items()):
        known = (outer.get("properties") or {}).get(key)
        if known is None:
            yield field.required(f"{outer_path}.properties[{key}]", f"because it is defined in {path}.properties[{key}]")
        else:
            yield from _specified_errors(each, known, f"{path}.properties[{key}]", f"{outer_path}.properties[{key}]")
    yield from _completeness_errors(inner, outer, path) if inner is not outer else ()


# -- defaults --


def _default_errors(given: Object, path: str) -> Iterator[FieldError]:
    if given.get("default") is not None:
        value = given["default"]
        if _has_unknown(value, given):
            yield field.invalid(f"{path}.default", value, "must not have unknown fields")
        for error in values.validate(value, given):
            inner = f".{error.field}" if error.field and not error.field.startswith("[") else error.field
            yield FieldError(f"{path}.default{inner}", error.reason, error.message)
    for inner_schema, place, _ in _inner(given, path):
        yield from _default_errors(inner_schema, place)


def _has_unknown(value: Any, given: Object) -> bool:
    """Whether pruning would take something away."""
    if isinstance(value, list):
        return isinstance(given.get("items"), dict) and any(_has_unknown(item, given["items"]) for item in value)
    if not isinstance(value, dict):
        return False
    properties, more = given.get("properties") or {}, given.get("additionalProperties")
    is_open = given.get("x-kubernetes-preserve-unknown-fields") is True
    for key, item in value.items():
        inner = properties.get(key, more if isinstance(more, dict) else None)
        if inner is not None:
            if _has_unknown(item, inner):
                return True
        elif not is_open and not more:
            return True
    return False
