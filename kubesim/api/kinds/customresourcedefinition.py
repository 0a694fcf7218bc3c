"""CustomResourceDefinition. Upstream: apiextensions-apiserver/pkg/apis/apiextensions (v1/defaults.go, validation/validation.go), its
registry strategy and storage (which turns a first delete into a mark and a finalizer).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from kubesim.api import conditions, field, names
from kubesim.api.crd import paths
from kubesim.api.crd.definitions import FINALIZER
from kubesim.api.crd.structure import schema_errors
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.columns import NAME_AND_AGE
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import keep_all_but_status

Object = dict[str, Any]
APPROVED = "api-approved.kubernetes.io"
APPROVAL_TEXT = f'protected groups must have approval annotation "{APPROVED}", see https://github.com/kubernetes/enhancements/pull/1111'
COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
COLUMN_FORMATS = ("binary", "byte", "date", "date-time", "double", "float", "int32", "int64", "password")
HOISTED = ("schema", "subresources", "additionalPrinterColumns", "selectableFields")
PENDING = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"


def _default(definition: Object) -> Object:
    spec = definition.get("spec") or {}
    given = spec.get("names") or {}
    filled = dict(given)
    if not given.get("singular") and given.get("kind"):
        filled["singular"] = given["kind"].lower()
    if not given.get("listKind") and given.get("kind"):
        filled["listKind"] = f"{given['kind']}List"
    conversion = spec.get("conversion") or {"strategy": "None"}
    if filled == given and conversion is spec.get("conversion"):
        return definition
    return {**definition, "spec": {**spec, "names": filled, "conversion": conversion}}


def _prepare_create(definition: Object) -> Object:
    """A new definition has accepted no names; it has stored its storage version."""
    status: Object = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}}
    stored = [version["name"] for version in definition.get("spec", {}).get("versions") or () if version.get("storage")]
    return {**definition, "status": {**status, "storedVersions": stored[:1] or None}}


def _prepare_update(new: Object, old: Object) -> Object:
    """The status stays; a new storage version is remembered as stored."""
    status = old.get("status") or {}
    stored = list(status.get("storedVersions") or ())
    stored += [each["name"] for each in new["spec"].get("versions") or () if each.get("storage") and each["name"] not in stored]
    return {**new, "status": {**status, "storedVersions": stored}}


def prepare_delete(definition: Object, now: str) -> Object:
    """What a first delete makes of a definition: it is marked and waits until its objects are gone."""
    metadata = {**definition["metadata"], "deletionTimestamp": now, "resourceVersion": ""}
    finalizers = list(metadata.get("finalizers") or ())
    metadata["finalizers"] = finalizers if FINALIZER in finalizers else [*finalizers, FINALIZER]
    status = definition.get("status") or {}
    pending = {"type": "Terminating", "status": "True", "reason": "InstanceDeletionPending", "message": PENDING}
    found = conditions.set_condition(status.get("conditions"), pending, now)
    return {**definition, "metadata": metadata, "status": {**status, "conditions": found}}


# -- validation --


def hoisted(spec: Object) -> tuple[Object, list[Object]]:
    """The spec as upstream's internal type has it: what is the same in all versions stands at the top, and not in the versions."""
    versions = [dict(version) for version in spec.get("versions") or ()]
    top: Object = {}
    for name in HOISTED if versions else ():
        first = versions[0].get(name)
        if all(version.get(name) == first for version in versions):
            if first is not None:
                top[name] = first
            for version in versions:
                version.pop(name, None)
    return top, versions


def _validate(definition: Object) -> Sequence[FieldError]:
    spec = definition.get("spec") or {}
    group = spec.get("group", "")
    wrong = [*metadata_errors(definition, namespaced=False), *_own_name_errors(definition)]
    wrong += _spec_errors(spec)
    wrong += _stored_errors(spec, (definition.get("status") or {}).get("storedVersions"))
    if (group in ("k8s.io", "kubernetes.io") or group.endswith((".k8s.io", ".kubernetes.io"))) and not (
        (definition["metadata"].get("annotations") or {}).get(APPROVED)
    ):
        wrong.append(field.required(f"metadata.annotations[{APPROVED}]", APPROVAL_TEXT))
    if spec.get("preserveUnknownFields"):
        if any(_has_default(version.get("schema")) for version in spec.get("versions") or ()):
            wrong.append(field.invalid("spec.preserveUnknownFields", True, "must be false in order to use defaults in the schema"))
        why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        wrong.append(field.invalid("spec.preserveUnknownFields", True, why))
    return wrong


