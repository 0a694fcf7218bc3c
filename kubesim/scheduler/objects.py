"""The objects beside nodes and Pods that plugins look at: namespaces, Services and the like, storage, disruption budgets.

Kept as they came, by resource and key; a version per resource tells who derived something that it must look again.
"""

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
NOTHING: dict[str, Object] = {}
# What the default topology constraints and namespace selectors read: signatures of Pods depend on them.
SIGNATURE_RESOURCES = ("namespaces", "services", "replicationcontrollers", "replicasets", "statefulsets")
STORAGE_RESOURCES = (
    "persistentvolumes",
    "persistentvolumeclaims",
    "storageclasses",
    "csinodes",
    "csidrivers",
    "csistoragecapacities",
    "volumeattachments",
)
DEVICE_RESOURCES = ("deviceclasses", "resourceslices", "resourceclaims")
RESOURCES = (*SIGNATURE_RESOURCES, *STORAGE_RESOURCES, *DEVICE_RESOURCES, "poddisruptionbudgets", "podgroups")
CLUSTER_SCOPED = frozenset(
    ("namespaces", "persistentvolumes", "storageclasses", "csinodes", "csidrivers", "volumeattachments", "deviceclasses", "resourceslices")
)
NAMESPACE_LABEL = "kubernetes.io/metadata.name"


class Objects:
    """Objects by resource and "namespace/name" (or name); every operation is O(1)."""

    __slots__ = ("_assumed", "_by_resource", "_version", "signature_version")

    def __init__(self) -> None:
        self._by_resource: dict[str, dict[str, Object]] = {}
        self._version: dict[str, int] = {}
        self._assumed: dict[tuple[str, str], tuple[Object, Object]] = {}  # (resource, key) -> (as assumed, as it was)
        self.signature_version = 0  # moves when a Pod's signature may have changed

    def set(self, resource: str, obj: Object) -> None:
        """Add an object or replace it. Raises ValueError for a resource that no plugin looks at."""
        if resource not in RESOURCES:
            raise ValueError(f"resource {resource!r}: the scheduler looks at {', '.join(RESOURCES)}")
        known = self._by_resource.setdefault(resource, {})
        key = key_of(resource, obj)
        before = known.get(key)
        known[key] = obj
        if before is None or _seen(resource, before) != _seen(resource, obj):
            self._moved(resource)

    def assume(self, resource: str, obj: Object) -> None:
        """Show an object as it is going to be, until the watch brings another state of it or ``restore`` takes it back."""
        key = key_of(resource, obj)
        known = self._by_resource.get(resource, NOTHING).get(key)
        if known is not None:
            self._assumed[resource, key] = (obj, known)
        self.set(resource, obj)

    def restore(self, resource: str, obj: Object) -> None:
        """Take an assumption back, unless the watch has brought another state since."""
        key = key_of(resource, obj)
        assumed, before = self._assumed.pop((resource, key), (None, None))
        if assumed is obj and before is not None and self.get(resource, key) is obj:
            self.set(resource, before)

    def remove(self, resource: str, obj: Object) -> None:
        """Take an object away; unknown ones are ignored."""
        if self._by_resource.get(resource, {}).pop(key_of(resource, obj), None) is not None:
            self._moved(resource)

    def _moved(self, resource: str) -> None:
        self._version[resource] = self._version.get(resource, 0) + 1
        if resource in SIGNATURE_RESOURCES:
            self.signature_version += 1

    def get(self, resource: str, key: str) -> Object | None:
        """The object of a key, or None."""
        return self._by_resource.get(resource, NOTHING).get(key)

    def all(self, resource: str) -> Iterator[Object]:
        """Every object of a resource, in the order they came."""
        return iter(self._by_resource.get(resource, NOTHING).values())

    def version(self, resource: str) -> int:
        """A number that moves with every change of the resource."""
        return self._version.get(resource, 0)

    def namespace_labels(self, name: str) -> dict[str, str]:
        """A namespace's labels; none when it is not there."""
        namespace = self.get("namespaces", name)
        return (namespace["metadata"].get("labels") or {}) if namespace is not None else {}


def _seen(resource: str, obj: Object) -> Any:
    """What of an object decides signatures: a status that changes, for one, is of no interest there."""
    if resource == "namespaces":
        return obj["metadata"].get("labels") or {}
    return (obj.get("spec") or {}).get("selector") if resource in SIGNATURE_RESOURCES else obj


def key_of(resource: str, obj: Object) -> str:
    """ "namespace/name", or the name of what has no namespace."""
    metadata = obj["metadata"]
    name: str = metadata["name"]
    return name if resource in CLUSTER_SCOPED else f"{metadata.get('namespace') or 'default'}/{name}"
