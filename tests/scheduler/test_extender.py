"""HTTP extenders: what is asked, what the answers do, what happens when nobody answers; and the real door against a real server."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from kubesim import Cluster
from kubesim.apiserver.requests import bind
from kubesim.drive.http_door import post_json
from kubesim.scheduler import SchedulingEngine
from kubesim.scheduler.configuration import ConfigurationError, read_configuration
from tests.scheduler.builders import node, pod

Object = dict[str, Any]
URL = "http://extender.example.com/scheduler"


def engine_with(door: Any, **entry: Any) -> SchedulingEngine:
    config = read_configuration({"extenders": [{"urlPrefix": URL, "filterVerb": "filter", **entry}]})
    engine = SchedulingEngine(config, door=door)
    for name in ("n1", "n2", "n3"):
        engine.add_node(node(name))
    return engine


def answering(calls: list[Any], **answers: Any) -> Any:
    def door(url: str, body: Object, timeout_ns: int) -> Any:
        calls.append((url, sorted(body), timeout_ns))
        answer = answers[url.rpartition("/")[2]]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return door


def test_an_extender_filters_and_gives_points() -> None:
    calls: list[Any] = []
    door = answering(
        calls,
        filter={"nodenames": ["n2", "n3"], "failedNodes": {"n1": "no licence"}},
        prioritize=[{"host": "n2", "score": 1}, {"host": "n3", "score": 9}],
    )
    engine = engine_with(door, prioritizeVerb="prioritize", weight=5, nodeCacheCapable=True, httpTimeout="2s")
    assert engine.schedule(pod("p", "1")).node_name == "n3"
    assert (f"{URL}/filter", ["nodenames", "pod"], 2_000_000_000) in calls
    explained = engine.explain(pod("q", "1"))
    assert explained["rejected"]["n1"][1].reasons == ("no licence",)
    assert explained["scores"]["n3"][f"Extender 0 {URL}"] == 9 * 10 * 5


def test_whole_nodes_are_sent_to_one_that_does_not_know_them_and_its_reasons_are_told() -> None:
    calls: list[Any] = []
    door = answering(calls, filter={"nodes": {"items": []}, "failedAndUnresolvableNodes": {"n1": "burnt"}, "failedNodes": {"n2": "busy"}})
    decision = engine_with(door).schedule(pod("p", "1"))
    assert calls[0][1] == ["nodes", "pod"]
    assert decision.message.startswith("0/3 nodes are available: 1 burnt, 1 busy, 1 node(s) didn't pass the extender.")


@pytest.mark.parametrize(("ignorable", "node_name"), [(True, "n1"), (False, "")])
def test_nobody_answers(ignorable: bool, node_name: str) -> None:
    engine = engine_with(answering([], filter=OSError("connection refused")), ignorable=ignorable)
    decision = engine.schedule(pod("p", "1"))
    assert bool(decision.node_name) is bool(node_name)
    if not ignorable:
        assert "3 connection refused" in decision.message


def test_only_pods_with_its_resources_are_its_business() -> None:
    calls: list[Any] = []
    engine = engine_with(answering(calls, filter={"nodenames": []}), managedResources=[{"name": "example.com/gpu"}], nodeCacheCapable=True)
    assert engine.schedule(pod("p", "1")).node_name
    assert calls == []
    assert not engine.schedule(pod("q", "1", extra={"example.com/gpu": "1"})).node_name


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"urlPrefix": URL, "verb": "x"}, 'unknown field "extenders[0].verb"'),
        ({"urlPrefix": URL, "prioritizeVerb": "p"}, "extenders[0].weight: Invalid value: 0: must have a positive weight applied to it"),
        (
            {"urlPrefix": URL, "managedResources": [{"name": "cpu"}]},
            'extenders[0].managedResources[0].name: Invalid value: "cpu": is an invalid extended resource name',
        ),
        (
            {"urlPrefix": URL, "managedResources": [{"name": "a.com/b"}, {"name": "a.com/b"}]},
            'extenders[0].managedResources[1].name: Invalid value: "a.com/b": duplicate extender managed resource name',
        ),
        ({"filterVerb": "f"}, 'extenders[0].urlPrefix: Invalid value: "": expected a URL'),
        ({"urlPrefix": URL, "httpTimeout": "soon"}, 'extenders[0].httpTimeout: Invalid value: "soon"'),
    ],
)
def test_a_wrong_entry_is_refused(entry: Object, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_configuration({"extenders": [entry]})
    assert message in str(caught.value)


def test_two_binders_are_refused() -> None:
    with pytest.raises(ConfigurationError, match='"found 2 extenders implementing bind": only one extender can implement bind'):
        read_configuration({"extenders": [{"urlPrefix": URL, "bindVerb": "b"}] * 2})


def test_what_an_extender_counts_the_scheduler_may_ignore() -> None:
    gpus = {"name": "example.com/gpu", "ignoredByScheduler": True}
    engine = engine_with(answering([], filter={"nodenames": ["n2"]}), managedResources=[gpus], nodeCacheCapable=True)
    assert engine.schedule(pod("p", "1", extra={"example.com/gpu": "7"})).node_name == "n2"


LOW = {"priority": 1}
VICTIMS: dict[str, tuple[Object, Any, str]] = {
    "it drops a node": ({}, {"n2": ["uid-b2"]}, "n2"),
    "it names another victim": ({}, {"n1": ["uid-a1"]}, "n1"),
    "it leaves none": ({}, {}, "preemption: no candidate node for preemption"),
    "no victims": ({}, {"n1": []}, 'preemption: expected at least one victim pod on node "n1"'),
    "no victims, ignorable": ({"ignorable": True}, {"n1": [], "n3": ["uid-c3"]}, "n3"),
    "a victim that is not there": (
        {},
        {"n1": ["uid-b2"]},
        f"preemption: extender: {URL} claims to preempt pod (UID: uid-b2) on node: n1, but the pod is not found on that node",
    ),
    "nobody answers": ({}, OSError("connection refused"), "preemption: connection refused"),
    "nobody answers, ignorable": ({"ignorable": True}, OSError("connection refused"), "n1"),
}


@pytest.mark.parametrize("name", VICTIMS)
@pytest.mark.parametrize("knows", [True, False])
def test_preemption(name: str, knows: bool) -> None:
    entry, named, expected = VICTIMS[name]
    calls: list[Any] = []
    met = named if isinstance(named, Exception) else {node: {"pods": [{"uid": uid} for uid in uids]} for node, uids in named.items()}
    answer = met if isinstance(met, Exception) else {"nodeNameToMetaVictims": met}
    engine = engine_with(answering(calls, preempt=answer), filterVerb="", preemptVerb="preempt", nodeCacheCapable=knows, **entry)
    for name, on in (("a1", "n1"), ("b2", "n2"), ("c3", "n3")):
        engine.add_pod(pod(name, "3", on=on, **LOW))
    decision = engine.schedule(pod("p", "3", priority=10))
    outcome = decision.post_filter
    assert outcome is not None
    assert calls[0][1] == ["nodeNameToMetaVictims" if knows else "nodeNameToVictims", "pod"]
    if outcome.node_name:
        assert outcome.node_name == expected
    else:
        assert outcome.message.endswith(expected)


@pytest.mark.parametrize("failure", ["", "out of licences"])
def test_an_extender_binds(failure: str) -> None:
    world: dict[str, Cluster] = {}
    asked: list[Object] = []

    def door(url: str, body: Object, timeout_ns: int) -> Any:
        asked.append(body)
        if failure:
            return {"error": failure}
        world["it"].apiserver.call(bind(body["podNamespace"], body["podName"], body["podUID"], body["node"]))
        return {}

    config = read_configuration({"extenders": [{"urlPrefix": URL, "bindVerb": "bind"}]})
    cluster = world["it"] = Cluster(nodes=1, scheduler_config=config, scheduler_door=door)
    bare = pod("p", "1")
    del bare["metadata"]["uid"]
    cluster.apply([bare])
    cluster.run_for("500ms" if failure else "10s")
    found = cluster.get("Pod", "p")
    body = {
        "podName": "p",
        "podNamespace": "default",
        "podUID": found["metadata"]["uid"],
        "node": cluster.list("Node")[0]["metadata"]["name"],
    }
    assert asked[0] == body
    if failure:
        assert [(c["reason"], c["message"]) for c in found["status"]["conditions"]] == [("SchedulerError", failure)]
    else:
        assert (len(asked), found["spec"]["nodeName"], found["status"]["phase"]) == (1, body["node"], "Running")


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = b"?" if self.path == "/bad" else json.dumps({"nodenames": body["nodenames"][:1]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: Any) -> None:
        pass


def test_the_real_door() -> None:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        assert post_json(f"{url}/filter", {"nodenames": ["a", "b"]}, 5_000_000_000) == {"nodenames": ["a"]}
        with pytest.raises(OSError, match="the answer is not JSON"):
            post_json(f"{url}/bad", {"nodenames": []}, 5_000_000_000)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    with pytest.raises(OSError):
        post_json(f"{url}/filter", {}, 1_000_000_000)
