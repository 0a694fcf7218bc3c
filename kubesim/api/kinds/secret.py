"""Secret: bytes by key with a type; stringData is written into data at the door. Upstream: ValidateSecret."""

import base64
from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import fill

Object = dict[str, Any]
SIZE_MAX = 1024 * 1024
_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def _default(secret: Object) -> Object:
    filled = fill(secret, {"type": "Opaque"})
    if "stringData" not in filled:
        return filled
    texts = {key: base64.b64encode(text.encode()).decode() for key, text in (filled["stringData"] or {}).items()}
    kept = {key: value for key, value in filled.items() if key != "stringData"}
    return {**kept, "data": {**(filled.get("data") or {}), **texts}} if texts else kept


def _validate(secret: Object) -> Sequence[FieldError]:
    data = secret.get("data") or {}
    wrong = metadata_errors(secret)
    for key in data:
        wrong += [field.invalid(f"data[{key}]", key, message) for message in names.check_config_key(key)]
    if sum(len(value or "") * 3 // 4 for value in data.values()) > SIZE_MAX:
        wrong.append(field.too_long("data", SIZE_MAX))
    type_ = secret.get("type", "")
    if type_ == "kubernetes.io/service-account-token":
        account = (secret["metadata"].get("annotations") or {}).get("kubernetes.io/service-account.name")
        if not account:
            wrong.append(field.required("metadata.annotations[kubernetes.io/service-account.name]"))
    if type_ == "kubernetes.io/basic-auth" and "username" not in data and "password" not in data:
        wrong += [field.required("data[username]"), field.required("data[password]")]
    return wrong + [field.required(f"data[{key}]") for key in _KEYS.get(type_, ()) if key not in data]


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    wrong += immutable_errors(new.get("type"), old.get("type"), "type")
    if not old.get("immutable"):
        return wrong
    if not new.get("immutable"):
        wrong.append(field.forbidden("immutable", "field is immutable when `immutable` is set"))
    if (new.get("data") or {}) != (old.get("data") or {}):
        wrong.append(field.forbidden("data", "field is immutable when `immutable` is set"))
    return wrong


KIND = Kind(
    update_order="muMS",
    group="",
    version="v1",
    kind="Secret",
    plural="secrets",
    schema="io.k8s.api.core.v1.Secret",
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    columns=(
        NAME,
        Column("Type", "string", lambda secret, now_ns: secret.get("type", "")),
        Column("Data", "string", lambda secret, now_ns: len(secret.get("data") or {})),
        AGE,
    ),
    selectable_fields={"type": lambda secret: secret.get("type", "")},
    has_generation=False,
)