def _own_name_errors(definition: Object) -> Sequence[FieldError]:
    """A new definition is called as what it defines; of an old one the plural cannot change."""
    spec, name = definition.get("spec") or {}, definition["metadata"].get("name", "")
    is_new = (definition.get("status") or {}).get("conditions") is None
    if not is_new or name == f"{(spec.get('names') or {}).get('plural', '')}.{spec.get('group', '')}":
        return ()
    return [field.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')]


def _has_default(given: Any) -> bool:
    if isinstance(given, dict):
        return "default" in given or any(_has_default(each) for each in given.values())
    return isinstance(given, list) and any(_has_default(each) for each in given)


def _spec_errors(spec: Object) -> Iterator[FieldError]:
    group, scope, given = spec.get("group", ""), spec.get("scope", ""), spec.get("names") or {}
    if not group:
        yield field.required("spec.group")
    elif messages := names.check_dns_subdomain(group):
        yield field.invalid("spec.group", group, ",".join(messages))
    elif "." not in group:
        yield field.invalid("spec.group", group, "should be a domain with at least one dot")
    if not scope:
        yield field.required("spec.scope")
    elif scope not in ("Cluster", "Namespaced"):
        yield field.not_supported("spec.scope", scope, ("Cluster", "Namespaced"))
    top, versions = hoisted(spec)
    yield from _version_errors(spec, versions)
    for key in ("plural", "singular", "kind", "listKind"):
        if not given.get(key):
            yield field.required(f"spec.names.{key}")
    yield from _name_errors(given)
    has_status = ((top.get("subresources") or {}).get("status")) is not None
    if "schema" in top:
        yield from schema_errors(top["schema"].get("openAPIV3Schema"), "spec.validation.openAPIV3Schema", has_status)
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}]"
        if "schema" in version:
            own = version.get("subresources") or top.get("subresources") or {}
            given_schema = version["schema"].get("openAPIV3Schema")
            yield from schema_errors(given_schema, f"{path}.schema.openAPIV3Schema", own.get("status") is not None)
        elif "schema" not in top:
            yield field.required(f"{path}.schema.openAPIV3Schema")
        yield from _part_errors(version, path)
    yield from _part_errors(top, "spec")


