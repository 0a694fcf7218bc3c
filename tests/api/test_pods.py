"""Pods and workloads: generated valid ones pass, what a template shares is computed once, and errors name field, value and expectation."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.api.kinds import KINDS

POD, DEPLOYMENT, REPLICA_SET = (KINDS.by_resource(name) for name in ("pods", "deployments.apps", "replicasets.apps"))

names = st.sampled_from(["a", "b", "web", "x-1", "n.example"])
labels_of = st.dictionaries(st.sampled_from(["app", "example.com/tier"]), st.sampled_from(["", "web", "Db_1"]), max_size=2)
amounts = st.fixed_dictionaries(
    {}, optional={"cpu": st.sampled_from(["100m", "1", "0.5"]), "memory": st.sampled_from(["64Mi", "1Gi", "1e3"])}
)
ports = st.lists(
    st.fixed_dictionaries({"containerPort": st.integers(1, 65535)}, optional={"protocol": st.sampled_from(["TCP", "UDP"])}), max_size=2
)
probes = st.one_of(
    st.builds(lambda port: {"httpGet": {"port": port}}, st.one_of(st.integers(1, 65535), st.just("http"))),
    st.just({"exec": {"command": ["true"]}, "periodSeconds": 3}),
)
env = st.lists(
    st.one_of(
        st.just({"name": "A", "value": "x"}),
        st.just({"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}),
        st.just({"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
    ),
    max_size=2,
)
volumes = st.lists(
    st.sampled_from(
        [
            {"name": "e"},
            {"name": "m", "configMap": {"name": "c"}},
            {"name": "s", "secret": {"secretName": "s", "items": [{"key": "k", "path": "p"}]}},
            {"name": "h", "hostPath": {"path": "/x"}},
            {"name": "p", "projected": {"sources": [{"configMap": {"name": "c"}}]}},
        ]
    ),
    max_size=3,
    unique_by=lambda volume: volume["name"],
)
tolerations = st.lists(
    st.sampled_from(
        [
            {"operator": "Exists"},
            {"key": "k", "value": "v"},
            {"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3},
        ]
    ),
    max_size=2,
)


@st.composite
def pod_specs(draw: Any) -> dict:
    """A Pod spec that a server accepts, with few or many fields."""
    spec: dict = {"volumes": draw(volumes), "tolerations": draw(tolerations), "nodeSelector": draw(labels_of)}
    containers = []
    for index in range(draw(st.integers(1, 3))):
        container: dict = {"name": f"c{index}", "image": draw(st.sampled_from(["i", "i:1", "r:5000/i@sha256:0"]))}
        container |= {"resources": {"requests": draw(amounts)}, "ports": draw(ports), "env": draw(env)}
        container["volumeMounts"] = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in spec["volumes"]]
        if draw(st.booleans()):
            container["readinessProbe"] = draw(probes)
        containers.append(container)
    split = draw(st.integers(0, len(containers) - 1))
    spec["initContainers"] = [{key: value for key, value in item.items() if key != "readinessProbe"} for item in containers[:split]]
    return spec | {"containers": containers[split:]}


def pod(spec: dict) -> dict:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}, "spec": spec}


@given(pod_specs())
def test_generated_pods_are_valid(spec: dict) -> None:
    before = copy.deepcopy(spec)
    made = POD.prepare_create(POD.default(pod(spec)))
    assert [str(error) for error in POD.validate(made)] == []
    assert before == spec, "defaults write into nothing"
    assert POD.default(made) is made, "a default of a default is itself"
    assert POD.default(copy.deepcopy(made)) == made, "and says the same about an equal object"
    assert [str(error) for error in POD.validate_update(made, copy.deepcopy(made))] == []


@given(pod_specs(), st.integers(-2, 5))
def test_generated_deployments_are_valid_when_their_numbers_are(spec: dict, replicas: int) -> None:
    template = {"metadata": {"labels": {"app": "x", "tier": "y"}}, "spec": spec}
    deployment = {
        "metadata": {"name": "d", "namespace": "n"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "x"}}, "template": template},
    }
    made = DEPLOYMENT.prepare_create(DEPLOYMENT.default(deployment))
    errors = [str(error.field) for error in DEPLOYMENT.validate(made)]
    assert errors == (["spec.replicas"] if replicas < 0 else [])
    assert DEPLOYMENT.default(made) is made


def test_pods_of_one_template_share_what_was_computed() -> None:
    spec = {"containers": [{"name": "c", "image": "i"}]}
    one, two = POD.default(pod(spec)), POD.default(pod(spec))
    assert one["spec"] is two["spec"]
    bound = POD.default({**one, "spec": {**one["spec"], "nodeName": "n"}})
    assert bound["spec"]["containers"] is one["spec"]["containers"]


def test_a_template_does_not_get_what_only_pods_get() -> None:
    spec = {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "1"}}}], "hostNetwork": True}
    template = REPLICA_SET.default({"spec": {"template": {"spec": spec}}})["spec"]["template"]["spec"]
    made = POD.default(pod(spec))["spec"]
    assert "requests" not in template["containers"][0]["resources"] and made["containers"][0]["resources"]["requests"] == {"cpu": "1"}
    assert "enableServiceLinks" not in template and made["enableServiceLinks"] is True


IMAGES = [
    ("i", "Always"),
    ("i:latest", "Always"),
    ("i:1", "IfNotPresent"),
    ("r:5000/i", "Always"),
    ("r:5000/i:1", "IfNotPresent"),
    ("i@sha256:0", "IfNotPresent"),
    ("i:latest@sha256:0", "Always"),
]


@pytest.mark.parametrize(("image", "policy"), IMAGES)
def test_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    made = POD.default(pod({"containers": [{"name": "c", "image": image}]}))
    assert policy == made["spec"]["containers"][0]["imagePullPolicy"]


def deployment(**spec: Any) -> dict:
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    base = {"selector": {"matchLabels": {"app": "x"}}, "template": template}
    return {"metadata": {"name": "d", "namespace": "n"}, "spec": base | spec}


DEPLOYMENTS = [
    ({"replicas": -1}, ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]),
    (
        {"selector": {"matchLabels": {"app": "y"}}},
        ['spec.template.metadata.labels: Invalid value: {"app":"x"}: `selector` does not match template `labels`'],
    ),
    ({"selector": {}}, ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]),
    ({"selector": None}, ["spec.selector: Required value"]),
    ({"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}}, ["may not be 0 when `maxSurge` is 0"]),
    (
        {"progressDeadlineSeconds": 5, "minReadySeconds": 5},
        ["spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"],
    ),
]


@pytest.mark.parametrize(("changes", "expected"), DEPLOYMENTS, ids=[str(row[0]) for row in DEPLOYMENTS])
def test_bad_deployments(changes: dict, expected: list[str]) -> None:
    errors = [f"{error.field}: {error.message}" for error in DEPLOYMENT.validate(DEPLOYMENT.default(deployment(**changes)))]
    assert all(any(text in error for error in errors) for text in expected), errors


def test_a_selector_never_changes() -> None:
    old, new = DEPLOYMENT.default(deployment()), DEPLOYMENT.default(deployment(selector={"matchLabels": {"app": "x", "b": "c"}}))
    (error,) = DEPLOYMENT.validate_update(new, old)
    assert (error.field, error.message.rpartition(": ")[2]) == ("spec.selector", "field is immutable")


CHANGES = [
    ({"containers": [{"name": "c", "image": "j"}]}, []),
    ({"containers": [{"name": "c", "image": ""}]}, ["spec.containers[0].image"]),
    ({"containers": [{"name": "c", "image": "i", "command": ["x"]}]}, ["spec"]),
    ({"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "i"}]}, ["spec.containers"]),
    ({"activeDeadlineSeconds": 20}, ["spec.activeDeadlineSeconds"]),
    ({"activeDeadlineSeconds": 5}, []),
    ({"tolerations": [{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}]}, []),
    ({"tolerations": []}, ["spec.tolerations"]),
    ({"nodeName": "x"}, ["spec"]),
    ({"schedulingGates": [{"name": "a/b"}]}, ["spec.schedulingGates[0].name"]),
]


@pytest.mark.parametrize(("change", "fields"), CHANGES, ids=[str(row[0]) for row in CHANGES])
def test_what_may_change_in_a_pod(change: dict, fields: list[str]) -> None:
    spec = {"containers": [{"name": "c", "image": "i"}], "activeDeadlineSeconds": 10, "tolerations": [{"key": "a", "operator": "Exists"}]}
    old = POD.default(pod(spec))
    new = {**old, "spec": {**old["spec"], **change}}
    if "containers" in change:
        new["spec"]["containers"] = [{**old["spec"]["containers"][0], **item} for item in change["containers"]]
    assert fields == [error.field for error in POD.validate_update(new, old)]


def test_a_gated_pod_is_born_with_its_condition() -> None:
    made = POD.prepare_create({**pod({"schedulingGates": [{"name": "a"}]}), "metadata": {"name": "p", "creationTimestamp": "t"}})
    (condition,) = made["status"]["conditions"]
    assert (condition["reason"], condition["lastTransitionTime"]) == ("SchedulingGated", "t")


STATUSES: list[tuple[str, dict]] = [
    ("Pending", {"status": {"phase": "Pending"}}),
    (
        "ContainerCreating",
        {"status": {"phase": "Pending", "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}]}},
    ),
    ("Running", {"status": {"phase": "Running", "containerStatuses": [{"name": "c", "ready": True, "state": {"running": {}}}]}}),
    (
        "CrashLoopBackOff",
        {"status": {"phase": "Running", "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}},
    ),
    (
        "Error",
        {"status": {"phase": "Failed", "containerStatuses": [{"name": "c", "state": {"terminated": {"reason": "Error", "exitCode": 1}}}]}},
    ),
    ("ExitCode:3", {"status": {"phase": "Failed", "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 3}}}]}}),
    (
        "Init:0/1",
        {
            "spec": {"initContainers": [{"name": "i"}], "containers": []},
            "status": {"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]},
        },
    ),
    (
        "Init:ExitCode:2",
        {
            "spec": {"initContainers": [{"name": "i"}], "containers": []},
            "status": {"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 2}}}]},
        },
    ),
    (
        "SchedulingGated",
        {"status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}},
    ),
]


@pytest.mark.parametrize(("word", "fields"), STATUSES, ids=[row[0] for row in STATUSES])
def test_the_one_word_status(word: str, fields: dict) -> None:
    made = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}, **fields}
    cells = {column.name: column.cell(made, 0) for column in POD.columns}
    assert word == cells["Status"]
    terminating = {**made, "metadata": {"name": "p", "deletionTimestamp": "t"}}
    assert (word if fields["status"]["phase"] == "Failed" else "Terminating") == POD.columns[2].cell(terminating, 0)


def test_a_stateful_set_mounts_the_volumes_that_its_claims_will_be() -> None:
    kind = KINDS.by_resource("statefulsets.apps")
    template = deployment()["spec"]["template"]
    template["spec"] = {"containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}]}
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    made = kind.default(deployment(template=template, volumeClaimTemplates=[claim], serviceName="s"))
    assert kind.validate(made) == []
    assert made["spec"]["volumeClaimTemplates"][0]["spec"]["volumeMode"] == "Filesystem"
