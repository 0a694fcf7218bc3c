"""Lease: who holds something, renewed when. Upstream: pkg/apis/coordination/validation/validation.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors, not_negative_errors
from kubesim.api.kinds.parts.shape import get_in

Object = dict[str, Any]


def _dropped(lease: Object) -> Object:
    """The lease without the fields of coordinated leader election, whose feature gate is off."""
    spec = lease.get("spec") or {}
    if "strategy" not in spec and "preferredHolder" not in spec:
        return lease
    return {**lease, "spec": {key: value for key, value in spec.items() if key not in ("strategy", "preferredHolder")}}


def _spec_errors(spec: Object) -> list[FieldError]:
    wrong: list[FieldError] = []
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        wrong.append(field.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    wrong += not_negative_errors(spec.get("leaseTransitions"), "spec.leaseTransitions")
    if spec.get("preferredHolder") and not spec.get("strategy"):
        wrong.append(field.forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined"))
    return wrong


def _validate(lease: Object) -> Sequence[FieldError]:
    return metadata_errors(lease) + _spec_errors(lease.get("spec") or {})


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    return metadata_update_errors(new, old) + _spec_errors(new.get("spec") or {})


KIND = Kind(
    update_order="mSu",
    group="coordination.k8s.io",
    version="v1",
    kind="Lease",
    plural="leases",
    schema="io.k8s.api.coordination.v1.Lease",
    prepare_create=_dropped,
    prepare_update=lambda new, old: _dropped(new),
    validate=_validate,
    validate_update=_validate_update,
    columns=(NAME, Column("Holder", "string", lambda lease, now_ns: get_in(lease, "spec", "holderIdentity") or ""), AGE),
    has_generation=False,
    allow_create_on_update=True,
    allow_unconditional_update=False,
)