def _version_errors(spec: Object, versions: list[Object]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, version in enumerate(versions):
        if messages := names.check_dns_1035_label(version.get("name", "")):
            yield field.invalid(f"spec.versions[{index}].name", version.get("name", ""), ",".join(messages))
        seen.add(version.get("name", ""))
    if len(seen) < len(versions):
        yield _versions_error(versions, "must contain unique version names")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield _versions_error(versions, "must have exactly one version marked as storage version")


def _versions_error(versions: list[Object], why: str) -> FieldError:
    """Upstream shows its internal type, with Go's names."""
    shown = [
        {
            "Name": version.get("name", ""), "Served": bool(version.get("served")), "Storage": bool(version.get("storage")),
            "Deprecated": bool(version.get("deprecated")), "DeprecationWarning": version.get("deprecationWarning"),
            "Schema": version.get("schema"), "Subresources": version.get("subresources"),
            "AdditionalPrinterColumns": version.get("additionalPrinterColumns"), "SelectableFields": version.get("selectableFields"),
        }
        for version in versions
    ]  # fmt: skip
    return FieldError("spec.versions", "FieldValueInvalid", f"Invalid value: {orjson.dumps(shown).decode()}: {why}")


def _name_errors(given: Object) -> Iterator[FieldError]:
    check = names.check_dns_1035_label
    for key in ("plural", "singular"):
        if given.get(key) and (messages := check(given[key])):
            yield field.invalid(f"spec.names.{key}", given[key], ",".join(messages))
    for key in ("kind", "listKind"):
        if given.get(key) and (messages := check(given[key].lower())):
            yield field.invalid(f"spec.names.{key}", given[key], "may have mixed case, but should otherwise match: " + ",".join(messages))
    for index, short in enumerate(given.get("shortNames") or ()):
        if messages := check(short):
            yield field.invalid(f"spec.names.shortNames[{index}]", short, ",".join(messages))
    if given.get("kind") and given["kind"] == given.get("listKind"):
        yield field.invalid("spec.names.listKind", given["listKind"], "kind and listKind may not be the same")
    for index, category in enumerate(given.get("categories") or ()):
        if messages := check(category):
            yield field.invalid(f"spec.names.categories[{index}]", category, ",".join(messages))


def _part_errors(given: Object, path: str) -> Iterator[FieldError]:
    """Subresources, printer columns and selectable fields, of the top or of one version."""
    scale = (given.get("subresources") or {}).get("scale")
    if scale is not None:
        for name, root in (("specReplicasPath", "spec"), ("statusReplicasPath", "status"), ("labelSelectorPath", "status")):
            yield from _scale_path_errors(scale.get(name, ""), f"{path}.subresources.scale.{name}", root, name != "labelSelectorPath")
    for index, column in enumerate(given.get("additionalPrinterColumns") or ()):
        yield from _column_errors(column, f"{path}.additionalPrinterColumns[{index}]")


def _scale_path_errors(text: str, path: str, root: str, is_required: bool) -> Iterator[FieldError]:
    if not text:
        if is_required:
            yield field.required(path)
    elif wrong := list(_json_path_errors(text, path)):
        yield from wrong
    elif not text.startswith(f".{root}."):
        yield field.invalid(path, text, f"should be a json path under .{root}")


def _json_path_errors(text: str, path: str) -> Iterator[FieldError]:
    if not text.startswith("."):
        yield field.invalid(path, text, "must be a simple json path starting with .")
    elif text != "." and paths.steps_of(text) is None:
        yield field.invalid(path, text, "must be a json path in the dot notation")


def _column_errors(column: Object, path: str) -> Iterator[FieldError]:
    if not column.get("name"):
        yield field.required(f"{path}.name")
    type_, form = column.get("type", ""), column.get("format", "")
    if not type_:
        yield field.required(f"{path}.type", f"must be one of {','.join(COLUMN_TYPES)}")
    elif type_ not in COLUMN_TYPES:
        yield field.invalid(f"{path}.type", type_, f"must be one of {','.join(COLUMN_TYPES)}")
    if form and form not in COLUMN_FORMATS:
        yield field.invalid(f"{path}.format", form, f"must be one of {','.join(COLUMN_FORMATS)}")
    text = column.get("jsonPath", "")
    if not text:
        yield field.required(f"{path}.JSONPath")
    else:
        yield from _json_path_errors(text, f"{path}.JSONPath")


def _stored_errors(spec: Object, stored: list[str] | None) -> Iterator[FieldError]:
    if not stored:
        yield field.invalid("status.storedVersions", stored, "must have at least one stored version")
        return
    known = [version.get("name") for version in spec.get("versions") or ()]
    for index, name in enumerate(stored):
        if name not in known:
            yield field.invalid(f"status.storedVersions[{index}]", name, "must appear in spec.versions")
    for version in reversed(spec.get("versions") or ()):
        if version.get("storage"):
            if version.get("name") not in stored:
                yield field.invalid("status.storedVersions", stored, f"must have the storage version {version.get('name')}")
            return


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    after, before = new.get("spec") or {}, old.get("spec") or {}
    wrong = list(metadata_update_errors(new, old))
    if conditions.is_true(old, "Established"):
        wrong += immutable_errors(after.get("scope"), before.get("scope"), "spec.scope")
        wrong += immutable_errors(after.get("names", {}).get("kind"), before.get("names", {}).get("kind"), "spec.names.kind")
    wrong += immutable_errors(after.get("group"), before.get("group"), "spec.group")
    wrong += immutable_errors(after.get("names", {}).get("plural"), before.get("names", {}).get("plural"), "spec.names.plural")
    return wrong


KIND = Kind(
    group="apiextensions.k8s.io",
    version="v1",
    kind="CustomResourceDefinition",
    plural="customresourcedefinitions",
    namespaced=False,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    schema="io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    subresources=("status",),
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=keep_all_but_status,
    prepare_delete=prepare_delete,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=metadata_update_errors,
    columns=NAME_AND_AGE,
)
