"""OpenAPI: enumerated fields, and version 2 in gnostic's protobuf, read back with a decoder of three lines."""

from collections.abc import Iterator

from kubesim.api.enums import values_of
from kubesim.api.schema import definition
from kubesim.server.apiserver.openapi_protobuf import version_2_protobuf
from tests.server.door import Door

DEPLOYMENT_STRATEGY = "io.k8s.api.apps.v1.DeploymentStrategy"


def fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited and varint fields of a message: (number, bytes)."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    while at < len(data):
        key = varint()
        length = varint()
        if key & 7 == 2:
            yield key >> 3, data[at : at + length]
            at += length
        else:
            yield key >> 3, b"%d" % length


def named(data: bytes, number: int) -> dict[str, bytes]:
    """A list of named values as a dict."""
    return {dict(fields(each))[1].decode(): dict(fields(each))[2] for key, each in fields(data) if key == number}


def test_version_2_holds_definitions_paths_and_extensions() -> None:
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "string", "enum": ["x"]}, "b": {"type": "array", "items": {"$ref": "#/definitions/B"}}},
        "x-kubernetes-group-version-kind": [{"kind": "A"}],
    }
    operation = {"parameters": [{"in": "query", "name": "dryRun", "type": "string"}], "consumes": ["application/json"]}
    document = {
        "swagger": "2.0",
        "info": {"title": "K", "version": "v1"},
        "paths": {"/p": {"patch": operation}},
        "definitions": {"A": schema},
    }
    top = dict(fields(version_2_protobuf(document)))
    assert (top[1], dict(fields(top[2]))) == (b"2.0", {1: b"K", 2: b"v1"})
    patched = dict(fields(dict(fields(named(top[8], 2)["/p"]))[8]))
    assert patched[7] == b"application/json"
    query = dict(fields(dict(fields(dict(fields(dict(fields(patched[8]))[1]))[2]))[3]))
    assert query == {2: b"query", 4: b"dryRun", 6: b"string"}
    found = named(top[9], 1)["A"]
    assert dict(fields(found))[19] == b"a"
    properties = named(dict(fields(found))[25], 1)
    assert dict(fields(dict(fields(properties["a"]))[20])) == {2: b'"x"'}
    assert dict(fields(dict(fields(dict(fields(properties["b"]))[23]))[1])) == {1: b"#/definitions/B"}
    assert named(found, 31) == {"x-kubernetes-group-version-kind": b'\x12\x0e[{"kind":"A"}]'}


def test_enumerated_fields_exist_and_their_values_are_sorted() -> None:
    from kubesim.api import enums

    for field, values in enums._VALUES.items():
        name, _, last = field.rpartition(".")
        known = definition(name)
        assert known is not None, name
        assert known.fields[last].code == "s", field
        assert list(values) == sorted(set(values)), field
    assert values_of(DEPLOYMENT_STRATEGY, "type") == ("Recreate", "RollingUpdate")
    assert values_of(DEPLOYMENT_STRATEGY, "rollingUpdate") == ()


def test_a_controller_writes_as_the_program_that_it_is_part_of(door: Door) -> None:
    door.server.fields.managers["job-controller"] = "kube-controller-manager"
    from kubesim.apiserver.requests import create

    made = create("configmaps", "default", {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c"}, "data": {"a": "b"}})
    made.user = "job-controller"
    assert [entry["manager"] for entry in door.server.call(made)["metadata"]["managedFields"]] == ["kube-controller-manager"]


def test_a_custom_resource_is_one_by_its_route_not_by_the_name_of_its_group() -> None:
    from kubesim.server.apiserver.custom_routes import route_of
    from kubesim.server.apiserver.openapi import OpenApi
    from kubesim.server.apiserver.routes import Routes

    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}}}
    row = {"group": "gateway.networking.k8s.io", "version": "v1", "kind": "Gateway", "plural": "gateways", "singular": "gateway",
           "namespaced": True, "verbs": ["get", "list", "create"], "subresources": {}, "schema": schema, "definition": "g"}  # fmt: skip
    routes = Routes()
    routes.groups = [*routes.groups, {"name": row["group"], "versions": [{"groupVersion": f"{row['group']}/v1", "version": "v1"}]}]
    routes.add(route_of(row))
    document = OpenApi(routes)._version_3("apis/gateway.networking.k8s.io/v1")
    name = "io.k8s.networking.gateway.v1.Gateway"
    assert document["components"]["schemas"][name]["properties"]["spec"]["properties"] == {"a": {"type": "string"}}
    path = document["paths"]["/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/gateways/{name}"]
    assert path["get"]["responses"]["200"]["content"]["application/json"]["schema"] == {"$ref": f"#/components/schemas/{name}"}
