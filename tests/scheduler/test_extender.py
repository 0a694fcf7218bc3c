"""HTTP extenders: what is asked, what the answers do, what happens when nobody answers; and the real door against a real server."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

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
        ({"urlPrefix": URL, "bindVerb": "b"}, "extenders[0].bindVerb: Forbidden"),
        ({"filterVerb": "f"}, 'extenders[0].urlPrefix: Invalid value: "": expected a URL'),
        ({"urlPrefix": URL, "httpTimeout": "soon"}, 'extenders[0].httpTimeout: Invalid value: "soon"'),
    ],
)
def test_a_wrong_entry_is_refused(entry: Object, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_configuration({"extenders": [entry]})
    assert message in str(caught.value)


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
