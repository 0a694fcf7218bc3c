"""Pod: born Pending with its QoS class; its spec hardly changes after birth; deletion is graceful.

Upstream: pkg/registry/core/pod/strategy.go, ValidatePod and ValidatePodUpdate in pkg/apis/core/validation/validation.go.
"""

from collections.abc import Sequence
from typing import Any

from kubesim.api import resources
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.pod_columns import COLUMNS
from kubesim.api.kinds.parts.pod_spec import default_pod_spec
from kubesim.api.kinds.parts.pod_update import spec_update_errors
from kubesim.api.kinds.parts.pod_validation import pod_only_errors, pod_spec_errors
from kubesim.api.kinds.parts.shape import get_in, keep_all_but_status, keep_status
from kubesim.api.memo import IdentityMemo

Object = dict[str, Any]


_known_default: IdentityMemo[Object] = IdentityMemo(default_pod_spec)


def _default(pod: Object) -> Object:
    spec = pod.get("spec")
    if spec is None:
        return pod
    filled = _known_default(spec)
    return pod if filled is spec else {**pod, "spec": filled}


_known_qos: IdentityMemo[str] = IdentityMemo(resources.qos_class)


def _prepare_create(pod: Object) -> Object:
    return {**pod, "status": {"phase": "Pending", "qosClass": _known_qos(pod.get("spec") or {})}}


def _spec_errors(spec: Object) -> tuple[FieldError, ...]:
    return (*pod_spec_errors(spec, "spec"), *pod_only_errors(spec, "spec"))


_known_errors: IdentityMemo[tuple[FieldError, ...]] = IdentityMemo(_spec_errors)


def _validate(pod: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(pod)
    errors = _known_errors(pod.get("spec") or {})
    return [*wrong, *errors] if errors else wrong


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    before, after = old["spec"], new["spec"]
    return wrong if before is after or before == after else wrong + spec_update_errors(after, before)


def _grace_seconds(pod: Object) -> int:
    """The grace of a deletion that names none; a Pod that is not on a node, or has ended, goes at once."""
    seconds = get_in(pod, "spec", "terminationGracePeriodSeconds")
    return 30 if seconds is None else seconds


def _field(*path: str) -> Any:
    return lambda pod: get_in(pod, *path) or ""


KIND = Kind(
    group="",
    version="v1",
    kind="Pod",
    plural="pods",
    short_names=("po",),
    categories=("all",),
    schema="io.k8s.api.core.v1.Pod",
    subresources=("attach", "binding", "ephemeralcontainers", "eviction", "exec", "log", "portforward", "proxy", "resize", "status"),
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    prepare_status=keep_all_but_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=metadata_update_errors,
    columns=COLUMNS,
    selectable_fields={
        "spec.nodeName": _field("spec", "nodeName"),
        "spec.restartPolicy": _field("spec", "restartPolicy"),
        "spec.schedulerName": _field("spec", "schedulerName"),
        "spec.serviceAccountName": _field("spec", "serviceAccountName"),
        "spec.hostNetwork": lambda pod: "true" if get_in(pod, "spec", "hostNetwork") else "false",
        "status.phase": _field("status", "phase"),
        "status.podIP": _field("status", "podIP"),
        "status.nominatedNodeName": _field("status", "nominatedNodeName"),
    },
    default_grace_period_seconds=_grace_seconds,
)
