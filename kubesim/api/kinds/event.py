"""Event of the core group. Upstream: pkg/registry/core/event/strategy.go, ValidateEventCreate."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.columns import NAME
from kubesim.api.kinds.parts.metadata import is_label, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import fill, get_in
from kubesim.api.kinds.parts.table import UNKNOWN, human_duration
from kubesim.kernel.time import parse_time

Object = dict[str, Any]
_DEFAULTS: Object = {
    "source": {},
    "firstTimestamp": None,
    "lastTimestamp": None,
    "eventTime": None,
    "reportingComponent": "",
    "reportingInstance": "",
}

_ALWAYS = frozenset(_DEFAULTS)
_NOBODY: Object = {}


def _default(event: Object) -> Object:
    """Upstream writes these fields even when they are empty."""
    if event.keys() >= _ALWAYS:
        return event
    missing = {name: value for name, value in _DEFAULTS.items() if name not in event}
    return {**fill(event, {"source": {}}), **{name: value for name, value in missing.items() if name != "source"}} if missing else event


_namespace_check = lru_cache(1024)(names.check_dns_subdomain)


_plain_name = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\.[a-z0-9]{1,24}\Z").match


def is_plain(event: Object, namespace: str) -> bool:
    """Whether an Event, as it was sent, is one that ``default`` leaves as it is and ``validate`` finds nothing wrong with: all fields
    written out, and of metadata nothing but a name of the usual form, in the namespace of the object that it is about.

    Not every other one is wrong.
    """
    metadata, involved = event.get("metadata"), event.get("involvedObject")
    return (
        event.keys() >= _ALWAYS and metadata is not None and len(metadata) == 2 and involved is not None and bool(namespace)
        and metadata.get("namespace") == namespace == involved.get("namespace") and _plain_name(metadata.get("name", "")) is not None
        and event.get("kind") == "Event" and event.get("apiVersion") == "v1" and is_label(namespace)
    )  # fmt: skip


def _validate(event: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(event)
    involved, own = (event.get("involvedObject") or _NOBODY).get("namespace") or "", event["metadata"].get("namespace", "")
    if involved != own and (involved or own not in ("", "default", "kube-system")):
        wrong.append(field.invalid("involvedObject.namespace", involved, "does not match event.namespace"))
    if wrong:  # upstream checks the namespace twice; without an error so far it is a DNS label, which is a subdomain
        wrong += [field.invalid("metadata.namespace", own, message) for message in _namespace_check(own)]
    return wrong


def _time_cell(name: str) -> Any:
    def cell(event: Object, now_ns: int) -> str:
        time = event.get(name) or event.get("eventTime")
        return human_duration((now_ns - parse_time(time)) // 1_000_000_000) if time else UNKNOWN

    return cell


def _object_cell(event: Object, now_ns: int) -> str:
    involved = event.get("involvedObject") or {}
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _source_cell(event: Object, now_ns: int) -> str:
    source = event.get("source") or {}
    return ", ".join(part for part in (source.get("component"), source.get("host")) if part) or event.get("reportingComponent", "")


def _involved(name: str) -> Any:
    return lambda event: get_in(event, "involvedObject", name) or ""


def _source(event: Object) -> str:
    return get_in(event, "source", "component") or event.get("reportingComponent") or ""


KIND = Kind(
    group="",
    version="v1",
    kind="Event",
    plural="events",
    short_names=("ev",),
    schema="io.k8s.api.core.v1.Event",
    default=_default,
    validate=_validate,
    validate_update=metadata_update_errors,
    columns=(
        Column("Last Seen", "string", _time_cell("lastTimestamp")),
        Column("Type", "string", lambda event, now_ns: event.get("type", "")),
        Column("Reason", "string", lambda event, now_ns: event.get("reason", "")),
        Column("Object", "string", _object_cell),
        Column("Subobject", "string", lambda event, now_ns: get_in(event, "involvedObject", "fieldPath") or "", 1),
        Column("Source", "string", _source_cell, 1),
        Column("Message", "string", lambda event, now_ns: (event.get("message") or "").strip()),
        Column("First Seen", "string", _time_cell("firstTimestamp"), 1),
        Column("Count", "string", lambda event, now_ns: event.get("count") or 1, 1),
        NAME._replace(priority=1),
    ),
    selectable_fields={
        **{
            f"involvedObject.{name}": _involved(name)
            for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
        },
        "reason": lambda event: event.get("reason") or "",
        "reportingComponent": lambda event: event.get("reportingComponent") or "",
        "source": _source,
        "type": lambda event: event.get("type") or "",
    },
    has_generation=False,
    allow_create_on_update=True,
)
