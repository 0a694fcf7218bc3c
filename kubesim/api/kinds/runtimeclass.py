"""RuntimeClass. Upstream: pkg/apis/node/validation/validation.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import at
from kubesim.api.kinds.parts.checks import text_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.placement_validation import toleration_errors
from kubesim.api.kinds.parts.resource_validation import amount_errors
from kubesim.api.kinds.parts.shape import get_in

Object = dict[str, Any]


def _validate(class_: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(class_, namespaced=False)
    wrong += text_errors(class_.get("handler", ""), "handler", names.check_dns_label)
    for name, amount in (get_in(class_, "overhead", "podFixed") or {}).items():
        wrong += amount_errors(name, amount, f"overhead.podFixed[{name}]")
    if scheduling := class_.get("scheduling"):
        wrong += names.label_errors(scheduling.get("nodeSelector"), "scheduling.nodeSelector")
        wrong += toleration_errors(scheduling.get("tolerations") or (), "scheduling.tolerations")
    return wrong


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    return [*metadata_update_errors(new, old), *immutable_errors(new.get("handler", ""), old.get("handler", ""), "handler")]


KIND = Kind(
    group="node.k8s.io",
    version="v1",
    kind="RuntimeClass",
    plural="runtimeclasses",
    namespaced=False,
    schema="io.k8s.api.node.v1.RuntimeClass",
    validate=_validate,
    validate_update=_validate_update,
    columns=(NAME, Column("Handler", "string", at("handler")), AGE),
    has_generation=False,
    allow_create_on_update=True,
    allow_unconditional_update=False,
)
