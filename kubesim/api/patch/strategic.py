"""Strategic merge patch: lists merge by key where the schema says so, and directives steer it.

Upstream: apimachinery/pkg/util/strategicpatch/patch.go. The schema tells the strategy of each field:

=================================  ==================================================================================
directive                          meaning
=================================  ==================================================================================
$patch: replace | delete | merge   of a map or of an item of a merging list
$setElementOrder/<list>            the order of the items afterwards; items only the server knows keep their place
$deleteFromPrimitiveList/<list>    values to take out of a list of scalars
$retainKeys                        the only fields that stay (of a union such as a volume's source)
=================================  ==================================================================================

Merging a map costs O(fields of the patch), merging a list O(items of the object + items of the patch).
"""

from collections.abc import Callable, Sequence
from typing import Any

from kubesim.api.errors import ApiError, bad_request, internal
from kubesim.api.patch.go_text import go_text, json_kind
from kubesim.api.schema import Field, definition

Object = dict[str, Any]
DIRECTIVE = "$patch"
RETAIN_KEYS = "$retainKeys"
ORDER_PREFIX = "$setElementOrder/"
DELETE_PREFIX = "$deleteFromPrimitiveList/"
_PREFIXES = (ORDER_PREFIX, DELETE_PREFIX)
_ANY = Field("*")


def apply_strategic_patch(obj: Object, patch: Any, schema_name: str) -> Object:
    """Merge ``patch`` into ``obj``, an object of the definition ``schema_name``.

    Raises:
        ApiError: 400 when the patch is not a map, 500 with upstream's sentence when its directives are wrong.
    """
    if patch is None:
        patch = {}
    if not isinstance(patch, dict):
        raise bad_request(f"json: cannot unmarshal {json_kind(patch)} into Go value of type map[string]interface {{}}")
    return _merge_map(obj, patch, Field("@", ref=schema_name))


def _field_of(at: Field, name: str) -> Field:
    """The schema of a field of a map; unknown ones are replaced as a whole when lists, merged when maps."""
    if at.code == "@":
        known = definition(at.ref)
        return known.fields.get(name, _ANY) if known else _ANY
    return at.item if at.code == "m" and at.item is not None else _ANY


def _merge_map(original: Object, patch: Object, at: Field) -> Object:
    """One level: directives of the map itself, ordered lists, then field by field."""
    if DIRECTIVE in patch:
        return _replaced_map(patch)
    rest = dict(patch)
    result = _retain_keys(dict(original), rest)
    _merge_ordered_lists(result, rest, at)
    for key, value in rest.items():
        if key.startswith(DELETE_PREFIX):
            name = key.removeprefix(DELETE_PREFIX)
            if name in result:
                result[name] = [item for item in result[name] if item not in value]
        elif value is None:
            result.pop(key, None)
        else:
            _merge_field(result, key, value, _field_of(at, key))
    return result


def _replaced_map(patch: Object) -> Object:
    directive = patch[DIRECTIVE]
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != DIRECTIVE}
    if directive == "delete":
        return {}
    raise internal(f"unknown patch type: {go_text(directive)} in map: {go_text(patch)}")


def _merge_field(result: Object, key: str, value: Any, at: Field) -> None:
    old = result.get(key)
    if key not in result or json_kind(old) != json_kind(value) or old is None:
        new, keep = _without_directives(value)
        if keep:
            result[key] = new
        else:
            result.pop(key, None)
    elif isinstance(value, dict):
        if "replace" in at.patch_strategies:
            result[key] = value
        else:
            result[key] = _merge_map(old, value, at)
    elif isinstance(value, list) and "merge" in at.patch_strategies:
        result[key] = _merge_list(old, value, at)
    else:
        result[key] = value


def _without_directives(value: Any) -> tuple[Any, bool]:
    """A value that is new to the object: without nulls and directives; False when a directive deletes it."""
    if isinstance(value, dict):
        if value.get(DIRECTIVE) == "delete":
            return None, False
        kept = {}
        for key, item in value.items():
            if item is None or key in (DIRECTIVE, RETAIN_KEYS) or key.startswith(_PREFIXES):
                continue
            new, keep = _without_directives(item)
            if keep:
                kept[key] = new
        return kept, True
    if isinstance(value, list):
        pairs = [_without_directives(item) for item in value]
        return [item for item, keep in pairs if keep], True
    return value, True


def _retain_keys(result: Object, patch: Object) -> Object:
    """Take away the fields that $retainKeys does not name; every field of the patch must be named."""
    retained = patch.pop(RETAIN_KEYS, None)
    if retained is None:
        return result
    if not isinstance(retained, list) or any(key not in retained for key in patch if not key.startswith(_PREFIXES) and key != DIRECTIVE):
        raise internal("invalid patch format of retainKeys")
    return {key: value for key, value in result.items() if key in retained}


