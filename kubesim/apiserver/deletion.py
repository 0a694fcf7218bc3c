"""The rules of deletion, as pure functions of an object and the delete options.

Upstream: apiserver/pkg/registry/rest/delete.go (BeforeDelete), pkg/registry/generic/registry/store.go (finalizers for
garbage collection) and the Pod strategy's CheckGracefulDelete. What is written and in which order is ``verbs/delete.py``.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kubesim.api import field
from kubesim.api.errors import FieldError, bad_request, conflict, invalid
from kubesim.apiserver.registry import NOT_COLLECTED, ORPHANS_BY_DEFAULT, Resource
from kubesim.kernel.time import SECOND, format_time, parse_time

Object = dict[str, Any]
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
POLICIES = ("Foreground", "Background", "Orphan")


class Grace(NamedTuple):
    """What a delete does about time: ``graceful`` writes the deletion time, ``pending`` means that nothing is left to do."""

    graceful: bool
    pending: bool
    obj: Object


def check_options(options: Mapping[str, Any]) -> None:
    """Raise 422 for options that contradict each other or have unknown values."""
    policy = options.get("propagationPolicy")
    if policy is None:
        return
    errors: list[FieldError] = []
    if options.get("orphanDependents") is not None:
        errors.append(field.invalid("propagationPolicy", policy, "orphanDependents and deletionPropagation cannot be both set"))
    elif policy not in POLICIES:
        errors.append(field.not_supported("propagationPolicy", policy, (*POLICIES, "nil")))
    if errors:
        raise invalid("DeleteOptions", "", errors, "meta.k8s.io")


def check_preconditions(resource: Resource, obj: Object, options: Mapping[str, Any]) -> None:
    """Raise 409 when the object is not the one, or not in the version, that the client meant."""
    preconditions = options.get("preconditions")
    if not preconditions:
        return
    metadata, kind = obj["metadata"], resource.kind
    label = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    uid, version = preconditions.get("uid"), preconditions.get("resourceVersion")
    if uid and uid != metadata["uid"]:
        why = f"the UID in the precondition ({uid}) does not match the UID in record ({metadata['uid']}). "
        raise conflict(label, metadata["name"], why + "The object might have been deleted and then recreated")
    if version and version != metadata["resourceVersion"]:
        why = f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record "
        raise conflict(label, metadata["name"], f"{why}({metadata['resourceVersion']}). The object might have been modified")


def begin(resource: Resource, obj: Object, options: Mapping[str, Any], now_ns: int) -> Grace:
    """Decide about grace: mark the object, shorten its grace, or leave it as it is."""
    default = resource.kind.default_grace_period_seconds
    if default is None:
        return Grace(False, False, obj)
    asked: int | None = options.get("gracePeriodSeconds")
    if asked is not None and asked < 0:
        asked = 1
    if "deletionTimestamp" in obj["metadata"]:
        return _shorten(obj, asked)
    grace = default(obj) if asked is None else asked
    finished = (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    if finished or not obj["spec"].get("nodeName"):
        grace = 0
    return Grace(True, False, marked(obj, now_ns, 1 if grace < 0 else grace))


def _shorten(obj: Object, asked: int | None) -> Grace:
    """A second delete: grace only ever gets shorter, and without a shorter one there is nothing to do."""
    metadata = obj["metadata"]
    current = metadata.get("deletionGracePeriodSeconds")
    if not current:
        return Grace(False, False, obj)  # the write before was the last step but one: delete now
    if asked is None or asked >= current:
        return Grace(False, True, obj)
    due_ns = parse_time(metadata["deletionTimestamp"]) + (asked - current) * SECOND
    fresh = {**metadata, "deletionTimestamp": format_time(due_ns), "deletionGracePeriodSeconds": asked, "resourceVersion": ""}
    return Grace(True, False, {**obj, "metadata": fresh})


def marked(obj: Object, now_ns: int, grace_seconds: int) -> Object:
    """The object being deleted: deletion time, grace, and a new generation where the object has one."""
    metadata = obj["metadata"].copy()
    metadata["resourceVersion"] = ""
    metadata["deletionTimestamp"] = format_time(now_ns + grace_seconds * SECOND)
    metadata["deletionGracePeriodSeconds"] = grace_seconds
    if metadata.get("generation"):
        metadata["generation"] += 1
    return {**obj, "metadata": metadata}


def finalizers_for(resource: Resource, obj: Object, options: Mapping[str, Any]) -> list[str] | None:
    """The finalizers that the propagation policy asks for, or None when they stay as they are."""
    current: list[str] = obj["metadata"].get("finalizers") or []
    if resource.name in NOT_COLLECTED:
        return None
    wanted = [name for name in current if name not in (FOREGROUND, ORPHAN)]
    if _orphans(resource, current, options):
        wanted.append(ORPHAN)
    elif _foreground(current, options):
        wanted.append(FOREGROUND)
    return None if set(wanted) == set(current) else wanted


def _orphans(resource: Resource, current: list[str], options: Mapping[str, Any]) -> bool:
    policy = options.get("propagationPolicy")
    if options.get("orphanDependents") is not None:
        return bool(options["orphanDependents"])
    if policy is not None:
        return bool(policy == "Orphan")
    if FOREGROUND in current:
        return False
    return ORPHAN in current or resource.name in ORPHANS_BY_DEFAULT


def _foreground(current: list[str], options: Mapping[str, Any]) -> bool:
    policy = options.get("propagationPolicy")
    return policy == "Foreground" if policy is not None else FOREGROUND in current and options.get("orphanDependents") is None


def may_vanish(obj: Object) -> bool:
    """Whether an object that is being deleted has nothing left to wait for: it goes with the write that makes it so."""
    metadata = obj["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
        return False
    return not metadata.get("deletionGracePeriodSeconds") and not (obj["kind"] == "Namespace" and obj["spec"].get("finalizers"))


def parse_grace(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options with ``gracePeriodSeconds`` as an int, however it came; 400 when it is none."""
    grace = options.get("gracePeriodSeconds")
    if grace is None or isinstance(grace, int):
        return options
    try:
        return {**options, "gracePeriodSeconds": int(grace)}
    except ValueError:
        raise bad_request(f'gracePeriodSeconds: Invalid value: "{grace}": expected an integer') from None
