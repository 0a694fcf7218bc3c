"""``metadata.managedFields`` as claims and back, and upstream's words about conflicts.

A manager is known by its name, its operation and its subresource, an updater by its apiVersion too; that identity is the JSON text that
upstream sorts by. Upstream: apimachinery/pkg/util/managedfields/internal/{managedfields,conflict,capmanagers}.go.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from kubesim.api.errors import ApiError
from kubesim.api.field import quote
from kubesim.api.fields.ownership import Claim, Claims
from kubesim.api.fields.paths import Path, from_fields, shown, to_fields

Object = dict[str, Any]
APPLY, UPDATE = "Apply", "Update"
UPDATERS_MAX = 10
ANCIENT = "ancient-changes"


class Managed(NamedTuple):
    """The claims of an object, and when each was made last (RFC 3339; nothing when that was never said)."""

    claims: Claims
    times: dict[str, str]


def identity(manager: str, operation: str, version: str, subresource: str = "") -> str:
    """The text by which a manager is known."""
    entry: Object = {"manager": manager} if manager else {}
    entry["operation"] = operation
    if operation != APPLY:
        entry["apiVersion"] = version
    if subresource:
        entry["subresource"] = subresource
    return orjson.dumps(entry).decode()


def decode(entries: Any) -> Managed:
    """The claims of ``managedFields``. Raises ValueError when an entry is broken."""
    managed = Managed({}, {})
    for entry in entries or ():
        if entry.get("operation") not in (APPLY, UPDATE):
            raise ValueError(f"operation is `{entry.get('operation', '')}` but expected `Apply` or `Update`")
        if not entry.get("apiVersion"):
            raise ValueError("apiVersion must not be empty")
        if entry.get("fieldsType") != "FieldsV1":
            raise ValueError("missing fieldsType in managed fields entry" if not entry.get("fieldsType") else "invalid fieldsType")
        version = entry["apiVersion"]
        name = identity(entry.get("manager", ""), entry["operation"], version, entry.get("subresource", ""))
        managed.claims[name] = Claim(from_fields(entry.get("fieldsV1") or {}), version, entry["operation"] == APPLY)
        if entry.get("time"):
            managed.times[name] = entry["time"]
    return managed


def encode(managed: Managed) -> list[Object]:
    """The ``managedFields`` of an object: appliers first, then by time and name."""
    entries = []
    for name, claim in managed.claims.items():
        known = orjson.loads(name)
        entry: Object = {"manager": known.get("manager", ""), "operation": known["operation"], "apiVersion": claim.version}
        if name in managed.times:
            entry["time"] = managed.times[name]
        entry |= {"fieldsType": "FieldsV1", "fieldsV1": to_fields(claim.paths)}
        if known.get("subresource"):
            entry["subresource"] = known["subresource"]
        entries.append(entry)
    return sorted(entries, key=_order)


def _order(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return entry["operation"], entry.get("time", ""), entry["manager"], entry["apiVersion"], entry.get("subresource", "")


def capped(managed: Managed) -> Managed:
    """At most UPDATERS_MAX updaters: the oldest become one entry per version."""
    updaters = [name for name, claim in managed.claims.items() if not claim.applied]
    if len(updaters) <= UPDATERS_MAX:
        return managed
    claims, times = dict(managed.claims), dict(managed.times)
    first_of: dict[str, str] = {}
    count = len(updaters)
    for name in sorted(updaters, key=lambda each: (times.get(each, ""), each)):
        if count <= UPDATERS_MAX:
            break
        claim = claims[name]
        first = first_of.setdefault(claim.version, name)
        if first == name:
            continue
        bucket = identity(ANCIENT, UPDATE, claim.version)
        if bucket not in claims:
            claims[bucket] = claims.pop(first)
        claims[bucket] = claims[bucket]._replace(paths=claims[bucket].paths | claim.paths)
        del claims[name]
        count -= 1
        if name in times:
            times[bucket] = times[name]
    return Managed(claims, times)


def conflict_error(conflicts: Sequence[tuple[str, Path]]) -> ApiError:
    """409 with a cause per conflict, and all of them in one message."""
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {_shown(manager)}", "field": shown(path)}
        for manager, path in conflicts
    ]
    if len(conflicts) == 1:
        manager, path = conflicts[0]
        message = f"Apply failed with 1 conflict: conflict with {_shown(manager)}: {shown(path)}"
    else:
        lines: list[str] = []
        for manager in sorted({name for name, _ in conflicts}):
            lines.append(f"conflicts with {_shown(manager)}:")
            lines += [f"- {shown(path)}" for name, path in conflicts if name == manager]
        message = f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", message, {"causes": causes})


def _shown(manager: str) -> str:
    known = orjson.loads(manager)
    text = quote(known.get("manager", ""))
    if known.get("subresource"):
        text += f" with subresource {quote(known['subresource'])}"
    return f"{text} using {known['apiVersion']}" if known["operation"] == UPDATE else text
