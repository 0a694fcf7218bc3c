"""PriorityLevelConfiguration. Upstream: pkg/apis/flowcontrol/validation/validation.go, pkg/apis/flowcontrol/v1/defaults.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import at
from kubesim.api.kinds.parts.checks import choice_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import change, changed_spec, fill, get_in, keep_all_but_bare_status, keep_status, without_status

Object = dict[str, Any]
_QUEUING = {"queues": 64, "handSize": 8, "queueLengthLimit": 50}


def _default(level: Object) -> Object:
    return changed_spec(level, lambda spec: change(change(spec, "limited", _default_limited), "exempt", _default_exempt))


def _default_limited(limited: Object) -> Object:
    filled = fill(limited, {"nominalConcurrencyShares": 30, "lendablePercent": 0})
    return change(filled, "limitResponse", lambda response: change(response, "queuing", lambda queuing: fill(queuing, _QUEUING)))


def _default_exempt(exempt: Object) -> Object:
    return fill(exempt, {"nominalConcurrencyShares": 0, "lendablePercent": 0})


def _validate(level: Object) -> Sequence[FieldError]:
    spec = level.get("spec") or {}
    wrong = metadata_errors(level, namespaced=False)
    type_ = spec.get("type")
    wrong += choice_errors(type_, "spec.type", ("Exempt", "Limited"), is_required=True)
    if type_ == "Limited" and spec.get("limited") is None:
        wrong.append(field.required("spec.limited", "must not be empty when type is Limited"))
    if type_ == "Exempt" and spec.get("limited") is not None:
        wrong.append(field.forbidden("spec.limited", "must be nil if the type is not Limited"))
    if spec.get("limited") is not None:
        wrong += _response_errors(get_in(spec, "limited", "limitResponse") or {}, "spec.limited.limitResponse")
    return wrong


def _response_errors(response: Object, path: str) -> list[FieldError]:
    """Errors of what happens to requests above the limit (ValidateLimitResponse)."""
    type_, queuing, at_ = response.get("type"), response.get("queuing"), f"{path}.queuing"
    wrong = choice_errors(type_, f"{path}.type", ("Queue", "Reject"), is_required=True)
    if type_ == "Reject" and queuing is not None:
        wrong.append(field.forbidden(at_, "must be nil if limited.limitResponse.type is not Limited"))
    if type_ == "Queue" and queuing is None:
        wrong.append(field.required(at_, "must not be empty if limited.limitResponse.type is Limited"))
    if type_ != "Queue" or queuing is None:
        return wrong
    for name in ("queueLengthLimit", "queues", "handSize"):
        if queuing.get(name, 0) <= 0:
            wrong.append(field.invalid(f"{at_}.{name}", queuing.get(name, 0), "must be positive"))
    if queuing.get("handSize", 0) > queuing.get("queues", 0):
        detail = f"should not be greater than queues ({queuing.get('queues', 0)})"
        wrong.append(field.invalid(f"{at_}.handSize", queuing["handSize"], detail))
    return wrong


KIND = Kind(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    kind="PriorityLevelConfiguration",
    plural="prioritylevelconfigurations",
    namespaced=False,
    schema="io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration",
    subresources=("status",),
    default=_default,
    prepare_create=without_status,
    prepare_update=keep_status,
    prepare_status=keep_all_but_bare_status,
    validate=_validate,
    validate_update=metadata_update_errors,
    validate_status=metadata_update_errors,
    columns=(
        NAME,
        Column("Type", "string", at("spec", "type")),
        Column("NominalConcurrencyShares", "string", at("spec", "limited", "nominalConcurrencyShares", missing="<none>")),
        Column("Queues", "string", at("spec", "limited", "limitResponse", "queuing", "queues", missing="<none>")),
        Column("HandSize", "string", at("spec", "limited", "limitResponse", "queuing", "handSize", missing="<none>")),
        Column("QueueLengthLimit", "string", at("spec", "limited", "limitResponse", "queuing", "queueLengthLimit", missing="<none>")),
        AGE,
    ),
)
