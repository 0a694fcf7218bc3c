"""Behaviours of controllers that no recording shows: each row names the upstream rule that it stands for."""

from typing import Any

import pytest

from kubesim.api.kinds.parts.cron import parse
from kubesim.apiserver.requests import create, get, patch
from kubesim.controllers.cronjob.schedule import most_recent, next_time
from kubesim.controllers.cronjob.zones import rfc3339, zone
from kubesim.controllers.job.indexes import format_indexes
from kubesim.controllers.job.indexes import parse as parse_indexes
from kubesim.controllers.job.policies import success_message, verdict
from kubesim.kernel.time import SECOND, parse_time
from kubesim.testing.bugs.lab import Lab, job, template, workload

# Schedules: robfig/cron v3 spec_test.go (TestNext), pkg/controller/cronjob/utils_test.go
TIMES = [
    ("every minute", "* * * * *", "", "2026-01-01T00:00:30Z", "2026-01-01T00:01:00Z"),
    ("a weekday", "0 9 * * 1-5", "", "2026-01-02T09:00:00Z", "2026-01-05T09:00:00Z"),
    ("day of month or of week", "0 0 13 * 5", "", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
    ("the last day of February", "0 0 29 2 *", "", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
    ("never", "0 0 31 2 *", "", "2026-01-01T00:00:00Z", None),
    ("a zone", "30 8 * * *", "Asia/Tokyo", "2026-01-01T00:00:00Z", "2026-01-01T23:30:00Z"),
    ("an hour that daylight saving skips", "30 2 * * *", "America/New_York", "2026-03-08T05:00:00Z", "2026-03-09T06:30:00Z"),
    ("an hour that comes twice, first", "30 1 * * *", "America/New_York", "2026-11-01T04:00:00Z", "2026-11-01T05:30:00Z"),
    ("an hour that comes twice, again", "30 1 * * *", "America/New_York", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"),
    ("a day without midnight", "@daily", "America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-05T02:00:00Z"),
    ("an interval", "@every 90s", "", "2026-01-01T00:00:00Z", "2026-01-01T00:01:30Z"),
]


@pytest.mark.parametrize(("name", "text", "where", "after", "expected"), TIMES, ids=[row[0] for row in TIMES])
def test_next_time(name: str, text: str, where: str, after: str, expected: str | None) -> None:
    found = next_time(parse(text), parse_time(after) // SECOND, zone(where))
    assert (None if found is None else rfc3339(found, zone(""))) == expected


def test_missed_times_are_counted_and_the_last_one_counts() -> None:
    """mostRecentScheduleTime: only the last of the missed times is run."""
    start = parse_time("2026-01-01T00:00:10Z") // SECOND
    due = most_recent(parse("*/10 * * * *"), start, start + 3600, zone(""))
    assert (rfc3339(due.time or 0, zone("")), due.missed) == ("2026-01-01T01:00:00Z", 6)


def test_a_zone_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="unknown time zone Mars/Olympus"):
        zone("Mars/Olympus")


# Jobs: pkg/controller/job/indexed_job_utils_test.go, pod_failure_policy_test.go, success_policy_test.go
@pytest.mark.parametrize(("text", "indexes"), [("", set()), ("0,2-4,7", {0, 2, 3, 4, 7}), ("1,x", {1}), ("8-20", {8, 9})])
def test_indexes_are_read(text: str, indexes: set[int]) -> None:
    assert parse_indexes(text, 10) == indexes


@pytest.mark.parametrize(("indexes", "text"), [(set(), ""), ({1, 2}, "1,2"), ({1, 2, 3, 5}, "1-3,5")])
def test_indexes_are_written(indexes: set[int], text: str) -> None:
    assert format_indexes(indexes) == text


ENDED = {
    "metadata": {"namespace": "default", "name": "p"},
    "status": {
        "phase": "Failed",
        "conditions": [{"type": "DisruptionTarget", "status": "True"}],
        "containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 42}}}],
    },
}
ONLY_X = {"containerName": "x", "operator": "In", "values": [42]}
RULES = [
    ("FailJob on a code", {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}, ("FailJob", True, True)),
    ("NotIn leaves it", {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [42]}}, ("", True, False)),
    (
        "another container",
        {"action": "FailJob", "onExitCodes": {"containerName": "x", "operator": "In", "values": [42]}},
        ("", True, False),
    ),
    ("Ignore does not count", {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}, ("Ignore", False, False)),
    ("FailIndex counts", {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [42]}}, ("FailIndex", True, False)),
]


@pytest.mark.parametrize(("name", "rule", "expected"), RULES, ids=[row[0] for row in RULES])
def test_failure_policy(name: str, rule: Any, expected: tuple[str, bool, bool]) -> None:
    found = verdict({"rules": [rule]}, ENDED)
    assert (found.action, found.counts, bool(found.message)) == expected


@pytest.mark.parametrize(
    ("rule", "succeeded", "met"),
    [
        ({"succeededIndexes": "0-1"}, {0}, False),
        ({"succeededIndexes": "0-1"}, {0, 1}, True),
        ({"succeededCount": 2}, {3, 4}, True),
        ({"succeededIndexes": "0-3", "succeededCount": 2}, {0, 9}, False),
    ],
)
def test_success_policy(rule: Any, succeeded: set[int], met: bool) -> None:
    assert bool(success_message({"rules": [rule]}, 10, succeeded)) == met


def test_a_job_managed_by_somebody_else_is_left_alone() -> None:
    """JobManagedBy: syncJob is never called for it."""
    lab = Lab()
    lab.create(job("other", managedBy="example.com/queue"))
    lab.run(10)
    assert lab.all("pods") == []
    assert not lab.get("jobs.batch", "other").get("status")


def test_a_parallel_job_is_not_counted_twice_when_its_controller_restarts() -> None:
    """uncountedTerminatedPods: the controller dies after every sync."""
    lab = Lab()
    lab.create(job("work", {"fake/run-for": "1"}, completions=6, parallelism=3))
    for _ in range(20):
        lab.run(0.7)
        lab.stop_controllers()
        lab.start_controllers()
    lab.run(60)
    assert lab.get("jobs.batch", "work")["status"]["succeeded"] == 6
    assert lab.made("pods") == 6


# StatefulSets: pkg/controller/statefulset/stateful_set_control_test.go
def test_an_update_goes_one_by_one_where_the_gate_of_max_unavailable_is_off() -> None:
    """MaxUnavailableStatefulSet is off: the apiserver drops the field, so that the controller never sees it."""
    lab = Lab()
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "30%"}}
    lab.create(workload("StatefulSet", "db", replicas=4, serviceName="db", podManagementPolicy="Parallel", updateStrategy=strategy))
    lab.run(10)
    most = [0]
    lab.server.audit.append(lambda *_: most.__setitem__(0, max(most[0], 4 - len(lab.living()))))
    lab.merge("statefulsets.apps", "db", {"spec": {"template": {"metadata": {"labels": {"app": "db", "v": "2"}}}}})
    lab.run(60)
    assert lab.get("statefulsets.apps", "db")["status"]["updatedReplicas"] == 4
    assert most[0] == 1


