"""The plain cases that are answered without a generator, against the verbs, their twins."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Request, create, update
from kubesim.apiserver.server import ApiServer
from kubesim.apiserver.verbs.at_once import AT_ONCE
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel
from tests.apiserver.builders import namespace, pod

Object = dict[str, Any]


class Side:
    """A server of one Pod, asked at once or through the verbs alone."""

    def __init__(self, at_once: bool) -> None:
        self.kernel = Kernel(seed=3)
        self.etcd = LocalEtcd(self.kernel)
        self.server = ApiServer(self.kernel, self.etcd, debug=True)
        self.answer = self.server.call if at_once else self._through_the_verb
        self.seen: list[Any] = []
        self.server.audit.append(lambda now_ns, request, obj, revision: self.seen.append((now_ns, request.verb, obj, revision)))
        self.server.call(create("namespaces", "", namespace("a")))
        self.server.call(create("pods", "default", pod(namespace="default")))

    def _through_the_verb(self, request: Request) -> Any:
        asking = self.server.handle(request)
        try:
            asked = asking.send(None)
            while True:
                asked = asking.send(self.etcd.execute(asked))
        except StopIteration as stop:
            return stop.value

    def outcome(self, request: Request) -> Any:
        try:
            return self.answer(request)
        except ApiError as error:
            return error.code, error.message


def event(name: str, space: str, about: Any, **more: Any) -> Object:
    """An Event as a recorder makes it."""
    return {
        "kind": "Event", "apiVersion": "v1", "metadata": {"name": name, "namespace": space}, "involvedObject": about, "reason": "R",
        "message": "m", "source": {}, "firstTimestamp": None, "lastTimestamp": None, "count": 1, "type": "Normal", "eventTime": None,
        "reportingComponent": "c", "reportingInstance": "", **more,
    }  # fmt: skip


names = st.sampled_from(("p.1f", "p.2", "p", "P.1", "p.UP", "-p.1", "p..1", "p." + "1" * 30, "", "a.b.c"))
spaces = st.sampled_from(("default", "a", "gone", "A", ""))
abouts = st.sampled_from(({"namespace": "default"}, {"namespace": "a"}, {}, {"namespace": "other"}, None))
oddities = st.sampled_from((
    {}, {}, {}, {"kind": "Pod"}, {"apiVersion": "v2"}, {"metadata": {"name": "p.5", "namespace": "default", "labels": {"a": "b"}}},
    {"metadata": {"generateName": "p-", "namespace": "default"}}, {"extra": 1}, {"metadata": None}, {"metadata": {}},
))  # fmt: skip
less = st.sampled_from((None, None, "source", "eventTime", "involvedObject", "kind"))


@st.composite
def event_requests(draw: st.DrawFn) -> Request:
    body = event(draw(names), draw(spaces), draw(abouts), **draw(oddities))
    body.pop(draw(less), None)
    own = (body["metadata"] or {}).get("namespace", "default")
    options = draw(st.sampled_from(({}, {}, {"dryRun": "All"})))
    return Request("create", "events", draw(spaces) if draw(st.booleans()) else own, "", body, options=options)


@given(st.lists(event_requests(), min_size=1, max_size=6))
def test_an_event_is_stored_as_the_verb_stores_it(requests: list[Request]) -> None:
    sides = Side(True), Side(False)
    for request in requests * 2:
        assert sides[0].outcome(request) == sides[1].outcome(request)
    assert sides[0].seen == sides[1].seen
    assert sides[0].kernel.trace.digest() == sides[1].kernel.trace.digest()


CHANGES = {
    "report": lambda pod: {**pod, "status": {**pod["status"], "phase": "Running", "podIP": "10.0.0.1"}},
    "none": lambda pod: pod,
    "no qos": lambda pod: {**pod, "status": {"phase": "Failed"}},
    "other qos": lambda pod: {**pod, "status": {"qosClass": "Burstable"}},
    "bad address": lambda pod: {**pod, "status": {"podIPs": [{"ip": "x"}]}},
    "no status": lambda pod: {key: value for key, value in pod.items() if key != "status"},
    "other spec": lambda pod: {**pod, "spec": {**pod["spec"], "nodeName": "n"}, "status": {"phase": "Running"}},
    "equal metadata": lambda pod: {**pod, "metadata": {**pod["metadata"]}, "status": {"phase": "Running"}},
    "label": lambda pod: {**pod, "metadata": {**pod["metadata"], "labels": {"a": "b"}}},
    "stale": lambda pod: {**pod, "metadata": {**pod["metadata"], "resourceVersion": "1"}},
    "other kind": lambda pod: {**pod, "kind": "Service"},
    "other version": lambda pod: {**pod, "apiVersion": "v2"},
}


@given(st.lists(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=6))
def test_a_report_is_stored_as_the_verb_stores_it(changes: list[str]) -> None:
    sides = Side(True), Side(False)
    for change in changes:
        requests = [update("pods", CHANGES[change](side.server.get("pods", "default", "p")), "status") for side in sides]
        assert sides[0].outcome(requests[0]) == sides[1].outcome(requests[1])
    assert sides[0].seen == sides[1].seen
    assert sides[0].kernel.trace.digest() == sides[1].kernel.trace.digest()


def test_the_plain_cases_are_answered_at_once() -> None:
    server = Side(True).server
    first = create("events", "default", event("p.1", "default", {"namespace": "default"}))
    server.call(first)  # the first one asks the plugins, and etcd for a lease
    second = create("events", "default", event("p.2", "default", {"namespace": "default"}))
    stored = AT_ONCE["create", ""](server, server.registry.resource("events"), second)
    assert stored is not None and stored["metadata"]["resourceVersion"] == str(server.store.revision)
    report = update("pods", CHANGES["report"](server.get("pods", "default", "p")), "status")
    stored = AT_ONCE["update", "status"](server, server.registry.resource("pods"), report)
    assert stored is not None and stored["status"]["phase"] == "Running"
