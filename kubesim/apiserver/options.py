"""The query of a request as options: parsed and checked with upstream's words.

Upstream: apimachinery/pkg/apis/meta/v1/validation (options) and endpoints/handlers. What verbs know is listed in ``requests.py``.
"""

from collections.abc import Mapping
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError, bad_request, invalid

Options = dict[str, Any]
MANAGER_BYTES_MAX = 128
VALIDATIONS = ("", "Ignore", "Strict", "Warn")
KINDS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}
LIST_TEXTS = ("labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch")
DELETE_TEXTS = ("gracePeriodSeconds", "propagationPolicy", "orphanDependents")
_FALSE = ("false", "0", "", "False", "FALSE", "f", "F")
INT64_MAX = 2**63 - 1


def is_true(text: str | None) -> bool:
    """Whether a query value means true: upstream takes everything but "false" and "0"."""
    return text is not None and text not in _FALSE


def integer(text: str) -> int:
    """A number of a query. Raises ApiError 400 in Go's words."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdecimal()):
        raise bad_request(f"strconv.ParseInt: parsing {field.quote(text)}: invalid syntax")
    if abs(int(text)) > INT64_MAX:
        raise bad_request(f"strconv.ParseInt: parsing {field.quote(text)}: value out of range")
    return int(text)


def manager_of(user_agent: str) -> str:
    """The field manager of a client that names none: its program's name."""
    name = user_agent.partition("/")[0]
    return "".join(letter for letter in name if letter.isprintable())[:MANAGER_BYTES_MAX] or "unknown"


def write_options(verb: str, query: Mapping[str, str], user_agent: str = "", patch_type: str = "") -> Options:
    """The options of a create, update or patch. Raises ApiError 422 (400 for a bad boolean)."""
    options: Options = {"defaultManager": manager_of(user_agent)}
    errors: list[FieldError] = []
    force = query.get("force")
    if verb == "patch" and patch_type != "apply" and force is not None:
        errors.append(field.forbidden("force", "may not be specified for non-apply patch"))
    manager = query.get("fieldManager", "")
    if patch_type == "apply" and not manager:
        errors.append(field.required("fieldManager", "is required for apply patch"))
    errors += _manager_errors(manager)
    dry = query.get("dryRun")
    if dry and dry != "All":
        errors.append(field.not_supported("dryRun", [dry], ("All",)))
    validation = query.get("fieldValidation", "")
    if validation and validation not in VALIDATIONS:
        errors.append(field.not_supported("fieldValidation", validation, VALIDATIONS))
    if errors:
        raise invalid(KINDS[verb], "", errors, "meta.k8s.io")
    if manager:
        options["fieldManager"] = manager
    if dry:
        options["dryRun"] = True
    if validation:
        options["fieldValidation"] = validation
    if is_true(force):
        options["force"] = True
    return options


def _manager_errors(manager: str) -> list[FieldError]:
    if len(manager.encode()) > MANAGER_BYTES_MAX:
        return [field.too_long("fieldManager", MANAGER_BYTES_MAX)]
    position = 0  # in bytes, as Go counts
    for letter in manager:
        if not letter.isprintable():
            return [field.invalid("fieldManager", manager, f"invalid character U+{ord(letter):04X} (at position {position})")]
        position += len(letter.encode())
    return []


def list_options(query: Mapping[str, str]) -> Options:
    """The options of a list or deletecollection. Raises ApiError 400 for what is no number."""
    options: Options = {name: query[name] for name in LIST_TEXTS if query.get(name)}
    for name in ("limit", "timeoutSeconds"):
        if query.get(name):
            number = integer(query[name])
            if name in options:
                options[name] = number
    return options


def delete_options(query: Mapping[str, str], body: Mapping[str, Any]) -> Options:
    """The options of a delete: those of its body, or of its query when it has none. Raises ApiError 400 or 422."""
    if body:
        options = {name: value for name, value in body.items() if name not in ("kind", "apiVersion", "dryRun") and value is not None}
        dry = body.get("dryRun")
    else:
        options = {name: query[name] for name in DELETE_TEXTS if query.get(name)}
        if "gracePeriodSeconds" in options:
            options["gracePeriodSeconds"] = integer(options["gracePeriodSeconds"])
        if "orphanDependents" in options:
            options["orphanDependents"] = is_true(options["orphanDependents"])
        dry = [query["dryRun"]] if query.get("dryRun") else None
    if dry and dry != ["All"]:
        raise invalid("DeleteOptions", "", [field.not_supported("dryRun", dry, ("All",))], "meta.k8s.io")
    if dry or query.get("dryRun") == "All":
        options["dryRun"] = True
    return options
