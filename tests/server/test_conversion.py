"""Versions of a custom resource that a webhook converts: written and read in either, and what an answer must be."""

from typing import Any

import pytest

from kubesim.kernel.time import MINUTE

Object = dict[str, Any]
URL = "https://convert.example/"
DEFINITIONS, GROUP = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "/apis/zoo.example"


def definition() -> Object:
    """v1 is stored, with a name in two parts; v2 has it in one."""
    def version(name: str, *fields: str) -> Object:
        spec = {"type": "object", "properties": {field: {"type": "string"} for field in fields}}
        schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
        return {"name": name, "served": True, "storage": name == "v1", "schema": schema}

    conversion = {"strategy": "Webhook", "webhook": {"clientConfig": {"url": URL}, "conversionReviewVersions": ["v1"]}}
    names = {"plural": "lions", "singular": "lion", "kind": "Lion", "listKind": "LionList"}
    spec = {"group": "zoo.example", "scope": "Namespaced", "names": names, "conversion": conversion,
            "versions": [version("v1", "first", "last"), version("v2", "full")]}  # fmt: skip
    return {"metadata": {"name": "lions.zoo.example"}, "spec": spec}


def convert(review: Object) -> Object:
    """The webhook."""
    request = review["request"]
    objects = []
    for obj in request["objects"]:
        spec = obj["spec"]
        if request["desiredAPIVersion"].endswith("v2"):
            spec = {"full": f"{spec['first']} {spec['last']}"}
        elif "full" in spec:
            first, _, last = spec["full"].partition(" ")
            spec = {"first": first, "last": last}
        metadata = {**obj["metadata"], "annotations": {"converted": "yes"}, "generation": 99}
        objects.append({**obj, "apiVersion": request["desiredAPIVersion"], "metadata": metadata, "spec": spec})
    response = {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects}
    return {"apiVersion": review["apiVersion"], "kind": "ConversionReview", "response": response}


@pytest.fixture
def zoo(door):
    """A door to a server with the definition."""
    from kubesim.server.apiserver.custom_routes import CustomRoutes

    CustomRoutes(door.app.routes, door.server.custom_resources)
    assert door.ask("POST", DEFINITIONS, definition()).status == 201
    door.kernel.run_due(door.kernel.now_ns + MINUTE)
    door.server.outside.register(URL, convert)
    return door


def lions(version: str, name: str = "") -> str:
    """The path of the lions."""
    return f"{GROUP}/{version}/namespaces/default/lions" + (f"/{name}" if name else "")


def lion(version: str, **spec: str) -> Object:
    """A lion in a version."""
    return {"apiVersion": f"zoo.example/{version}", "kind": "Lion", "metadata": {"name": "leo"}, "spec": spec}


def test_what_is_written_in_one_version_is_read_in_the_other(zoo) -> None:
    made = zoo.ask("POST", lions("v2"), lion("v2", full="Leo Lion"))
    assert (made.status, made.json["apiVersion"], made.json["spec"]) == (201, "zoo.example/v2", {"full": "Leo Lion"})
    stored = zoo.ask("GET", lions("v1", "leo")).json
    assert stored["spec"] == {"first": "Leo", "last": "Lion"}
    assert stored["metadata"]["generation"] == 1
    merge = {"content-type": "application/merge-patch+json"}
    changed = zoo.ask("PATCH", lions("v2", "leo"), {"spec": {"full": "Leo King"}}, headers=merge)
    assert (changed.status, changed.json["spec"]) == (200, {"full": "Leo King"})
    listed = zoo.ask("GET", lions("v2")).json
    assert (listed["kind"], [item["spec"] for item in listed["items"]]) == ("LionList", [{"full": "Leo King"}])
    assert zoo.ask("DELETE", lions("v2", "leo")).status == 200
    assert zoo.ask("GET", lions("v2")).json["items"] == []


def failing(**response: Any) -> Any:
    """A webhook whose response has other fields."""
    def answer(review: Object) -> Object:
        found = convert(review)
        return {**found, "response": {**found["response"], **response}}

    return answer


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (None, 'Post "https://convert.example/?timeout=30s": dial tcp: lookup convert.example: no such host'),
        (lambda review: {}, "no response provided"),
        (failing(uid="x"), 'expected response.uid="'),
        (failing(result={"status": "Failure", "message": "too wild"}), "too wild"),
        (failing(result={"status": "Failure"}), "response.result.status was 'Failure', not 'Success'"),
        (failing(convertedObjects=[]), "webhook returned 0 objects, expected 1"),
        (failing(convertedObjects=[lion("v1")]), "invalid converted object at index 0: invalid groupVersion (expected zoo.example/v2, "),
        (lambda review: {**convert(review), "kind": "X"}, "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, "),
    ],
)  # fmt: skip
def test_a_conversion_that_fails(zoo, function: Any, why: str) -> None:
    zoo.ask("POST", lions("v1"), lion("v1", first="Leo", last="Lion"))
    zoo.server.outside.forget(URL)
    if function is not None:
        zoo.server.outside.register(URL, function)
    refused = zoo.ask("GET", lions("v2", "leo"))
    message = refused.json["message"]
    assert (refused.status, message.startswith(f"conversion webhook for zoo.example/v1, Kind=Lion failed: {why}")) == (500, True), message
    assert zoo.ask("GET", lions("v1", "leo")).status == 200


def test_a_webhook_that_takes_time_is_waited_for(zoo) -> None:
    import orjson

    from kubesim.apiserver.outside import Reply

    class Slow:
        """Answers in the next turn of the event loop."""

        def ask(self, question: Any) -> None:
            return None

        def ask_later(self, question: Any, done: Any) -> None:
            import asyncio

            asyncio.get_running_loop().call_soon(done, Reply(body=orjson.dumps(convert(question.body))))

    zoo.server.outside = Slow()
    assert zoo.ask("POST", lions("v2"), lion("v2", full="Leo Lion")).status == 201
    assert zoo.ask("GET", lions("v2", "leo")).json["spec"] == {"full": "Leo Lion"}
    assert zoo.ask("GET", lions("v2") + "?watch=1").status == 501
