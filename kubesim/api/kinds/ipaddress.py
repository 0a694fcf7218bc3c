"""IPAddress. Upstream: pkg/apis/networking/validation/validation.go, pkg/registry/networking/ipaddress/strategy.go."""

import ipaddress
from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.checks import text_errors
from kubesim.api.kinds.parts.columns import NAME
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import get_in
from kubesim.api.kinds.parts.table import age_cell

Object = dict[str, Any]


def check_canonical_ip(text: str) -> list[str]:
    """An address in the one spelling that is allowed for a name."""
    wrong = names.check_ip(text)
    if wrong:
        return wrong
    canonical = str(ipaddress.ip_address(text))
    return [] if canonical == text else [f'must be in canonical form ("{canonical}")']


def _validate(address: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(address, namespaced=False, check=check_canonical_ip)
    reference, path = get_in(address, "spec", "parentRef"), "spec.parentRef"
    if reference is None:
        return [*wrong, field.required(path)]
    if reference.get("group"):
        wrong += text_errors(reference["group"], f"{path}.group", names.check_dns_subdomain)
    for name in ("resource", "name"):
        if not reference.get(name):
            wrong.append(field.required(f"{path}.{name}"))
        else:
            wrong += text_errors(reference[name], f"{path}.{name}", names.check_path_segment)
    if reference.get("namespace"):
        wrong += text_errors(reference["namespace"], f"{path}.namespace", names.check_path_segment)
    return wrong


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    after, before = get_in(new, "spec", "parentRef"), get_in(old, "spec", "parentRef")
    return [*metadata_update_errors(new, old), *immutable_errors(after, before, "spec.parentRef")]


def _parent_cell(address: Object, now_ns: int) -> str:
    reference = get_in(address, "spec", "parentRef") or {}
    group = reference.get("group", "")
    resource = f"{reference.get('resource', '')}.{group}" if group else reference.get("resource", "")
    place = f"{reference['namespace']}/" if reference.get("namespace") else ""
    return f"{resource}/{place}{reference.get('name', '')}"


KIND = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="IPAddress",
    plural="ipaddresses",
    namespaced=False,
    short_names=("ip",),
    schema="io.k8s.api.networking.v1.IPAddress",
    validate=_validate,
    validate_update=_validate_update,
    columns=(NAME, Column("ParentRef", "string", _parent_cell), Column("", "", age_cell)),  # printIPAddress: an age without a head
    has_generation=False,
    generates_names=False,
)
