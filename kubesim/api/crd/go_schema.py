"""A schema as upstream shows it in an error: the internal struct JSONSchemaProps as JSON, every field there, by its Go name.

Upstream: apiextensions-apiserver/pkg/apis/apiextensions/types_jsonschema.go.
"""

from collections.abc import Callable, Mapping
from typing import Any

Object = dict[str, Any]


def _each(value: Any) -> Any:
    return [shown(item) for item in value]


def _by_name(value: Any) -> Any:
    return {key: shown(value[key]) for key in sorted(value)}


def _one(value: Any) -> Any:
    return shown(value)


def _items(value: Any) -> Any:
    return {"Schema": None, "JSONSchemas": _each(value)} if isinstance(value, list) else {"Schema": shown(value), "JSONSchemas": None}


def _more(value: Any) -> Any:
    return {"Allows": value, "Schema": None} if isinstance(value, bool) else {"Allows": True, "Schema": shown(value)}


def rules_shown(value: Any) -> Any:
    """The structs of validation rules."""
    return [
        {
            "Rule": each.get("rule", ""), "Message": each.get("message", ""), "MessageExpression": each.get("messageExpression", ""),
            "Reason": each.get("reason"), "FieldPath": each.get("fieldPath", ""), "OptionalOldSelf": each.get("optionalOldSelf"),
        }
        for each in value
    ]  # fmt: skip


def _documents(value: Any) -> Any:
    return {"Description": value.get("description", ""), "URL": value.get("url", "")}


FIELDS = (  # (as in JSON, as in Go, what an absent one is), in the order of the struct
    ("id", "ID", ""), ("$schema", "Schema", ""), ("$ref", "Ref", None), ("description", "Description", ""), ("type", "Type", ""),
    ("nullable", "Nullable", False), ("format", "Format", ""), ("title", "Title", ""), ("default", "Default", None),
    ("maximum", "Maximum", None), ("exclusiveMaximum", "ExclusiveMaximum", False), ("minimum", "Minimum", None),
    ("exclusiveMinimum", "ExclusiveMinimum", False), ("maxLength", "MaxLength", None), ("minLength", "MinLength", None),
    ("pattern", "Pattern", ""), ("maxItems", "MaxItems", None), ("minItems", "MinItems", None), ("uniqueItems", "UniqueItems", False),
    ("multipleOf", "MultipleOf", None), ("enum", "Enum", None), ("maxProperties", "MaxProperties", None),
    ("minProperties", "MinProperties", None), ("required", "Required", None), ("items", "Items", None), ("allOf", "AllOf", None),
    ("oneOf", "OneOf", None), ("anyOf", "AnyOf", None), ("not", "Not", None), ("properties", "Properties", None),
    ("additionalProperties", "AdditionalProperties", None), ("patternProperties", "PatternProperties", None),
    ("dependencies", "Dependencies", None), ("additionalItems", "AdditionalItems", None), ("definitions", "Definitions", None),
    ("externalDocs", "ExternalDocs", None), ("example", "Example", None),
    ("x-kubernetes-preserve-unknown-fields", "XPreserveUnknownFields", None),
    ("x-kubernetes-embedded-resource", "XEmbeddedResource", False), ("x-kubernetes-int-or-string", "XIntOrString", False),
    ("x-kubernetes-list-map-keys", "XListMapKeys", None), ("x-kubernetes-list-type", "XListType", None),
    ("x-kubernetes-map-type", "XMapType", None), ("x-kubernetes-validations", "XValidations", None),
)  # fmt: skip
INSIDE: Mapping[str, Callable[[Any], Any]] = {
    "items": _items, "allOf": _each, "oneOf": _each, "anyOf": _each, "not": _one, "properties": _by_name, "definitions": _by_name,
    "patternProperties": _by_name, "additionalProperties": _more, "additionalItems": _more, "externalDocs": _documents,
    "x-kubernetes-validations": rules_shown,
}  # fmt: skip


def shown(given: Object) -> Object:
    """The struct of a schema."""
    found: Object = {}
    for name, go_name, absent in FIELDS:
        value = given.get(name, absent)
        change = INSIDE.get(name)
        found[go_name] = value if change is None or value is None else change(value)
    return found
