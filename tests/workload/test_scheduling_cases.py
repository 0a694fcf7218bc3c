"""Workload files of the scheduler: the shipped ones run at smoke size and give the same placements however they are decided."""

from pathlib import Path
from typing import Any

import pytest

from kubesim.scheduler import SchedulerConfig
from kubesim.workload.manifests import ManifestError
from kubesim.workload.scheduling import Case, Outcome, Workload, read_cases, run, shipped
from kubesim.workload.scheduling.cases import find

SMOKE = 0.004
CASES = [(case, size) for path in shipped() for case in read_cases(path) for size in case.workloads]
ISSUES_ROWS = {
    "SchedulingBasic/500Nodes": 80_000,
    "SchedulingBasic/5000Nodes_10000Pods": 50_000,
    "SchedulingBasic/15000Nodes_10000Pods": 30_000,
    "SchedulingNodeAffinity/5000Nodes_10000Pods": 40_000,
    "SchedulingPodAffinity/5000Nodes_5000Pods": 10_000,
    "SchedulingPodAntiAffinity/5000Nodes_2000Pods": 10_000,
    "SchedulingPreferredPodAffinity/5000Nodes_5000Pods": 8_000,
    "TopologySpreading/5000Nodes_5000Pods": 15_000,
    "PreferredTopologySpreading/5000Nodes_5000Pods": 15_000,
    "MixedSchedulingBasePod/5000Nodes_5000Pods": 15_000,
    "PreemptionBasic/5000Nodes": 2_000,
    "Unschedulable/500Nodes_2000Pods": 40_000,
}


