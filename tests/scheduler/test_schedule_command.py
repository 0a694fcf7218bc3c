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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "scenarios.jsonl:1: not JSON"),
        ("[]", "scenarios.jsonl:1: a scenario is a JSON object, got list"),
        ("{}", "scenarios.jsonl:1: scenario: field 'id' is missing"),
        (json.dumps(scenario(config=json.dumps({"profile": 1}))), 'unknown field "profile"'),
        (json.dumps(scenario(pending=[pod("p", priorityClassName="none")])), "no PriorityClass with name none was found"),
    ],
)
def test_a_wrong_line_is_exit_status_2(tmp_path: Path, capfd: pytest.CaptureFixture[str], line: str, message: str) -> None:
    assert run(tmp_path, line) == 2
    assert message in capfd.readouterr().err
