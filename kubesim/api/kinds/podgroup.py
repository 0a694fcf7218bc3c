"""PodGroup (v1alpha2, gate GenericWorkload): Pods that are scheduled together, and how many of them make it worth while.

Upstream: pkg/apis/scheduling/{types.go,validation}, pkg/registry/scheduling/podgroup/strategy.go.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.columns import NAME_AND_AGE
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import keep_all_but_status, keep_status, without_status

Object = dict[str, Any]
GATE = "GenericWorkload"
POLICIES = ("basic", "gang")


def policy_errors(policy: Mapping[str, Any], path: str) -> list[FieldError]:
    """What is wrong with a scheduling policy: exactly one, and a gang of at least one Pod."""
    given = [name for name in POLICIES if policy.get(name) is not None]
    if len(given) != 1:
        wanted = "must specify one of: `basic`, `gang`"
        return [field.invalid(path, ", ".join(given) if given else "", wanted)]
    count = (policy.get("gang") or {}).get("minCount")
    if count is not None and count < 1:
        return [field.invalid(f"{path}.gang.minCount", count, "must be greater than or equal to 1")]
    return []


def _validate(group: Object) -> Sequence[FieldError]:
    return [*metadata_errors(group, namespaced=True), *policy_errors(group["spec"].get("schedulingPolicy") or {}, "spec.schedulingPolicy")]


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    return [*metadata_update_errors(new, old), *immutable_errors(new["spec"], old["spec"], "spec")]


KIND = Kind(
    group="scheduling.k8s.io",
    version="v1alpha2",
    kind="PodGroup",
    plural="podgroups",
    namespaced=True,
    schema="io.k8s.api.scheduling.v1alpha2.PodGroup",
    subresources=("status",),
    prepare_create=without_status,
    prepare_update=keep_status,
    prepare_status=keep_all_but_status,
    validate=_validate,
    validate_update=_validate_update,
    columns=NAME_AND_AGE,
)
