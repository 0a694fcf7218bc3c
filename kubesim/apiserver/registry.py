"""The registry: which kinds the server serves, and what it must know about each beside the kind's own file.

A ``Resource`` binds a kind to its place in etcd (upstream's prefixes, pkg/kubeapiserver/default_storage_factory_builder.go), to
the default of its garbage collection and to the shape of its delete answer (pkg/registry/*/storage). It holds no state.
"""

from collections.abc import Iterable
from typing import Any

from kubesim.api.errors import ApiError
from kubesim.api.kinds.contract import Kind, Object

ROOT = "/registry/"
PREFIXES = {  # where upstream stores what it does not store under the plural
    "endpoints": "services/endpoints",
    "ingresses.networking.k8s.io": "ingress",
    "nodes": "minions",
    "replicationcontrollers": "controllers",
    "services": "services/specs",
    "apiservices.apiregistration.k8s.io": "apiregistration.k8s.io/apiservices",
    "customresourcedefinitions.apiextensions.k8s.io": "apiextensions.k8s.io/customresourcedefinitions",
}
RETURNS_DELETED = frozenset({  # a delete answers with the object; elsewhere with a Status
    "csidrivers.storage.k8s.io",
    "csinodes.storage.k8s.io",
    "deviceclasses.resource.k8s.io",
    "namespaces",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "podtemplates",
    "resourceclaims.resource.k8s.io",
    "resourceclaimtemplates.resource.k8s.io",
    "resourcequotas",
    "resourceslices.resource.k8s.io",
    "serviceaccounts",
    "services",
    "storageclasses.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "volumeattributesclasses.storage.k8s.io",
})  # fmt: skip
ORPHANS_BY_DEFAULT = frozenset({"jobs.batch", "replicationcontrollers"})  # DefaultGarbageCollectionPolicy of their strategies
NOT_COLLECTED = frozenset({"events"})  # no propagation policy at all
NO_COLLECTION = frozenset({"namespaces"})  # no deletecollection
POLICY = frozenset({  # what admission reads: a change of one of these makes remembered admissions void
    "limitranges",
    "namespaces",
    "priorityclasses.scheduling.k8s.io",
    "runtimeclasses.node.k8s.io",
    "serviceaccounts",
    "storageclasses.storage.k8s.io",
})  # fmt: skip
CONFIGURED = frozenset(  # what configures admission beyond the built-in plugins
    f"{name}.admissionregistration.k8s.io"
    for name in (
        "mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "mutatingwebhookconfigurations", "validatingadmissionpolicies",
        "validatingadmissionpolicybindings", "validatingwebhookconfigurations",
    )
)  # fmt: skip


class Resource:
    """One served resource. ``name`` is ``plural`` or ``plural.group``; ``prefix`` is where its objects are in etcd."""

    __slots__ = ("api_version", "is_policy", "kind", "list_kind", "name", "namespaced", "prefix", "returns_deleted")

    def __init__(self, kind: Kind, prefix: str) -> None:
        self.kind = kind
        self.name = kind.resource
        self.api_version = kind.api_version
        self.list_kind = f"{kind.kind}List"
        self.namespaced = kind.namespaced
        self.prefix = prefix
        self.returns_deleted = self.name in RETURNS_DELETED
        self.is_policy = self.name in POLICY or self.name in CONFIGURED or self.name == "resourcequotas"

    def key(self, namespace: str, name: str) -> bytes:
        """The etcd key of an object."""
        return f"{self.prefix}{namespace}/{name}".encode() if self.namespaced else f"{self.prefix}{name}".encode()

    def key_of(self, obj: Object) -> bytes:
        """The etcd key of ``obj``."""
        metadata = obj["metadata"]
        return self.key(metadata.get("namespace", ""), metadata["name"])

    def range(self, namespace: str) -> tuple[bytes, bytes]:
        """The key range of all objects, or of one namespace's."""
        start = f"{self.prefix}{namespace}/" if self.namespaced and namespace else self.prefix
        return start.encode(), (start[:-1] + "0").encode()  # "0" follows "/"

    def __repr__(self) -> str:
        return f"<Resource {self.name}>"


class Registry:
    """All resources by name and by (apiVersion, kind)."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self.by_name: dict[str, Resource] = {}
        self.by_type: dict[tuple[str, str], Resource] = {}
        taken: set[str] = set()
        for kind in kinds:
            prefix = PREFIXES.get(kind.resource) or (kind.plural if kind.plural not in taken else f"{kind.group}/{kind.plural}")
            taken.add(prefix)
            if kind.resource in self.by_name:
                raise ValueError(f"kinds: {kind.resource}: expected each resource once")
            self._add(Resource(kind, f"{ROOT}{prefix}/"))

    def _add(self, resource: Resource) -> None:
        self.by_name[resource.name] = resource
        self.by_type[resource.api_version, resource.kind.kind] = resource

    def define(self, kind: Kind) -> None:
        """Serve a custom resource, in place of an older description of it."""
        self.forget(kind.resource)
        self._add(Resource(kind, f"{ROOT}{kind.group}/{kind.plural}/"))

    def forget(self, name: str) -> None:
        """Serve a custom resource no longer; nothing to do for one that is not served."""
        found = self.by_name.get(name)
        if found is not None and found.kind.is_custom:
            del self.by_name[name]
            del self.by_type[found.api_version, found.kind.kind]

    def resource(self, name: str) -> Resource:
        """The resource called ``name``; 404 when it is not served."""
        found = self.by_name.get(name)
        if found is None:
            raise no_such_resource()
        return found

    def of(self, obj: Any) -> Resource | None:
        """The resource that ``obj`` belongs to by its apiVersion and kind, or None."""
        try:
            return self.by_type.get((obj["apiVersion"], obj["kind"]))
        except (TypeError, KeyError):
            return None  # not an object: the server keeps a few records of its own in etcd


def no_such_resource() -> ApiError:
    """404 of a path that is not served."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def no_such_method() -> ApiError:
    """405 of a verb that a path does not know."""
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})
