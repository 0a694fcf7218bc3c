"""Node: cluster-scoped; its kubelet writes the status, the scheduler and controllers write taints.

Upstream: pkg/registry/core/node/strategy.go, ValidateNode in pkg/apis/core/validation/validation.go.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from kubesim.api import conditions, field, names, quantity
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.checks import text_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.containers import canonical_amounts
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import change, fill, get_in, keep_all_but_status, keep_status
from kubesim.api.kinds.parts.table import NONE, UNKNOWN

Object = dict[str, Any]
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_INFO = (
    "machineID",
    "systemUUID",
    "bootID",
    "kernelVersion",
    "osImage",
    "containerRuntimeVersion",
    "kubeletVersion",
    "kubeProxyVersion",
    "operatingSystem",
    "architecture",
)
_STATUS = {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}, "nodeInfo": dict.fromkeys(_INFO, "")}
_ROLE = "node-role.kubernetes.io/"


def _default(node: Object) -> Object:
    filled = change(fill(node, {"spec": {}, "status": {}}), "status", _default_status)
    return change(filled, "spec", _default_spec)


def _default_spec(spec: Object) -> Object:
    """``podCIDR`` is the first of ``podCIDRs``: whichever is given sets the other."""
    if spec.get("podCIDR") and not spec.get("podCIDRs"):
        return {**spec, "podCIDRs": [spec["podCIDR"]]}
    if spec.get("podCIDRs") and not spec.get("podCIDR"):
        return {**spec, "podCIDR": spec["podCIDRs"][0]}
    return spec


def _default_status(status: Object) -> Object:
    filled = fill(status, _STATUS)
    filled = change(change(filled, "capacity", canonical_amounts), "allocatable", canonical_amounts)
    if filled.get("capacity") and filled.get("allocatable") is None:
        filled = {**filled, "allocatable": filled["capacity"]}
    return filled


def _prepare_status(new: Object, old: Object) -> Object:
    """Allocatable is defaulted from what a status write says, whatever it says of the rest."""
    status = new.get("status")
    return keep_all_but_status({**new, "status": _default_status(status)} if status else new, old)


def _validate(node: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(node, namespaced=False)
    spec = node.get("spec") or {}
    if taints := spec.get("taints"):
        wrong += taint_errors(taints, "metadata.taints")  # upstream's path
    for index, cidr in enumerate(spec.get("podCIDRs") or ()):
        wrong += text_errors(cidr, f"spec.podCIDRs[{index}]", names.check_cidr)
    return wrong + _status_errors(node)


def taint_errors(taints: Sequence[Object], path: str) -> list[FieldError]:
    """Errors of a node's taints: well formed, and unique by key and effect."""
    wrong: list[FieldError] = []
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(taints):
        at = f"{path}[{index}]"
        key, value, effect = taint.get("key", ""), taint.get("value", ""), taint.get("effect", "")
        wrong += [field.invalid(f"{at}.key", key, message) for message in names.check_qualified_name(key)]
        wrong += [field.invalid(f"{at}.value", value, message) for message in names.check_label_value(value)]
        if not effect:
            wrong.append(field.required(f"{at}.effect"))
        elif effect not in EFFECTS:
            wrong.append(field.not_supported(f"{at}.effect", effect, EFFECTS))
        if effect and (key, effect) in seen:
            shown = {"Key": key, "Value": value, "Effect": effect, "TimeAdded": taint.get("timeAdded")}
            duplicate = field.duplicate(at, shown)
            wrong.append(duplicate._replace(message=f"{duplicate.message}: taints must be unique by key and effect pair"))
        seen.add((key, effect))
    return wrong


@lru_cache(1024)
def _is_negative(amount: str) -> bool:
    return quantity.parse(amount).nanos < 0


def _status_errors(node: Object) -> list[FieldError]:
    wrong: list[FieldError] = []
    for which in ("capacity", "allocatable"):
        for name, amount in (get_in(node, "status", which) or {}).items():
            if _is_negative(quantity.as_text(amount)):
                wrong.append(field.invalid(f"status.{which}.{name}", amount, names.NOT_NEGATIVE))
    return wrong


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if before is after:
        return wrong
    changed = before.get("podCIDR") != after.get("podCIDR") or before.get("podCIDRs") != after.get("podCIDRs")
    if before.get("podCIDRs") and changed:
        wrong.append(field.forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid'))
    if before.get("providerID") and before.get("providerID") != after.get("providerID"):
        wrong.append(field.forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid'))
    return wrong


def _validate_status(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    return wrong + _status_errors(new) if new.get("status") is not old.get("status") else wrong


def _status_cell(node: Object, now_ns: int) -> str:
    ready = conditions.get_condition(node, "Ready")
    words = ["Unknown"] if ready is None else ["Ready"] if ready["status"] == "True" else ["NotReady"]
    if get_in(node, "spec", "unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles_cell(node: Object, now_ns: int) -> str:
    labels = node["metadata"].get("labels") or {}
    roles = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE) and key != _ROLE}
    if labels.get("kubernetes.io/role"):
        roles.add(labels["kubernetes.io/role"])
    return ",".join(sorted(roles)) or NONE


def _address(node: Object, type_: str) -> str:
    for address in get_in(node, "status", "addresses") or ():
        if address["type"] == type_:
            found: str = address["address"]
            return found
    return NONE


def _kernel(node: Object, now_ns: int) -> str:
    """The kernel's version, and the architecture in brackets where the node tells it."""
    info = get_in(node, "status", "nodeInfo") or {}
    version = info.get("kernelVersion") or UNKNOWN
    return f"{version} ({info['architecture']})" if info.get("architecture") else version


def _info(name: str, missing: str = UNKNOWN) -> Any:
    return lambda node, now_ns: get_in(node, "status", "nodeInfo", name) or missing


def _unschedulable(node: Object) -> str:
    return "true" if get_in(node, "spec", "unschedulable") else "false"


KIND = Kind(
    group="",
    version="v1",
    kind="Node",
    plural="nodes",
    namespaced=False,
    short_names=("no",),
    schema="io.k8s.api.core.v1.Node",
    subresources=("proxy", "status"),
    default=_default,
    prepare_update=keep_status,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
    columns=(
        NAME,
        Column("Status", "string", _status_cell),
        Column("Roles", "string", _roles_cell),
        AGE,
        Column("Version", "string", lambda node, now_ns: get_in(node, "status", "nodeInfo", "kubeletVersion") or ""),
        Column("Internal-IP", "string", lambda node, now_ns: _address(node, "InternalIP"), 1),
        Column("External-IP", "string", lambda node, now_ns: _address(node, "ExternalIP"), 1),
        Column("OS-Image", "string", _info("osImage"), 1),
        Column("Kernel-Version", "string", _kernel, 1),
        Column("Container-Runtime", "string", _info("containerRuntimeVersion"), 1),
    ),
    selectable_fields={"spec.unschedulable": _unschedulable},
    has_generation=False,
)
