"""EndpointSlice. Upstream: pkg/apis/discovery/validation/validation.go, pkg/apis/discovery/v1/defaults.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import change, each, fill

Object = dict[str, Any]
ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
ENDPOINTS_MAX, ADDRESSES_MAX, PORTS_MAX = 1000, 100, 20000
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_PORT = {"name": "", "protocol": "TCP"}
_ENDPOINT: Object = {"conditions": {}}


def _default(endpoint_slice: Object) -> Object:
    filled = change(endpoint_slice, "ports", lambda ports: each(ports, lambda port: fill(port, _PORT)))
    filled = change(filled, "endpoints", lambda endpoints: each(endpoints, lambda endpoint: fill(endpoint, _ENDPOINT)))
    missing = {name: value for name, value in (("endpoints", None), ("ports", None)) if name not in filled}
    return {**filled, **missing} if missing else filled


def _endpoint_errors(endpoint: Object, address_type: str, path: str, known: Sequence[Any]) -> list[FieldError]:
    """Errors of an endpoint. Addresses that were there before (``known``: the lists of them) may stay as they are."""
    wrong: list[FieldError] = []
    addresses = endpoint.get("addresses") or ()
    if not addresses:
        wrong.append(field.required(f"{path}.addresses", "must contain at least 1 address"))
    elif len(addresses) > ADDRESSES_MAX:
        wrong.append(field.too_many(f"{path}.addresses", len(addresses), ADDRESSES_MAX))
    for index, address in enumerate(addresses if addresses not in known else ()):
        at = f"{path}.addresses[{index}]"
        if address_type == "FQDN":
            wrong += [field.invalid(at, address, message) for message in names.check_dns_subdomain(address)]
        elif address_type in ADDRESS_TYPES:
            if names.is_ip(address) and (":" in address) != (address_type == "IPv6"):
                wrong.append(field.invalid(at, address, f"must be an {address_type} address"))
            else:
                wrong += [field.invalid(at, address, message) for message in names.check_ip(address) or names.check_endpoint_ip(address)]
    hostname = endpoint.get("hostname")
    if hostname is not None:
        wrong += [field.invalid(f"{path}.hostname", hostname, message) for message in names.check_dns_label(hostname)]
    return wrong


def _port_errors(ports: Sequence[Object]) -> list[FieldError]:
    wrong: list[FieldError] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        at, name = f"ports[{index}]", port.get("name") or ""
        if name:
            wrong += [field.invalid(f"{at}.name", name, message) for message in names.check_dns_label(name)]
        if name in seen:
            wrong.append(field.duplicate(f"{at}.name", name))
        seen.add(name)
        if port.get("protocol") not in _PROTOCOLS:
            wrong.append(field.not_supported(f"{at}.protocol", port.get("protocol"), _PROTOCOLS))
    return wrong


def _body_errors(endpoint_slice: Object, old: Object | None = None) -> list[FieldError]:
    address_type = endpoint_slice.get("addressType", "")
    wrong: list[FieldError] = []
    if not address_type:
        wrong.append(field.required("addressType"))
    elif address_type not in ADDRESS_TYPES:
        wrong.append(field.not_supported("addressType", address_type, ADDRESS_TYPES))
    endpoints = endpoint_slice.get("endpoints") or ()
    if len(endpoints) > ENDPOINTS_MAX:
        wrong.append(field.too_many("endpoints", len(endpoints), ENDPOINTS_MAX))
    else:
        known = [endpoint.get("addresses") for endpoint in (old or {}).get("endpoints") or ()]
        for index, endpoint in enumerate(endpoints):
            wrong += _endpoint_errors(endpoint, address_type, f"endpoints[{index}]", known)
    return wrong + _port_errors(endpoint_slice.get("ports") or ())


def _validate(endpoint_slice: Object) -> Sequence[FieldError]:
    return metadata_errors(endpoint_slice) + _body_errors(endpoint_slice)


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old) + _body_errors(new, old)
    return wrong + immutable_errors(new.get("addressType"), old.get("addressType"), "addressType")


def _ports_cell(endpoint_slice: Object, now_ns: int) -> str:
    ports = endpoint_slice.get("ports") or ()
    texts = [str(port["port"]) if port.get("port") else "*" for port in ports]
    return _few(texts) if texts else "<unset>"


def _few(texts: list[str]) -> str:
    return ",".join(texts[:3]) + (f" + {len(texts) - 3} more..." if len(texts) > 3 else "")


def _endpoints_cell(endpoint_slice: Object, now_ns: int) -> str:
    addresses = [address for endpoint in endpoint_slice.get("endpoints") or () for address in endpoint["addresses"]]
    return _few(addresses) if addresses else "<unset>"


KIND = Kind(
    update_order="Mu",
    group="discovery.k8s.io",
    version="v1",
    kind="EndpointSlice",
    plural="endpointslices",
    schema="io.k8s.api.discovery.v1.EndpointSlice",
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    columns=(
        NAME,
        Column("AddressType", "string", lambda endpoint_slice, now_ns: endpoint_slice.get("addressType", "")),
        Column("Ports", "string", _ports_cell),
        Column("Endpoints", "string", _endpoints_cell),
        AGE,
    ),
)
