"""The patch that turns what was applied last into what is applied now: client-side apply's half of a three-way merge.

Everything in the new manifest is in the patch; what only the old one had becomes a null, or a ``$patch: delete`` in a list whose items
have a merge key. The other half, merging into the live object, is the apiserver's strategic merge patch.

Upstream: apimachinery/pkg/util/strategicpatch (CreateThreeWayMergePatch). Simpler here: unchanged fields are sent too.
"""

from typing import Any

from kubesim.api import schema


def patch_of(before: Any, after: Any, definition: str) -> Any:
    """The strategic merge patch from ``before`` to ``after``, two objects of the type ``definition``.

    >>> patch_of({"metadata": {"labels": {"a": "1", "b": "2"}}}, {"metadata": {"labels": {"a": "3"}}}, "io.k8s.api.core.v1.Pod")
    {'metadata': {'labels': {'a': '3', 'b': None}}}
    """
    return _patch(before, after, schema.Field("@", ref=definition))


def _patch(before: Any, after: Any, at: schema.Field | None) -> Any:
    if isinstance(after, dict) and isinstance(before, dict):
        result = {key: _patch(before.get(key), value, _field(at, key)) for key, value in after.items()}
        result.update((key, None) for key in before if key not in after)
        return result
    if isinstance(after, list) and isinstance(before, list) and at is not None and at.merge_key:
        return _items(before, after, at, at.merge_key)
    return after


def _items(before: list[Any], after: list[Any], at: schema.Field, key: str) -> list[Any]:
    """Items are matched by the list's merge key."""
    old = {each[key]: each for each in before if isinstance(each, dict) and key in each}
    new = {each.get(key) for each in after if isinstance(each, dict)}
    kept = [_patch(old.get(each.get(key)), each, at.item) if isinstance(each, dict) else each for each in after]
    return [*kept, *({key: value, "$patch": "delete"} for value in old if value not in new)]


def _field(at: schema.Field | None, key: str) -> schema.Field | None:
    if at is None:
        return None
    if at.code == "m":
        return at.item
    known = schema.definition(at.ref) if at.code == "@" else None
    return known.fields.get(key) if known else None
