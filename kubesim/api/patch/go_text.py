"""Values as Go prints them with %v, for messages that carry a patch."""

from typing import Any


def go_text(value: Any) -> str:
    """``map[a:1 b:[x y]]``: keys sorted, strings bare, null as <nil>."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(go_text(item) for item in value) + "]"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def json_kind(value: Any) -> str:
    """The JSON type of a value as Go's decoder names it."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"
