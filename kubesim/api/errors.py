"""API errors: a Status object that is raised below the apiserver's verbs and returned as a value above them.

Codes, reasons and messages are upstream's (apimachinery/pkg/api/errors/errors.go).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

FieldErrorReason = str
REQUIRED = "FieldValueRequired"
INVALID = "FieldValueInvalid"
NOT_SUPPORTED = "FieldValueNotSupported"
DUPLICATE = "FieldValueDuplicate"
FORBIDDEN = "FieldValueForbidden"
TOO_LONG = "FieldValueTooLong"
TOO_MANY = "FieldValueTooMany"
NOT_FOUND = "FieldValueNotFound"
TYPE_INVALID = "FieldValueTypeInvalid"


class FieldError(NamedTuple):
    """One cause of an Invalid status: upstream's field.Error, its ``message`` already rendered as upstream renders it."""

    field: str
    reason: FieldErrorReason
    message: str


class ApiError(Exception):
    """An expected failure of a request; ``status`` is the Status object that a client gets."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = {} if details is None else details
        self._shows_details = details is not None  # upstream shows an empty ``details`` for paths that are not served

    @property
    def status(self) -> dict[str, Any]:
        """The Status object, upstream's field order."""
        status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message}
        if self.reason:
            status["reason"] = self.reason
        if self.details or self._shows_details:
            status["details"] = self.details
        status["code"] = self.code
        return status

    def __repr__(self) -> str:
        return f"ApiError({self.code} {self.reason}: {self.message})"


def _details(resource: str, name: str) -> dict[str, Any]:
    plural, _, group = resource.partition(".")
    details: dict[str, Any] = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    details["kind"] = plural
    return details


def not_found(resource: str, name: str) -> ApiError:
    """404 of an object; ``resource`` is ``plural`` or ``plural.group``."""
    return ApiError(404, "NotFound", f'{resource} "{name}" not found', _details(resource, name))


def already_exists(resource: str, name: str) -> ApiError:
    """409 of a create."""
    return ApiError(409, "AlreadyExists", f'{resource} "{name}" already exists', _details(resource, name))


def conflict(resource: str, name: str, why: str) -> ApiError:
    """409 of a stale write or a failed precondition."""
    message = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(resource, name))


def forbidden(resource: str, name: str, why: str) -> ApiError:
    """403 with upstream's sentence."""
    head = f'{resource} "{name}" is forbidden' if name else f"{resource} is forbidden"
    return ApiError(403, "Forbidden", f"{head}: {why}", _details(resource, name))


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def gone(message: str) -> ApiError:
    """410 Expired: the version asked for was compacted."""
    return ApiError(410, "Expired", message)


def too_large(message: str) -> ApiError:
    """413."""
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {message}")


def unprocessable() -> ApiError:
    """422 of a JSON patch that does not apply; upstream does not say why."""
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def internal(message: str) -> ApiError:
    """500 without a reason: upstream lets some errors of a strategic merge through as they are."""
    return ApiError(500, "", message)


def method_not_supported(resource: str, verb: str) -> ApiError:
    """405."""
    plural = resource.partition(".")[0]
    return ApiError(405, "MethodNotAllowed", f'{verb} is not supported on resources of kind "{plural}"', _details(resource, ""))


def invalid(kind: str, name: str, errors: Sequence[FieldError], group: str = "") -> ApiError:
    """422 with one cause per field error; several are joined as upstream's aggregate does, each text once: ``[a, b]``."""
    texts = list(dict.fromkeys(f"{error.field}: {error.message}" for error in errors))
    joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    label = f"{kind}.{group}" if group else kind
    details: dict[str, Any] = {"name": name} if name else {}
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    details["causes"] = [{"reason": e.reason, "message": e.message, "field": e.field} for e in errors]
    return ApiError(422, "Invalid", f'{label} "{name}" is invalid: {joined}', details)
