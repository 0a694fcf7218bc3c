"""The syntax of names, labels and ports, with upstream's messages.

Upstream: apimachinery/pkg/util/validation/validation.go. Each ``check_`` function gives the list of complaints about one string,
empty if it is fine; the caller puts them at a field. Label keys and values repeat, so those checks are memoised.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from kubesim.api import field
from kubesim.api.errors import FieldError

LABEL_SIZE_MAX = 63
SUBDOMAIN_SIZE_MAX = 253
ANNOTATIONS_SIZE_MAX = 256 * 1024
_MEMO_MAX = 16384
ADDRESSES_MAX = 16384

_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_SUBDOMAIN = rf"{_DNS_LABEL}(\.{_DNS_LABEL})*"
_DNS_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_ENV_NAME = "[-._a-zA-Z][-._a-zA-Z0-9]*"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_PERCENT = "[0-9]+%"

_is_dns_label = re.compile(_DNS_LABEL + r"\Z").match
_is_dns_subdomain = re.compile(_DNS_SUBDOMAIN + r"\Z").match
_is_dns_1035 = re.compile(_DNS_1035 + r"\Z").match
_is_qualified = re.compile(_QUALIFIED + r"\Z").match
_is_label_value = re.compile(_LABEL_VALUE + r"\Z").match
_is_config_key = re.compile(_CONFIG_KEY + r"\Z").match
_is_port_charset = re.compile(r"[-a-z0-9]+\Z").match
_is_percent = re.compile(_PERCENT + r"\Z").match
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_is_ipv4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}\Z", re.ASCII).match
_has_letter = re.compile("[a-z]").search
_is_relaxed_env_name = re.compile(r"[ -<>-~]+\Z").match

Check = Callable[[str], list[str]]


def _regex(message: str, pattern: str, *examples: str) -> str:
    shown = ",  or ".join(f"'{example}'" for example in examples)
    return f"{message} (e.g. {shown}, regex used for validation is '{pattern}')"


LABEL_WRONG = _regex(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character",
    _DNS_LABEL,
    "my-name",
    "123-abc",
)
SUBDOMAIN_WRONG = _regex(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "
    "alphanumeric character",
    _DNS_SUBDOMAIN,
    "example.com",
)
_WILDCARD = rf"\*\.{_DNS_SUBDOMAIN}"
_is_wildcard = re.compile(_WILDCARD + r"\Z").match
WILDCARD_WRONG = _regex(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case "
    "alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    _WILDCARD,
    "*.example.com",
)
LABEL_1035_WRONG = _regex(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an "
    "alphanumeric character",
    _DNS_1035,
    "my-name",
    "abc-123",
)
QUALIFIED_WRONG = _regex(
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    _QUALIFIED,
    "MyName",
    "my.name",
    "123-abc",
)
LABEL_VALUE_WRONG = _regex(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character",
    _LABEL_VALUE,
    "MyValue",
    "my_value",
    "12345",
)
CONFIG_KEY_WRONG = _regex(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'", _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"
)
ENV_NAME_WRONG = "a valid environment variable name must consist only of printable ASCII characters other than '='"
PERCENT_WRONG = _regex("a valid percent string must be a numeric string followed by an ending '%'", _PERCENT, "1%", "93%")
CIDR_WRONG = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
PORT_RANGE_WRONG = "must be between 1 and 65535, inclusive"
NOT_NEGATIVE = "must be greater than or equal to 0"


def _size(text: str, size_max: int) -> list[str]:
    return [f"must be no more than {size_max} characters"] if len(text) > size_max else []


def _bytes(text: str, size_max: int) -> list[str]:
    return [f"must be no more than {size_max} bytes"] if len(text) > size_max else []


def check_dns_label(text: str) -> list[str]:
    """An RFC 1123 label: names of Namespaces, containers, volumes."""
    wrong = _size(text, LABEL_SIZE_MAX)
    return wrong if _is_dns_label(text) else [*wrong, "must not contain dots"] if _is_dns_subdomain(text) else [*wrong, LABEL_WRONG]


def check_dns_subdomain(text: str) -> list[str]:
    """An RFC 1123 subdomain: the names of most kinds."""
    if len(text) <= SUBDOMAIN_SIZE_MAX and _is_dns_subdomain(text):
        return []
    wrong = _size(text, SUBDOMAIN_SIZE_MAX)
    return wrong if _is_dns_subdomain(text) else [*wrong, SUBDOMAIN_WRONG]


def check_wildcard_subdomain(text: str) -> list[str]:
    """A name such as *.example.com."""
    return _size(text, SUBDOMAIN_SIZE_MAX) + ([] if _is_wildcard(text) else [WILDCARD_WRONG])


def check_dns_1035_label(text: str) -> list[str]:
    """A DNS-1035 label: older Services."""
    wrong = _size(text, LABEL_SIZE_MAX)
    return wrong if _is_dns_1035(text) else [*wrong, LABEL_1035_WRONG]


def check_path_segment(text: str) -> list[str]:
    """A name that only has to fit into a URL: RBAC kinds and a few others."""
    if text in {".", ".."}:
        return [f"may not be '{text}'"]
    return [f"may not contain '{part}'" for part in ("/", "%") if part in text]


@lru_cache(_MEMO_MAX)
def _qualified(text: str) -> tuple[str, ...]:
    parts = text.split("/")
    wrong: list[str] = []
    if len(parts) > 2:
        return (f"a qualified name {QUALIFIED_WRONG[:-1]}) with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",)
    if len(parts) == 2:
        if not parts[0]:
            wrong.append("prefix part must be non-empty")
        else:
            wrong += [f"prefix part {message}" for message in check_dns_subdomain(parts[0])]
    name = parts[-1]
    if not name:
        wrong.append("name part must be non-empty")
    else:
        wrong += [f"name part {message}" for message in _bytes(name, LABEL_SIZE_MAX)]
    if not _is_qualified(name):
        wrong.append(f"name part {QUALIFIED_WRONG}")
    return tuple(wrong)


def check_qualified_name(text: str) -> list[str]:
    """A label or annotation key, a resource name, a finalizer: ``[prefix/]name``."""
    return list(_qualified(text))


@lru_cache(_MEMO_MAX)
def _label_value(text: str) -> tuple[str, ...]:
    wrong = _bytes(text, LABEL_SIZE_MAX)
    return tuple(wrong if _is_label_value(text) else [*wrong, LABEL_VALUE_WRONG])


def check_label_value(text: str) -> list[str]:
    """A label value: empty, or up to 63 characters of a name."""
    return list(_label_value(text))


def check_port_name(text: str) -> list[str]:
    """A port name: an IANA service name."""
    wrong: list[str] = []
    if len(text) > 15:
        wrong.append("must be no more than 15 characters")
    if not _is_port_charset(text):
        wrong.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not _has_letter(text):
        wrong.append("must contain at least one letter (a-z)")
    if "--" in text:
        wrong.append("must not contain consecutive hyphens")
    if text and (text[0] == "-" or text[-1] == "-"):
        wrong.append("must not begin or end with a hyphen")
    return wrong


def check_port_number(number: int) -> list[str]:
    """A TCP, UDP or SCTP port."""
    return [] if 1 <= number <= 65535 else [PORT_RANGE_WRONG]


def check_env_name(text: str) -> list[str]:
    """An environment variable's name, as relaxed in v1.34: printable ASCII but '='."""
    return [] if _is_relaxed_env_name(text) else [ENV_NAME_WRONG]


