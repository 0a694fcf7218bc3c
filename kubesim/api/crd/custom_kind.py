"""The ``Kind`` of a custom resource, made of a CustomResourceDefinition at its storage version.

Upstream: apiextensions-apiserver/pkg/registry/customresource (strategy.go, status_strategy.go) and pkg/apiserver/customresource_handler.go.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kubesim.api import errors, field
from kubesim.api.crd import defaults, paths, values
from kubesim.api.crd.definitions import define
from kubesim.api.crd.rules import Rules, compile_rules, rule_errors
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.columns import NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.table import UNKNOWN, age_cell, human_duration
from kubesim.kernel.time import SECOND, parse_time

Object = dict[str, Any]
BLOCKING = frozenset((errors.NOT_FOUND, errors.REQUIRED, errors.TOO_LONG, errors.TOO_MANY, errors.TYPE_INVALID))
NOT_CHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"
)
SELF_TYPES = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}


def storage_version(definition: Object) -> Object:
    """The version of a definition under which its objects are stored."""
    found: Object = next(version for version in definition["spec"]["versions"] if version.get("storage"))
    return found


def schema_of(version: Object) -> Object:
    """The schema of a version; an object of anything when it has none."""
    found: Object = (version.get("schema") or {}).get("openAPIV3Schema") or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return found


def kind_of(definition: Object, version: Object | None = None) -> Kind:
    """The kind of a definition, at its storage version or at another one that it serves."""
    version = version or storage_version(definition)
    spec, given = definition["spec"], schema_of(version)
    names, subresources = spec["names"], version.get("subresources") or {}
    has_status = subresources.get("status") is not None
    namespaced = spec["scope"] == "Namespaced"
    schema = {**given, "properties": {**SELF_TYPES, **(given.get("properties") or {})}}
    rules = compile_rules(given)
    return Kind(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        namespaced=namespaced,
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        schema=define(given),
        subresources=tuple(name for name in ("status", "scale") if subresources.get(name) is not None),
        default=lambda obj: defaults.default(obj, given),
        prepare_create=_without_status if has_status else _same,
        prepare_update=_prepare_update if has_status else _same_of_two,
        prepare_status=_prepare_status,
        validate=lambda obj: metadata_errors(obj, namespaced=namespaced),
        validate_create=lambda obj: _object_errors(schema, rules, obj, None),
        validate_update=lambda new, old: [*metadata_update_errors(new, old), *_object_errors(schema, rules, new, old)],
        validate_status=lambda new, old: [*metadata_update_errors(new, old), *_object_errors(schema, rules, new, old)],
        columns=columns_of(version),
        selectable_fields=_selectable(version),
        allow_unconditional_update=False,
        scale=subresources.get("scale"),
        is_custom=True,
    )


def _same(obj: Object) -> Object:
    return obj


def _same_of_two(new: Object, old: Object) -> Object:
    return new


def _without_status(obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key != "status"} if "status" in obj else obj


def _prepare_update(new: Object, old: Object) -> Object:
    kept = _without_status(new)
    return {**kept, "status": old["status"]} if "status" in old else kept


def _prepare_status(new: Object, old: Object) -> Object:
    """Only the status, and of the metadata only what field management changes."""
    result = {**old, "metadata": {**old["metadata"], "resourceVersion": new["metadata"].get("resourceVersion", "")}}
    if "managedFields" in new["metadata"]:
        result["metadata"]["managedFields"] = new["metadata"]["managedFields"]
    result.pop("status", None)
    return {**result, "status": new["status"]} if "status" in new else result


def _object_errors(schema: Object, rules: Rules | None, obj: Object, old: Object | None) -> list[FieldError]:
    """What is wrong with an object: by its schema, by the keys of its lists, by its rules, which need values that can be looked at."""
    wrong = values.validate(obj, schema) if old is None else values.validate(obj, schema, "", old)
    wrong += values.list_errors(obj, schema)
    if rules is None:
        return wrong
    if any(error.reason in BLOCKING for error in wrong):
        return [*wrong, field.invalid(values.NO_PATH, None, NOT_CHECKED)]
    return [*wrong, *rule_errors(rules, obj, old)]


def _selectable(version: Object) -> Mapping[str, Callable[[Object], str]]:
    def getter(path: str) -> Callable[[Object], str]:
        return lambda obj: _text(paths.find(obj, path))

    return {each["jsonPath"].removeprefix("."): getter(each["jsonPath"]) for each in version.get("selectableFields") or ()}


def _text(found: Sequence[Any]) -> str:
    if not found or found[0] is None:
        return ""
    if isinstance(found[0], bool):
        return "true" if found[0] else "false"
    return str(found[0])


# -- printer columns --


def columns_of(version: Object) -> tuple[Column, ...]:
    """Name and the version's own columns; name and age when it has none."""
    given = version.get("additionalPrinterColumns")
    if not given:
        return (NAME, Column("Age", "date", age_cell))
    return (NAME, *(_column(each) for each in given))


def _column(given: Object) -> Column:
    path, type_ = given["jsonPath"], given["type"]

    def cell(obj: Object, now_ns: int) -> Any:
        return _cell(paths.find(obj, path), type_, now_ns)

    return Column(given["name"], type_, cell, given.get("priority", 0), given.get("format", ""))


def _cell(found: Sequence[Any], type_: str, now_ns: int) -> Any:
    """A value where it has the column's type; upstream shows nothing for one that has another."""
    if not found:
        return None
    value = found[0]
    if type_ == "integer":
        return value if isinstance(value, int) and not isinstance(value, bool) else int(value) if isinstance(value, float) else None
    if type_ == "number":
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    if type_ == "boolean":
        return value if isinstance(value, bool) else None
    if type_ == "string":
        return value if isinstance(value, str) else ",".join(_text([each]) for each in found)
    return _age(value, now_ns)


def _age(value: Any, now_ns: int) -> str:
    if not isinstance(value, str):
        return UNKNOWN
    try:
        return human_duration((now_ns - parse_time(value)) // SECOND)
    except ValueError:
        return "<invalid>"


def served_versions(definition: Object) -> list[Object]:
    """The versions that a definition serves, as discovery orders them: stable ones first, then beta, then alpha, each newest first."""
    served = [version for version in definition["spec"]["versions"] if version.get("served")]
    return sorted(served, key=lambda version: version_rank(version["name"]))


def version_rank(name: str) -> tuple[int, ...] | tuple[Any, ...]:
    """The rank of a version's name, the preferred one first. Upstream: apimachinery/pkg/version/helpers.go."""
    for stage, word in enumerate(("", "beta", "alpha")):
        head, found, tail = name.removeprefix("v").partition(word) if word else (name.removeprefix("v"), "", "")
        if name.startswith("v") and head.isdigit() and (not word or (found and tail.isdigit())):
            return (0, stage, -int(head), -int(tail or 0))
    return (1, name)

