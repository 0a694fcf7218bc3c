"""The schema: what a manifest may say, and how a server says what is wrong."""

from typing import Any

import pytest

from kubesim.api import schema
from kubesim.api.kinds import KINDS

DEPLOYMENT, POD = "io.k8s.api.apps.v1.Deployment", "io.k8s.api.core.v1.Pod"


def container(**fields: Any) -> dict:
    return {"spec": {"containers": [{"name": "c", **fields}]}}


PROBLEMS = [
    (container(imag="x"), 'unknown field "spec.containers[0].imag"', 'unknown field "spec.containers[0].imag"'),
    ({"Spec": {}}, 'unknown field "Spec"', 'unknown field "Spec"'),
    (
        {"spec": {"hostNetwork": "yes"}},
        'spec.hostNetwork: "yes": expected true or false',
        "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool",
    ),
    (
        container(env=[{"name": "A", "value": 5}]),
        "spec.containers[0].env[0].value: 5: expected a string",
        "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string",
    ),
    (
        {"spec": {"terminationGracePeriodSeconds": 1.5}},
        "spec.terminationGracePeriodSeconds: 1.5: expected an integer",
        "json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64",
    ),
    (
        {"spec": {"priority": 2**31}},
        "spec.priority: 2147483648: expected an integer",
        "json: cannot unmarshal number 2147483648 into Go struct field PodSpec.spec.priority of type int32",
    ),
    (
        {"spec": {"containers": "x"}},
        'spec.containers: "x": expected a list',
        "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container",
    ),
    (
        {"spec": []},
        "spec: []: expected an object",
        "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec",
    ),
    (
        {"metadata": {"labels": {"a": 1}}},
        "metadata.labels.a: 1: expected a string",
        "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
    ),
    (
        container(resources={"limits": {"cpu": "1x"}}),
        'spec.containers[0].resources.limits.cpu: "1x": expected a quantity such as "500m" or "1Gi"',
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ),
    (
        {"metadata": {"creationTimestamp": "x"}},
        'metadata.creationTimestamp: "x": expected a time such as 2026-01-01T00:00:00Z',
        'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"',
    ),
]


@pytest.mark.parametrize(("pod", "sentence", "message"), PROBLEMS, ids=[row[1][:50] for row in PROBLEMS])
def test_a_problem_has_a_path_a_value_and_an_expectation(pod: dict, sentence: str, message: str) -> None:
    (problem,) = schema.check(pod, POD)
    assert (sentence, message) == (str(problem), problem.message)


@pytest.mark.parametrize(
    "pod",
    [
        {},
        {"metadata": None, "spec": None},
        container(ports=[{"containerPort": 80}], livenessProbe={"httpGet": {"port": "http"}}),
        container(resources={"limits": {"cpu": 1, "memory": 0.5, "example.com/x": "2"}}),
        {"metadata": {"managedFields": [{"fieldsV1": {"f:spec": {}}}]}},
    ],
    ids=str,
)
def test_what_is_fine(pod: dict) -> None:
    assert schema.check(pod, POD) == []


def test_base64_is_checked() -> None:
    (problem,) = schema.check({"data": {"a": "!"}}, "io.k8s.api.core.v1.Secret")
    assert problem.message == "illegal base64 data at input byte 0"
    assert not schema.check({"data": {"a": "eA=="}}, "io.k8s.api.core.v1.Secret")


def test_a_type_error_comes_before_unknown_fields() -> None:
    problems = schema.check({"spec": {"replicas": True, "x": 1}, "y": 2}, DEPLOYMENT)
    error = schema.decode_error("Deployment", "v1", problems)
    assert error is not None and error.message == (
        'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal bool into Go struct field '
        "DeploymentSpec.spec.replicas of type int32"
    )
    error = schema.decode_error("Deployment", "v1", problems[1:])
    assert error is not None and error.message.endswith('strict decoding error: unknown field "spec.x", unknown field "y"')
    assert schema.decode_error("Deployment", "v1", []) is None


def test_clean_drops_what_a_server_does_not_keep() -> None:
    pod = {"metadata": {"name": "p", "nope": 1}, "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": 0.5}}}], "x": None}}
    kept = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "500m"}}}]}}
    assert kept == schema.clean(pod, POD)
    assert schema.clean(kept, POD) is kept


def test_only_so_many_problems_are_reported() -> None:
    assert len(schema.check({f"x{number}": 1 for number in range(1000)}, POD)) == schema.PROBLEMS_MAX


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource)
def test_every_kind_has_its_schema(kind: Any) -> None:
    known = schema.definition(kind.schema)
    assert known is not None and "metadata" in known.fields
    assert schema.description(kind.schema)


def test_fields_know_their_lists_and_patches() -> None:
    containers = schema.field_at(POD, ("spec", "containers"))
    assert containers is not None
    assert (
        containers.list_keys,
        containers.list_type,
        containers.patch_strategies,
        containers.merge_key,
    ) == (("name",), "map", ("merge",), "name")
    image = schema.field_at(POD, ("spec", "containers", "image"))
    assert image is not None and image.code == "s"
    assert schema.field_at(POD, ("spec", "nope")) is None
    assert schema.definition("nope") is None
    assert "List of containers" in schema.description("io.k8s.api.core.v1.PodSpec", "containers")
