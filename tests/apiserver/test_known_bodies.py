"""Bodies and managers that are remembered give what is worked out anew: hypothesis against the full path."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from kubesim.api.fields import entries
from kubesim.api.fields.entries import Managed
from kubesim.api.kinds import KINDS
from kubesim.apiserver.decoding import decode_object
from kubesim.apiserver.known_bodies import ENTRIES_MAX, KnownBodies
from kubesim.apiserver.requests import Request
from kubesim.apiserver.server import ApiServer
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel

POD = KINDS.by_gvk("v1", "Pod")
NAMES = st.sampled_from(["a", "b", "web-1", "main", "nginx", "app"])
LABELS = st.dictionaries(st.sampled_from(["app", "tier"]), NAMES, max_size=2)
CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": NAMES, "image": NAMES}, optional={"env": st.just([{"name": "A", "value": "1"}])}),
    min_size=1, max_size=2, unique_by=lambda each: each["name"],
)  # fmt: skip
PODS = st.builds(
    lambda name, labels, containers, node: {
        "kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, **({"labels": labels} if labels else {})},
        "spec": {"containers": containers, **({"nodeName": node} if node else {})},
    },
    NAMES, LABELS, CONTAINERS, st.sampled_from(["", "n1", "n2"]),
)  # fmt: skip


def test_a_second_name_finds_the_first_body_and_shares_its_parts() -> None:
    known = KnownBodies()
    first, second = (b'{"metadata":{"name":"%s"},"spec":{"a":1}}' % name for name in (b"one", b"two"))
    found, key = known.find("s", first)
    assert found is None and key is not None
    kept = orjson.loads(first)
    known.remember(key, kept)
    again, _ = known.find("s", second)
    assert again == orjson.loads(second)
    assert again is not None and again["spec"] is kept["spec"]
    assert kept["metadata"]["name"] == "one"


def test_a_name_that_comes_twice_and_what_is_no_object_are_not_remembered() -> None:
    known = KnownBodies()
    for raw in (b'{"metadata":{"name":"a"},"spec":"a"}', b"[1]", b"{", b'{"metadata":3}', b'{"metadata":{"name":7}}'):
        assert known.find("s", raw) == (None, None)


def test_the_oldest_goes_first() -> None:
    known = KnownBodies()
    for number in range(ENTRIES_MAX + 1):
        known.remember(("s", b"%d" % number), {"metadata": {}})
    assert known.find("s", b'{"metadata":{}}')[0] is None
    assert len(known._entries) == ENTRIES_MAX
    assert ("s", b"0") not in known._entries


@given(st.lists(PODS, min_size=1, max_size=8))
def test_a_remembered_body_is_decoded_as_a_new_one(pods: list[dict[str, Any]]) -> None:
    known = KnownBodies()
    for pod in pods:
        raw = orjson.dumps(pod)
        expected = decode_object(POD, raw)
        found, key = known.find(POD.schema, raw)
        assert found in (None, expected)
        if found is None and key is not None:
            known.remember(key, expected)


def tracking_server() -> ApiServer:
    kernel = Kernel(seed=1)
    return ApiServer(kernel, LocalEtcd(kernel), track_fields=True)


SERVER = tracking_server()


@given(st.lists(PODS, min_size=1, max_size=8))
def test_remembered_managers_are_those_of_the_full_comparison(pods: list[dict[str, Any]]) -> None:
    fields, resource = SERVER.fields, SERVER.registry.resource("pods")
    for pod in pods:
        request = Request("create", "pods", "default", obj=pod, options={"fieldManager": "me"})
        managed = fields._updated(resource, request, pod, None, Managed({}, {}))
        assert fields.created(resource, request, pod)["metadata"]["managedFields"] == entries.encode(managed)

