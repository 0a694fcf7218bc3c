"""Owner references: who controls an object, who may adopt it, who must let it go.

Decisions and requests as data; nothing is sent here.

Upstream: apimachinery/pkg/apis/meta/v1/controller_ref.go, pkg/controller/controller_ref_manager.go.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from kubesim.api.meta import controller_reference
from kubesim.apiserver.requests import Object, Request, patch


class Claim(NamedTuple):
    """What a controller has (``owned``), and what it should take (``adopt``) and give away (``release``)."""

    owned: list[Object]
    adopt: list[Object]
    release: list[Object]


def controller_uid_of(obj: Object) -> str:
    """The uid of the controlling owner, or an empty string."""
    for reference in obj["metadata"].get("ownerReferences", ()):
        if reference.get("controller"):
            return reference["uid"]
    return ""


def claim(owner: Object, objects: Iterable[Object], matches: Callable[[dict[str, str]], bool]) -> Claim:
    """Decide about objects of the owner's namespace; ``matches`` is the owner's selector on labels. O(N).

    Owned and matching stays; owned and not matching is released; an orphan that matches is adopted unless it, or the owner, is
    being deleted. Others' objects are ignored.
    """
    uid = owner["metadata"]["uid"]
    dying = bool(owner["metadata"].get("deletionTimestamp"))
    result = Claim([], [], [])
    for obj in objects:
        metadata = obj["metadata"]
        holder = controller_uid_of(obj)
        if holder and holder != uid:
            continue
        fits = matches(metadata.get("labels") or {})
        if holder:
            if fits:
                result.owned.append(obj)
            elif not dying:
                result.release.append(obj)
        elif fits and not dying and not metadata.get("deletionTimestamp"):
            result.adopt.append(obj)
    return result


def adopt_request(owner: Object, resource: str, obj: Object) -> Request:
    """Make ``owner`` the controller of ``obj``: a strategic merge patch that fails when the object is another one by now."""
    metadata = obj["metadata"]
    body = {"metadata": {"ownerReferences": [controller_reference(owner)], "uid": metadata["uid"]}}
    return patch(resource, metadata.get("namespace", ""), metadata["name"], body, "strategic")


def release_request(owner: Object, resource: str, obj: Object) -> Request:
    """Take the owner's reference off ``obj``."""
    metadata = obj["metadata"]
    gone = {"$patch": "delete", "uid": owner["metadata"]["uid"]}
    body = {"metadata": {"ownerReferences": [gone], "uid": metadata["uid"]}}
    return patch(resource, metadata.get("namespace", ""), metadata["name"], body, "strategic")
