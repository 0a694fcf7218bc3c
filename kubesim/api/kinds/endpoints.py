"""Endpoints: the older form of EndpointSlices. Upstream: pkg/apis/core/v1/defaults.go, ValidateEndpoints."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.checks import choice_errors, text_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import change_each, fill
from kubesim.api.kinds.parts.table import NONE

Object = dict[str, Any]
SHOWN_MAX = 3


def _default(endpoints: Object) -> Object:
    return change_each(endpoints, "subsets", lambda subset: change_each(subset, "ports", lambda port: fill(port, {"protocol": "TCP"})))


def _validate(endpoints: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(endpoints)
    for index, subset in enumerate(endpoints.get("subsets") or ()):
        at = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            wrong.append(field.required(at, "must specify `addresses` or `notReadyAddresses`"))
        for kind in ("addresses", "notReadyAddresses"):
            for number, address in enumerate(subset.get(kind) or ()):
                wrong += _address_errors(address, f"{at}.{kind}[{number}]")
        for number, port in enumerate(subset.get("ports") or ()):
            wrong += _port_errors(port, len(subset["ports"]) > 1, f"{at}.ports[{number}]")
    return wrong


def _address_errors(address: Object, path: str) -> list[FieldError]:
    ip = address.get("ip", "")
    wrong = [field.invalid(f"{path}.ip", ip, message) for message in names.check_ip(ip) or names.check_endpoint_ip(ip)]
    if address.get("hostname"):
        wrong += text_errors(address["hostname"], f"{path}.hostname", names.check_dns_label)
    if address.get("nodeName") is not None:
        wrong += text_errors(address["nodeName"], f"{path}.nodeName", names.check_dns_subdomain)
    return wrong


def _port_errors(port: Object, needs_name: bool, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    if port.get("name"):
        wrong += text_errors(port["name"], f"{path}.name", names.check_dns_label)
    elif needs_name:
        wrong.append(field.required(f"{path}.name"))
    number = port.get("port", 0)
    wrong += [field.invalid(f"{path}.port", number, message) for message in names.check_port_number(number)]
    wrong += choice_errors(port.get("protocol"), f"{path}.protocol", ("SCTP", "TCP", "UDP"), is_required=True)
    if port.get("appProtocol") is not None:
        wrong += text_errors(port["appProtocol"], f"{path}.appProtocol", names.check_qualified_name)
    return wrong


def _endpoints_cell(endpoints: Object, now_ns: int) -> str:
    """The first few ready addresses, with each port."""
    found: list[str] = []
    for subset in endpoints.get("subsets") or ():
        ports = subset.get("ports") or ()
        addresses = [address["ip"] for address in subset.get("addresses") or ()]
        found += [f"{ip}:{port['port']}" for port in ports for ip in addresses] if ports else addresses
    if not found:
        return NONE
    return ",".join(found[:SHOWN_MAX]) + (f" + {len(found) - SHOWN_MAX} more..." if len(found) > SHOWN_MAX else "")


KIND = Kind(
    update_order="mMS",
    group="",
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    singular="endpoints",
    short_names=("ep",),
    schema="io.k8s.api.core.v1.Endpoints",
    default=_default,
    validate=_validate,
    validate_update=metadata_update_errors,
    columns=(NAME, Column("Endpoints", "string", _endpoints_cell), AGE),
    has_generation=False,
    allow_create_on_update=True,
)
