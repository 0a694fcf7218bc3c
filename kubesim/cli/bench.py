"""``kubesim bench scheduling``: workloads of the scheduler alone, each in a process of its own, as a table or as JSON."""

import gc
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from kubesim.cli.errors import BadInput

BYTES_PER_UNIT = 1024  # of getrusage's ru_maxrss on Linux
HEAD = ("workload", "nodes", "Pods", "Pods/s", "µs/Pod", "at least", "kube-scheduler", "times", "p50", "p99", "memory", "digest")
Row = dict[str, Any]


@click.group()
def bench() -> None:
    """Measure parts of kubesim.

    \b
    Example:
      kubesim bench scheduling
    """


@bench.command()
@click.argument("workload", default="")
@click.option("--file", "path", metavar="FILE", help="A workload file, in scheduler_perf's format.  [default: kubesim's own]")
@click.option("--scale", type=float, default=1.0, show_default=True, metavar="X", help="Multiply every count of nodes and Pods.")
@click.option("--batch", type=int, default=256, show_default=True, metavar="N", help="Pods popped at a time; 1 decides one by one.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="S", help="Seed of the draws among equal nodes.")
@click.option("--cpu", "is_cpu", is_flag=True, help="Measure the process's CPU time, not wall time: for a busy machine.")
@click.option("--list", "only_list", is_flag=True, help="Print the names of the workloads.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def scheduling(workload: str, path: str | None, scale: float, batch: int, seed: int, is_cpu: bool, only_list: bool, as_json: bool) -> None:
    """Run workloads of the scheduler: Pods per second, latencies, memory, and a digest of the placements.

    WORKLOAD is the name of a test case ("TopologySpreading") or of one of its sizes ("SchedulingBasic/500Nodes"); without one, all that
    are labelled "performance" run. A cycle is: pop, filter all nodes, score all feasible nodes, choose, assume. A Pod's latency is from
    its pop to its decision; Pods of a batch that are alike are decided together, and each has the latency of all of them.

    \b
    Examples:
      kubesim bench scheduling
      kubesim bench scheduling SchedulingBasic --json
      kubesim bench scheduling --file my-workload.yaml --batch 1
    """
    from kubesim.workload.manifests import ManifestError
    from kubesim.workload.scheduling.cases import find, read_cases, shipped

    if not scale > 0:
        raise BadInput(f"--scale is {scale}; expected a number above 0")
    if batch < 1:
        raise BadInput(f"--batch is {batch}; expected 1 or more")
    try:
        cases = [case for each in ([Path(path)] if path is not None else shipped()) for case in read_cases(each)]
    except ManifestError as error:
        raise BadInput(str(error)) from error
    names = [f"{case.name}/{size.name}" for case in cases for size in case.workloads]
    if only_list:
        click.echo("\n".join(names))
        return
    chosen = list(find(cases, workload))
    if not chosen:
        known = ", ".join(names)
        raise BadInput(f'there is no workload "{workload}"; expected one of {known}' if workload else "no workload is labelled performance")
    if len(chosen) == 1:
        rows = [_measure(*chosen[0], scale, batch, seed, is_cpu)]
    else:
        options = [
            "--scale",
            str(scale),
            "--batch",
            str(batch),
            "--seed",
            str(seed),
            *(["--cpu"] if is_cpu else []),
            *(["--file", path] if path is not None else []),
        ]
        rows = [_in_process(f"{case.name}/{size.name}", options) for case, size in chosen]
    click.echo(json.dumps(rows, indent=2) if as_json else _table(rows))
    wrong = [f"{row['workload']}: {problem}" for row in rows for problem in row["problems"]]
    if wrong:
        raise click.ClickException("\n".join(wrong))


def _in_process(name: str, options: list[str]) -> Row:
    """The figures of one workload from a fresh process, whose memory is its own."""
    command = [sys.executable, "-m", "kubesim", "bench", "scheduling", name, "--json", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if not done.stdout:
        raise click.ClickException(f"{name}: the process ended with status {done.returncode}")
    row: Row = json.loads(done.stdout)[0]
    return row


def _measure(case: Any, size: Any, scale: float, batch: int, seed: int, is_cpu: bool) -> Row:
    from kubesim.scheduler import SchedulerConfig
    from kubesim.workload.scheduling import run

    gc.disable()  # a collection goes through every object of the cluster and finds nothing
    clock_ns = time.process_time_ns if is_cpu else time.perf_counter_ns
    outcome = run(case, size, clock_ns, seed=seed, scale=scale, config=SchedulerConfig(batch_max=batch))
    gc.enable()
    return {
        "workload": outcome.name,
        "nodes": outcome.node_count,
        "pods": outcome.pod_count,
        "scheduled": outcome.scheduled_count,
        "unschedulable": outcome.unschedulable_count,
        "victims": outcome.victim_count,
        "seconds": outcome.duration_ns / 1e9,
        "clock": "cpu" if is_cpu else "wall",
        "pods_per_second": outcome.pods_per_second,
        "microseconds_per_pod": outcome.duration_ns / max(outcome.pod_count, 1) / 1e3,
        "latency_microseconds": {name: latency_ns / 1e3 for name, latency_ns in outcome.percentiles().items()},
        "threshold": size.threshold,
        "upstream": dict(size.upstream),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_UNIT,
        "digest": outcome.digest,
        "seed": seed,
        "scale": scale,
        "problems": outcome.problems,
    }


def _table(rows: list[Row]) -> str:
    """A table in Markdown, which is also what README.md shows."""
    lines = [HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    texts = [f"| {' | '.join(map(_aligned, line, widths, range(len(HEAD))))} |" for line in lines]
    rule = "|" + "|".join("-" * (width + 1) + ("-" if column in LEFT else ":") for column, width in enumerate(widths)) + "|"
    return "\n".join([texts[0], rule, *texts[1:]])


LEFT = (0, 5, 6, 11)


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column in LEFT else cell.rjust(width)


def _cells(row: Row) -> tuple[str, ...]:
    rate, threshold, upstream, latency = row["pods_per_second"], row["threshold"], row["upstream"], row["latency_microseconds"]
    floor = f"{threshold:,}{'' if rate >= threshold else ' (missed)'}" if threshold and row["scale"] == 1 else ""
    real = f"{upstream['sampled']:,} sampled, {upstream['all']:,} all" if upstream else ""
    times = f"{rate / upstream['all']:,.0f}" if upstream else ""
    return (
        row["workload"],
        f"{row['nodes']:,}",
        f"{row['pods']:,}",
        f"{rate:,.0f}",
        f"{row['microseconds_per_pod']:.1f}",
        floor,
        real,
        times,
        _duration(latency.get("p50", 0)),
        _duration(latency.get("p99", 0)),
        f"{row['peak_memory_bytes'] / 1e6:,.0f} MB",
        row["digest"][:12],
    )


def _duration(microseconds: float) -> str:
    return f"{microseconds / 1e3:.2f} ms" if microseconds >= 100 else f"{microseconds:.1f} µs"
