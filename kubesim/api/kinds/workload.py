"""Workload (v1alpha2, gate GenericWorkload): the templates of the PodGroups that controllers make.

Upstream: pkg/apis/scheduling/{types.go,validation}, pkg/registry/scheduling/workload/strategy.go.
"""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.columns import NAME_AND_AGE
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors
from kubesim.api.kinds.podgroup import GATE, policy_errors

Object = dict[str, Any]
TEMPLATES_MAX = 8


def _validate(workload: Object) -> Sequence[FieldError]:
    wrong = [*metadata_errors(workload, namespaced=True)]
    templates, path = workload["spec"].get("podGroupTemplates") or (), "spec.podGroupTemplates"
    if not templates:
        wrong.append(field.required(path, "must have at least one item"))
    if len(templates) > TEMPLATES_MAX:
        wrong.append(field.too_many(path, len(templates), TEMPLATES_MAX))
    seen: dict[str, None] = {}
    for index, template in enumerate(templates):
        name = template.get("name", "")
        if name in seen:
            wrong.append(field.duplicate(f"{path}[{index}].name", name))
        seen[name] = None
        wrong += policy_errors(template.get("schedulingPolicy") or {}, f"{path}[{index}].schedulingPolicy")
    return wrong


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    return [*metadata_update_errors(new, old), *immutable_errors(new["spec"], old["spec"], "spec")]


KIND = Kind(
    group="scheduling.k8s.io",
    version="v1alpha2",
    kind="Workload",
    plural="workloads",
    namespaced=True,
    schema="io.k8s.api.scheduling.v1alpha2.Workload",
    validate=_validate,
    validate_update=_validate_update,
    columns=NAME_AND_AGE,
)
__all__ = ["GATE", "KIND"]