class Clock:
    """A clock that moves by one with every look."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        self.now_ns += 1
        return self.now_ns


def outcome_of(case: Case, size: Workload, batch_max: int = 256, scale: float = SMOKE) -> Outcome:
    return run(case, size, Clock(), scale=scale, config=SchedulerConfig(batch_max=batch_max))


def test_every_row_of_the_table_is_shipped_with_its_floor() -> None:
    assert {f"{case.name}/{size.name}": size.threshold for case, size in CASES if size.threshold} == ISSUES_ROWS


@pytest.mark.parametrize(("case", "size"), CASES, ids=[f"{case.name}/{size.name}" for case, size in CASES])
def test_a_workload_does_its_work_the_same_way_in_any_batches(case: Case, size: Workload) -> None:
    at_once, one_by_one = outcome_of(case, size), outcome_of(case, size, 1)
    assert at_once.problems == one_by_one.problems == []
    if not any(operation["opcode"] == "churn" for operation in case.operations):  # which comes between batches
        assert at_once.digest == one_by_one.digest
    assert at_once.digest == outcome_of(case, size).digest
    assert at_once.pod_count == one_by_one.pod_count == len(at_once.latencies_ns) > 0
    assert at_once.scheduled_count + at_once.unschedulable_count == at_once.pod_count
    assert (at_once.victim_count > 0) == (case.name == "PreemptionBasic")
    assert 0 < at_once.percentiles()["p50"] <= at_once.percentiles()["max"] <= at_once.duration_ns


def test_work_that_is_not_what_was_expected_is_told(tmp_path: Path) -> None:
    case, size = next(find([case for case, _ in CASES], "Unschedulable"))
    assert outcome_of(case, Workload(size.name, size.params)).problems == [
        "0 Pods scheduled; expected 8",
        "8 Pods unschedulable; expected 0",
    ]


CHURN = {"opcode": "churn", "mode": "create", "templates": []}
CASE: dict[str, Any] = {
    "name": "Mine",
    "defaultPodTemplate": {"spec": {"containers": [{"name": "c", "image": "i"}]}},
    "workloadTemplate": [{"opcode": "createNodes", "count": 3}, {"opcode": "createPods", "countParam": "$pods", "collectMetrics": True}],
    "workloads": [{"name": "small", "params": {"pods": 5}}],
}


def written(tmp_path: Path, document: Any) -> Path:
    import json

    path = tmp_path / "mine.yaml"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_a_users_own_workload(tmp_path: Path) -> None:
    pod = CASE["defaultPodTemplate"]
    operations = [
        {"opcode": "createNodes", "count": 3, "labelNodePrepareStrategy": {"labelKey": "zone", "labelValues": ["a", "b"]}},
        {"opcode": "createNamespaces", "prefix": "ns", "count": 2},
        {"opcode": "createPods", "count": 2, "skipWaitToCompletion": True, "namespace": "ns-0"},
        {"opcode": "barrier"},
        {"opcode": "churn", "mode": "create", "number": 2, "intervalPods": 1, "templates": [{"kind": "Pod", **pod}, {"kind": "Node"}]},
        {"opcode": "createPods", "countParam": "$pods", "collectMetrics": True},
    ]
    ((case, size),) = find(read_cases(written(tmp_path, [{**CASE, "workloadTemplate": operations}])), "Mine/small")
    outcome = outcome_of(case, size, 1, scale=1)
    assert (outcome.pod_count, outcome.scheduled_count, outcome.node_count, outcome.problems) == (5, 5, 4, [])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"nmae": 1}, "[0].nmae: unknown field; expected one of name, defaultPodTemplate"),
        ({"name": 1}, "[0].name: Invalid value: 1: expected a text"),
        ({"workloads": [{"name": "x"}]}, "[0].workloads[0].params: missing"),
        (
            {"workloads": [{"name": "x", "params": {"pods": "many"}}]},
            'params.pods: Invalid value: "many": expected a whole number',
        ),
        ({"workloads": [{"name": "x", "params": {"pods": -1}}]}, "[0].workloads[0].params.pods: Invalid value: -1: expected 0 to 1000000"),
        ({"workloadTemplate": [{"opcode": "jump"}]}, '[0].workloadTemplate[0].opcode: Invalid value: "jump": expected one of createNodes'),
        ({"workloadTemplate": [{"opcode": "createNodes"}]}, "[0].workloadTemplate[0]: expected one of count and countParam"),
        (
            {"workloadTemplate": [{"opcode": "createNodes", "countParam": "$nodes"}]},
            '[0].workloadTemplate[0].countParam: Invalid value: "$nodes": expected a parameter of every workload',
        ),
        (
            {"workloadTemplate": [{"opcode": "createPods", "count": 1, "podTemplatePath": "none.yaml"}]},
            '[0].workloadTemplate[0].podTemplatePath: Invalid value: "none.yaml": No such file or directory',
        ),
        ({"defaultPodTemplate": {"spec": {}}}, "[0].defaultPodTemplate: spec.containers: missing"),
        (
            {"workloadTemplate": [{"opcode": "churn", "mode": "often", "templates": []}]},
            'mode: Invalid value: "often": expected one of create',
        ),
        (
            {"workloadTemplate": [{"opcode": "churn", "mode": "create", "templates": [{}]}]},
            "kind: Invalid value: null: expected Node or Pod",
        ),
    ],
)
def test_a_wrong_workload_file_is_told_by_field(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_cases(written(tmp_path, [{**CASE, **change}]))
    assert expected in str(caught.value)
    assert "mine.yaml" in str(caught.value)


def test_a_bad_quantity_has_its_line(tmp_path: Path) -> None:
    text = "- name: Mine\n  workloads: []\n  workloadTemplate: []\n  defaultPodTemplate:\n    spec:\n      containers:\n"
    text += "      - {name: c, image: i, resources: {requests: {cpu: much}}}\n"
    with pytest.raises(ManifestError, match="much"):
        read_cases(written(tmp_path, text))
    with pytest.raises(ManifestError, match="cannot be read"):
        read_cases(tmp_path / "absent.yaml")
    with pytest.raises(ManifestError, match="expected a list of test cases"):
        read_cases(written(tmp_path, "name: x"))
