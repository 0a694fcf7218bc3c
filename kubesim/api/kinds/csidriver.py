"""CSIDriver. Upstream: pkg/apis/storage/{validation/validation.go,v1/defaults.go}, pkg/registry/storage/csidriver/strategy.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import at
from kubesim.api.kinds.parts.checks import choice_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import changed_spec, fill, get_in

Object = dict[str, Any]
NAME_SIZE_MAX = 63
_DEFAULTS = {
    "attachRequired": True,
    "podInfoOnMount": False,
    "storageCapacity": False,
    "fsGroupPolicy": "ReadWriteOnceWithFSType",
    "requiresRepublish": False,
    "seLinuxMount": False,
}


def _default(driver: Object) -> Object:
    return changed_spec(driver, _default_spec)


def _default_spec(spec: Object) -> Object:
    filled = fill(spec, _DEFAULTS)
    return filled if filled.get("volumeLifecycleModes") else {**filled, "volumeLifecycleModes": ["Persistent"]}


def _prepare_create(driver: Object) -> Object:
    """A driver is born without a generation; its first change begins the first."""
    return {**driver, "metadata": {key: value for key, value in driver["metadata"].items() if key != "generation"}}


def driver_name_errors(name: str, path: str) -> list[FieldError]:
    """A CSI driver's name: a subdomain of at most 63 characters, case aside."""
    if not name:
        return [field.required(path)]
    wrong = [field.too_long(path, NAME_SIZE_MAX)] if len(name) > NAME_SIZE_MAX else []
    return wrong + [field.invalid(path, name, message) for message in names.check_dns_subdomain(name.lower())]


def _validate(driver: Object) -> Sequence[FieldError]:
    spec = driver.get("spec") or {}
    wrong = metadata_errors(driver, namespaced=False)
    name = driver["metadata"].get("name", "")
    if len(name) > NAME_SIZE_MAX:
        wrong.append(field.too_long("name", NAME_SIZE_MAX))
    policies = ("File", "None", "ReadWriteOnceWithFSType")
    wrong += choice_errors(spec.get("fsGroupPolicy"), "spec.fsGroupPolicy", policies)
    audiences: set[str] = set()
    for index, request in enumerate(spec.get("tokenRequests") or ()):
        audience, seconds, path = request.get("audience", ""), request.get("expirationSeconds"), f"spec.tokenRequests[{index}]"
        if audience in audiences:
            wrong.append(field.duplicate(f"{path}.audience", audience))
        audiences.add(audience)
        if seconds is not None and seconds < 600:
            wrong.append(field.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
        elif seconds is not None and seconds > 2**32:
            wrong.append(field.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"))
    for mode in spec.get("volumeLifecycleModes") or ():
        wrong += choice_errors(mode, "spec.volumeLifecycleModes", ("Ephemeral", "Persistent"))
    return wrong


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    after, before = new.get("spec") or {}, old.get("spec") or {}
    wrong = metadata_update_errors(new, old)
    wrong += immutable_errors(after.get("attachRequired"), before.get("attachRequired"), "spec.attachedRequired")  # upstream's path
    return wrong + immutable_errors(after.get("volumeLifecycleModes"), before.get("volumeLifecycleModes"), "spec.volumeLifecycleModes")


def _tokens_cell(driver: Object, now_ns: int) -> str:
    requests = get_in(driver, "spec", "tokenRequests")
    return ",".join(request.get("audience", "") for request in requests) if requests else "<unset>"


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="CSIDriver",
    plural="csidrivers",
    namespaced=False,
    schema="io.k8s.api.storage.v1.CSIDriver",
    default=_default,
    prepare_create=_prepare_create,
    validate=_validate,
    validate_update=_validate_update,
    columns=(
        NAME,
        Column("AttachRequired", "boolean", at("spec", "attachRequired", missing=True)),
        Column("PodInfoOnMount", "boolean", at("spec", "podInfoOnMount", missing=False)),
        Column("StorageCapacity", "boolean", at("spec", "storageCapacity", missing=False)),
        Column("TokenRequests", "string", _tokens_cell),
        Column("RequiresRepublish", "boolean", at("spec", "requiresRepublish", missing=False)),
        Column("Modes", "string", lambda obj, now_ns: ",".join(get_in(obj, "spec", "volumeLifecycleModes") or ()) or "<none>"),
        AGE,
    ),
    allow_unconditional_update=False,
)