def _merge_ordered_lists(result: Object, patch: Object, at: Field) -> None:
    """Merge each list that has a $setElementOrder, and put its items in that order; they are done then."""
    for directive in [key for key in patch if key.startswith(ORDER_PREFIX)]:
        order = patch.pop(directive)
        name = directive.removeprefix(ORDER_PREFIX)
        if not isinstance(order, list):
            raise internal(f"expected a list, but received a {json_kind(order)}")
        original, change = result.get(name), patch.get(name)
        inner = _field_of(at, name)
        _check_order(change or [], order, inner.merge_key)
        if change is None:
            if original is None:
                continue
            merged = original
        elif original is None:
            merged = _without_directives(change)[0]
        else:
            merged = _merge_list(original, change, inner)
        patch.pop(name, None)
        result[name] = _in_order(merged, order, _server_order(original or [], change or [], merged, inner.merge_key), inner.merge_key)


def _server_order(original: list[Any], change: list[Any], merged: list[Any], merge_key: str) -> list[Any]:
    """The order of the server's items as upstream sees it after the merge.

    Upstream deletes in place and appends to what is left, so each new item takes the place of a deleted one in the list that it then takes
    for the old one.
    """
    identity = _identity(merge_key)
    gone = {identity(item) for item in change if isinstance(item, dict) and item.get(DIRECTIVE) == "delete"}
    left = [item for item in original if identity(item) not in gone]
    known = {identity(item) for item in original}
    new = [item for item in merged if identity(item) not in known]
    return left + new[: len(original) - len(left)]


def _check_order(change: Sequence[Any], order: Sequence[Any], merge_key: str) -> None:
    """The items of the patch must appear in the order list, in that order."""
    kept = [item for item in change if not (isinstance(item, dict) and item.get(DIRECTIVE) == "delete")]
    identity = _identity(merge_key)
    position = 0
    for item in kept:
        while position < len(order) and identity(order[position]) != identity(item):
            position += 1
        if position == len(order):
            shown = f"The order in patch list:\n{go_text(list(change))}\n doesn't match $setElementOrder list:\n{go_text(list(order))}\n"
            raise internal(shown)
        position += 1


def _identity(merge_key: str) -> Callable[[Any], Any]:
    """What tells items of a list apart: the merge key of maps, scalars themselves."""
    return lambda item: item.get(merge_key) if merge_key and isinstance(item, dict) else item


def _no_merge_key(item: Any, merge_key: str) -> ApiError:
    return internal(f"map: {go_text(item)} does not contain declared merge key: {merge_key}")


def _merge_list(original: list[Any], patch: list[Any], at: Field) -> list[Any]:
    """Merge a list of maps by key or a list of scalars as a set; the patch's items come in the patch's order."""
    if not original and not patch:
        return original
    if not isinstance((patch or original)[0], dict):
        both = list(dict.fromkeys([*original, *patch]))
        return _in_order(both, patch, original, "")
    kept, additions = _apply_item_directives(original, patch, at.merge_key)
    merged = _merge_items(kept, additions, at)
    return _in_order(merged, additions, kept, at.merge_key)


def _apply_item_directives(original: list[Any], patch: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    """(original without deleted items, patch without directives); a replace empties the original."""
    additions: list[Any] = []
    replace = False
    for item in patch:
        directive = item.get(DIRECTIVE)
        if directive is None:
            additions.append(item)
        elif directive == "delete":
            if merge_key not in item:
                raise _no_merge_key(item, merge_key)
            original = [old for old in original if old.get(merge_key) != item[merge_key]]
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise internal("merging lists cannot yet be specified in the patch")
        else:
            raise internal(f"unknown patch type: {go_text(directive)} in map: {go_text(item)}")
    return ([], additions) if replace else (original, additions)


def _merge_items(original: list[Any], additions: list[Any], at: Field) -> list[Any]:
    merge_key, item_type = at.merge_key, at.item or _ANY
    result = list(original)
    positions = {old.get(merge_key): index for index, old in reversed(list(enumerate(result)))}
    for item in additions:
        if merge_key not in item:
            raise _no_merge_key(item, merge_key)
        position = positions.get(item[merge_key])
        if position is None:
            positions[item[merge_key]] = len(result)
            result.append(_without_directives(item)[0])
        else:
            result[position] = _merge_map(result[position], item, item_type)
    return result


def _in_order(items: list[Any], order: Sequence[Any], server_order: Sequence[Any], merge_key: str) -> list[Any]:
    """Items of the patch in its order, the server's own in theirs, woven together.

    A server item goes before a patch item when the server knew both and had it first; else the patch item goes first.
    """
    identity = _identity(merge_key)
    wanted = {identity(item): index for index, item in reversed(list(enumerate(order)))}
    known = {identity(item): index for index, item in reversed(list(enumerate(server_order)))}
    ours = sorted((item for item in items if identity(item) in wanted), key=lambda item: wanted[identity(item)])
    theirs = [item for item in items if identity(item) not in wanted]
    theirs.sort(key=lambda item: known.get(identity(item), len(known)))
    woven: list[Any] = []
    left = right = 0
    while left < len(theirs) and right < len(ours):
        mine, yours = known.get(identity(ours[right])), known.get(identity(theirs[left]))
        if mine is not None and yours is not None and yours < mine:
            woven.append(theirs[left])
            left += 1
        else:
            woven.append(ours[right])
            right += 1
    return woven + theirs[left:] + ours[right:]
