"""The table of all kinds: one file each where something is particular about them, the rest from the resource data.

A file of the package ``kinds`` that has ``KIND`` is a kind; two that claim the same resource are a mistake and refused at once. One that
has a ``GATE``, too, is an alpha kind: served only where that feature gate is on (``kinds_with``).
"""

import gzip
from collections.abc import Iterable, Iterator
from importlib import import_module
from pkgutil import get_data, iter_modules
from typing import Any

import orjson

from kubesim.api import names
from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.columns import NAME_AND_AGE
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import keep_all_but_status, keep_status, without_status

DATA = "resources-v1.36.json.gz"
_NOT_KINDS = ("contract", "registry")
_PATH_NAMED = frozenset(("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"))
# Two views of one thing that is stored in the other version or group.
_VIEWS = frozenset((("events.k8s.io", "v1", "Event"), ("autoscaling", "v1", "HorizontalPodAutoscaler")))

# What the strategies of kinds without a file of their own say (pkg/registry/*/*/strategy.go).
_WITH_GENERATION = frozenset((
    "cronjobs.batch", "customresourcedefinitions.apiextensions.k8s.io", "daemonsets.apps", "deviceclasses.resource.k8s.io",
    "flowschemas.flowcontrol.apiserver.k8s.io", "ingressclasses.networking.k8s.io", "ingresses.networking.k8s.io", "jobs.batch",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io", "networkpolicies.networking.k8s.io",
    "poddisruptionbudgets.policy", "podtemplates", "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
    "replicationcontrollers", "resourceslices.resource.k8s.io", "statefulsets.apps",
    "validatingadmissionpolicies.admissionregistration.k8s.io", "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
))  # fmt: skip
_CREATED_ON_UPDATE = frozenset((
    "clusterrolebindings.rbac.authorization.k8s.io", "clusterroles.rbac.authorization.k8s.io", "endpoints", "limitranges",
    "rolebindings.rbac.authorization.k8s.io", "roles.rbac.authorization.k8s.io", "runtimeclasses.node.k8s.io",
))  # fmt: skip
_VERSION_REQUIRED = frozenset((
    "csidrivers.storage.k8s.io", "csinodes.storage.k8s.io", "csistoragecapacities.storage.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io", "poddisruptionbudgets.policy", "runtimeclasses.node.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io", "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io", "volumeattachments.storage.k8s.io",
))  # fmt: skip


class KindRegistry:
    """Kinds by resource, by kind, in a fixed order. Look-ups are one dictionary access."""

    def __init__(self, kinds: Iterable[Kind] = ()) -> None:
        self._by_resource: dict[str, Kind] = {}
        self._by_gvk: dict[tuple[str, str], Kind] = {}
        for kind in kinds:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        """Add a kind.

        Raises:
            ValueError: when its resource or its (apiVersion, kind) is taken.
        """
        key = (kind.api_version, kind.kind)
        if kind.resource in self._by_resource or key in self._by_gvk:
            raise ValueError(f"kind {kind.kind} ({kind.api_version}, {kind.resource}): there is one already")
        self._by_resource[kind.resource] = kind
        self._by_gvk[key] = kind

    def remove(self, resource: str) -> None:
        """Take a kind out again (a deleted CustomResourceDefinition); KeyError when there is none."""
        kind = self._by_resource.pop(resource)
        del self._by_gvk[kind.api_version, kind.kind]

    def copy(self) -> "KindRegistry":
        """A registry of its own with the same kinds."""
        return KindRegistry(self._by_resource.values())

    def by_resource(self, resource: str) -> Kind:
        """The kind of ``plural`` or ``plural.group``; KeyError when there is none."""
        return self._by_resource[resource]

    def get(self, resource: str) -> Kind | None:
        """The kind of a resource, or None."""
        return self._by_resource.get(resource)

    def by_gvk(self, api_version: str, kind: str) -> Kind:
        """The kind of an object's apiVersion and kind; KeyError when there is none."""
        return self._by_gvk[api_version, kind]

    def find_gvk(self, api_version: str, kind: str) -> Kind | None:
        """The kind of an object's apiVersion and kind, or None."""
        return self._by_gvk.get((api_version, kind))

    def find(self, word: str) -> Kind | None:
        """The kind that a person means: a resource, plural, singular, short name or kind, in any case."""
        if found := self._by_resource.get(word):
            return found
        lowered = word.lower()
        for kind in self._by_resource.values():
            if lowered in (kind.plural, kind.singular, kind.resource, *kind.short_names):
                return kind
        return None

    def all(self) -> tuple[Kind, ...]:
        """Every kind, sorted by group and plural."""
        return tuple(sorted(self._by_resource.values(), key=lambda kind: (kind.group, kind.plural)))

    def __iter__(self) -> Iterator[Kind]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self._by_resource)

    def __contains__(self, resource: object) -> bool:
        return resource in self._by_resource


