"""The server against a plain model: random creates, updates, patches, deletes, finalizers, node bindings, time and watches.

After each step: the server's list is the model's, the store keeps its invariants, and each watcher's events, applied to what it first
listed, give what a list with its selector shows now.
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Request, create, delete, list_, patch, update
from kubesim.apiserver.server import ApiServer
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import MINUTE, SECOND

NAMES = st.sampled_from(("a", "b", "c", "d"))
LABELS = st.sampled_from(({}, {"l": "x"}, {"l": "y"}, {"l": "x", "m": "z"}))
FINALIZERS = st.sampled_from(([], ["example.com/f"], ["example.com/f", "example.com/g"]))
RESOURCE, WHERE = "configmaps", "default"
SELECTORS = ("", "l=x", "l!=x", "m")


class Follower:
    """A watcher that keeps a copy of the selected objects by applying events."""

    def __init__(self, server: ApiServer, selector: str) -> None:
        self.selector = selector
        items, self.revision, self.watch = server.watch_list(RESOURCE, namespace=WHERE, label_selector=selector, on_ready=lambda: None)
        self.objects = {item["metadata"]["name"]: item for item in items}

    def catch_up(self) -> None:
        for event in self.watch.take():
            name = event.obj["metadata"]["name"]
            assert event.revision > self.revision, "events come in order, once"
            assert event.obj["metadata"]["resourceVersion"] == str(event.revision)
            assert (event.type == "ADDED") == (name not in self.objects)
            assert self.objects.get(name) == event.old
            self.revision = event.revision
            if event.type == "DELETED":
                del self.objects[name]
            else:
                self.objects[name] = event.obj


class Machine(RuleBasedStateMachine):
    """``model`` holds name -> (labels, finalizers, value, is_deleting) for the ConfigMaps of one namespace."""

    @initialize(seed=st.integers(0, 3))
    def start(self, seed: int) -> None:
        self.kernel = Kernel(seed=seed, shuffle_ties=bool(seed % 2))
        self.server = ApiServer(self.kernel, LocalEtcd(self.kernel), debug=True)
        self.model: dict[str, tuple[dict, list, str, bool]] = {}
        self.last: dict[str, Any] = {}  # the last answer about a name, maybe stale
        self.followers = [Follower(self.server, selector) for selector in SELECTORS]

    def ask(self, request: Request) -> int:
        try:
            answer = self.server.call(request)
        except ApiError as error:
            return error.code
        if answer.get("kind") == "ConfigMap":
            self.last[answer["metadata"]["name"]] = answer
        return 200

    @rule(name=NAMES, labels=LABELS, finalizers=FINALIZERS)
    def create(self, name: str, labels: dict, finalizers: list) -> None:
        metadata = {"name": name, "labels": labels, "finalizers": finalizers}
        code = self.ask(create(RESOURCE, WHERE, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}))
        assert code == (409 if name in self.model else 200)
        self.model.setdefault(name, (labels, finalizers, "", False))

    @rule(name=NAMES, labels=LABELS)
    def relabel(self, name: str, labels: dict) -> None:
        body = [{"op": "add", "path": "/metadata/labels", "value": labels}]
        code = self.ask(patch(RESOURCE, WHERE, name, body, "json"))
        assert code == (200 if name in self.model else 404)
        if name in self.model:
            self.model[name] = (labels, *self.model[name][1:])

    @precondition(lambda self: self.last)
    @rule(data=st.data(), value=st.sampled_from(("1", "2")))
    def update_what_was_seen(self, data: st.DataObject, value: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.last)))
        seen = self.last[name]
        stored = self.server.peek(RESOURCE, WHERE, name)
        code = self.ask(update(RESOURCE, {**seen, "data": {"v": value}}))
        if stored is None:
            assert code == 404
        elif stored["metadata"]["resourceVersion"] != seen["metadata"]["resourceVersion"]:
            assert code == 409
        else:
            assert code == 200
            labels, finalizers, _, deleting = self.model[name]
            self.model[name] = (labels, finalizers, value, deleting)

    @rule(name=NAMES)
    def drop_a_finalizer(self, name: str) -> None:
        finalizers = self.model[name][1] if name in self.model else []
        code = self.ask(patch(RESOURCE, WHERE, name, {"metadata": {"finalizers": finalizers[1:] or None}}))
        assert code == (200 if name in self.model else 404)
        if name in self.model:
            labels, _, value, deleting = self.model[name]
            self.model[name] = (labels, finalizers[1:], value, deleting)
            self.settle(name)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        code = self.ask(delete(RESOURCE, WHERE, name))
        assert code == (200 if name in self.model else 404)
        if name in self.model:
            labels, finalizers, value, _ = self.model[name]
            self.model[name] = (labels, finalizers, value, True)
            self.settle(name)

    def settle(self, name: str) -> None:
        _, finalizers, _, deleting = self.model[name]
        if deleting and not finalizers:
            del self.model[name]

    @rule(duration_ns=st.sampled_from((0, SECOND, 6 * MINUTE)))
    def pass_time(self, duration_ns: int) -> None:
        self.kernel.run_due(self.kernel.now_ns + duration_ns)

    @rule(index=st.sampled_from(range(len(SELECTORS))))
    def replace_a_watcher(self, index: int) -> None:
        self.followers[index].watch.cancel()
        self.followers[index] = Follower(self.server, SELECTORS[index])

    @invariant()
    def the_list_is_the_model(self) -> None:
        if not hasattr(self, "model"):
            return
        items = self.server.call(list_(RESOURCE, WHERE))["items"]
        assert [item["metadata"]["name"] for item in items] == sorted(self.model)
        for item in items:
            metadata = item["metadata"]
            labels, finalizers, value, deleting = self.model[metadata["name"]]
            assert metadata.get("labels", {}) == labels
            assert metadata.get("finalizers", []) == finalizers
            assert item.get("data", {}).get("v", "") == value
            assert ("deletionTimestamp" in metadata) == deleting

    @invariant()
    def watchers_follow(self) -> None:
        if not hasattr(self, "followers"):
            return
        self.kernel.run_due(self.kernel.now_ns)
        for follower in self.followers:
            follower.catch_up()
            options = {"labelSelector": follower.selector} if follower.selector else {}
            items = self.server.call(list_(RESOURCE, WHERE, **options))["items"]
            assert [follower.objects[name] for name in sorted(follower.objects)] == items

    def teardown(self) -> None:
        if hasattr(self, "server"):
            self.server.store.check()


Machine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestApiServerMachine = Machine.TestCase
