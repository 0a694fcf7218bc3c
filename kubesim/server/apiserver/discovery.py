"""Discovery: which groups, versions and resources there are, one document each or all in one. Pure functions of the routes.

Upstream: apiserver/pkg/endpoints/discovery (and its aggregated package).
"""

from typing import Any

from kubesim.server.apiserver.routes import Route, Routes

Object = dict[str, Any]
DISCOVERY_VERSION = "apidiscovery.k8s.io/v2"


def api_versions(server_address: str) -> Object:
    """The document at /api."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def group_list(routes: Routes) -> Object:
    """The document at /apis."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": routes.groups}


def group(routes: Routes, name: str) -> Object | None:
    """The document of one group."""
    for found in routes.groups:
        if found["name"] == name:
            return {"kind": "APIGroup", "apiVersion": "v1", **found}
    return None


def resource_list(routes: Routes, group_name: str, version: str) -> Object | None:
    """The document of one version of a group: its resources and their subresources."""
    found = routes.of_version(group_name, version)
    if not found and not any(
        known["name"] == group_name and any(each["version"] == version for each in known["versions"]) for known in routes.groups
    ):
        return None
    entries = [entry for route in found for entry in _entries(route)]
    group_version = f"{group_name}/{version}" if group_name else version
    document: Object = {"kind": "APIResourceList"}
    if group_name:
        document["apiVersion"] = "v1"
    return {**document, "groupVersion": group_version, "resources": entries}


def _entries(route: Route) -> list[Object]:
    row = route.row
    entry: Object = {
        "name": route.plural,
        "singularName": row["singular"],
        "namespaced": route.namespaced,
        "kind": route.kind,
        "verbs": row["verbs"],
    }
    for key in ("shortNames", "categories", "storageVersionHash"):
        if row.get(key):
            entry[key] = row[key]
    entries = [entry]
    for name, sub in route.subresources.items():
        types = {key: sub[key] for key in ("group", "version") if sub.get(key)}
        entries.append(
            {
                "name": f"{route.plural}/{name}",
                "singularName": "",
                "namespaced": route.namespaced,
                **types,
                "kind": sub["kind"],
                "verbs": sub["verbs"],
            }
        )
    return entries


def aggregated(routes: Routes, is_core: bool) -> Object:
    """Everything below /api or /apis in one document."""
    items: list[Object] = []
    if is_core:
        items.append({"metadata": {}, "versions": [_version(routes, "", "v1")]})
    else:
        for known in routes.groups:
            versions = [_version(routes, known["name"], each["version"]) for each in known["versions"]]
            items.append({"metadata": {"name": known["name"]}, "versions": versions})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": DISCOVERY_VERSION, "metadata": {}, "items": items}


def _version(routes: Routes, group_name: str, version: str) -> Object:
    resources = [_resource(route) for route in routes.of_version(group_name, version)]
    return {"version": version, "resources": resources, "freshness": "Current"}


def _resource(route: Route) -> Object:
    row = route.row
    entry: Object = {
        "resource": route.plural,
        "responseKind": _response_kind(row["kind"], row.get("responseGroup", ""), row.get("responseVersion", "")),
        "scope": "Namespaced" if route.namespaced else "Cluster",
        "singularResource": row["singular"],
        "verbs": row["verbs"],
    }
    for key in ("shortNames", "categories"):
        if row.get(key):
            entry[key] = row[key]
    if route.subresources:
        entry["subresources"] = [
            {
                "subresource": name,
                "responseKind": _response_kind(sub["kind"], sub.get("group", ""), sub.get("version", "")),
                "verbs": sub["verbs"],
            }
            for name, sub in route.subresources.items()
        ]
    return entry


def _response_kind(kind: str, group_name: str, version: str) -> Object:
    return {"group": group_name, "version": version, "kind": kind}


def root_paths(routes: Routes, health_checks: dict[str, tuple[str, ...]]) -> list[str]:
    """The paths that / lists, sorted."""
    paths = {
        "/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/", "/flagz", "/healthz", "/livez", "/metrics",
        "/metrics/slis", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/openid/v1/jwks", "/readyz", "/statusz", "/version",
    }  # fmt: skip
    for known in routes.groups:
        paths.add(f"/apis/{known['name']}")
        paths |= {f"/apis/{each['groupVersion']}" for each in known["versions"]}
    for prefix, checks in health_checks.items():
        paths |= {f"/{prefix}/{check}" for check in checks}
    return sorted(paths)
