"""The paths of custom resources: every served version of every definition, in discovery and OpenAPI as soon as it is served.

A version that is not the stored one is a view of it: the same object under another ``apiVersion`` (conversion strategy None), or what the
definition's webhook makes of it.
"""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from kubesim.api.crd.conversion import client_of
from kubesim.api.crd.custom_kind import kind_of, schema_of, served_versions, storage_version
from kubesim.api.errors import ApiError
from kubesim.api.kinds.contract import Kind
from kubesim.apiserver.custom_resources import CustomResources
from kubesim.apiserver.server import ApiServer
from kubesim.server.apiserver.call import Call
from kubesim.server.apiserver.routes import Routes, route_of
from kubesim.server.apiserver.views import View

Object = dict[str, Any]
VERBS = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
SUBRESOURCE_VERBS = ["get", "patch", "update"]


class CustomRoutes:
    """Keeps the routes of custom resources the same as what the apiserver serves."""

    def __init__(self, routes: Routes, resources: CustomResources) -> None:
        self._routes = routes
        self._resources = resources
        self._added: dict[tuple[str, str, str], Object] = {}
        self._built_in = list(routes.groups)
        resources.observers.append(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Add and remove routes and groups. O(definitions)."""
        wanted: dict[tuple[str, str, str], Object] = {}
        for definition in self._resources.served.values():
            for version in served_versions(definition):
                row = row_of(definition, version)
                wanted[row["group"], row["version"], row["plural"]] = row
        for key, row in self._added.items():
            if wanted.get(key) != row:
                self._routes.remove(*key)
        for key, row in wanted.items():
            if self._added.get(key) != row:
                self._routes.add(route_of(row)._replace(view=_view_of(self._resources, row)))
        self._added = wanted
        self._routes.groups = self._built_in + self._groups()

    def _groups(self) -> list[Object]:
        versions: dict[str, dict[str, None]] = {}
        for definition in self._resources.served.values():
            names = versions.setdefault(definition["spec"]["group"], {})
            names.update({version["name"]: None for version in served_versions(definition)})
        groups = []
        for name in sorted(versions):
            listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions[name]]
            groups.append({"name": name, "versions": listed, "preferredVersion": listed[0]})
        return groups


def row_of(definition: Object, version: Object) -> Object:
    """The discovery facts of one version."""
    spec = definition["spec"]
    names = (definition.get("status") or {}).get("acceptedNames") or spec["names"]
    given = version.get("subresources") or {}
    subresources: Object = {}
    if given.get("status") is not None:
        subresources["status"] = {"kind": names["kind"], "verbs": SUBRESOURCE_VERBS}
    if given.get("scale") is not None:
        subresources["scale"] = {"group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": SUBRESOURCE_VERBS}
    stored = storage_version(definition)["name"]
    digest = sha256(f"{spec['group']}/{stored}/{names['kind']}".encode()).digest()[:8]
    row: Object = {
        "group": spec["group"], "version": version["name"], "kind": names["kind"], "plural": names["plural"],
        "singular": names.get("singular") or "", "namespaced": spec["scope"] == "Namespaced", "verbs": VERBS, "subresources": subresources,
        "shortNames": names.get("shortNames") or [], "categories": names.get("categories") or [],
        "storageVersionHash": b64encode(digest).decode(), "schema": schema_of(version), "definition": definition["metadata"]["name"],
    }  # fmt: skip
    if version.get("deprecated"):
        what = f"{spec['group']}/{version['name']} {names['kind']}"
        row["deprecation"] = version.get("deprecationWarning") or f"{what} is deprecated"
    return row


def _view_of(resources: CustomResources, row: Object) -> View | None:
    """How a version that is not the stored one is shown."""
    definition = resources.served[row["definition"]]
    if storage_version(definition)["name"] == row["version"]:
        return None
    version = next(each for each in definition["spec"]["versions"] if each["name"] == row["version"])
    kind = kind_of(definition, version)
    stored = kind_of(definition)
    if client_of(definition) is not None:
        return Converted(kind, kind.resource, _unbound, _unbound, {}, resources, definition)
    return View(kind, kind.resource, _as(kind), _as(stored), {})


@dataclass(frozen=True)
class Converted(View):
    """A version that a webhook makes of the stored one: bound to a call, whose handling waits for the webhook."""

    resources: CustomResources
    definition: Object
    _many: Callable[[Sequence[Object], str], list[Object]] | None = None

    def bound(self, server: ApiServer, call: Call) -> "Converted":
        """The view of one call."""

        def many(objects: Sequence[Object], api_version: str) -> list[Object]:
            if not objects:
                return []
            found: list[Object] = call.once(server.go_on, self.resources.convert(self.definition, objects, api_version).send, None)
            return found

        stored = kind_of(self.definition).api_version
        return replace(
            self, _many=many, shown=lambda obj: many([obj], self.kind.api_version)[0], stored=lambda obj: many([obj], stored)[0]
        )

    def shown_list(self, answer: Object) -> Object:
        """A list of stored objects, asked for at once."""
        assert self._many is not None
        return {**answer, "apiVersion": self.kind.api_version, "items": self._many(answer["items"], self.kind.api_version)}


def no_watch() -> ApiError:
    """501: the events of a watch cannot wait for a webhook."""
    return ApiError(501, "NotImplemented", "a version that a webhook converts can be read and written, but not watched")


def _unbound(obj: Object) -> Object:
    raise no_watch()


def _as(kind: Kind) -> Callable[[Object], Object]:
    return lambda obj: {**obj, "apiVersion": kind.api_version}


def component(row: Object) -> Object:
    """The OpenAPI schema of a custom resource: the definition's own, with the fields that every object has."""
    reference = {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
    given = row["schema"]
    text = {"type": "string"}
    fields = {"apiVersion": text, "kind": text, **(given.get("properties") or {}), "metadata": {"allOf": [reference]}}
    kind = {key: row[key] for key in ("group", "version", "kind")}
    return {**given, "type": "object", "properties": fields, "x-kubernetes-group-version-kind": [kind]}
