"""Which paths there are: every served resource by group and version, with its verbs and its subresources'.

The table is upstream's discovery data; what this server does not store under its own name is a *view* of something that it does
(``views.py``), or a review that is answered and forgotten.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from kubesim.api.errors import ApiError, not_found
from kubesim.api.kinds.registry import resource_table
from kubesim.apiserver.registry import no_such_method, no_such_resource
from kubesim.server.apiserver.target import Target

Row = dict[str, Any]


class Route(NamedTuple):
    """One resource of one version. ``resource`` is its name as RBAC and the registry know it: ``plural`` or ``plural.group``."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str]
    subresources: Mapping[str, Mapping[str, Any]]
    resource: str
    row: Row
    view: Any = None  # how a custom resource's other versions are shown (``views.View``)

    @property
    def api_version(self) -> str:
        """``group/version``, or ``version`` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


def route_of(row: Row) -> Route:
    """The route of a row of the discovery table."""
    group, plural = row["group"], row["plural"]
    resource = f"{plural}.{group}" if group else plural
    verbs = frozenset(row["verbs"])
    return Route(group, row["version"], plural, row["kind"], row["namespaced"], verbs, row.get("subresources") or {}, resource, row)


class Routes:
    """All routes; ``groups`` are the API groups in the order in which discovery lists them."""

    def __init__(self) -> None:
        table = resource_table()
        self.groups: list[dict[str, Any]] = list(table["groups"])
        self._routes: dict[tuple[str, str, str], Route] = {}
        for row in table["resources"]:
            self.add(route_of(row))
        self.generation = 0  # changes whenever a route does: what is derived from the routes is remembered under it

    def add(self, route: Route) -> None:
        """Serve a route, in place of one at the same path."""
        self._routes[route.group, route.version, route.plural] = route
        self.generation = getattr(self, "generation", 0) + 1

    def remove(self, group: str, version: str, plural: str) -> None:
        """Serve a route no longer."""
        del self._routes[group, version, plural]
        self.generation += 1

    def find(self, group: str, version: str, plural: str) -> Route | None:
        """The route of a path, or None."""
        return self._routes.get((group, version, plural))

    def has_group(self, group: str) -> bool:
        """Whether a group is served in any version."""
        return not group or any(known["name"] == group for known in self.groups)

    def is_page(self, target: Target) -> bool:
        """Whether a path is below a group that serves custom resources only, at a version, resource or scope that is not there."""
        if not any(route.group == target.group and "definition" in route.row for route in self._routes.values()):
            return False
        route = self._routes.get((target.group, target.version, target.resource))
        return route is None or (not route.namespaced and bool(target.namespace))

    def of_version(self, group: str, version: str) -> list[Route]:
        """The routes of a group's version, in the table's order."""
        return [route for route in self._routes.values() if route.group == group and route.version == version]

    def all(self) -> Iterable[Route]:
        """Every route."""
        return self._routes.values()

    def resolve(self, target: Target, method: str) -> Route:
        """The route that serves a target. Raises ApiError 404 for a path that is not there, 405 for a method that it does not know."""
        route = self._routes.get((target.group, target.version, target.resource))
        if route is None or (target.prefix == "api") != (not target.group):
            raise no_such_resource()
        parts = target.parts
        if target.verb == "watch" and "watch" in target.path.split("/")[2:5] and "watch" not in route.verbs:
            raise no_such_resource()
        if not route.namespaced and target.namespace and route.plural != "namespaces":
            raise no_such_resource()
        if route.namespaced and len(parts) > 1 and not target.namespace:
            raise no_such_resource()
        if len(parts) > 2:
            return self._resolve_subresource(route, target, method)
        allowed = ITEM_VERBS if len(parts) == 2 else COLLECTION_VERBS
        if not any(verb in route.verbs for verb in allowed.values()):
            raise no_such_resource()
        verb = allowed.get(method)
        if verb == "list" and target.verb == "watch":
            verb = "watch" if "list" in route.verbs else None
        if verb is None or verb not in route.verbs:
            raise no_such_method()
        if route.namespaced and not target.namespace and verb not in ("list", "watch"):
            raise no_such_method()
        return route

    @staticmethod
    def _resolve_subresource(route: Route, target: Target, method: str) -> Route:
        found = route.subresources.get(target.subresource)
        is_proxy = target.subresource == "proxy"
        if found is None and "definition" in route.row:
            raise not_found(route.resource, target.name)
        if found is None or (len(target.parts) > 3 and not is_proxy):
            raise no_such_resource()
        verb = {"POST": "create", "GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(method)
        if verb not in found["verbs"]:
            raise no_such_method()
        return route


ITEM_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
COLLECTION_VERBS = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
__all__ = ["ApiError", "Route", "Routes", "route_of"]
