"""NetworkPolicy. Upstream: pkg/apis/networking/validation/validation.go, pkg/apis/networking/v1/defaults.go."""

import ipaddress
from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import selector
from kubesim.api.kinds.parts.checks import choice_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.label_selector import label_selector_errors
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import change_each, changed_spec, fill

Object = dict[str, Any]
PROTOCOLS = ("SCTP", "TCP", "UDP")


def _default(policy: Object) -> Object:
    return changed_spec(policy, _default_spec)


def _default_spec(spec: Object) -> Object:
    filled = spec
    for name in ("ingress", "egress"):
        filled = change_each(filled, name, lambda rule: change_each(rule, "ports", lambda port: fill(port, {"protocol": "TCP"})))
    if not filled.get("policyTypes"):
        filled = {**filled, "policyTypes": ["Ingress", "Egress"] if filled.get("egress") else ["Ingress"]}
    return fill(filled, {"podSelector": {}})


def _validate(policy: Object) -> Sequence[FieldError]:
    spec = policy.get("spec") or {}
    wrong = metadata_errors(policy)
    wrong += label_selector_errors(spec.get("podSelector"), "spec.podSelector")
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{index}]"
            for place, port in enumerate(rule.get("ports") or ()):
                wrong += _port_errors(port, f"{path}.ports[{place}]")
            for place, peer in enumerate(rule.get(peers) or ()):
                wrong += _peer_errors(peer, f"{path}.{peers}[{place}]")
    types = spec.get("policyTypes") or []
    if len(types) > 2:
        wrong.append(field.invalid("spec.policyTypes", types, "may not specify more than two policyTypes"))
        return wrong
    for index, name in enumerate(types):
        wrong += choice_errors(name, f"spec.policyTypes[{index}]", ("Egress", "Ingress"))
    return wrong


def _port_errors(port: Object, path: str) -> list[FieldError]:
    wrong = choice_errors(port.get("protocol"), f"{path}.protocol", PROTOCOLS)
    number, last = port.get("port"), port.get("endPort")
    if isinstance(number, str):
        if last is not None:
            wrong.append(field.invalid(f"{path}.endPort", last, "may not be specified when `port` is non-numeric"))
        return wrong + [field.invalid(f"{path}.port", number, message) for message in names.check_port_name(number)]
    if number is None:
        if last is not None:
            wrong.append(field.invalid(f"{path}.endPort", last, "may not be specified when `port` is not specified"))
        return wrong
    wrong += [field.invalid(f"{path}.port", number, message) for message in names.check_port_number(number)]
    if last is not None:
        if last < number:
            wrong.append(field.invalid(f"{path}.endPort", number, "must be greater than or equal to `port`"))
        wrong += [field.invalid(f"{path}.endPort", last, message) for message in names.check_port_number(last)]
    return wrong


def _peer_errors(peer: Object, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    given = [name for name in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(name) is not None]
    for name in given[:2]:
        if name != "ipBlock":
            wrong += label_selector_errors(peer[name], f"{path}.{name}")
    if "ipBlock" in given:
        wrong += _block_errors(peer["ipBlock"], f"{path}.ipBlock")
    if not given:
        wrong.append(field.required(path, "must specify a peer"))
    elif len(given) > 1 and "ipBlock" in given:
        wrong.append(field.forbidden(path, "may not specify both ipBlock and another peer"))
    return wrong


def _block_errors(block: Object, path: str) -> list[FieldError]:
    cidr = block.get("cidr", "")
    if not cidr:
        return [field.required(f"{path}.cidr")]
    wrong = [field.invalid(f"{path}.cidr", cidr, message) for message in names.check_cidr(cidr)]
    if wrong:
        return wrong
    outer = ipaddress.ip_interface(cidr).network
    for index, text in enumerate(block.get("except") or ()):
        at = f"{path}.except[{index}]"
        problems = names.check_cidr(text)
        if problems:
            wrong += [field.invalid(at, text, message) for message in problems]
            continue
        inner = ipaddress.ip_interface(text)
        if inner.version != outer.version or inner.ip not in outer or inner.network.prefixlen <= outer.prefixlen:
            wrong.append(field.invalid(at, text, "must be a strict subset of `cidr`"))
    return wrong


KIND = Kind(
    update_order="MSmS",
    group="networking.k8s.io",
    version="v1",
    kind="NetworkPolicy",
    plural="networkpolicies",
    short_names=("netpol",),
    schema="io.k8s.api.networking.v1.NetworkPolicy",
    default=_default,
    validate=_validate,
    validate_update=metadata_update_errors,
    columns=(NAME, Column("Pod-Selector", "string", selector("spec", "podSelector")), AGE),
)
