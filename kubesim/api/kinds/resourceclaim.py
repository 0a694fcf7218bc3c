"""ResourceClaim. Upstream: pkg/apis/resource/validation/validation.go, pkg/registry/resource/resourceclaim/strategy.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import errors
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.devices import SPEC, default_spec, spec_errors
from kubesim.api.kinds.parts.go_struct import go_text
from kubesim.api.kinds.parts.metadata import IMMUTABLE, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import change, get_in, keep_all_but_bare_status, keep_status, without_status

Object = dict[str, Any]


def _validate(claim: Object) -> Sequence[FieldError]:
    return metadata_errors(claim) + spec_errors(claim.get("spec") or {}, "spec")


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    if new.get("spec") != old.get("spec"):
        wrong.append(FieldError("spec", errors.INVALID, f"Invalid value: {go_text(new.get('spec') or {}, SPEC)}: {IMMUTABLE}"))
    return wrong


def _state_cell(claim: Object, now_ns: int) -> str:
    states = []
    if "deletionTimestamp" in claim["metadata"]:
        states.append("deleted")
    if not get_in(claim, "status", "allocation"):
        return "pending" if not states else ",".join([*states, "pending"])
    states.append("allocated")
    states.append("reserved" if get_in(claim, "status", "reservedFor") else "")
    return ",".join(state for state in states if state)


KIND = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceClaim",
    plural="resourceclaims",
    schema="io.k8s.api.resource.v1.ResourceClaim",
    subresources=("status",),
    default=lambda claim: change(claim, "spec", default_spec),
    prepare_create=without_status,
    prepare_update=keep_status,
    prepare_status=keep_all_but_bare_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=metadata_update_errors,
    columns=(NAME, Column("State", "string", _state_cell), AGE),
    has_generation=False,
)
