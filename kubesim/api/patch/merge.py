"""RFC 7386: a map merges into a map, null removes, everything else replaces."""

from typing import Any

from kubesim.api.errors import ApiError, bad_request
from kubesim.api.patch.go_text import json_kind

Object = dict[str, Any]


def apply_merge_patch(obj: Object, patch: Any) -> Object:
    """Merge ``patch`` into ``obj``.

    Raises:
        ApiError: 400 when the patch is not a map.
    """
    if patch is None:
        raise bad_request("Invalid JSON Patch")
    if not isinstance(patch, dict):
        raise _not_a_map(patch)
    return merged(obj, patch)


def _not_a_map(patch: Any) -> ApiError:
    return bad_request(f"error decoding patch: json: cannot unmarshal {json_kind(patch)} into Go value of type map[string]interface {{}}")


def merged(target: Any, patch: Any) -> Any:
    """``patch`` merged into ``target``, any two JSON values; the same target when nothing changes."""
    if not isinstance(patch, dict):
        return patch
    base = target if isinstance(target, dict) else {}
    result: Object | None = None if base is target else {}
    for key, value in patch.items():
        if value is None:
            if key in (base if result is None else result):
                result = dict(base) if result is None else result
                del result[key]
            continue
        old = base.get(key)
        new = merged(old, value)
        if key in base and (new is old or (not isinstance(new, (dict, list)) and new == old and type(new) is type(old))):
            continue
        result = dict(base) if result is None else result
        result[key] = new
    return base if result is None else result
