"""Requests for devices: what claims and their templates share. Upstream: pkg/apis/resource/v1/defaults.go, pkg/apis/resource/validation."""

from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.parts.checks import choice_errors, required_text_errors
from kubesim.api.kinds.parts.go_struct import Member
from kubesim.api.kinds.parts.shape import change, change_each

Object = dict[str, Any]
REQUESTS_MAX = 32
_EXACT = (
    Member("deviceClassName", "DeviceClassName"), Member("selectors", "Selectors", None), Member("allocationMode", "AllocationMode"),
    Member("count", "Count", 0), Member("adminAccess", "AdminAccess", None), Member("tolerations", "Tolerations", None),
    Member("capacity", "Capacity", None),
)  # fmt: skip
_REQUEST = (Member("name", "Name"), Member("exactly", "Exactly", None, _EXACT), Member("firstAvailable", "FirstAvailable", None))
_DEVICES = (Member("requests", "Requests", None, _REQUEST), Member("constraints", "Constraints", None), Member("config", "Config", None))
SPEC = (Member("devices", "Devices", {}, _DEVICES),)


def default_spec(spec: Object) -> Object:
    """A request asks for exactly one device unless it says otherwise."""
    return change(spec, "devices", lambda devices: change_each(devices, "requests", _default_request))


def _default_request(request: Object) -> Object:
    return change_each(change(request, "exactly", _default_count), "firstAvailable", _default_count)


def _default_count(request: Object) -> Object:
    mode = request.get("allocationMode") or "ExactCount"
    filled = request if request.get("allocationMode") else {**request, "allocationMode": mode}
    return filled if mode != "ExactCount" or filled.get("count") else {**filled, "count": 1}


def spec_errors(spec: Object, path: str) -> list[FieldError]:
    """Errors of a claim's spec."""
    wrong: list[FieldError] = []
    requests = (spec.get("devices") or {}).get("requests") or ()
    if len(requests) > REQUESTS_MAX:
        wrong.append(field.too_many(f"{path}.devices.requests", len(requests), REQUESTS_MAX))
    seen: set[str] = set()
    for index, request in enumerate(requests):
        at, name = f"{path}.devices.requests[{index}]", request.get("name", "")
        wrong += required_text_errors(name, f"{at}.name", names.check_dns_label)
        if name in seen:
            wrong.append(field.duplicate(at, name))
        seen.add(name)
        exactly, first = request.get("exactly"), request.get("firstAvailable")
        if exactly is not None and first:
            why = "exactly one of `exactly` or `firstAvailable` must be specified, but multiple fields are set"
            wrong.append(field.invalid(at, None, why))
        elif exactly is not None:
            wrong += _exact_errors(exactly, f"{at}.exactly")
        elif first:
            for place, part in enumerate(first):
                wrong += required_text_errors(part.get("name"), f"{at}.firstAvailable[{place}].name", names.check_dns_label)
                wrong += _exact_errors(part, f"{at}.firstAvailable[{place}]")
        else:
            wrong.append(field.required(at, "exactly one of `exactly` or `firstAvailable` must be specified"))
    return wrong


def _exact_errors(request: Object, path: str) -> list[FieldError]:
    wrong = required_text_errors(request.get("deviceClassName"), f"{path}.deviceClassName", names.check_dns_subdomain)
    mode, count = request.get("allocationMode"), request.get("count", 0)
    if mode == "ExactCount" and count <= 0:
        wrong.append(field.invalid(f"{path}.count", count, "must be greater than zero"))
    elif mode == "All" and count:
        wrong.append(field.invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'"))
    return wrong + choice_errors(mode, f"{path}.allocationMode", ("All", "ExactCount"))
