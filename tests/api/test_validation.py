"""Validation by table: a good object of a kind, what is changed of it, and what a server says to that, in its words and order."""

from collections.abc import Sequence

import pytest

from kubesim.api.errors import FieldError
from kubesim.api.kinds import KINDS
from kubesim.api.kinds.parts.judgement import reworded, update_errors
from tests.api.specimens import GOOD, Object, change_errors, create_errors, created, spoiled

REQUIRED = "Required value"
BALANCER_ONLY = "Forbidden: may only be used when `type` is 'LoadBalancer'"
BAD_KEY = "name part must consist of alphanumeric characters, '-', '_' or '.'"


@pytest.mark.parametrize("resource", GOOD)
def test_a_good_object_is_good(resource: str) -> None:
    assert create_errors(resource, {}) == []
    assert change_errors(resource, {"metadata.labels": {"new": "x"}}) == []


# ValidateService, ValidateServiceClusterIPsRelatedFields (pkg/apis/core/validation/validation.go)
SERVICES: list[tuple[Object, list[str]]] = [
    ({"spec.ports": []}, [f"spec.ports: {REQUIRED}"]),
    ({"spec.clusterIP": "None", "spec.ports": []}, []),
    (
        {"spec.ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]},
        ['spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}'],
    ),
    ({"spec.ports.0.appProtocol": "a/b/c"}, ["spec.ports[0].appProtocol: Invalid value: \"a/b/c\": a qualified name"]),
    (
        {"spec.type": "LoadBalancer", "spec.ports.0.port": 10250},
        ["spec.ports[0]: Invalid value: 10250: may not expose port 10250 externally since it is used by kubelet"],
    ),
    ({"spec.clusterIPs": ["10.96.0.9"]}, ['spec.clusterIPs: Invalid value: ["10.96.0.9"]: must be empty when `clusterIP` is not']),
    (
        {"spec.clusterIP": "None", "spec.clusterIPs": ["None", "10.96.0.9"]},
        ["spec.clusterIPs: Invalid value: [\"None\",\"10.96.0.9\"]: 'None' must be the first and only value"],
    ),
    (
        {"spec.clusterIP": "10.96.0.8", "spec.clusterIPs": ["10.96.0.8", "10.96.0.9"]},
        ['spec.clusterIPs: Invalid value: ["10.96.0.8","10.96.0.9"]: may specify no more than one IP for each IP family'],
    ),
    (
        {"spec.clusterIP": "10.96.0.8", "spec.ipFamilies": ["IPv6"]},
        ['spec.clusterIPs[0]: Invalid value: "10.96.0.8": expected an IPv6 value as indicated by `ipFamilies[0]`'],
    ),
    ({"spec.ipFamilies": ["IPv4", "IPv4"]}, ['spec.ipFamilies[1]: Duplicate value: "IPv4"']),
    ({"spec.ipFamilies": ["X"]}, ['spec.ipFamilies[0]: Unsupported value: "X": supported values: "IPv4", "IPv6"']),
    (
        {"spec.ipFamilyPolicy": "X"},
        ['spec.ipFamilyPolicy: Unsupported value: "X": supported values: "PreferDualStack", "RequireDualStack", "SingleStack"'],
    ),
    ({"spec.externalIPs": ["127.0.0.1"]}, ['spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range']),
    ({"spec.loadBalancerSourceRanges": ["10.0.0.0/8"]}, [f"spec.LoadBalancerSourceRanges: {BALANCER_ONLY}"]),
    (
        {"spec.type": "LoadBalancer", "spec.loadBalancerSourceRanges": ["x"]},
        ['spec.LoadBalancerSourceRanges[0]: Invalid value: "x": must be a valid CIDR value'],
    ),
    ({"spec.allocateLoadBalancerNodePorts": True}, [f"spec.allocateLoadBalancerNodePorts: {BALANCER_ONLY}"]),
    ({"spec.loadBalancerClass": "a/b"}, [f"spec.loadBalancerClass: {BALANCER_ONLY}"]),
    ({"spec.type": "LoadBalancer", "spec.loadBalancerClass": "a b"}, [f'spec.loadBalancerClass: Invalid value: "a b": {BAD_KEY}']),
    (
        {"spec.type": "ExternalName", "spec.externalName": "a.b", "spec.ipFamilies": ["IPv4"], "spec.ipFamilyPolicy": "SingleStack"},
        [
            "spec.ipFamilies: Forbidden: may not be set for ExternalName services",
            "spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services",
        ],
    ),
]


def agree(found: list[str], expected: list[str]) -> None:
    """Each error begins as expected; the tails of long texts (regular expressions) are left out of the tables."""
    assert len(found) == len(expected), found
    assert [text[: len(head)] for text, head in zip(found, expected)] == expected


@pytest.mark.parametrize(("changes", "expected"), SERVICES, ids=str)
def test_services(changes: Object, expected: list[str]) -> None:
    agree(create_errors("services", changes), expected)


# BeforeUpdate asks for the metadata of every kind first (validateCommonFields), then the strategy's ValidateUpdate repeats what it repeats.
ANNOTATION = f'metadata.annotations: Invalid value: "a~b": {BAD_KEY}'
MISMATCH = "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`"
FIXED_SELECTOR = 'spec.selector: Invalid value: {"matchLabels":{"a":"c"}}: field is immutable'
UPDATES: list[tuple[str, Object, list[str]]] = [
    ("configmaps", {"metadata.annotations": {"a~b": ""}}, [ANNOTATION] * 4),
    ("configmaps", {"metadata.uid": "u2"}, ['metadata.uid: Invalid value: "u2": field is immutable'] * 2),
    ("services", {"metadata.annotations": {"a~b": ""}}, [ANNOTATION] * 4),
    ("deployments.apps", {"metadata.annotations": {"a~b": ""}}, [ANNOTATION] * 3),
    ("deployments.apps", {"spec.selector": {"matchLabels": {"a": "c"}}}, [MISMATCH, FIXED_SELECTOR]),
    ("replicasets.apps", {"spec.selector": {"matchLabels": {"a": "c"}}}, [MISMATCH, FIXED_SELECTOR]),
    ("daemonsets.apps", {"spec.selector": {"matchLabels": {"a": "c"}}}, [FIXED_SELECTOR, MISMATCH]),
    (
        "jobs.batch",
        {"spec.podFailurePolicy": {"rules": []}},
        ['spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed"'] * 2 + ["spec.podFailurePolicy: Invalid value: "],
    ),
    (
        "services",
        {"spec.clusterIP": "10.96.0.8", "spec.ipFamilies": ["IPv6"]},
        ['spec.clusterIPs[0]: Invalid value: "10.96.0.8": expected an IPv6 value'],
    ),
    # addresses that were there before are not judged again
    ("endpointslices.discovery.k8s.io", {"addressType": "IPv6"}, ['addressType: Invalid value: "IPv6": field is immutable']),
    (
        "endpointslices.discovery.k8s.io",
        {"addressType": "IPv6", "endpoints.1": {"addresses": ["10.4.0.5"]}},
        ['endpoints[1].addresses[0]: Invalid value: "10.4.0.5": must be an IPv6 address', "addressType: Invalid value: "],
    ),
]


@pytest.mark.parametrize(("resource", "changes", "expected"), UPDATES, ids=str)
def test_updates(resource: str, changes: Object, expected: list[str]) -> None:
    agree(change_errors(resource, changes), expected)


def test_an_error_is_worded_for_what_the_client_has_sent() -> None:
    kind = KINDS.by_resource("deployments.apps")
    old = created("deployments.apps")
    new = spoiled(old, {"spec.template.metadata.labels": None})

    def judge(obj: Object) -> Sequence[FieldError]:
        return update_errors(kind, obj, old)

    errors = judge(new)
    assert "Invalid value: null: `selector`" in errors[0].message
    sent = {"spec": {"template": {"metadata": {"labels": {}}}}}
    assert "Invalid value: {}: `selector`" in reworded(errors, judge, new, sent)[0].message
    assert reworded(errors, judge, new, None) is errors
    assert reworded((), judge, new, sent) == ()


SCALER, TARGET = "horizontalpodautoscalers.autoscaling", "spec.metrics[0]"
BOTH = {"type": "Value", "value": "1", "averageValue": "1"}
RULE = "spec.podFailurePolicy.rules[0]"
QUEUING = "spec.limited.limitResponse.queuing"
OTHERS: list[tuple[str, Object, list[str]]] = [
    # ValidateHorizontalPodAutoscaler (pkg/apis/autoscaling/validation/validation.go)
    (SCALER, {"spec.scaleTargetRef.kind": "a/b"}, ["spec.scaleTargetRef.kind: Invalid value: \"a/b\": may not contain '/'"]),
    (
        SCALER,
        {"spec.metrics": [{"type": "Pods", "pods": {"metric": {}, "target": {"type": "AverageValue", "averageValue": "0"}}}]},
        [
            f"{TARGET}.pods.metric.name: Required value: must specify a metric name",
            f'{TARGET}.pods.target.averageValue: Invalid value: "0": must be positive',
            f"{TARGET}.pods.target.averageValue: Required value: must specify a positive target averageValue",
        ],
    ),
    (
        SCALER,
        {"spec.metrics": [{"type": "ContainerResource", "containerResource": {"name": "cpu", "target": {"type": "Utilization"}}}]},
        [
            f"{TARGET}.containerResource.container: Required value: must specify a container",
            f"{TARGET}.containerResource.target.averageUtilization: Required value: must set either a target raw value or",
        ],
    ),
    (
        SCALER,
        {"spec.metrics": [{"type": "External", "external": {"metric": {"name": "q"}, "target": BOTH}}]},
        [f"{TARGET}.external.target.value: Forbidden: may not set both a target value for metric and a per-pod target"],
    ),
    # ValidateJobSpec (pkg/apis/batch/validation/validation.go)
    ("jobs.batch", {"spec.podFailurePolicy": {"rules": [{"action": "FailJob"}]}}, [f"{RULE}: Invalid value: specifying one of"]),
    (
        "jobs.batch",
        {"spec.podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3, 2, 2]}}]}},
        [f"{RULE}.onExitCodes.values[2]: Duplicate value: 2", f"{RULE}.onExitCodes.values: Invalid value: [3,2,2]: must be ordered"],
    ),
    (
        "jobs.batch",
        {"spec.completionMode": "Indexed", "spec.completions": 2, "spec.maxFailedIndexes": 3},
        [
            "spec.maxFailedIndexes: Invalid value: 3: must be less than or equal to completions",
            "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
        ],
    ),
    # ValidateStorageClass, ValidateEndpoints, ValidateLimitResponse, ValidateAPIService
    ("storageclasses.storage.k8s.io", {"provisioner": "a b"}, [f'provisioner: Invalid value: "a b": {BAD_KEY}']),
    ("storageclasses.storage.k8s.io", {"parameters": {"": "x"}}, ['parameters: Invalid value: "": field can not be empty.']),
    ("endpoints", {"subsets.0.addresses.0.ip": "127.0.0.1"}, ['subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": may not be']),
    ("endpoints", {"subsets.0.ports.0.protocol": "X"}, ['subsets[0].ports[0].protocol: Unsupported value: "X"']),
    (
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
        {"spec.limited.limitResponse.queuing": {"queues": 4, "handSize": 8}},
        [f"{QUEUING}.handSize: Invalid value: 8: should not be greater than queues (4)"],
    ),
    (
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
        {"spec.limited.limitResponse.type": "Reject"},
        [f"{QUEUING}: Forbidden: must be nil if limited.limitResponse.type is not Limited"],
    ),
    (
        "apiservices.apiregistration.k8s.io",
        {"spec.version": "v2", "spec.versionPriority": 0},
        [
            'metadata.name: Invalid value: "v1.example.com": must be `spec.version+"."+spec.group`: "v2.example.com"',
            "spec.versionPriority: Invalid value: 0: must be positive and less than 1000",
        ],
    ),
    # ValidatePodSpec (pkg/apis/core/validation/validation.go)
    ("pods", {"spec.os": {"name": "beos"}}, ['spec.os: Unsupported value: "beos": supported values: "linux", "windows"']),
    (
        "pods",
        {"spec.shareProcessNamespace": True, "spec.hostPID": True},
        ["spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled"],
    ),
    (
        "pods",
        {"spec.securityContext": {"seccompProfile": {"type": "Localhost"}, "fsGroupChangePolicy": "X"}},
        [
            'spec.securityContext.fsGroupChangePolicy: Unsupported value: "X"',
            "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
        ],
    ),
    (
        "pods",
        {"spec.containers.0.securityContext": {"seccompProfile": {"type": "Unconfined", "localhostProfile": "p"}}},
        ['spec.containers[0].securityContext.seccompProfile.localhostProfile: Invalid value: {"Type":"Unconfined","LocalhostProfile":'],
    ),
    (
        "pods",
        {
            "spec.volumes": [{"name": "v", "emptyDir": {}}],
            "spec.containers.0.volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}],
        },
        ["spec.containers[0].volumeMounts[0].mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged"],
    ),
]


@pytest.mark.parametrize(("resource", "changes", "expected"), OTHERS, ids=str)
def test_other_kinds(resource: str, changes: Object, expected: list[str]) -> None:
    agree(create_errors(resource, changes), expected)
