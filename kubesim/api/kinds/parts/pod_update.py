"""What may change in the spec of a Pod that exists. Upstream: ValidatePodUpdate."""

from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.go_dump import POD_SPEC, diff

Object = dict[str, Any]
_FORBIDDEN = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def spec_update_errors(new: Object, old: Object) -> list[FieldError]:
    """Errors of a change from ``old`` to ``new``, two defaulted Pod specs."""
    wrong: list[FieldError] = []
    names = sorted(name for name in {**old, **new} if old.get(name) is not new.get(name) and old.get(name) != new.get(name))
    for name in names:
        if name in ("containers", "initContainers"):
            found = _image_errors(new.get(name) or [], old.get(name) or [], f"spec.{name}")
            if found is None:
                return [_forbidden(new, old)]
            wrong += found
        elif name == "activeDeadlineSeconds":
            wrong += _deadline_errors(new.get(name), old.get(name))
        elif name == "tolerations":
            wrong += _toleration_errors(new.get(name) or [], old.get(name) or [])
        elif name == "schedulingGates":
            wrong += _gate_errors(new.get(name) or [], old.get(name) or [])
        elif name == "nodeSelector" and old.get("schedulingGates"):
            wrong += _selector_errors(new.get(name) or {}, old.get(name) or {})
        elif _may_change(name, new, old):
            continue
        else:
            return [_forbidden(new, old)]
    return wrong


def _forbidden(new: Object, old: Object) -> FieldError:
    """The refusal with the difference that is left when what may change is as it was."""
    kept = {name: old[name] for name in ("activeDeadlineSeconds", "tolerations", "schedulingGates") if name in old}
    munged: Object = {name: value for name, value in new.items() if name not in ("activeDeadlineSeconds", "tolerations")} | kept
    if _may_change("terminationGracePeriodSeconds", new, old):
        munged["terminationGracePeriodSeconds"] = old["terminationGracePeriodSeconds"]
    for name in ("containers", "initContainers"):
        if name in munged:
            munged[name] = [{**after, "image": before.get("image", "")} for after, before in zip(munged[name], old.get(name) or ())]
    return field.forbidden("spec", f"{_FORBIDDEN}\n{diff(old, munged, POD_SPEC)}")


def _may_change(name: str, new: Object, old: Object) -> bool:
    """A negative grace period may become 1; a Pod that is still gated may be constrained further."""
    if name == "terminationGracePeriodSeconds":
        return (old.get(name) or 0) < 0 and new.get(name) == 1
    return name == "affinity" and bool(old.get("schedulingGates"))


def _image_errors(new: list[Object], old: list[Object], path: str) -> list[FieldError] | None:
    """Only images may change, and an image may not become empty; None: something else has changed."""
    if len(new) != len(old):
        return [field.forbidden(path, "pod updates may not add or remove containers")]
    for after, before in zip(new, old):
        if {**after, "image": ""} != {**before, "image": ""}:
            return None
    return [field.required(f"{path}[{index}].image") for index, after in enumerate(new) if not after.get("image")]


def _deadline_errors(new: int | None, old: int | None) -> list[FieldError]:
    """A deadline may be set or shortened, never lengthened or taken away."""
    at = "spec.activeDeadlineSeconds"
    if new is None:
        return [field.invalid(at, None, "must not update from a positive integer to nil value")] if old is not None else []
    if new < 0 or new > 2**31 - 1:
        return [field.invalid(at, new, "must be between 0 and 2147483647, inclusive")]
    if old is not None and old < new:
        return [field.invalid(at, new, "must be less than or equal to previous value")]
    return []


def _toleration_errors(new: list[Object], old: list[Object]) -> list[FieldError]:
    """Tolerations may be added; of one that is there only tolerationSeconds may change."""
    kept = [_without_seconds(toleration) for toleration in new]
    if all(_without_seconds(toleration) in kept for toleration in old):
        return []
    return [field.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")]


def _without_seconds(toleration: Object) -> Object:
    return {name: value for name, value in toleration.items() if name != "tolerationSeconds"}


def _gate_errors(new: list[Object], old: list[Object]) -> list[FieldError]:
    """Gates may be taken away only."""
    return [
        field.forbidden(f"spec.schedulingGates[{index}].name", f"only deletion is allowed, but found new scheduling gate '{gate['name']}'")
        for index, gate in enumerate(new)
        if gate not in old
    ]


def _selector_errors(new: Object, old: Object) -> list[FieldError]:
    """The node selector of a gated Pod may only be narrowed."""
    if all(new.get(key) == value for key, value in old.items()):
        return []
    return [field.invalid("spec.nodeSelector", new, "only additions to spec.nodeSelector are allowed (no mutations or deletions)")]
