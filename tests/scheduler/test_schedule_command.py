"""``kubesim schedule``: scenarios in, decisions out; what is wrong is said with file and line, exit status 2."""

import json
from pathlib import Path
from typing import Any

import pytest

from kubesim.cli.main import main
from tests.scheduler.builders import node, pod

Object = dict[str, Any]


def scenario(**more: Any) -> Object:
    return {"id": "one", "nodes": [node("n1", cpu="1"), node("n2", cpu="2")], "pending": [pod("p", "1500m"), pod("q", "1500m")], **more}


def run(tmp_path: Path, *lines: str) -> int:
    path = tmp_path / "scenarios.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return main(["schedule", "--scenarios", str(path)])


def test_a_scenario_is_answered_in_one_line(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(tmp_path, json.dumps(scenario()), "", json.dumps(scenario(id="two"))) == 0
    answers = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [answer["id"] for answer in answers] == ["one", "two"]
    first, second = answers[0]["pods"]
    assert (first["chosen"], first["rejected"]["n1"]["reasons"]) == ("n2", ["Insufficient cpu"])
    assert second["message"].startswith("0/2 nodes are available: 2 Insufficient cpu. ")


IN_REQUESTS = [{"name": "main", "image": "app:1", "resources": {"requests": {"cpu": "1x"}}}]
NODE_TERMS = "requiredDuringSchedulingIgnoredDuringExecution"


def with_selector(**expression: Any) -> Object:
    terms = [{"matchExpressions": [expression]}]
    return scenario(pending=[pod("p", affinity={"nodeAffinity": {NODE_TERMS: {"nodeSelectorTerms": terms}}})])


def with_config(**profile: Any) -> Object:
    return scenario(config=json.dumps({"profiles": [profile]}))


BAD_LINES = {
    "not JSON": ("{", "scenarios.jsonl:1: not JSON: "),
    "a list": ([], "scenarios.jsonl:1: a scenario is a JSON object, got list"),
    "empty": ({}, "scenarios.jsonl:1: scenario: field 'id' is missing; expected a scenario with id, nodes, pending"),
    "nodes are no list": (scenario(nodes={}), "scenario: nodes: a dict; expected a list of objects"),
    "a Pod is a text": (scenario(pending=["p"]), "scenario: pending[0]: a str; expected an object"),
    "a node without a name": (scenario(nodes=[{}]), "scenario: nodes[0].metadata.name: missing; expected the object's name"),
    "two nodes of one name": (
        scenario(nodes=[node("a"), node("a")]),
        'scenario: nodes[1].metadata.name: Duplicate value: "a": nodes[0] has it too',
    ),
    "an unknown field of a Pod": (
        scenario(pending=[pod("p", nodeSelectr={})]),
        'scenario: pending[0] (Pod "p").unknown field "spec.nodeSelectr"',
    ),
    "a bad quantity of a Pod": (
        scenario(pending=[pod("p", containers=IN_REQUESTS)]),
        'pending[0] (Pod "p").spec.containers[0].resources.requests.cpu: "1x": expected a quantity such as "500m" or "1Gi"',
    ),
    "a bad quantity of a node": (
        scenario(nodes=[node("n", cpu="two")]),
        'nodes[0] (Node "n").status.allocatable.cpu: "two": expected a quantity',
    ),
    "an operator that does not exist": (
        with_selector(key="a", operator="Like", values=["b"]),
        'nodeSelectorTerms[0].matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator',
    ),
    "an impossible selector": (
        with_selector(key="a", operator="In"),
        "matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
    ),
    "a missing PriorityClass": (scenario(pending=[pod("p", priorityClassName="none")]), "pod p: no PriorityClass with name none was found"),
    "an unknown way to preempt": (scenario(preemption="maybe"), 'preemption: "maybe"; expected one of record, nominate, evict'),
    "a configuration that is no text": (scenario(config={}), "config: a dict; expected a KubeSchedulerConfiguration as a JSON text"),
    "a configuration that is not JSON": (scenario(config="{"), "scenario: config: not JSON: "),
    "an unknown field of the configuration": (
        scenario(config=json.dumps({"profile": 1})),
        'scenarios.jsonl:1: strict decoding error: unknown field "profile"',
    ),
    "an unknown plugin": (
        with_config(plugins={"filter": {"enabled": [{"name": "Nope"}]}}),
        'scenarios.jsonl:1: profiles[0].plugins.filter: plugin "Nope" does not exist',
    ),
    "a weight that is too large": (
        with_config(plugins={"score": {"enabled": [{"name": "NodeAffinity", "weight": 2**62}]}}),
        'profiles[0].plugins.score: score plugin "NodeAffinity" has an invalid weight 4611686018427387904',
    ),
    "a weight below zero": (
        with_config(plugins={"score": {"enabled": [{"name": "NodeAffinity", "weight": -1}]}}),
        'profiles[0].plugins.score: score plugin "NodeAffinity" has an invalid weight -1',
    ),
}


@pytest.mark.parametrize(("line", "message"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_wrong_line_is_exit_status_2(tmp_path: Path, capfd: pytest.CaptureFixture[str], line: Any, message: str) -> None:
    assert run(tmp_path, line if isinstance(line, str) else json.dumps(line)) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert message in err


def test_a_weight_of_zero_is_one(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    scores = []
    for weight in (0, 1):
        sets = {"score": {"enabled": [{"name": "NodeResourcesFit", "weight": weight}]}}
        assert run(tmp_path, json.dumps(with_config(plugins=sets))) == 0
        scores.append(json.loads(capfdbinary.readouterr().out)["pods"][0]["scores"])
    assert scores[0] == scores[1]


def test_a_missing_claim_is_said_in_upstreams_words(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "none"}}
    assert run(tmp_path, json.dumps(scenario(pending=[pod("p", volumes=[volume])]))) == 0
    found = json.loads(capfdbinary.readouterr().out)["pods"][0]
    assert found["message"] == '0/2 nodes are available: persistentvolumeclaim "none" not found. not found'


CONFIG = """apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: default-scheduler
  plugins:
    score:
      enabled:
      - name: ImageLocality
        weight: 5
"""
BAD_FILES = {
    "not YAML": ("a: [", "config.yaml:2: not YAML: "),
    "no document": ("# nothing\n", "config.yaml: has 0 documents; expected one KubeSchedulerConfiguration"),
    "another kind": (CONFIG.replace("kind: Kube", "kind: Cube"), 'config.yaml: no kind "CubeSchedulerConfiguration" is registered'),
    "an unknown field": (CONFIG + "leader: 1\n", 'config.yaml:10: strict decoding error: unknown field "leader"'),
    "an unknown field of a profile": (
        CONFIG.replace("schedulerName", "name"),
        'config.yaml:4: strict decoding error: unknown field "profiles[0].name"',
    ),
    "an unknown plugin": (
        CONFIG.replace("ImageLocality", "Luck"),
        'config.yaml:6: profiles[0].plugins.score: plugin "Luck" does not exist',
    ),
    "a weight out of range": (CONFIG.replace("weight: 5", "weight: -5"), "config.yaml:6: profiles[0].plugins.score: score plugin"),
    "a wrong argument": (
        CONFIG + '  pluginConfig:\n  - name: InterPodAffinity\n    args: {hardPodAffinityWeight: 101}\n',
        "config.yaml:12: profiles[0].pluginConfig[0].args.hardPodAffinityWeight: Invalid value: 101: not in valid range [0-100]",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_wrong_configuration_file_is_exit_status_2(tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert main(["run", "--pods", "1", "--nodes", "1", "--scheduler-config", str(path)]) == 2
    assert message in capfd.readouterr().err


def test_a_configuration_file_is_used(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("default-scheduler", "another"))
    assert main(["run", "--pods", "1", "--nodes", "1", "--json", "--scheduler-config", str(path)]) == 0
    pods = json.loads(capfd.readouterr().out)["pods"]
    assert pods["phases"] == {"Pending": 1}, "there is no default-scheduler any more"
    assert main(["run", "--pods", "1", "--nodes", "1", "--scheduler-config", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml: cannot be read: No such file or directory; expected a KubeSchedulerConfiguration" in capfd.readouterr().err
