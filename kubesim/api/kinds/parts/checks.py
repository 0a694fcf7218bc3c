"""Small checks of one field, each giving a list of field errors."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError

ID_WRONG = "must be between 0 and 2147483647, inclusive"
_INT32_MAX = 2**31 - 1


def text_errors(value: str, path: str, check: Callable[[str], list[str]]) -> list[FieldError]:
    """Errors of a string by its syntax."""
    return [field.invalid(path, value, message) for message in check(value)]


def required_text_errors(value: str | None, path: str, check: Callable[[str], list[str]]) -> list[FieldError]:
    """Errors of a string that must be set."""
    return text_errors(value, path, check) if value else [field.required(path)]


def choice_errors(value: Any, path: str, supported: Sequence[str], *, is_required: bool = False) -> list[FieldError]:
    """A value outside an enumeration; a missing one is an error only if it is required."""
    if value is None or value == "":
        return [field.required(path)] if is_required else []
    return [] if value in supported else [field.not_supported(path, value, supported)]


def not_negative(values: Any, path: str, fields: Iterable[str]) -> list[FieldError]:
    """Numbers among the fields of a dict that are below zero."""
    return [
        field.invalid(f"{path}.{name}", values[name], names.NOT_NEGATIVE)
        for name in fields
        if values.get(name) is not None and values[name] < 0
    ]


def id_errors(value: int | None, path: str) -> list[FieldError]:
    """A user or group id out of range."""
    return [] if value is None or 0 <= value <= _INT32_MAX else [field.invalid(path, value, ID_WRONG)]


def port_errors(port: int | str | None, path: str) -> list[FieldError]:
    """A port that is neither a number in range nor a name."""
    if isinstance(port, str):
        return text_errors(port, path, names.check_port_name)
    return [field.invalid(path, port or 0, message) for message in names.check_port_number(port or 0)]


def local_path_errors(path_text: str, path: str) -> list[FieldError]:
    """A path inside a volume: relative, and never upwards."""
    wrong = [field.invalid(path, path_text, "must be a relative path")] if path_text.startswith("/") else []
    if ".." in path_text.split("/"):
        wrong.append(field.invalid(path, path_text, "must not contain '..'"))
    return wrong
