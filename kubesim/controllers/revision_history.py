"""ControllerRevisions: the templates that a StatefulSet or DaemonSet has had, numbered; shared by both controllers.

A revision's data is a patch that puts the template back; its name ends in a hash of it. An older revision that is wanted again gets the
next number instead of a copy. Decisions and objects as data; nothing is sent here.

Upstream: pkg/controller/history/controller_history.go, getPatch of both controllers.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from kubesim.api.meta import controller_reference
from kubesim.apiserver.requests import Object
from kubesim.client.informer import looks_at
from kubesim.client.owners import controller_uid_of
from kubesim.controllers.template_hash import fnv32a, safe_encode

RESOURCE = "controllerrevisions.apps"
HASH_LABEL = "controller.kubernetes.io/hash"
POD_LABEL = "controller-revision-hash"
Plain = dict[str, Any]


@looks_at("metadata.ownerReferences")
def orphans_by_namespace(obj: Object) -> tuple[str, ...]:
    """Index function: the namespace of an object (a revision, a ReplicaSet) that nobody controls."""
    return () if controller_uid_of(obj) else (obj["metadata"]["namespace"],)


def patch_of(owner: Object) -> Object:
    """The data of the revision of an owner's present template."""
    return {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}


def template_of(revision: Object) -> Object:
    """The template that a revision puts back."""
    template = revision["data"]["spec"]["template"]
    return {key: value for key, value in template.items() if key != "$patch"}


def by_revision(revisions: Iterable[Object]) -> list[Object]:
    """Oldest first; equal numbers by age, then name."""
    return sorted(revisions, key=lambda found: (found["revision"], found["metadata"]["creationTimestamp"], found["metadata"]["name"]))


def next_number(revisions: Sequence[Object]) -> int:
    """One more than the newest of ``revisions`` (oldest first)."""
    return revisions[-1]["revision"] + 1 if revisions else 1


def data_hash(data: Object, collision_count: int | None) -> str:
    """The hash of a revision's data, other for every collision."""
    text = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
    if collision_count is not None:
        text += str(collision_count).encode()
    return safe_encode(str(fnv32a(text)))


def new_revision(owner: Object, number: int, collision_count: int | None, annotations: Plain | None = None) -> Object:
    """The revision of an owner's present template, to be created or compared."""
    data = patch_of(owner)
    hash_ = data_hash(data, collision_count)
    metadata: Object = {
        "name": f"{owner['metadata']['name'][:223]}-{hash_}",
        "namespace": owner["metadata"]["namespace"],
        "labels": {**((owner["spec"]["template"].get("metadata") or {}).get("labels") or {}), HASH_LABEL: hash_},
        "ownerReferences": [controller_reference(owner)],
    }
    if annotations:
        metadata["annotations"] = annotations
    return {"kind": "ControllerRevision", "apiVersion": "apps/v1", "metadata": metadata, "data": data, "revision": number}


def equal(revisions: Iterable[Object], data: Object) -> list[Object]:
    """Those of ``revisions`` that have this data, in their order."""
    return [revision for revision in revisions if revision["data"] == data]


class PatchMemo:
    """``patch_of`` remembered by the identity of the template, per owner: an unchanged template is compared once."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, tuple[Object, Sequence[Object], Object | None]] = {}

    def current(self, owner: Object, revisions: Sequence[Object], find: Callable[[], Object | None]) -> Object | None:
        """What ``find()`` gave for the same template and the same revisions, or gives now."""
        uid = owner["metadata"]["uid"]
        known = self._known.get(uid)
        template = owner["spec"]["template"]
        if known is not None and known[0] is template and len(known[1]) == len(revisions) and all(map(_is, known[1], revisions)):
            return known[2]
        found = find()
        if len(self._known) > 4096:
            del self._known[next(iter(self._known))]
        self._known[uid] = (template, tuple(revisions), found)
        return found


def _is(one: Object, other: Object) -> bool:
    return one is other
