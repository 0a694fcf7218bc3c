"""ServiceCIDR. Upstream: pkg/apis/networking/validation/validation.go, pkg/registry/networking/servicecidr/strategy.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import get_in, keep_all_but_status, keep_status, without_status

Object = dict[str, Any]
CIDRS_MAX = 2


def _validate(range_: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(range_, namespaced=False)
    cidrs = get_in(range_, "spec", "cidrs") or []
    if not cidrs:
        wrong.append(field.required("spec.cidrs", "at least one CIDR required"))
    elif len(cidrs) > CIDRS_MAX:
        wrong.append(field.invalid("spec", {"cidrs": cidrs}, "may only hold up to 2 values"))
    for index, cidr in enumerate(cidrs):
        wrong += [field.invalid(f"spec.cidrs[{index}]", cidr, message) for message in names.check_cidr(cidr)]
    return wrong


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    after, before = get_in(new, "spec", "cidrs"), get_in(old, "spec", "cidrs")
    return [*metadata_update_errors(new, old), *immutable_errors(after, before, "spec.cidrs")]


KIND = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="ServiceCIDR",
    plural="servicecidrs",
    namespaced=False,
    schema="io.k8s.api.networking.v1.ServiceCIDR",
    subresources=("status",),
    prepare_create=without_status,
    prepare_update=keep_status,
    prepare_status=keep_all_but_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=metadata_update_errors,
    columns=(NAME, Column("CIDRs", "string", lambda obj, now_ns: ",".join(get_in(obj, "spec", "cidrs") or ())), AGE),
    has_generation=False,
)
