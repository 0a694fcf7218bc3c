"""CertificateSigningRequest. Upstream: pkg/apis/certificates/validation/validation.go, pkg/registry/certificates/certificates/strategy.go.

Who asks is written by the admission plugin CertificateRequester, from the request's user.
"""

import base64
from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.ingressclass import domain_path_errors
from kubesim.api.kinds.parts.cells import at
from kubesim.api.kinds.parts.checks import choice_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import get_in, keep_all_but_status, without_status
from kubesim.api.kinds.parts.table import human_duration

Object = dict[str, Any]
USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment", "decipher only",
    "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel", "ipsec user", "key agreement",
    "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime", "server auth", "signing", "timestamping",
)  # fmt: skip
DECISIONS = ("Approved", "Denied")
EXPIRATION_SECONDS_MIN = 600


def _validate(request: Object) -> Sequence[FieldError]:
    spec = request.get("spec") or {}
    wrong = metadata_errors(request, namespaced=False)
    try:
        text = base64.b64decode(spec.get("request") or "")
    except ValueError:
        text = b""
    if b"-----BEGIN CERTIFICATE REQUEST-----" not in text:
        wrong.append(field.invalid("spec.request", spec.get("request") or None, "PEM block type must be CERTIFICATE REQUEST"))
    usages = spec.get("usages") or []
    if not usages:
        wrong.append(field.required("spec.usages"))
    for index, usage in enumerate(usages):
        wrong += choice_errors(usage, f"spec.usages[{index}]", USAGES)
        if usage in usages[:index]:
            wrong.append(field.duplicate(f"spec.usages[{index}]", usage))
    wrong += domain_path_errors(spec.get("signerName", ""), "spec.signerName")
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < EXPIRATION_SECONDS_MIN:
        why = f"may not specify a duration less than {EXPIRATION_SECONDS_MIN} seconds (10 minutes)"
        wrong.append(field.invalid("spec.expirationSeconds", seconds, why))
    return wrong + _condition_errors(request)


def _condition_errors(request: Object) -> list[FieldError]:
    wrong: list[FieldError] = []
    seen: set[str] = set()
    for index, condition in enumerate(get_in(request, "status", "conditions") or ()):
        path, name = f"status.conditions[{index}]", condition.get("type", "")
        if not name:
            wrong.append(field.required(f"{path}.type"))
        elif name in seen:
            wrong.append(field.duplicate(f"{path}.type", name))
        status = condition.get("status", "")
        if name in (*DECISIONS, "Failed"):
            if not status:
                wrong.append(field.required(f"{path}.status"))
            elif status != "True":
                wrong.append(field.not_supported(f"{path}.status", status, ("True",)))
        else:
            wrong += choice_errors(status, f"{path}.status", ("False", "True", "Unknown"), is_required=True)
        if name in DECISIONS and seen & set(DECISIONS):
            wrong.append(field.invalid("status.conditions", name, "Approved and Denied conditions are mutually exclusive"))
        seen.add(name)
    return wrong


def _prepare_update(new: Object, old: Object) -> Object:
    """Neither spec nor status changes here."""
    kept = {**new, "spec": old.get("spec", {})}
    kept.pop("status", None)
    return {**kept, "status": old["status"]} if "status" in old else kept


def prepare_approval(new: Object, old: Object) -> Object:
    """The stored request with the conditions of ``new``, and nothing else of it but its metadata."""
    conditions = get_in(new, "status", "conditions")
    status = {key: value for key, value in (old.get("status") or {}).items() if key != "conditions"}
    return {**old, "metadata": new["metadata"], "status": {**status, "conditions": conditions} if conditions else status}


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    for name in DECISIONS:
        before = [item for item in get_in(old, "status", "conditions") or () if item.get("type") == name]
        after = [item for item in get_in(new, "status", "conditions") or () if item.get("type") == name]
        if len(after) < len(before):
            wrong.append(field.forbidden("status.conditions", f"updates may not remove a condition of type {field.quote(name)}"))
    return wrong


def approval_errors(new: Object, old: Object) -> Sequence[FieldError]:
    """Errors of a write through the approval subresource."""
    return [*_validate_update(new, old), *_condition_errors(new)]


def _validate_status(new: Object, old: Object) -> Sequence[FieldError]:
    """A decision is made through approval, not through status."""
    wrong = [*_validate_update(new, old), *_condition_errors(new)]
    known = {condition.get("type") for condition in get_in(old, "status", "conditions") or ()}
    for name in DECISIONS:
        if name not in known and any(each.get("type") == name for each in get_in(new, "status", "conditions") or ()):
            wrong.append(field.forbidden("status.conditions", f"updates may not add a condition of type {field.quote(name)}"))
    return wrong


def _condition_cell(request: Object, now_ns: int) -> str:
    types = [condition.get("type") for condition in get_in(request, "status", "conditions") or ()]
    found = "Denied" if "Denied" in types else "Approved" if "Approved" in types else "Pending"
    if "Failed" in types:
        found += ",Failed"
    return found + (",Issued" if get_in(request, "status", "certificate") else "")


def _duration_cell(request: Object, now_ns: int) -> str:
    seconds = get_in(request, "spec", "expirationSeconds")
    return "<none>" if seconds is None else human_duration(seconds)


KIND = Kind(
    group="certificates.k8s.io",
    version="v1",
    kind="CertificateSigningRequest",
    plural="certificatesigningrequests",
    namespaced=False,
    short_names=("csr",),
    schema="io.k8s.api.certificates.v1.CertificateSigningRequest",
    subresources=("approval", "status"),
    prepare_create=without_status,
    prepare_update=_prepare_update,
    prepare_status=keep_all_but_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
    columns=(
        NAME,
        AGE,
        Column("SignerName", "string", at("spec", "signerName")),
        Column("Requestor", "string", at("spec", "username")),
        Column("RequestedDuration", "string", _duration_cell),
        Column("Condition", "string", _condition_cell),
    ),
    selectable_fields={"spec.signerName": lambda request: get_in(request, "spec", "signerName") or ""},
    has_generation=False,
)
