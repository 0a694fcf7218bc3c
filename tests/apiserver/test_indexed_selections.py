"""Watches by name and by node see what a watch of everything, filtered afterwards, sees: hypothesis against that plain model."""

from hypothesis import given
from hypothesis import strategies as st

from kubesim.apiserver.indexed_selections import indexed_term
from kubesim.apiserver.requests import Object, create, delete, update
from kubesim.apiserver.server import ApiServer
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel

NAMES, NODES = ("a", "b"), ("", "n1", "n2")
SELECTORS = (
    "metadata.name=a",
    "metadata.name==b",
    "spec.nodeName=n1",
    "spec.nodeName=",
    "metadata.name=a,spec.nodeName=n2",
    "spec.nodeName!=n1",
    "",
)
STEPS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(("node", "label", "delete")), st.sampled_from(NODES)), max_size=12)


def pod(name: str, node: str) -> Object:
    spec = {"containers": [{"name": "c", "image": "i"}], **({"nodeName": node} if node else {})}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def matches(selector: str, obj: Object | None) -> bool:
    """The plain model of a field selector."""
    fields = {"metadata.name": obj["metadata"]["name"], "spec.nodeName": obj["spec"].get("nodeName", "")} if obj else {}
    for term in filter(None, selector.split(",")):
        field, _, value = term.partition("!=") if "!=" in term else term.replace("==", "=").partition("=")
        if not obj or (fields[field] == value) == ("!=" in term):
            return False
    return obj is not None


@given(STEPS, st.permutations(SELECTORS))
def test_a_looked_up_watch_sees_what_a_filter_sees(steps: list[tuple[str, str, str]], selectors: list[str]) -> None:
    kernel = Kernel(seed=1)
    server = ApiServer(kernel, LocalEtcd(kernel))
    watches = {selector: server.watch("pods", field_selector=selector, on_ready=lambda: None) for selector in selectors}
    live: dict[str, Object] = {}
    for name, action, node in steps:
        old = live.get(name)
        if old is None:
            new: Object | None = server.call(create("pods", "default", pod(name, node)))
        elif action == "delete":
            server.call(delete("pods", "default", name, gracePeriodSeconds=0))
            new = None
        elif action == "node" and node and not old["spec"].get("nodeName"):
            body = {
                "kind": "Binding",
                "apiVersion": "v1",
                "metadata": {"name": name, "namespace": "default"},
                "target": {"kind": "Node", "name": node},
            }
            bind = create("pods", "default", body)
            bind.subresource, bind.name = "binding", name
            server.call(bind)
            new = server.get("pods", "default", name)
        else:
            labels = {"n": str(len(old["metadata"].get("labels") or {})), **{f"l{index}": "" for index in range(node == "n1")}}
            new = server.call(update("pods", {**old, "metadata": {**old["metadata"], "labels": labels}}))
        live.pop(name, None)
        if new is not None:
            live[name] = new
        kernel.run_due(kernel.now_ns)
    everything = watches.pop("").take()
    for selector, watch in watches.items():
        expected = []
        for event in everything:
            was, is_ = matches(selector, event.old), matches(selector, None if event.type == "DELETED" else event.obj)
            if was or is_:
                expected.append(("MODIFIED" if was and is_ else "ADDED" if is_ else "DELETED", event.obj["metadata"]["resourceVersion"]))
        assert [(event.type, event.obj["metadata"]["resourceVersion"]) for event in watch.take()] == expected, selector
    for watch in watches.values():
        watch.cancel()
    assert [key for resource, key in server.watch_cache._by_key if resource.name == "pods"] == [("", "", "")]


def test_what_is_looked_up() -> None:
    assert [indexed_term(each) for each in SELECTORS] == [
        ("metadata.name", "a"), ("metadata.name", "b"), ("spec.nodeName", "n1"), ("spec.nodeName", ""), ("metadata.name", "a"), None, None,
    ]  # fmt: skip
