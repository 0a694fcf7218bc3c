"""Names, labels and field errors: upstream's messages."""

import pytest

from kubesim.api import field, names
from kubesim.api.errors import ApiError, invalid

CHECKS = [
    (names.check_dns_label, "a-b", []),
    (names.check_dns_label, "a.b", ["must not contain dots"]),
    (names.check_dns_label, "A", [names.LABEL_WRONG]),
    (names.check_dns_label, "", [names.LABEL_WRONG]),
    (names.check_dns_label, "a" * 64, ["must be no more than 63 characters"]),
    (names.check_dns_subdomain, "a.b-c.d", []),
    (names.check_dns_subdomain, "a..b", [names.SUBDOMAIN_WRONG]),
    (names.check_dns_subdomain, "a" * 254, ["must be no more than 253 characters"]),
    (names.check_dns_1035_label, "1a", [names.LABEL_1035_WRONG]),
    (names.check_path_segment, "a/b", ["may not contain '/'"]),
    (names.check_path_segment, "..", ["may not be '..'"]),
    (names.check_qualified_name, "example.com/MyName", []),
    (names.check_qualified_name, "/x", ["prefix part must be non-empty"]),
    (names.check_qualified_name, "a b", [f"name part {names.QUALIFIED_WRONG}"]),
    (names.check_qualified_name, "", ["name part must be non-empty", f"name part {names.QUALIFIED_WRONG}"]),
    (names.check_label_value, "", []),
    (names.check_label_value, "-", [names.LABEL_VALUE_WRONG]),
    (names.check_label_value, "a" * 64, ["must be no more than 63 bytes"]),
    (names.check_port_name, "http", []),
    (names.check_port_name, "80", ["must contain at least one letter (a-z)"]),
    (names.check_port_name, "a--b", ["must not contain consecutive hyphens"]),
    (names.check_port_name, "a-", ["must not begin or end with a hyphen"]),
    (names.check_port_name, "THIS_is_bad", ["must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"]),
    (names.check_env_name, "A=B", [names.ENV_NAME_WRONG]),
    (names.check_env_name, "my var!", []),
    (names.check_config_key, "..", ["must not be '..'"]),
    (names.check_config_key, "a/b", [names.CONFIG_KEY_WRONG]),
    (names.check_ip, "10.0.0.1", []),
    (names.check_ip, "fe80::1%eth0", ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]),
    (names.check_percent, "25%", []),
    (names.check_percent, "abc", [names.PERCENT_WRONG]),
]


@pytest.mark.parametrize(("check", "text", "expected"), CHECKS, ids=lambda value: getattr(value, "__name__", str(value))[:40])
def test_syntax(check: names.Check, text: str, expected: list[str]) -> None:
    assert expected == check(text)


def test_ports() -> None:
    assert names.check_port_number(65535) == [] and names.check_port_number(0) == ["must be between 1 and 65535, inclusive"]


ERRORS = [
    (field.required("a.b"), "FieldValueRequired", "Required value"),
    (field.required("a.b", "why"), "FieldValueRequired", "Required value: why"),
    (field.invalid("a", "x", "why"), "FieldValueInvalid", 'Invalid value: "x": why'),
    (field.invalid("a", 'say "x"\\', "why"), "FieldValueInvalid", 'Invalid value: "say \\"x\\"\\\\": why'),
    (field.invalid("a", True, "why"), "FieldValueInvalid", "Invalid value: true: why"),
    (field.invalid("a", None, "why"), "FieldValueInvalid", "Invalid value: null: why"),
    (field.invalid("a", {"b": ["c"]}, "why"), "FieldValueInvalid", 'Invalid value: {"b":["c"]}: why'),
    (field.not_supported("a", "x", ["b", "c"]), "FieldValueNotSupported", 'Unsupported value: "x": supported values: "b", "c"'),
    (field.duplicate("a", 3), "FieldValueDuplicate", "Duplicate value: 3"),
    (field.forbidden("a", "why"), "FieldValueForbidden", "Forbidden: why"),
    (field.not_found("a", "x"), "FieldValueNotFound", 'Not found: "x"'),
    (field.too_long("a", 9), "FieldValueTooLong", "Too long: may not be more than 9 bytes"),
    (field.too_many("a", 3, 2), "FieldValueTooMany", "Too many: 3: must have at most 2 items"),
    (field.type_invalid("a", "x", "why"), "FieldValueTypeInvalid", 'Invalid value: "x": why'),
]


@pytest.mark.parametrize(("error", "reason", "message"), ERRORS, ids=lambda value: str(value)[:50])
def test_field_errors(error: field.FieldError, reason: str, message: str) -> None:
    assert (reason, message) == (error.reason, error.message)


def test_an_invalid_status_says_each_text_once_and_each_cause() -> None:
    error = invalid("Pod", "p", [field.required("a"), field.required("a"), field.required("b")])
    assert error.message == 'Pod "p" is invalid: [a: Required value, b: Required value]'
    assert [cause["field"] for cause in error.status["details"]["causes"]] == ["a", "a", "b"]
    assert isinstance(error, ApiError) and error.status["code"] == 422
    assert invalid("Deployment", "d", [field.required("a")], "apps").message == 'Deployment.apps "d" is invalid: a: Required value'