def test_ordinals_start_where_they_are_told_to() -> None:
    """StatefulSetStartOrdinal."""
    lab = Lab()
    lab.create(workload("StatefulSet", "db", replicas=2, serviceName="db", ordinals={"start": 5}))
    lab.run(10)
    assert sorted(pod["metadata"]["name"] for pod in lab.living()) == ["db-5", "db-6"]


# DaemonSets: pkg/controller/daemon/daemon_controller_test.go
def test_daemons_follow_labels_and_taints_of_nodes() -> None:
    """NodeShouldRunDaemonPod: a selector, and a NoExecute taint that is not tolerated."""
    lab = Lab()
    spec = {**template("agent")["spec"], "nodeSelector": {"disk": "ssd"}}
    lab.create(workload("DaemonSet", "agent", template={"metadata": {"labels": {"app": "agent"}}, "spec": spec}))
    lab.run(2)
    assert lab.living() == []
    for name in ("node-1", "node-2"):
        lab.call(_node_patch(name, {"metadata": {"labels": {"disk": "ssd"}}}))
    lab.run(5)
    assert sorted(pod["spec"]["nodeName"] for pod in lab.living()) == ["node-1", "node-2"]
    lab.call(_node_patch("node-1", {"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}}))
    lab.run(5)
    assert [pod["spec"]["nodeName"] for pod in lab.living()] == ["node-2"]


def _node_patch(name: str, body: Any) -> Any:
    return patch("nodes", "", name, body, "merge")


# HorizontalPodAutoscaler: pkg/controller/podautoscaler/horizontal_test.go, replica_calculator_test.go
@pytest.mark.parametrize(
    ("usage", "behavior", "expected"),
    [
        ("200m", None, 4),  # twice the target of 100 %: twice the Pods
        ("105m", None, 2),  # within the tolerance of 10 %
        ("50m", None, 2),  # down, but the stabilization window of 300 s is still open
        ("50m", {"scaleDown": {"stabilizationWindowSeconds": 0}}, 1),
        ("1000m", {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 600}]}}, 3),
        ("1000m", None, 6),  # maxReplicas
        ("0s=100m,25s=100m,26s=600m", None, 2),  # usage over time: it has not risen yet at the first look
    ],
)
def test_autoscaler(usage: str, behavior: Any, expected: int) -> None:
    lab = Lab()
    containers = [{"name": "main", "image": "registry.example/app:1", "resources": {"requests": {"cpu": "100m"}}}]
    pod = {"metadata": {"labels": {"app": "web"}, "annotations": {"kubesim.dev/usage-cpu": usage}}, "spec": {"containers": containers}}
    lab.create(workload("Deployment", "web", replicas=2, template=pod))
    lab.run(10)
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 100}}}
    spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 6}
    spec |= {"metrics": [metric], **({"behavior": behavior} if behavior else {})}
    lab.create({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": spec})
    lab.run(20)
    if expected == 6:
        lab.run(30)
    assert lab.get("deployments.apps", "web")["spec"]["replicas"] == expected


def test_autoscaler_looks_again_while_usage_changes() -> None:
    """horizontal.go: monitorAutoscaler looks every 15 s; a curve of usage is followed until it is flat."""
    lab = Lab()
    containers = [{"name": "main", "image": "registry.example/app:1", "resources": {"requests": {"cpu": "100m"}}}]
    annotations = {"kubesim.dev/usage-cpu": "0s=100m,100s=100m,101s=200m"}
    pod = {"metadata": {"labels": {"app": "web"}, "annotations": annotations}, "spec": {"containers": containers}}
    lab.create(workload("Deployment", "web", replicas=2, template=pod))
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 100}}}
    spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 4, "metrics": [metric]}
    lab.create({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": spec})
    lab.run(90)
    assert lab.get("deployments.apps", "web")["spec"]["replicas"] == 2
    lab.run(40)
    assert lab.get("deployments.apps", "web")["spec"]["replicas"] == 4


# Ephemeral volumes, aggregation, addresses
def test_an_ephemeral_volume_gets_a_claim_that_goes_with_its_pod() -> None:
    """pkg/controller/volume/ephemeral: handleVolume."""
    lab = Lab()
    claim = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    volumes = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": claim}}]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "user"}, "spec": {**template("x")["spec"], "volumes": volumes}}
    lab.create(pod)
    lab.run(2)
    (found,) = lab.all("persistentvolumeclaims")
    assert (found["metadata"]["name"], found["metadata"]["ownerReferences"][0]["kind"]) == ("user-scratch", "Pod")
    lab.delete("pods", "user")
    lab.run(30)
    assert lab.all("persistentvolumeclaims") == []


def test_a_cluster_role_has_the_rules_of_those_it_selects() -> None:
    """pkg/controller/clusterroleaggregation: syncClusterRole."""
    lab = Lab()
    resource = "clusterroles.rbac.authorization.k8s.io"

    def role(name: str, **fields: Any) -> None:
        metadata = {"name": name, **fields.pop("metadata", {})}
        lab.call(
            create(resource, "", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": metadata, **fields})
        )

    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    role("part", metadata={"labels": {"to": "all"}}, rules=[rule])
    role("all", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]}, rules=[])
    lab.run(1)
    assert lab.call(get(resource, "", "all"))["rules"] == [rule]


def test_a_node_without_addresses_for_pods_gets_a_range() -> None:
    """pkg/controller/nodeipam: AllocateOrOccupyCIDR."""
    lab = Lab()
    for name in ("a", "b"):
        lab.call(create("nodes", "", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}))
    lab.run(1)
    ranges = [lab.call(get("nodes", "", name))["spec"]["podCIDR"] for name in ("a", "b", "node-1")]
    assert len(set(ranges)) == 3
