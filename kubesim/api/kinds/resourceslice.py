"""ResourceSlice. Upstream: pkg/apis/resource/validation/validation.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.csidriver import driver_name_errors
from kubesim.api.kinds.parts.cells import at
from kubesim.api.kinds.parts.checks import required_text_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import get_in

Object = dict[str, Any]
DEVICES_MAX = 128


def _validate(slice_: Object) -> Sequence[FieldError]:
    spec = slice_.get("spec") or {}
    wrong = metadata_errors(slice_, namespaced=False)
    wrong += driver_name_errors(spec.get("driver", ""), "spec.driver")
    pool = spec.get("pool") or {}
    if not pool.get("name"):
        wrong.append(field.required("spec.pool.name"))
    if pool.get("resourceSliceCount", 0) <= 0:
        wrong.append(field.invalid("spec.pool.resourceSliceCount", pool.get("resourceSliceCount", 0), "must be greater than zero"))
    if pool.get("generation", 0) < 0:
        wrong.append(field.invalid("spec.pool.generation", pool["generation"], "must be greater than or equal to zero"))
    devices = spec.get("devices") or ()
    if len(devices) > DEVICES_MAX:
        wrong.append(field.too_many("spec.devices", len(devices), DEVICES_MAX))
    seen: set[str] = set()
    for index, device in enumerate(devices):
        name = device.get("name", "")
        wrong += required_text_errors(name, f"spec.devices[{index}].name", names.check_dns_label)
        if name in seen:
            wrong.append(field.duplicate(f"spec.devices[{index}]", name))
        seen.add(name)
    return wrong


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    for path in (("driver",), ("pool", "name"), ("nodeName",)):
        after, before = get_in(new, "spec", *path), get_in(old, "spec", *path)
        wrong += immutable_errors(after, before, ".".join(("spec", *path)))
    return wrong


def _node_cell(slice_: Object, now_ns: int) -> str:
    return get_in(slice_, "spec", "nodeName") or "<unset>"


KIND = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceSlice",
    plural="resourceslices",
    namespaced=False,
    schema="io.k8s.api.resource.v1.ResourceSlice",
    validate=_validate,
    validate_update=_validate_update,
    columns=(
        NAME,
        Column("Node", "string", _node_cell),
        Column("Driver", "string", at("spec", "driver")),
        Column("Pool", "string", at("spec", "pool", "name")),
        AGE,
    ),
    selectable_fields={
        "spec.nodeName": lambda slice_: get_in(slice_, "spec", "nodeName") or "",
        "spec.driver": lambda slice_: get_in(slice_, "spec", "driver") or "",
    },
)
