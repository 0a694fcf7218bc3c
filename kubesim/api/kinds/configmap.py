"""ConfigMap: strings and bytes by key, at most 1 MiB; immutable when it says so. Upstream: ValidateConfigMap."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors

Object = dict[str, Any]
SIZE_MAX = 1024 * 1024


def _validate(config: Object) -> Sequence[FieldError]:
    data, binary = config.get("data") or {}, config.get("binaryData") or {}
    wrong = metadata_errors(config)
    size = 0
    for key, value in data.items():
        wrong += [field.invalid(f"data[{key}]", key, message) for message in names.check_config_key(key)]
        if key in binary:
            wrong.append(field.invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
        size += len(value.encode())
    for key, value in binary.items():
        wrong += [field.invalid(f"binaryData[{key}]", key, message) for message in names.check_config_key(key)]
        size += len(value) * 3 // 4
    if size > SIZE_MAX:
        wrong.append(field.too_long("[]", SIZE_MAX))
    return wrong


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    if not old.get("immutable"):
        return wrong
    if not new.get("immutable"):
        wrong.append(field.forbidden("immutable", "field is immutable when `immutable` is set"))
    for name in ("data", "binaryData"):
        if (new.get(name) or {}) != (old.get(name) or {}):
            wrong.append(field.forbidden(name, "field is immutable when `immutable` is set"))
    return wrong


KIND = Kind(
    update_order="muMS",
    group="",
    version="v1",
    kind="ConfigMap",
    plural="configmaps",
    short_names=("cm",),
    schema="io.k8s.api.core.v1.ConfigMap",
    validate=_validate,
    validate_update=_validate_update,
    columns=(
        NAME,
        Column("Data", "string", lambda config, now_ns: len(config.get("data") or {}) + len(config.get("binaryData") or {})),
        AGE,
    ),
    has_generation=False,
)
