"""CSINode. Upstream: pkg/apis/storage/validation/validation.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.csidriver import driver_name_errors
from kubesim.api.kinds.parts.cells import size
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import get_in

Object = dict[str, Any]
ID_BYTES_MAX = 192


def _validate(node: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(node, namespaced=False)
    seen: set[str] = set()
    for index, driver in enumerate(get_in(node, "spec", "drivers") or ()):
        path, name = f"spec.drivers[{index}]", driver.get("name", "")
        wrong += driver_name_errors(name, f"{path}.name")
        identity = driver.get("nodeID", "")
        if not identity:
            wrong.append(field.required(f"{path}.nodeID"))
        elif len(identity) > ID_BYTES_MAX:
            wrong.append(field.invalid(f"{path}.nodeID", identity, f"must be {ID_BYTES_MAX} characters or less"))
        count = get_in(driver, "allocatable", "count")
        if count is not None and count < 0:
            wrong.append(field.invalid(f"{path}.allocatable.count", count, names.NOT_NEGATIVE))
        if name in seen:
            wrong.append(field.duplicate(f"{path}.name", name))
        seen.add(name)
        keys: set[str] = set()
        for place, key in enumerate(driver.get("topologyKeys") or ()):
            if not key:
                wrong.append(field.required(f"{path}.topologyKeys"))
            elif key in keys:
                wrong.append(field.duplicate(f"{path}.topologyKeys[{place}]", key))
            keys.add(key)
            wrong += [field.invalid(f"{path}.topologyKeys[{place}]", key, message) for message in names.check_qualified_name(key)]
    return wrong


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    before = {driver.get("name"): driver for driver in get_in(old, "spec", "drivers") or ()}
    for driver in get_in(new, "spec", "drivers") or ():
        former = before.get(driver.get("name"))
        if former is not None and any(driver.get(name) != former.get(name) for name in ("nodeID", "topologyKeys")):
            wrong.append(field.invalid("spec.drivers", driver, "field is immutable"))
    return wrong


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="CSINode",
    plural="csinodes",
    namespaced=False,
    schema="io.k8s.api.storage.v1.CSINode",
    validate=_validate,
    validate_update=_validate_update,
    columns=(NAME, Column("Drivers", "integer", size("spec", "drivers")), AGE),
    has_generation=False,
    allow_unconditional_update=False,
)
