"""Decisions of kube-scheduler v1.36 (recorded): rejections, scores, messages, preemption, volume bindings, queue order, to the letter."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubesim.scheduler.scenarios import ScenarioRun

RECORDINGS = Path(__file__).resolve().parents[2].parent / "shared" / "conformance" / "scheduler"
FAMILIES = (
    "bestfit",
    "config",
    "gates",
    "hostports",
    "images",
    "interpod",
    "large",
    "mixed",
    "nodeaffinity",
    "nominated",
    "preemption",
    "preemptties",
    "resources",
    "spreaddefaults",
    "taints",
    "topospread",
    "volumes",
)
Object = dict[str, Any]

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings of kube-scheduler are not beside the checkout"),
]


def cases(family: str) -> Iterator[tuple[Object, Object]]:
    with gzip.open(RECORDINGS / f"public-{family}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            case = json.loads(line)
            yield case["scenario"], case["expected"]


@pytest.mark.parametrize("family", FAMILIES)
def test_decisions_are_those_of_the_real_scheduler(family: str) -> None:
    pods = 0
    for scenario, expected in cases(family):
        run = ScenarioRun(scenario)
        answer = run.run()
        for found, recorded in zip(answer["pods"], expected["pods"], strict=True):
            assert found == recorded, f"{scenario['id']} {recorded['pod']}"
            pods += 1
        if "queueOrder" in expected:
            assert answer["queueOrder"] == expected["queueOrder"], scenario["id"]
        run.engine.check()
    assert pods >= 150
