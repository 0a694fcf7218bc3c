"""The protobuf form: objects survive the way out and back, broken bytes are refused, and known bytes mean what Go means by them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.api.protobuf import BadProtobuf, message, read_message, read_varint, write_message, write_varint

POD = message("k8s.io.api.core.v1.Pod")


def both_ways(name: str, obj: dict) -> dict:
    """The object after it was written and read."""
    spec = message(name)
    data = write_message(spec, obj)
    return read_message(spec, data, 0, len(data))


@pytest.mark.parametrize(
    ("name", "obj"),
    [
        (
            "k8s.io.api.core.v1.ConfigMap",
            {"metadata": {"name": "a", "labels": {"x": "y"}}, "data": {"k": "v"}, "binaryData": {"b": "AAE="}},
        ),
        (
            "k8s.io.api.core.v1.Pod",
            {
                "metadata": {"name": "p", "creationTimestamp": "2026-01-02T03:04:05Z"},
                "spec": {
                    "volumes": [{"name": "v", "emptyDir": {}}, {"name": "c", "configMap": {"name": "m", "optional": False}}],
                    "containers": [
                        {
                            "name": "c",
                            "resources": {"limits": {"cpu": "500m"}},
                            "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 3},
                            "readinessProbe": {"tcpSocket": {"port": 80}},
                        }
                    ],
                    "terminationGracePeriodSeconds": 0,
                },
            },
        ),
        ("k8s.io.api.coordination.v1.Lease", {"spec": {"renewTime": "2026-01-02T03:04:05.000006Z", "leaseTransitions": 0}}),
        (
            "k8s.io.api.apps.v1.Deployment",
            {"spec": {"replicas": 0, "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}}}},
        ),
        ("k8s.io.api.authorization.v1.SubjectAccessReview", {"spec": {"user": "u", "extra": {"k": ["a", "b"]}}}),
        (
            "k8s.io.apimachinery.pkg.apis.meta.v1.ObjectMeta",
            {"managedFields": [{"manager": "m", "fieldsV1": {"f:data": {"f:k": {}}}}], "generation": 7},
        ),
        (
            "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps",
            {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {"a": {"items": {"type": "string"}, "default": [1]}},
            },
        ),
    ],
)
def test_objects_survive(name: str, obj: dict) -> None:
    assert both_ways(name, obj) == obj


def test_zero_is_nothing_unless_go_has_a_pointer_there() -> None:
    spec = message("k8s.io.api.core.v1.PodSpec")
    data = write_message(spec, {"hostNetwork": False, "restartPolicy": "", "priority": 0, "automountServiceAccountToken": False})
    assert read_message(spec, data, 0, len(data)) == {"priority": 0, "automountServiceAccountToken": False}


def test_known_bytes() -> None:
    # Namespace{ObjectMeta{Name: "kt"}} as kubectl 1.32 sends it: every scalar that is no pointer is written.
    data = bytes.fromhex("0a120a026b7412001a0022002a0032003800420012001a00")
    assert read_message(message("k8s.io.api.core.v1.Namespace"), data, 0, len(data)) == {
        "metadata": {"name": "kt"},
        "spec": {},
        "status": {},
    }


@given(st.integers(-(2**63), 2**64 - 1))
def test_varints(value: int) -> None:
    data = write_varint(value)
    assert read_varint(data, 0, len(data)) == (value & (2**64 - 1), len(data))


@given(st.binary(max_size=200))
def test_broken_bytes_are_refused_or_read(data: bytes) -> None:
    try:
        obj = read_message(POD, data, 0, len(data))
    except BadProtobuf:
        return
    assert isinstance(obj, dict)


@given(st.data())
def test_a_cut_message_is_refused_or_smaller(data: st.DataObject) -> None:
    whole = write_message(
        POD, {"metadata": {"name": "p", "annotations": {"a": "b"}}, "spec": {"nodeName": "n", "containers": [{"name": "c"}]}}
    )
    cut = data.draw(st.integers(0, len(whole) - 1))
    try:
        obj = read_message(POD, whole[:cut], 0, cut)
    except BadProtobuf:
        return
    assert obj != read_message(POD, whole, 0, len(whole))
