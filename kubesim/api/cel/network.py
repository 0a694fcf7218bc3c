"""Kubernetes' libraries of addresses and URLs. Upstream: apiserver/pkg/cel/library (ip.go, cidr.go, urls.go)."""

import ipaddress
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from kubesim.api.cel.errors import CelError
from kubesim.api.cel.table import FUNCTIONS, METHODS, function, method, need


class Address(NamedTuple):
    """An IP address."""

    value: ipaddress.IPv4Address | ipaddress.IPv6Address


class Network(NamedTuple):
    """An address and the length of its prefix."""

    value: ipaddress.IPv4Interface | ipaddress.IPv6Interface


class Url(NamedTuple):
    """An absolute URL or an absolute path."""

    text: str


def _address(text: str) -> Address | None:
    need(isinstance(text, str))
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    is_mapped = isinstance(found, ipaddress.IPv6Address) and (found.ipv4_mapped is not None or "%" in text)
    return None if is_mapped else Address(found)


def _network(text: str) -> Network | None:
    need(isinstance(text, str))
    try:
        return Network(ipaddress.ip_interface(text)) if "/" in text else None
    except ValueError:
        return None


@function("ip")
def _ip(text: str) -> Address:
    found = _address(text)
    if found is None:
        raise CelError(f"IP Address {text!r} parse error during conversion from string: unable to parse IP".replace("'", '"'))
    return found


@method("ip")
def _ip_of(network: Network) -> Address:
    need(isinstance(network, Network))
    return Address(network.value.ip)


@function("cidr")
def _cidr(text: str) -> Network:
    found = _network(text)
    if found is None:
        raise CelError(f'network address parse error during conversion from string: netip.ParsePrefix("{text}"): no \'/\'')
    return found


FUNCTIONS["isIP"] = lambda text: _address(text) is not None
FUNCTIONS["isCIDR"] = lambda text: _network(text) is not None
FUNCTIONS["ip.isCanonical"] = lambda text: str(_ip(text).value) == text


def _asks(get: Callable[[Any], bool]) -> Callable[[Address], bool]:
    def ask(address: Address) -> bool:
        need(isinstance(address, Address))
        return get(address.value)

    return ask


METHODS["isUnspecified"], METHODS["isLoopback"] = _asks(lambda ip: ip.is_unspecified), _asks(lambda ip: ip.is_loopback)
METHODS["isLinkLocalUnicast"] = _asks(lambda ip: ip.is_link_local and not ip.is_multicast)
METHODS["isLinkLocalMulticast"] = _asks(lambda ip: ip.is_multicast and str(ip).startswith(("224.0.0.", "ff02")))
METHODS["isGlobalUnicast"] = _asks(lambda ip: not (ip.is_unspecified or ip.is_loopback or ip.is_multicast or ip.is_link_local))


@method("family")
def _family(address: Address) -> int:
    need(isinstance(address, Address))
    return address.value.version


@method("containsIP")
def _contains_ip(network: Network, other: Any) -> bool:
    need(isinstance(network, Network))
    found = other if isinstance(other, Address) else _ip(other)
    return found.value in network.value.network


@method("containsCIDR")
def _contains_cidr(network: Network, other: Any) -> bool:
    need(isinstance(network, Network))
    inner = (other if isinstance(other, Network) else _cidr(other)).value.network
    mine: Any = network.value.network
    return mine.version == inner.version and inner.subnet_of(mine)


METHODS["prefixLength"] = lambda network: network.value.network.prefixlen
METHODS["masked"] = lambda network: Network(ipaddress.ip_interface(str(network.value.network)))


def _url(text: str) -> Url | None:
    need(isinstance(text, str))
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    is_absolute = bool(parts.scheme) or text.startswith("/")
    return Url(text) if is_absolute and " " not in (parts.netloc or "") else None


@function("url")
def _parsed_url(text: str) -> Url:
    found = _url(text)
    if found is None:
        raise CelError(f'URL parse error during conversion from string: parse "{text}": invalid URI for request')
    return found


FUNCTIONS["isURL"] = lambda text: _url(text) is not None


def _part(get: Callable[[Any], Any]) -> Callable[[Url], Any]:
    def of(url: Url) -> Any:
        need(isinstance(url, Url))
        return get(urlsplit(url.text))

    return of


METHODS["getScheme"], METHODS["getHost"] = _part(lambda parts: parts.scheme), _part(lambda parts: parts.netloc.rpartition("@")[2])
METHODS["getHostname"] = _part(lambda parts: (parts.netloc.rpartition("@")[2].partition("]")[0] + "]") if "[" in parts.netloc
                               else (parts.hostname or ""))  # fmt: skip
METHODS["getPort"] = _part(lambda parts: str(parts.port) if parts.port is not None else "")
METHODS["getEscapedPath"] = _part(lambda parts: parts.path)
METHODS["getQuery"] = _part(lambda parts: parse_qs(parts.query, keep_blank_values=True))
