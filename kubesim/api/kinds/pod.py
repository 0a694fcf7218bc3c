"""Pod: born Pending with its QoS class; its spec hardly changes after birth; deletion is graceful.

Upstream: pkg/registry/core/pod/strategy.go, ValidatePod and ValidatePodUpdate in pkg/apis/core/validation/validation.go.
"""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names, resources
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.checks import text_errors
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.pod_columns import COLUMNS
from kubesim.api.kinds.parts.pod_spec import default_pod_spec
from kubesim.api.kinds.parts.pod_update import spec_update_errors
from kubesim.api.kinds.parts.pod_validation import pod_only_errors, pod_spec_errors
from kubesim.api.kinds.parts.shape import get_in, keep_all_but_status, keep_status
from kubesim.api.memo import IdentityMemo

Object = dict[str, Any]


_GATED = {
    "type": "PodScheduled",
    "status": "False",
    "lastProbeTime": None,
    "reason": "SchedulingGated",
    "message": "Scheduling is blocked due to non-empty scheduling gates",
}


def _default(pod: Object) -> Object:
    spec = pod.get("spec")
    if spec is None:
        return pod
    filled = default_pod_spec(spec)
    return pod if filled is spec else {**pod, "spec": filled}


_known_qos: IdentityMemo[str] = IdentityMemo(resources.qos_class)


def _prepare_create(pod: Object) -> Object:
    spec = pod.get("spec") or {}
    status: Object = {"phase": "Pending", "qosClass": _known_qos(spec)}
    if spec.get("schedulingGates"):
        status = {"phase": "Pending", "conditions": [{**_GATED, "lastTransitionTime": pod["metadata"].get("creationTimestamp")}]} | status
    return {**pod, "status": status}


def _prepare_status(new: Object, old: Object) -> Object:
    """Status and metadata of ``new``; the QoS class never changes by being left out, and one address is a list of one."""
    kept = keep_all_but_status(new, old)
    status = kept.get("status") or {}
    before = old.get("status") or {}
    if "qosClass" not in status and "qosClass" in before:
        kept["status"] = status = {**status, "qosClass": before["qosClass"]}
    address, addresses = status.get("podIP"), status.get("podIPs")
    if address and (not addresses or addresses[0].get("ip") != address):
        kept["status"] = {**status, "podIPs": [{"ip": address}]}
    return kept


def _validate_status(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    after, before = new.get("status") or {}, old.get("status") or {}
    if after.get("qosClass") != before.get("qosClass"):
        wrong += immutable_errors(after.get("qosClass"), before.get("qosClass"), "status.qosClass")
    if after.get("podIPs") is not before.get("podIPs"):
        for index, address in enumerate(after.get("podIPs") or ()):
            wrong += text_errors(address["ip"], f"status.podIPs[{index}]", names.check_ip)
    return wrong


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


def _validate_create(pod: Object) -> Sequence[FieldError]:
    if pod["spec"].get("ephemeralContainers"):
        return [field.forbidden("spec.ephemeralContainers", "cannot be set on create")]
    return ()


KIND = Kind(
    update_order="mMSu",
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
    prepare_status=_prepare_status,
    validate=_validate,
    validate_create=_validate_create,
    validate_update=_validate_update,
    validate_status=_validate_status,
    columns=COLUMNS,
    selectable_fields={
        "spec.nodeName": _field("spec", "nodeName"),
        "spec.restartPolicy": _field("spec", "restartPolicy"),
        "spec.schedulerName": _field("spec", "schedulerName"),
        "spec.serviceAccountName": _field("spec", "serviceAccountName"),
        "spec.hostNetwork": lambda pod: "true" if get_in(pod, "spec", "hostNetwork") else "false",
        "status.phase": _field("status", "phase"),
        "status.podIP": _field("status", "podIP"),
        "status.podIPs": lambda pod: "",  # known, but no Pod has it, as upstream
        "status.nominatedNodeName": _field("status", "nominatedNodeName"),
    },
    default_grace_period_seconds=_grace_seconds,
)
