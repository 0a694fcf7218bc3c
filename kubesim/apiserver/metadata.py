"""What the server itself writes into ``metadata``: pure functions of the old and the new object.

Upstream: apiserver/pkg/registry/rest/{create,update,meta}.go; whether the result is valid is the kind's business. The functions for a
fresh object return a ``metadata`` dict of its own with an empty ``resourceVersion``: the one part of an object
that is written after the store knows the revision.
"""

from typing import Any

from kubesim.api import field
from kubesim.api.errors import ApiError, bad_request, invalid
from kubesim.apiserver.registry import Resource

Object = dict[str, Any]
GENERATED_BASE_SIZE_MAX = 58  # 63 for the name, 5 for the suffix
KEPT_AT_CREATE = ("labels", "annotations", "ownerReferences", "finalizers", "managedFields")
IMMUTABLE = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")


def stamped(found: Any) -> Object:
    """The object of a key-value, with its revision. Its writer stamps it; another server may read it before."""
    obj: Object = found.value
    if not obj["metadata"]["resourceVersion"]:
        stamp(obj, found.mod_revision)
    return obj


def stamp(obj: Object, revision: int) -> None:
    """Write the revision of its own write into a fresh object, frozen or not."""
    dict.__setitem__(obj["metadata"], "resourceVersion", str(revision))


def check_type(resource: Resource, obj: Object) -> None:
    """Raise 400 when the body is of another type than the resource; a body without a type is taken as it."""
    kind = resource.kind
    version, name = obj.get("apiVersion") or resource.api_version, obj.get("kind") or kind.kind
    if version == resource.api_version and name == kind.kind:
        return
    if kind.is_custom:
        raise _custom_type_error(resource, obj, version, name)
    head = f'{name} in version "{version.rpartition("/")[2]}" cannot be handled as a {kind.kind}: '
    raise bad_request(head + not_registered(version, name))


def _custom_type_error(resource: Resource, obj: Object, version: str, name: str) -> ApiError:
    if version != resource.api_version:
        return bad_request(f"the API version in the data ({version}) does not match the expected API version ({resource.api_version})")
    error = field.invalid("kind", name, f"must be {resource.kind.kind}")
    return invalid(name, (obj.get("metadata") or {}).get("name", ""), [error], resource.kind.group)


def not_registered(version: str, kind: str) -> str:
    """Upstream's words about a type that its scheme does not know."""
    return f'no kind "{kind}" is registered for version "{version}" in scheme "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30"'


def for_create(resource: Resource, given: Object, name: str, namespace: str, uid: str, now: str) -> Object:
    """The metadata of a new object: what the client may set, and what only the server sets. ``now`` is RFC 3339."""
    if len(given) == 2 and resource.namespaced and not resource.kind.has_generation and "name" in given and "namespace" in given:
        # An Event, of which there are as many as of everything else: what follows, where there is nothing else to look for.
        return {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": "", "creationTimestamp": now}
    metadata: Object = {"name": name}
    if given.get("generateName"):
        metadata["generateName"] = given["generateName"]
    if resource.namespaced:
        metadata["namespace"] = namespace
    metadata["uid"] = uid
    metadata["resourceVersion"] = ""
    if resource.kind.has_generation:
        metadata["generation"] = 1
    elif given.get("generation"):
        metadata["generation"] = given["generation"]
    metadata["creationTimestamp"] = now
    for key in KEPT_AT_CREATE:
        value = given.get(key)
        if value:
            metadata[key] = value
    if "ownerReferences" in metadata:
        metadata["ownerReferences"] = without_duplicates(metadata["ownerReferences"])
    return metadata


def for_update(given: Object, old: Object) -> Object:
    """The metadata of an update: what the client sent, with what it left out or may not change filled in from ``old``."""
    metadata = given.copy()
    metadata["resourceVersion"] = ""
    if given is not old:
        for key in IMMUTABLE:
            if key in old and not metadata.get(key) and metadata.get(key) != 0:
                metadata[key] = old[key]
        if "deletionTimestamp" in old:
            metadata["deletionTimestamp"] = old["deletionTimestamp"]
        _keep(metadata, old, "generation")
        for key in ("labels", "annotations", "ownerReferences", "finalizers"):
            if key in metadata and not metadata[key]:
                del metadata[key]
        if "ownerReferences" in metadata and metadata["ownerReferences"] is not old.get("ownerReferences"):
            metadata["ownerReferences"] = without_duplicates(metadata["ownerReferences"])
        metadata.pop("selfLink", None)
    return metadata


def _keep(metadata: Object, old: Object, key: str) -> None:
    if key in old:
        metadata[key] = old[key]
    else:
        metadata.pop(key, None)


def without_duplicates(references: list[Object]) -> list[Object]:
    """The owner references without equal ones; the same list when there are none."""
    kept: list[Object] = []
    for reference in references:
        if reference not in kept:
            kept.append(reference)
    return references if len(kept) == len(references) else kept


# Which metadata counts as spec, where a strategy deviates from "anything outside metadata and status"; None: nothing ever counts.
COUNTED_METADATA: dict[str, tuple[str, ...] | None] = {
    "deployments.apps": ("annotations",),
    "endpointslices.discovery.k8s.io": ("labels",),
    "priorityclasses.scheduling.k8s.io": None,
}


def is_next_generation(resource: Resource, new: Object, old: Object) -> bool:
    """Whether an update through the main resource begins a new generation."""
    counted = COUNTED_METADATA.get(resource.name, ())
    if counted is None:
        return False
    after, before = new["metadata"], old["metadata"]
    return spec_changed(new, old) or any(after.get(key) != before.get(key) for key in counted)


def spec_changed(new: Object, old: Object) -> bool:
    """Whether anything outside metadata and status differs. O(1) where the parts are the same objects."""
    for key, value in new.items():
        if key not in ("metadata", "status") and value is not old.get(key) and value != old.get(key):
            return True
    return any(key not in new for key in old if key not in ("metadata", "status"))


def same_but_version(new: Object, old: Object) -> bool:
    """Whether an update changes nothing at all (the resourceVersion aside), so that nothing needs to be written."""
    status, known = new.get("status"), old.get("status")
    if status is not known and status != known:  # most updates that change something are reports
        return False
    for key, value in new.items():
        if key != "metadata" and value is not old.get(key, value) and value != old.get(key):
            return False
    if new.keys() != old.keys():
        return False
    before, after = old["metadata"], new["metadata"]
    if before.keys() != after.keys():
        return False
    return all(value is before[key] or value == before[key] or key == "resourceVersion" for key, value in after.items())