def resource_table() -> dict[str, Any]:
    """The discovery facts of a v1.36 server: ``groups`` and ``resources``, as upstream lists them."""
    packed = get_data("kubesim.api.data", DATA)
    assert packed is not None, "the package has its data"
    table: dict[str, Any] = orjson.loads(gzip.decompress(packed))
    return table


def _schema_name(group: str, version: str, kind: str) -> str:
    """The definition of a built-in kind: ``io.k8s.api.<first word of the group>.<version>.<kind>``."""
    if group in ("apiextensions.k8s.io", "apiregistration.k8s.io"):
        room = "apiextensions-apiserver" if group.startswith("apiext") else "kube-aggregator"
        return f"io.k8s.{room}.pkg.apis.{group.partition('.')[0]}.{version}.{kind}"
    return f"io.k8s.api.{group.partition('.')[0] or 'core'}.{version}.{kind}"


def generic_kind(row: dict[str, Any]) -> Kind:
    """A kind with nothing particular: stored, listed, checked against its schema and for a good name."""
    namespaced, has_status = row["namespaced"], "status" in row.get("subresources", {})
    resource = f"{row['plural']}.{row['group']}" if row["group"] else row["plural"]
    check = names.check_path_segment if row["kind"] in _PATH_NAMED else names.check_dns_subdomain
    return Kind(
        group=row["group"],
        version=row["version"],
        kind=row["kind"],
        plural=row["plural"],
        singular=row["singular"],
        namespaced=namespaced,
        short_names=tuple(row.get("shortNames", ())),
        categories=tuple(row.get("categories", ())),
        schema=_schema_name(row["group"], row["version"], row["kind"]),
        subresources=tuple(row.get("subresources", ())),
        prepare_create=without_status if has_status else lambda obj: obj,
        prepare_update=keep_status if has_status else lambda new, old: new,
        prepare_status=keep_all_but_status,
        validate=lambda obj: metadata_errors(obj, namespaced=namespaced, check=check),
        validate_update=metadata_update_errors,
        validate_status=metadata_update_errors,
        columns=NAME_AND_AGE,
        has_generation=resource in _WITH_GENERATION,
        allow_create_on_update=resource in _CREATED_ON_UPDATE,
        allow_unconditional_update=resource not in _VERSION_REQUIRED,
    )


def _own_kinds(gate: str | None = None) -> Iterator[Kind]:
    """The kinds that have a file and this gate, in the order of the file names."""
    package = import_module("kubesim.api.kinds")
    for module in sorted(iter_modules(package.__path__), key=lambda module: module.name):
        if module.ispkg or module.name in _NOT_KINDS:
            continue
        found = import_module(f"kubesim.api.kinds.{module.name}")
        if getattr(found, "GATE", None) == gate:
            yield found.KIND


def built_in_kinds() -> KindRegistry:
    """Every kind of a v1.36 server that is stored."""
    registry = KindRegistry(_own_kinds())
    for row in resource_table()["resources"]:
        gvk = (row["group"], row["version"], row["kind"])
        api_version = f"{gvk[0]}/{gvk[1]}" if gvk[0] else gvk[1]
        if "get" in row["verbs"] and "create" in row["verbs"] and gvk not in _VIEWS and not registry.find_gvk(api_version, row["kind"]):
            registry.add(generic_kind(row))
    return registry


def kinds_with(kinds: Iterable[Kind], gate: str) -> KindRegistry:
    """These kinds and those of a feature gate."""
    return KindRegistry((*kinds, *_own_kinds(gate)))
