"""``kubesim bench scheduling``: the table, the JSON, the names, and what it says about bad options."""

import json

import pytest

from kubesim.cli.main import main


def test_a_workload_as_a_table_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "scheduling", "SchedulingBasic/500Nodes", "--scale", "0.02"]) == 0
    head, _, row = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in head.split("|")[1:6]] == ["workload", "nodes", "Pods", "Pods/s", "µs/Pod"]
    assert [cell.strip() for cell in row.split("|")[1:4]] == ["SchedulingBasic/500Nodes", "10", "200"]
    assert main(["bench", "scheduling", "SchedulingBasic/500Nodes", "--scale", "0.02", "--json"]) == 0
    (figures,) = json.loads(capsys.readouterr().out)
    assert (figures["scheduled"], figures["unschedulable"], figures["threshold"], figures["upstream"]["all"]) == (200, 0, 80_000, 1_118)
    assert figures["digest"].startswith(row.split("|")[-2].strip())
    assert set(figures["latency_microseconds"]) == {"p50", "p90", "p95", "p99", "max"}


def test_several_workloads_run_in_processes_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "scheduling", "--list"]) == 0
    assert "TopologySpreading/5000Nodes_5000Pods" in capsys.readouterr().out.splitlines()
    assert main(["bench", "scheduling", "SchedulingBasic", "--scale", "0.001", "--json"]) == 0
    assert [row["nodes"] for row in json.loads(capsys.readouterr().out)] == [1, 5, 15, 50, 15]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["Nope"], 'there is no workload "Nope"; expected one of SchedulingNodeAffinity/'),
        (["--scale", "0"], "--scale is 0.0; expected a number above 0"),
        (["--batch", "0"], "--batch is 0; expected 1 or more"),
        (["--file", "/nowhere/x.yaml"], "/nowhere/x.yaml: cannot be read: No such file or directory; expected a workload file"),
    ],
)
def test_bad_options(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "scheduling", *options]) == 2
    assert message in capsys.readouterr().err
