"""Defaults and validation of volume claims, of their own and inside other objects. Upstream: ValidatePersistentVolumeClaimSpec."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names, quantity
from kubesim.api.errors import FieldError
from kubesim.api.kinds.parts.checks import text_errors
from kubesim.api.kinds.parts.containers import canonical_resources
from kubesim.api.kinds.parts.label_selector import label_selector_errors
from kubesim.api.kinds.parts.shape import change, fill

Object = dict[str, Any]
ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
SHORT_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
NOT_POSITIVE = "must be greater than zero"


def default_claim(claim: Object) -> Object:
    """A claim with its defaults (not its status)."""
    return change(
        fill(claim, {"spec": {}}), "spec", lambda spec: change(fill(spec, {"volumeMode": "Filesystem"}), "resources", canonical_resources)
    )


def access_mode_errors(modes: Sequence[str], path: str) -> list[FieldError]:
    """Access modes that are missing, unknown or cannot go together."""
    if not modes:
        return [field.required(path, "at least 1 access mode is required")]
    wrong = [field.not_supported(path, mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        wrong.append(field.forbidden(path, "may not use ReadWriteOncePod with other access modes"))
    return wrong


def claim_spec_errors(spec: Object, path: str) -> list[FieldError]:
    """Errors of a claim's spec at ``path``."""
    wrong = access_mode_errors(spec.get("accessModes") or (), f"{path}.accessModes")
    wrong += label_selector_errors(spec.get("selector"), f"{path}.selector")
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if storage is None:
        wrong.append(field.required(f"{path}.resources[storage]"))
    elif quantity.parse(storage).nanos <= 0:
        wrong.append(field.invalid(f"{path}.resources[storage]", storage, NOT_POSITIVE))
    if spec.get("storageClassName"):
        wrong += text_errors(spec["storageClassName"], f"{path}.storageClassName", names.check_dns_subdomain)
    if spec.get("volumeMode") not in ("Block", "Filesystem", None):
        wrong.append(field.not_supported(f"{path}.volumeMode", spec["volumeMode"], ("Block", "Filesystem")))
    return wrong


def modes_text(modes: Sequence[str]) -> str:
    """Access modes as ``kubectl`` writes them: each once, in a fixed order."""
    return ",".join(short for mode, short in SHORT_MODES.items() if mode in modes)
