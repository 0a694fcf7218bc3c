"""Known bugs of Kubernetes: the rule is tripped with the bug, and holds without it."""

import pytest

from kubesim.cli.main import main
from kubesim.testing.bugs import Scenario, find_scenarios

SCENARIOS = find_scenarios()


def test_there_are_at_least_fifteen() -> None:
    assert len(SCENARIOS) >= 15


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda found: found.id)
def test_the_bug_trips_its_rule_and_only_the_bug(scenario: Scenario) -> None:
    broken = scenario.run(True)
    assert broken, f"{scenario.id}: the bug trips nothing"
    assert all(sentence.startswith(f"{scenario.rule}: ") for sentence in broken), broken
    assert scenario.run(False) == []


def test_the_command_lists_and_runs_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(SCENARIOS)
    assert main(["scenarios", "sts-order", "restless"]) == 0
    assert capsys.readouterr().out.endswith("scenarios: 2 passed, 0 failed\n")
    assert main(["scenarios", "nonsense"]) == 2
    assert "'nonsense' does not exist; expected one of" in capsys.readouterr().err
