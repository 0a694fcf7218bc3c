"""PodDisruptionBudget. Upstream: pkg/registry/policy/poddisruptionbudget/strategy.go, ValidatePodDisruptionBudgetSpec."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import count
from kubesim.api.kinds.parts.checks import choice_errors, not_negative
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.counts import int_or_percent_errors, not_above_all_errors
from kubesim.api.kinds.parts.label_selector import label_selector_errors
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import get_in, keep_all_but_status, keep_status

Object = dict[str, Any]
_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


def _prepare_create(budget: Object) -> Object:
    return {**budget, "status": dict.fromkeys(_COUNTS, 0)}


def _validate(budget: Object) -> Sequence[FieldError]:
    spec = budget.get("spec") or {}
    at_least, at_most = spec.get("minAvailable"), spec.get("maxUnavailable")
    wrong = metadata_errors(budget)
    if at_least is not None and at_most is not None:
        policy = spec.get("unhealthyPodEvictionPolicy")
        shown = {
            "MinAvailable": at_least,
            "Selector": spec.get("selector"),
            "MaxUnavailable": at_most,
            "UnhealthyPodEvictionPolicy": policy,
        }
        wrong.append(field.invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set"))
    for name, value in (("minAvailable", at_least), ("maxUnavailable", at_most)):
        if value is not None:
            wrong += int_or_percent_errors(value, f"spec.{name}") + not_above_all_errors(value, f"spec.{name}")
    wrong += label_selector_errors(spec.get("selector"), "spec.selector")
    policies = ("AlwaysAllow", "IfHealthyBudget")
    return wrong + choice_errors(spec.get("unhealthyPodEvictionPolicy"), "spec.unhealthyPodEvictionPolicy", policies)


def _validate_status(new: Object, old: Object) -> Sequence[FieldError]:
    return metadata_update_errors(new, old) + not_negative(new.get("status") or {}, "status", _COUNTS)


def _amount(name: str) -> Any:
    def cell(budget: Object, now_ns: int) -> str:
        value = get_in(budget, "spec", name)
        return "N/A" if value is None else str(value)

    return cell


KIND = Kind(
    update_order="MS",
    group="policy",
    version="v1",
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    short_names=("pdb",),
    schema="io.k8s.api.policy.v1.PodDisruptionBudget",
    subresources=("status",),
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    prepare_status=keep_all_but_status,
    validate=_validate,
    validate_update=metadata_update_errors,
    validate_status=_validate_status,
    allow_unconditional_update=False,
    columns=(
        NAME,
        Column("Min Available", "string", _amount("minAvailable")),
        Column("Max Unavailable", "string", _amount("maxUnavailable")),
        Column("Allowed Disruptions", "integer", count("status", "disruptionsAllowed")),
        AGE,
    ),
)