def check_config_key(text: str) -> list[str]:
    """A key of a ConfigMap or a Secret."""
    wrong = _size(text, SUBDOMAIN_SIZE_MAX)
    if not _is_config_key(text):
        wrong.append(CONFIG_KEY_WRONG)
    if text == ".":
        wrong.append("must not be '.'")
    elif text == "..":
        wrong.append("must not be '..'")
    elif text.startswith(".."):
        wrong.append("must not start with '..'")
    return wrong


def check_ip(text: str) -> list[str]:
    """An IPv4 or IPv6 address."""
    return [] if is_ip(text) else ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]


def is_ip(text: str) -> bool:
    """Whether the text is an address as upstream parses it (no zone). Plain IPv4 costs one regular expression."""
    if _is_ipv4(text):
        return True
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def check_endpoint_ip(text: str) -> list[str]:
    """An address that traffic can be sent to from elsewhere; ``text`` is an address."""
    address = ipaddress.ip_address(text)
    wrong: list[str] = []
    if address.is_unspecified:
        wrong.append(f"may not be unspecified ({text})")
    if address.is_loopback:
        wrong.append("may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if address.is_link_local:
        wrong.append("may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if address.is_multicast and (text.startswith("224.0.0.") or text.lower().startswith("ff02:")):
        wrong.append("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
    return wrong


def check_cidr(text: str) -> list[str]:
    """A network such as 10.0.0.0/24."""
    return [] if "/" in text and _is_interface(text) else [CIDR_WRONG]


@lru_cache(ADDRESSES_MAX)  # a node's is looked at with each of its writes
def _is_interface(text: str) -> bool:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return True


def check_percent(text: str) -> list[str]:
    """A percentage such as "25%"."""
    return [] if _is_percent(text) else [PERCENT_WRONG]


def is_percent(text: str) -> bool:
    """Whether the text is a percentage."""
    return _is_percent(text) is not None


def label_errors(labels: Mapping[str, str] | None, path: str) -> list[FieldError]:
    """Errors of a map of labels, in the order of its keys."""
    wrong: list[FieldError] = []
    for name in sorted(labels or ()):
        assert labels is not None
        wrong += [field.invalid(path, name, message) for message in _qualified(name)]
        wrong += [field.invalid(path, labels[name], message) for message in _label_value(labels[name])]
    return wrong


def annotation_errors(annotations: Mapping[str, str] | None, path: str) -> list[FieldError]:
    """Errors of a map of annotations: keys are qualified names in lower case, all together at most 256 KiB."""
    wrong: list[FieldError] = []
    size = 0
    for name, value in (annotations or {}).items():
        size += len(name) + len(value)
        wrong += [field.invalid(path, name, message) for message in _qualified(name.lower())]
    if size > ANNOTATIONS_SIZE_MAX:
        wrong.append(field.too_long(path, ANNOTATIONS_SIZE_MAX))
    return wrong
