"""OpenAPI: version 3 by group and version, version 2 as one document, made of the routes, the schema data and upstream's descriptions.

kubectl looks for the parameter ``fieldValidation`` of a kind's PATCH, for the merge keys of its schema, and explains with the rest. A
document is made when it is first asked for; its hash is a label of its version.

Upstream: kube-openapi (builder3, handler3).
"""

import hashlib
from collections.abc import Callable
from typing import Any

import orjson

from kubesim.api import schema
from kubesim.api.enums import values_of
from kubesim.api.schema import Definition, Field, definition
from kubesim.server.apiserver.answers import TEXT, Answer
from kubesim.server.apiserver.call import Call
from kubesim.server.apiserver.custom_routes import component
from kubesim.server.apiserver.media import JSON, OFFERED, PROTOBUF, negotiate, not_acceptable
from kubesim.server.apiserver.openapi_protobuf import version_2_protobuf
from kubesim.server.apiserver.routes import Route, Routes
from kubesim.version import VERSION

Object = dict[str, Any]
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
QUANTITY, INT_OR_STRING = "io.k8s.apimachinery.pkg.api.resource.Quantity", "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
REFERENCE = "#/components/schemas/"
KUBERNETES = "v1.36.2"
VERSION_2_PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
VERSION_2_ANSWERED = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
SCALARS: dict[str, Object] = {
    "s": {"type": "string"},
    "y": {"type": "string", "format": "byte"},
    "t": {"type": "string", "format": "date-time"},
    "u": {"type": "string", "format": "date-time"},
    "i": {"type": "integer", "format": "int32"},
    "l": {"type": "integer", "format": "int64"},
    "b": {"type": "boolean"},
    "n": {"type": "number", "format": "double"},
    "o": {"type": "object"},
    "*": {},
}
OWN: dict[str, Object] = {
    QUANTITY: {"oneOf": [{"type": "string"}, {"type": "number"}]},
    INT_OR_STRING: {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
}
PATCH_TYPES = (
    "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml",
)  # fmt: skip


def _parameter(name: str, type_: str, place: str = "query") -> Object:
    found: Object = {"name": name, "in": place, "schema": {"type": type_}}
    if place == "path":
        found["required"] = True
    return found


LIST_PARAMETERS = [
    *(_parameter(name, "string") for name in ("continue", "fieldSelector", "labelSelector", "resourceVersion", "resourceVersionMatch")),
    *(_parameter(name, "integer") for name in ("limit", "timeoutSeconds")),
    *(_parameter(name, "boolean") for name in ("watch", "allowWatchBookmarks", "sendInitialEvents")),
]
WRITE_PARAMETERS = [_parameter(name, "string") for name in ("dryRun", "fieldManager", "fieldValidation")]
DELETE_PARAMETERS = [
    _parameter("dryRun", "string"),
    _parameter("gracePeriodSeconds", "integer"),
    _parameter("orphanDependents", "boolean"),
    _parameter("propagationPolicy", "string"),
]


class OpenApi:
    """Answers below /openapi."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._remembered: dict[tuple[int, str], bytes] = {}

    def answer(self, call: Call, parts: list[str]) -> Answer | None:
        """The answer at a path, or None when there is nothing. Raises ApiError 406."""
        accept = call.headers.get("accept", "")
        if parts == ["v2"]:
            form = negotiate(accept, (JSON, VERSION_2_PROTOBUF), ())
            if form is None:
                raise not_acceptable((JSON,))
            if form.media == JSON:
                return Answer(200, self._document("v2", lambda: orjson.dumps(self._version_2())))
            return Answer(200, self._document("v2.pb", lambda: version_2_protobuf(self._version_2())), VERSION_2_ANSWERED)
        if parts[:1] != ["v3"]:
            return None
        path = "/".join(parts[1:])
        if not path:
            return Answer(200, self._document("index", lambda: orjson.dumps(self._index())), TEXT)
        if path not in self._paths():
            return None
        form = negotiate(accept, (JSON, "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"), ())
        if form is None or form.media == PROTOBUF:
            raise not_acceptable(OFFERED[:1])
        headers = (("Cache-Control", "public, immutable"),) if "hash" in call.query else ()
        return Answer(200, self._document(path, lambda: orjson.dumps(self._version_3(path))), JSON, headers)

    def _document(self, name: str, make: Callable[[], bytes]) -> bytes:
        key = (self._routes.generation, name)
        found = self._remembered.get(key)
        if found is None:
            if any(generation != self._routes.generation for generation, _ in self._remembered):
                self._remembered.clear()
            found = self._remembered[key] = make()
        return found

    # -- version 3 --

    def _paths(self) -> dict[str, tuple[str, str]]:
        """The documents: path -> (group, version); documents of a group as a whole have no version."""
        paths = {".well-known/openid-configuration": ("", ""), "api": ("", ""), "api/v1": ("", "v1"), "apis": ("", ""), "logs": ("", "")}
        paths |= {"openid/v1/jwks": ("", ""), "version": ("", "")}
        for group in self._routes.groups:
            paths[f"apis/{group['name']}"] = (group["name"], "")
            for version in group["versions"]:
                paths[f"apis/{version['groupVersion']}"] = (group["name"], version["version"])
        return paths

    def _index(self) -> Object:
        paths = {}
        for path in sorted(self._paths()):
            label = hashlib.sha512(f"{VERSION} {self._routes.generation} {path}".encode()).hexdigest().upper()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={label}"}
        return {"paths": paths}

    def _version_3(self, path: str) -> Object:
        group, version = self._paths()[path]
        names: set[str] = set()
        found: Object = {}
        if version:
            for route in self._routes.of_version(group, version):
                _add_route(found, route, names, path)
        else:
            answer = {"200": {"description": "OK"}}
            found[f"/{path}/" if path.startswith("api") else f"/{path}"] = {"get": {"responses": answer}}
        document = {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": KUBERNETES}, "paths": found}
        customs = [route for route in self._routes.of_version(group, version) if is_custom(route)]
        if customs:
            names.add(f"{META}ObjectMeta")  # what their metadata refers to
        components = schemas(names, self._routes)
        for route in customs:
            components[schema_of(group, version, route.kind, True)] = component(route.row)
        return {**document, "components": {"schemas": components}}

    # -- version 2 --

    def _version_2(self) -> Object:
        names: set[str] = set()
        found: Object = {}
        for route in self._routes.all():
            path = f"apis/{route.group}/{route.version}" if route.group else f"api/{route.version}"
            _add_route(found, route, names, path)
        text = orjson.dumps(schemas(names, self._routes)).replace(REFERENCE.encode(), b"#/definitions/")
        paths = {path: {method: _operation_2(operation) for method, operation in item.items() if method != "parameters"}
                 for path, item in found.items()}  # fmt: skip
        return {"swagger": "2.0", "info": {"title": "Kubernetes", "version": KUBERNETES}, "paths": paths,
                "definitions": {name: _schema_2(found) for name, found in orjson.loads(text).items()}}  # fmt: skip


def _schema_2(found: Object) -> Object:
    """A definition in the words of version 2, where a reference may have a description beside it."""
    properties = {
        name: {**{key: value for key, value in each.items() if key != "allOf"}, **each["allOf"][0]} if "allOf" in each else each
        for name, each in (found.get("properties") or {}).items()
    }
    return {**found, "properties": properties} if properties else found


def _operation_2(operation: Object) -> Object:
    """An operation of version 3 in the words of version 2."""
    parameters = [{**{key: value for key, value in each.items() if key != "schema"}, **each["schema"]} for each in operation["parameters"]]
    content = (operation.get("requestBody") or {}).get("content") or {}
    for body in content.values():
        reference = orjson.loads(orjson.dumps(body["schema"]).replace(REFERENCE.encode(), b"#/definitions/"))
        parameters.append({"name": "body", "in": "body", "schema": reference})
        break
    kept = {key: value for key, value in operation.items() if key not in ("parameters", "requestBody", "responses")}
    return {
        **kept,
        "parameters": parameters,
        "responses": {"200": {"description": "OK"}},
        **({"consumes": list(content)} if content else {}),
    }


# -- paths --


def _add_route(paths: Object, route: Route, names: set[str], prefix: str) -> None:
    schema_name = schema_of(route.group, route.version, route.kind, is_custom(route))
    if definition(schema_name) is not None:
        names.add(schema_name)
    base = f"/{prefix}/namespaces/{{namespace}}/{route.plural}" if route.namespaced else f"/{prefix}/{route.plural}"
    space = [_parameter("namespace", "string", "path")] if route.namespaced else []
    named = [*space, _parameter("name", "string", "path")]
    collection, item = {}, {}
    if "list" in route.verbs:
        collection["get"] = _operation(route, "list", space + LIST_PARAMETERS, f"{schema_name}List", names)
    if "create" in route.verbs:
        collection["post"] = _operation(route, "post", space + WRITE_PARAMETERS, schema_name, names, schema_name)
    if "deletecollection" in route.verbs:
        collection["delete"] = _operation(
            route, "deletecollection", space + LIST_PARAMETERS[:6] + DELETE_PARAMETERS, f"{META}Status", names, f"{META}DeleteOptions"
        )
    if "get" in route.verbs:
        item["get"] = _operation(route, "get", named, schema_name, names)
    if "update" in route.verbs:
        item["put"] = _operation(route, "put", named + WRITE_PARAMETERS, schema_name, names, schema_name)
    if "patch" in route.verbs:
        item["patch"] = _patch(route, named, schema_name, names)
    if "delete" in route.verbs:
        item["delete"] = _operation(route, "delete", named + DELETE_PARAMETERS, f"{META}Status", names, f"{META}DeleteOptions")
    if collection:
        paths[base] = collection
        if route.namespaced and "list" in route.verbs:
            paths[f"/{prefix}/{route.plural}"] = {"get": _operation(route, "list", LIST_PARAMETERS, f"{schema_name}List", names)}
    if item:
        paths[f"{base}/{{name}}"] = item
    for name, sub in route.subresources.items():
        kind = schema_of(
            sub.get("group", route.group), sub.get("version", route.version), sub["kind"], is_custom(route) and "group" not in sub
        )
        found = {}
        if "get" in sub["verbs"]:
            found["get"] = _operation(route, "get", named, kind, names)
        if "create" in sub["verbs"]:
            found["post"] = _operation(route, "post", named + WRITE_PARAMETERS, kind, names, kind)
        if "update" in sub["verbs"]:
            found["put"] = _operation(route, "put", named + WRITE_PARAMETERS, kind, names, kind)
        if "patch" in sub["verbs"]:
            found["patch"] = _patch(route, named, kind, names)
        paths[f"{base}/{{name}}/{name}"] = found


def _operation(route: Route, action: str, parameters: list[Object], answer: str, names: set[str], body: str = "") -> Object:
    status = "201" if action == "post" else "200"
    operation: Object = {
        "tags": [f"{route.group.partition('.')[0] or 'core'}_{route.version}"],
        "parameters": parameters,
        "responses": {status: {"description": "OK", "content": {JSON: {"schema": _reference(answer, names, is_custom(route))}}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": route.group, "version": route.version, "kind": route.kind},
    }
    if body:
        required = body != f"{META}DeleteOptions"
        operation["requestBody"] = {"content": {JSON: {"schema": _reference(body, names, is_custom(route))}}, "required": required}
    return operation


def _patch(route: Route, named: list[Object], answer: str, names: set[str]) -> Object:
    parameters = [*named, *WRITE_PARAMETERS, _parameter("force", "boolean")]
    operation = _operation(route, "patch", parameters, answer, names)
    # kubectl sends what is offered here: custom resources have no merge keys, so no strategic patch for them.
    offered = [media for media in PATCH_TYPES if "strategic" not in media or not is_custom(route)]
    content = {media: {"schema": {"type": "array", "items": {"type": "object"}} if "json-patch" in media else {"type": "object"}}
               for media in offered}  # fmt: skip
    operation["requestBody"] = {"content": content, "required": True}
    return operation


def is_custom(route: Route) -> bool:
    """Whether a route is a custom resource's, in whatever group."""
    return "definition" in route.row


def schema_of(group: str, version: str, kind: str, custom: bool = False) -> str:
    """The name of a kind's definition."""
    if custom:
        return f"{'.'.join(reversed(group.split('.')))}.{version}.{kind}"
    if group in ("apiextensions.k8s.io", "apiregistration.k8s.io"):
        room = "apiextensions-apiserver" if group.startswith("apiext") else "kube-aggregator"
        return f"io.k8s.{room}.pkg.apis.{group.partition('.')[0]}.{version}.{kind}"
    return f"io.k8s.api.{group.partition('.')[0] or 'core'}.{version}.{kind}"


def _reference(name: str, names: set[str], custom: bool) -> Object:
    if definition(name) is None:
        return {"$ref": REFERENCE + name} if custom else {"type": "object"}
    names.add(name)
    return {"$ref": REFERENCE + name}


# -- schemas --


def schemas(names: set[str], routes: Routes) -> Object:
    """The schemas of some definitions and of everything that they refer to, in the order of their names."""
    found: Object = {}
    waiting = sorted(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        known = definition(name)
        used: set[str] = set()
        found[name] = OWN.get(name) or (_schema(known, used) if known is not None else {"type": "object"})
        waiting.extend(sorted(used - set(found)))
    return dict(sorted(found.items()))


def _schema(known: Definition, used: set[str]) -> Object:
    text = schema.description(known.name)
    shown: Object = {"description": text} if text else {}
    if not known.fields:
        return {**shown, **(SCALARS.get(known.code) or {"type": "object"})}
    shown["type"] = "object"
    shown["properties"] = {name: _property(known.name, name, at, used) for name, at in known.fields.items()}
    if known.required:
        shown["required"] = list(known.required)
    if known.map_type:
        shown["x-kubernetes-map-type"] = known.map_type
    kind = schema.group_version_kind(known.name)
    if kind is not None:
        shown["x-kubernetes-group-version-kind"] = [dict(zip(("group", "version", "kind"), kind))]
    return shown


def _property(owner: str, name: str, at: Field, used: set[str]) -> Object:
    text = schema.description(owner, name)
    shown = _type(at, used)
    if "$ref" in shown:
        shown = {"allOf": [shown]}
    values = values_of(owner, name)
    if values:
        listed = "\n".join(f' - `"{value}"`' for value in values)
        text = f"{text}\n\nPossible enum values:\n{listed}"
        shown["enum"] = list(values)
    if text:
        shown = {"description": text, **shown}
    if at.list_type:
        shown["x-kubernetes-list-type"] = at.list_type
    if at.list_keys:
        shown["x-kubernetes-list-map-keys"] = list(at.list_keys)
    if at.map_type:
        shown["x-kubernetes-map-type"] = at.map_type
    if at.patch_strategies:
        shown["x-kubernetes-patch-strategy"] = ",".join(at.patch_strategies)
    if at.merge_key:
        shown["x-kubernetes-patch-merge-key"] = at.merge_key
    return shown


def _type(at: Field, used: set[str]) -> Object:
    if at.code in "am":
        assert at.item is not None
        inner = _type(at.item, used)
        return {"type": "array", "items": inner} if at.code == "a" else {"type": "object", "additionalProperties": inner}
    if at.code in "qx@":
        name = {"q": QUANTITY, "x": INT_OR_STRING}.get(at.code, at.ref)
        used.add(name)
        return {"$ref": REFERENCE + name}
    return dict(SCALARS.get(at.code, {}))
