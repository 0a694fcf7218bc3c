"""Runs of the real kube-controller-manager v1.36 (recorded), replayed: end state, counts, order and events as recorded.

The folder is a parameter, KUBESIM_RECORDINGS; every ``*-<group>.jsonl.gz`` in it is replayed. At the end of a test run stands
"controllers: N passed, M failed".
"""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fidelity.controller_compare import differences
from tests.fidelity.controller_replay import Replay

BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "conformance" / "controllers"
FOLDER = Path(os.environ.get("KUBESIM_RECORDINGS") or BESIDE)
FILES = sorted(FOLDER.glob("*.jsonl.gz"))
SEEDS_MAX = 12
Object = dict[str, Any]

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not FILES, reason="the recordings of kube-controller-manager are not beside the checkout (KUBESIM_RECORDINGS)"),
]


def scenarios(path: Path) -> Iterator[tuple[Object, list[Object]]]:
    """(scenario, its recorded runs)."""
    scenario: Object = {}
    runs: list[Object] = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            if line["t"] == "scenario":
                if scenario:
                    yield scenario, runs
                scenario, runs = line, []
            elif line["t"] == "run":
                runs.append(line)
    if scenario:
        yield scenario, runs


def first_minute_seconds(runs: list[Object]) -> float | None:
    """When the first full minute began on the recorded system, counted from the first operation, as its CronJobs show."""
    for run in runs:
        for change in run["timeline"]:
            if change["type"] == "ADDED" and "<minute:" in change["ref"]:
                return float(change["t"] - run["steps"][0]["t"])
    return None


def replay(scenario: Object, runs: list[Object]) -> list[str]:
    """What is wrong with the best of a few replays.

    Which of equal Pods goes first hangs on their uids and on fractions of seconds, on the recorded system too, where two runs may agree by
    chance: a scenario fails when no seed gives what was recorded.
    """
    wrong: list[list[str]] = []
    for seed in range(SEEDS_MAX):
        wrong.append(differences(scenario, runs, Replay(scenario, first_minute_seconds(runs), seed, runs[0]).run().normalized()))
        if not wrong[-1]:
            return []
    return min(wrong, key=len)


def replayed(path: Path, only: str = "") -> Iterator[tuple[str, list[str]]]:
    """(name of a scenario, what is wrong with its replay)."""
    for scenario, runs in scenarios(path):
        if only in ("", scenario["scenario"]):
            yield scenario["scenario"], replay(scenario, runs)


def ids() -> list[Any]:
    return [
        pytest.param(path, scenario["scenario"], id=f"{path.name.removesuffix('.jsonl.gz')}-{scenario['scenario']}")
        for path in FILES
        for scenario, _ in scenarios(path)
    ]


@pytest.mark.parametrize(("path", "name"), ids())
def test_a_recorded_run_happens_again(path: Path, name: str, record_property: Any) -> None:
    record_property("fidelity", "controllers")
    ((_, wrong),) = replayed(path, name)
    assert not wrong, "\n".join(wrong[:30])
