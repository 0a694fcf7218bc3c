"""Consumable capacity: a device that several claims share, each by an amount of every capacity that the device has.

What a request consumes is what it asks for, rounded up by the device's policy; where it asks for nothing, the policy's default, else all
there is. Amounts are quantities in nanos.

Upstream: k8s.io/dynamic-resource-allocation/structured/internal/incubating (consumable capacity).
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from kubesim.api import quantity
from kubesim.scheduler.devices import Device

Object = Mapping[str, Any]
Amounts = dict[str, int]  # capacity -> nanos


def is_shared(device: Device) -> bool:
    """Whether several claims may have the device."""
    return bool(device.obj.get("allowMultipleAllocations"))


def consumed(device: Device, body: Object) -> Amounts | None:
    """What a request takes of each capacity of a device; None when the device does not have, or does not allow, what it asks for."""
    capacities = device.obj.get("capacity") or {}
    wanted = (body.get("capacity") or {}).get("requests") or {}
    if any(name not in capacities for name in wanted):
        return None
    found: Amounts = {}
    for name, capacity in capacities.items():
        policy = capacity.get("requestPolicy") or {}
        amount = _rounded(_nanos(wanted[name]), policy) if name in wanted else _nanos(policy.get("default") or capacity["value"])
        if not _is_allowed(amount, policy) or amount > _nanos(capacity["value"]):
            return None
        found[name] = amount
    return found


def fits(device: Device, amounts: Amounts, taken: Iterable[Amounts]) -> bool:
    """Whether a device still has these amounts, beside what is taken of it."""
    left = {name: _nanos(capacity["value"]) - amounts[name] for name, capacity in (device.obj.get("capacity") or {}).items()}
    for other in taken:
        for name, amount in other.items():
            left[name] = left.get(name, 0) - amount
    return all(amount >= 0 for amount in left.values())


def shares_in_use(claims: Iterable[Object]) -> dict[str, list[Amounts]]:
    """Device -> what the claims that share it take."""
    found: dict[str, list[Amounts]] = {}
    for claim in claims:
        allocation = (claim.get("status") or {}).get("allocation") or {}
        for result in (allocation.get("devices") or {}).get("results") or ():
            if result.get("shareID") and not result.get("adminAccess"):
                amounts = {name: _nanos(text) for name, text in (result.get("consumedCapacity") or {}).items()}
                found.setdefault(f"{result['driver']}/{result['pool']}/{result['device']}", []).append(amounts)
    return found


def texts(device: Device, amounts: Amounts) -> dict[str, str]:
    """The amounts as quantities, each written as the device's capacity is."""
    capacities = device.obj.get("capacity") or {}
    return {name: quantity.format_quantity(amount, _parse(capacities[name]["value"]).format) for name, amount in amounts.items()}


def share_id(claim: Object, request: str, device: Device) -> str:
    """A uid of one share. Upstream draws one; here it follows from what it is of, so that the order of trying nodes changes none."""
    text = hashlib.sha256(f"{claim['metadata'].get('uid')}/{request}/{device.id}".encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:32]}"


def _parse(value: Any) -> quantity.Quantity:
    return quantity.parse(quantity.as_text(value))


def _nanos(value: Any) -> int:
    return _parse(value).nanos


def _rounded(amount: int, policy: Object) -> int:
    """min + step * ceil((amount - min) / step), at least min; or the smallest valid value that is enough."""
    span = policy.get("validRange")
    if span:
        least = _nanos(span["min"])
        if amount <= least or not span.get("step"):
            return max(amount, least)
        step = _nanos(span["step"])
        return least + step * -((least - amount) // step)
    return min((value for value in map(_nanos, policy.get("validValues") or ()) if value >= amount), default=amount)


def _is_allowed(amount: int, policy: Object) -> bool:
    """Whether a rounded amount keeps to the policy."""
    span, values = policy.get("validRange"), policy.get("validValues")
    if policy.get("default") is not None and amount == _nanos(policy["default"]):
        return True
    if span:
        most, step = span.get("max"), span.get("step")
        return not (most and amount > _nanos(most)) and not (step and (amount - _nanos(span["min"])) % _nanos(step))
    return not values or amount in map(_nanos, values)
