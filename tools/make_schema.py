"""Make ``kubesim/api/data`` again: the field schema and the resource table of Kubernetes v1.36.

The schema comes from the package kubernetes-validate (extra ``data``), which carries upstream's published OpenAPI definitions; the
resource table (plural, short names, verbs, subresources) comes from the discovery documents of a real apiserver, named on the command
line; without an argument the table is left as it is. Output is deterministic: same input, same bytes.

Usage: make_schema.py [DISCOVERY.jsonl.gz]
"""

import gzip
import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

VERSION = "v1.36"
DATA = Path(__file__).resolve().parents[1] / "kubesim" / "api" / "data"
SOURCE = "kubernetes-json-schema/v1.36.0-local/_definitions.json"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
TIME = "io.k8s.apimachinery.pkg.apis.meta.v1.Time"
MICRO_TIME = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"
PREFIX = "#/$defs/"
SCALARS = {"string": "s", "integer": "i", "boolean": "b", "number": "n"}


def kind_of(node: dict[str, Any]) -> Any:
    """The compact type of a schema node; the code is explained in kubesim/api/schema.py."""
    if "$ref" in node:
        target = node["$ref"].removeprefix(PREFIX)
        return {QUANTITY: "q", INT_OR_STRING: "x", TIME: "t", MICRO_TIME: "u"}.get(target, "@" + target)
    types = node.get("type", [])
    names = [name for name in ([types] if isinstance(types, str) else types) if name != "null"]
    if node.get("x-kubernetes-int-or-string"):
        return "x"
    if not names:
        return "*"
    if names[0] == "array":
        return ["a", kind_of(node["items"])]
    if names[0] == "object":
        if "additionalProperties" in node:
            return ["m", kind_of(node["additionalProperties"])]
        return "o"
    if names[0] == "string":
        return {"date-time": "t", "byte": "y"}.get(node.get("format", ""), "s")
    if names[0] == "integer":
        return "l" if node.get("format") == "int64" else "i"
    return SCALARS[names[0]]


def field_of(node: dict[str, Any]) -> Any:
    """A field: its type alone, or ``[type, extensions]`` when it has list or patch extensions."""
    extra: dict[str, Any] = {}
    if node.get("x-kubernetes-list-type"):
        extra["list"] = node["x-kubernetes-list-type"]
    if node.get("x-kubernetes-list-map-keys"):
        extra["keys"] = node["x-kubernetes-list-map-keys"]
    if node.get("x-kubernetes-map-type"):
        extra["map"] = node["x-kubernetes-map-type"]
    if node.get("x-kubernetes-patch-strategy"):
        extra["patch"] = node["x-kubernetes-patch-strategy"]
    if node.get("x-kubernetes-patch-merge-key"):
        extra["key"] = node["x-kubernetes-patch-merge-key"]
    return {"type": kind_of(node), **extra} if extra else kind_of(node)


def definition_of(node: dict[str, Any]) -> Any:
    """A definition: fields, required names, or the bare type of a definition without fields."""
    if "properties" not in node:
        return {"type": kind_of(node)}
    compact: dict[str, Any] = {"fields": {name: field_of(child) for name, child in sorted(node["properties"].items())}}
    if node.get("required"):
        compact["required"] = node["required"]
    if node.get("x-kubernetes-map-type"):
        compact["map"] = node["x-kubernetes-map-type"]
    kinds = node.get("x-kubernetes-group-version-kind")
    if kinds and len(kinds) == 1:
        compact["gvk"] = [kinds[0]["group"], kinds[0]["version"], kinds[0]["kind"]]
    return compact


def write(name: str, value: Any) -> None:
    """Write JSON as gzip without a time stamp or file name, so that the bytes depend on the content alone."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
    path = DATA / name
    path.write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{path.name}: {len(text)} bytes, {path.stat().st_size} packed")


def write_schema() -> None:
    """Write the compact schema, and the descriptions of the fields beside it for ``explain``."""
    source = files("kubernetes_validate") / SOURCE
    definitions = json.loads(source.read_text(encoding="utf-8"))["$defs"]
    write(f"schema-{VERSION}.json.gz", {name: definition_of(node) for name, node in sorted(definitions.items())})
    texts = {
        name: {
            "": node.get("description", ""),
            **{field: child["description"] for field, child in node.get("properties", {}).items() if child.get("description")},
        }
        for name, node in sorted(definitions.items())
    }
    write(f"descriptions-{VERSION}.json.gz", texts)


def resources_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of one APIResourceList; a subresource is folded into its parent."""
    group, _, version = document["groupVersion"].rpartition("/")
    rows: dict[str, dict[str, Any]] = {}
    for resource in document["resources"]:
        plural, _, subresource = resource["name"].partition("/")
        if subresource:
            rows[plural].setdefault("subresources", {})[subresource] = {
                key: resource[key] for key in ("group", "version", "kind", "verbs") if key in resource
            }
            continue
        rows[plural] = {
            "group": group,
            "version": version,
            "kind": resource["kind"],
            "plural": plural,
            "singular": resource["singularName"],
            "namespaced": resource["namespaced"],
            "verbs": resource["verbs"],
            **{key: resource[key] for key in ("shortNames", "categories", "storageVersionHash") if key in resource},
        }
    return list(rows.values())


def write_resources(discovery: str) -> None:
    """Write the resource table from recorded discovery documents; groups in the order the server lists them."""
    lists: dict[str, dict[str, Any]] = {}
    groups: list[dict[str, Any]] = []
    with gzip.open(discovery, "rt", encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            body = record.get("resp", {}).get("body")
            if not isinstance(body, dict) or record["resp"]["status"] != 200:
                continue
            if body.get("kind") == "APIResourceList":
                lists.setdefault(body["groupVersion"], body)
            if body.get("kind") == "APIGroupList" and not groups:
                groups = body["groups"]
    order = ["v1"] + [version["groupVersion"] for group in groups for version in group["versions"]]
    rows = [row for group_version in order if group_version in lists for row in resources_of(lists[group_version])]
    write(f"resources-{VERSION}.json.gz", {"groups": groups, "resources": rows})


if __name__ == "__main__":
    write_schema()
    if len(sys.argv) > 1:
        write_resources(sys.argv[1])
