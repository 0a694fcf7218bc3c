"""The overloads of CEL's functions: which types they take and give, and the name under which each is charged.

``name: id (types) type; ...`` for functions, ``.name:`` for methods, whose first type is the receiver's. Upstream: cel-go
common/stdlib/standard.go and ext, apiserver/pkg/cel/library.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from kubesim.api.cel.types import Type, parse_type


class Overload(NamedTuple):
    """One way to call a function."""

    id: str
    arguments: tuple[Type, ...]
    result: Type


_TABLE = """
&&: logical_and (bool, bool) bool
||: logical_or (bool, bool) bool
!_: logical_not (bool) bool
_?_:_: conditional (bool, A, A) A
==: equals (A, A) bool
!=: not_equals (A, A) bool
+: add_bytes (bytes, bytes) bytes; add_double (double, double) double; add_duration_duration (duration, duration) duration; \
add_duration_timestamp (duration, timestamp) timestamp; add_timestamp_duration (timestamp, duration) timestamp; \
add_int64 (int, int) int; add_list (list(A), list(A)) list(A); add_string (string, string) string; add_uint64 (uint, uint) uint
-: subtract_double (double, double) double; subtract_duration_duration (duration, duration) duration; subtract_int64 (int, int) int; \
subtract_timestamp_duration (timestamp, duration) timestamp; subtract_timestamp_timestamp (timestamp, timestamp) duration; \
subtract_uint64 (uint, uint) uint
*: multiply_double (double, double) double; multiply_int64 (int, int) int; multiply_uint64 (uint, uint) uint
/: divide_double (double, double) double; divide_int64 (int, int) int; divide_uint64 (uint, uint) uint
%: modulo_int64 (int, int) int; modulo_uint64 (uint, uint) uint
-_: negate_double (double) double; negate_int64 (int) int
in: in_list (A, list(A)) bool; in_map (A, map(A, B)) bool
size: size_bytes (bytes) int; size_list (list(A)) int; size_map (map(A, B)) int; size_string (string) int
type: type (A) type(A)
bool: bool_to_bool (bool) bool; string_to_bool (string) bool
bytes: bytes_to_bytes (bytes) bytes; string_to_bytes (string) bytes
double: double_to_double (double) double; int64_to_double (int) double; string_to_double (string) double; uint64_to_double (uint) double
duration: duration_to_duration (duration) duration; int64_to_duration (int) duration; string_to_duration (string) duration
dyn: to_dyn (A) dyn
int: int64_to_int64 (int) int; double_to_int64 (double) int; duration_to_int64 (duration) int; string_to_int64 (string) int; \
timestamp_to_int64 (timestamp) int; uint64_to_int64 (uint) int
string: string_to_string (string) string; bool_to_string (bool) string; bytes_to_string (bytes) string; double_to_string (double) string; \
duration_to_string (duration) string; int64_to_string (int) string; timestamp_to_string (timestamp) string; uint64_to_string (uint) string
timestamp: timestamp_to_timestamp (timestamp) timestamp; int64_to_timestamp (int) timestamp; string_to_timestamp (string) timestamp
uint: uint64_to_uint64 (uint) uint; double_to_uint64 (double) uint; int64_to_uint64 (int) uint; string_to_uint64 (string) uint
matches: matches (string, string) bool
.contains: contains_string (string, string) bool
.endsWith: ends_with_string (string, string) bool
.matches: matches_string (string, string) bool
.startsWith: starts_with_string (string, string) bool
.size: bytes_size (bytes) int; list_size (list(A)) int; map_size (map(A, B)) int; string_size (string) int
.charAt: string_char_at_int (string, int) string
.indexOf: string_index_of_string (string, string) int; string_index_of_string_int (string, string, int) int; \
list_a_index_of_int (list(A), A) int
.lastIndexOf: string_last_index_of_string (string, string) int; string_last_index_of_string_int (string, string, int) int; \
list_a_last_index_of_int (list(A), A) int
.lowerAscii: string_lower_ascii (string) string
.upperAscii: string_upper_ascii (string) string
.trim: string_trim (string) string
.replace: string_replace_string_string (string, string, string) string; \
string_replace_string_string_int (string, string, string, int) string
.split: string_split_string (string, string) list(string); string_split_string_int (string, string, int) list(string)
.substring: string_substring_int (string, int) string; string_substring_int_int (string, int, int) string
.join: list_join (list(string)) string; list_join_string (list(string), string) string
.format: string_format (string, list(dyn)) string
.reverse: string_reverse (string) string
strings.quote: strings_quote (string) string
.find: string_find_string (string, string) string
.findAll: string_find_all_string (string, string) list(string); string_find_all_string_int (string, string, int) list(string)
.isSorted: list_a_is_sorted_bool (list(A)) bool
.sum: list_a_sum_a (list(A)) A
.min: list_a_min_a (list(A)) A
.max: list_a_max_a (list(A)) A
math.least: math_least (A) A; math_least_two (A, A) A; math_least_three (A, A, A) A
math.greatest: math_greatest (A) A; math_greatest_two (A, A) A; math_greatest_three (A, A, A) A
sets.contains: list_sets_contains_list (list(A), list(A)) bool
sets.equivalent: list_sets_equivalent_list (list(A), list(A)) bool
sets.intersects: list_sets_intersects_list (list(A), list(A)) bool
optional.none: optional_none () optional(A)
optional.of: optional_of (A) optional(A)
optional.ofNonZeroValue: optional_ofNonZeroValue (A) optional(A)
.hasValue: optional_hasValue (optional(A)) bool
.value: optional_value (optional(A)) A
.or: optional_or_optional (optional(A), optional(A)) optional(A)
.orValue: optional_orValue_value (optional(A), A) A
.getFullYear: timestamp_to_year (timestamp) int; timestamp_to_year_with_tz (timestamp, string) int
.getMonth: timestamp_to_month (timestamp) int; timestamp_to_month_with_tz (timestamp, string) int
.getDate: timestamp_to_day_of_month_1_based (timestamp) int; timestamp_to_day_of_month_1_based_with_tz (timestamp, string) int
.getDayOfMonth: timestamp_to_day_of_month (timestamp) int; timestamp_to_day_of_month_with_tz (timestamp, string) int
.getDayOfWeek: timestamp_to_day_of_week (timestamp) int; timestamp_to_day_of_week_with_tz (timestamp, string) int
.getHours: timestamp_to_hours (timestamp) int; timestamp_to_hours_with_tz (timestamp, string) int; duration_to_hours (duration) int
.getMinutes: timestamp_to_minutes (timestamp) int; timestamp_to_minutes_with_tz (timestamp, string) int; duration_to_minutes (duration) int
.getSeconds: timestamp_to_seconds (timestamp) int; timestamp_to_seconds_tz (timestamp, string) int; duration_to_seconds (duration) int
.getMilliseconds: timestamp_to_milliseconds (timestamp) int; timestamp_to_milliseconds_with_tz (timestamp, string) int; \
duration_to_milliseconds (duration) int
quantity: string_to_quantity (string) quantity
isQuantity: is_quantity_string (string) bool
.sign: quantity_sign (quantity) int
.asInteger: quantity_get_int (quantity) int
.asApproximateFloat: quantity_get_float (quantity) double
.isInteger: quantity_is_integer (quantity) bool
.add: quantity_add (quantity, quantity) quantity; quantity_add_int (quantity, int) quantity
.sub: quantity_sub (quantity, quantity) quantity; quantity_sub_int (quantity, int) quantity
.isGreaterThan: quantity_is_greater_than (quantity, quantity) bool; \
semver_is_greater_than (semver, semver) bool
.isLessThan: quantity_is_less_than (quantity, quantity) bool; semver_is_less_than (semver, semver) bool
.compareTo: quantity_compare_to (quantity, quantity) int; semver_compare_to (semver, semver) int
semver: string_to_semver (string) semver; string_bool_to_semver (string, bool) semver
isSemver: is_semver_string (string) bool; is_semver_string_bool (string, bool) bool
.major: semver_major (semver) int
.minor: semver_minor (semver) int
.patch: semver_patch (semver) int
url: string_to_url (string) kubernetes.URL
isURL: is_url_string (string) bool
.getScheme: url_get_scheme (kubernetes.URL) string
.getHost: url_get_host (kubernetes.URL) string
.getHostname: url_get_hostname (kubernetes.URL) string
.getPort: url_get_port (kubernetes.URL) string
.getEscapedPath: url_get_escaped_path (kubernetes.URL) string
.getQuery: url_get_query (kubernetes.URL) map(string, list(string))
ip: string_to_ip (string) net.IP
isIP: is_ip (string) bool
ip.isCanonical: ip_is_canonical (string) bool
.family: ip_family (net.IP) int
.isUnspecified: ip_is_unspecified (net.IP) bool
.isLoopback: ip_is_loopback (net.IP) bool
.isLinkLocalMulticast: ip_is_link_local_multicast (net.IP) bool
.isLinkLocalUnicast: ip_is_link_local_unicast (net.IP) bool
.isGlobalUnicast: ip_is_global_unicast (net.IP) bool
cidr: string_to_cidr (string) net.CIDR
isCIDR: is_cidr (string) bool
.containsIP: cidr_contains_ip_string (net.CIDR, string) bool; cidr_contains_ip_ip (net.CIDR, net.IP) bool
.containsCIDR: cidr_contains_cidr_string (net.CIDR, string) bool; cidr_contains_cidr (net.CIDR, net.CIDR) bool
.ip: cidr_ip (net.CIDR) net.IP
.prefixLength: cidr_prefix_length (net.CIDR) int
.masked: cidr_masked (net.CIDR) net.CIDR
base64.encode: base64_encode_bytes (bytes) string
base64.decode: base64_decode_string (string) bytes
jsonpatch.escapeKey: string_jsonpatch_escapeKey_string (string) string
.path: authorizer_path (authz.Authorizer, string) authz.PathCheck
.group: authorizer_group (authz.Authorizer, string) authz.GroupCheck
.serviceAccount: authorizer_serviceaccount (authz.Authorizer, string, string) authz.Authorizer
.resource: groupcheck_resource (authz.GroupCheck, string) authz.ResourceCheck
.subresource: resourcecheck_subresource (authz.ResourceCheck, string) authz.ResourceCheck
.namespace: resourcecheck_namespace (authz.ResourceCheck, string) authz.ResourceCheck
.name: resourcecheck_name (authz.ResourceCheck, string) authz.ResourceCheck
.check: pathcheck_check (authz.PathCheck, string) authz.Decision; \
resourcecheck_check (authz.ResourceCheck, string) authz.Decision
.allowed: decision_allowed (authz.Decision) bool
.reason: decision_reason (authz.Decision) string
.errored: decision_errored (authz.Decision) bool
.error: decision_error (authz.Decision) string
"""
_OVERLOAD = re.compile(r"\s*(\w+) \((.*)\) (\S.*)\Z")
_ARGUMENT = re.compile(r"(?:[^,()]|\([^()]*(?:\([^()]*\)[^()]*)*\))+")
_ORDERED = ("bool", "bytes", "double", "duration", "int", "string", "timestamp", "uint")
_NUMBERS = ("int", "uint", "double")
_CHARGED = {"int": "int64", "uint": "uint64"}


def _comparisons(name: str) -> tuple[Overload, ...]:
    """The overloads of an order: equal types, and numbers of any two."""
    pairs = [(each, each) for each in _ORDERED] + [(one, other) for one in _NUMBERS for other in _NUMBERS if one != other]
    return tuple(
        Overload(
            f"{name}_{_CHARGED.get(one, one)}" + (f"_{_CHARGED.get(other, other)}" if one != other else ""),
            (parse_type(one), parse_type(other)), parse_type("bool"),
        )
        for one, other in pairs
    )  # fmt: skip


_SHORT = {"quantity": "kubernetes.Quantity", "semver": "kubernetes.Semver", "authz.": "kubernetes.authorization."}
_SHORT_NAME = re.compile(r"\bquantity\b|\bsemver\b|\bauthz\.")


def _typed(text: str) -> Type:
    """A type of the table, its short names written out."""
    return parse_type(_SHORT_NAME.sub(lambda match: _SHORT[match[0]], text))


def _read() -> tuple[dict[str, tuple[Overload, ...]], dict[str, tuple[Overload, ...]]]:
    functions: dict[str, tuple[Overload, ...]] = {}
    methods: dict[str, tuple[Overload, ...]] = {}
    for line in _TABLE.strip().splitlines():
        name, _, given = line.partition(": ")
        found = []
        for text in given.split(";"):
            match = _OVERLOAD.match(text)
            assert match is not None, line
            arguments = tuple(_typed(each.strip()) for each in _ARGUMENT.findall(match[2]) if each.strip())
            found.append(Overload(match[1], arguments, _typed(match[3])))
        (methods if name.startswith(".") else functions)[name.removeprefix(".")] = tuple(found)
    for sign, name in (("<", "less"), ("<=", "less_equals"), (">", "greater"), (">=", "greater_equals")):
        functions[sign] = _comparisons(name)
    return functions, methods


FUNCTION_OVERLOADS: Mapping[str, tuple[Overload, ...]]
METHOD_OVERLOADS: Mapping[str, tuple[Overload, ...]]
FUNCTION_OVERLOADS, METHOD_OVERLOADS = _read()
OPERATORS = {  # how messages call them
    "!_": "!_", "-_": "-_", "in": "@in", "_?_:_": "_?_:_", "&&": "_&&_", "||": "_||_",
    **{sign: f"_{sign}_" for sign in ("==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%")},
}  # fmt: skip
