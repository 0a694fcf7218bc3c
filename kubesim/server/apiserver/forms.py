"""The other shapes of an answer: Table rows for people, PartialObjectMetadata for those who need no more. Pure.

Upstream: apiserver/pkg/endpoints/handlers/response.go (transformObject, asTable, asPartialObjectMetadata) and
apiextensions' and printers' table generators.
"""

from collections.abc import Sequence
from typing import Any

from kubesim.api import schema
from kubesim.api.errors import ApiError, bad_request
from kubesim.api.kinds.contract import Column, Kind
from kubesim.server.apiserver.media import PARTIAL, PARTIAL_LIST, TABLE, Form

Object = dict[str, Any]
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
INCLUDES = ("", "None", "Metadata", "Object")


def check_include(include: str) -> None:
    """Raise 400 for a value of ``includeObject`` that means nothing."""
    if include not in INCLUDES:
        raise bad_request(
            f'Unable to convert to Table as requested: includeObject: Invalid value: "{include}": '
            "must be 'Metadata', 'Object', 'None', or empty"
        )


def go_kind(kind: Kind, is_list: bool) -> str:
    """The internal Go type, as two messages of the negotiation show it."""
    group = kind.group.partition(".")[0] or "core"
    return f"*{group}.{kind.kind}{'List' if is_list else ''}"


def partial(obj: Object, version: str = "v1", kind: Kind | None = None) -> Object:
    """An object's metadata alone, as the internal type of its kind has it."""
    return {"kind": PARTIAL, "apiVersion": f"meta.k8s.io/{version}", "metadata": _internal_metadata(obj["metadata"], kind)}


def _internal_metadata(metadata: Object, kind: Kind | None) -> Object:
    """Metadata without the annotations that are fields of the internal type, of which upstream makes these answers."""
    annotations = metadata.get("annotations")
    if kind is None or not kind.field_annotations or not annotations or annotations.keys().isdisjoint(kind.field_annotations):
        return metadata
    kept = {name: value for name, value in annotations.items() if name not in kind.field_annotations}
    rest = {name: value for name, value in metadata.items() if name != "annotations"}
    return {**rest, "annotations": kept} if kept else rest


def partial_answer(answer: Object, kind: Kind, form: Form, is_list: bool) -> Object:
    """An object or a list as PartialObjectMetadata(List). Raises 406 when the one was asked for and it is the other."""
    if form.transform == PARTIAL:
        if is_list:
            raise _refused(f"you requested PartialObjectMetadata, but the requested object is a list ({go_kind(kind, True)})")
        return partial(answer, form.version, kind)
    if not is_list:
        raise _refused(f"you requested PartialObjectMetadataList, but the requested object is not a list ({go_kind(kind, False)})")
    items = [partial(item, form.version, kind) for item in answer["items"]] or None
    return {"kind": PARTIAL_LIST, "apiVersion": f"meta.k8s.io/{form.version}", "metadata": answer["metadata"], "items": items}


def _refused(message: str) -> ApiError:
    return ApiError(406, "NotAcceptable", message)


def column_definitions(columns: Sequence[Column]) -> list[Object]:
    """The heads of a table."""
    return [
        {
            "name": column.name,
            "type": column.type,
            "format": column.format,
            "description": _description(column.name),
            "priority": column.priority,
        }
        for column in columns
        if column.name
    ]


def _description(name: str) -> str:
    field = {"Name": "name", "Age": "creationTimestamp", "Created At": "creationTimestamp"}.get(name, "")
    return schema.description(OBJECT_META, field) if field else ""


def row(obj: Object, columns: Sequence[Column], now_ns: int, include: str, version: str = "v1", kind: Kind | None = None) -> Object:
    """One object as a row; ``include`` says how much of the object comes along."""
    found: Object = {"cells": [column.cell(obj, now_ns) for column in columns]}
    are_pods = kind is not None and kind.resource == "pods"
    condition = _COMPLETED.get((obj.get("status") or {}).get("phase", "")) if are_pods else None
    if condition is not None:
        found["conditions"] = [condition]
    found["object"] = None if include == "None" else obj if include == "Object" else partial(obj, version, kind)
    return found


_COMPLETED = {  # the condition of a Pod's row that is over
    "Succeeded": {"type": "Completed", "status": "True", "reason": "Succeeded", "message": "The pod has completed successfully."},
    "Failed": {"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."},
}
# Kinds whose printer leaves the rows of an empty table nil: those without a printer, and one with.
_NIL_ROWS = frozenset(("csistoragecapacities.storage.k8s.io",))


def table(objects: Sequence[Object], metadata: Object, kind: Kind, now_ns: int, include: str, form: Form) -> Object:
    """Objects of a kind as a Table."""
    found = plain_table(objects, metadata, kind.columns, now_ns, include, form, kind)
    if not objects and (kind.resource in _NIL_ROWS or any(column.name == "Created At" for column in kind.columns)):
        found["rows"] = None
    return found


def plain_table(
    objects: Sequence[Object],
    metadata: Object,
    columns: Sequence[Column],
    now_ns: int,
    include: str,
    form: Form,
    kind: Kind | None = None,
) -> Object:
    """Objects as a Table with some columns."""
    return {
        "kind": TABLE,
        "apiVersion": f"meta.k8s.io/{form.version}",
        "metadata": metadata,
        "columnDefinitions": column_definitions(columns),
        "rows": [row(obj, columns, now_ns, include, form.version, kind) for obj in objects],
    }
