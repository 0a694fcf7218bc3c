"""Print a flow and a summary for people, with rich: colours on a terminal, plain text in a pipe."""

import shutil
import sys
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

ROWS_MAX = 20
WIDTH = 140
Summary = dict[str, Any]


def console() -> Console:
    """The console of stdout; a pipe gets lines that do not depend on any terminal's width."""
    is_terminal = sys.stdout.isatty()
    return Console(width=max(100, shutil.get_terminal_size().columns) if is_terminal else WIDTH, highlight=False, soft_wrap=not is_terminal)


def print_flow(flow: Any) -> None:
    """Print the steps of a Deployment, one line each: time, component, object, resourceVersion, what happened."""
    out = console()
    rows = [("virtual time", "component", "object", "resourceVersion", "step")]
    rows += [(step.time, step.component, step.object, str(step.revision), step.text) for step in flow.steps]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    out.print(Text(f"The path of Deployment {flow.namespace}/{flow.name}", style="bold"))
    for index, (time, component, name, revision, text) in enumerate(rows):
        columns = (time.rjust(widths[0]), component.ljust(widths[1]), name.ljust(widths[2]), revision.rjust(widths[3]), text)
        out.print(Text("  ".join(columns), style="bold" if not index else ""), soft_wrap=True)
    for line in flow.omitted():
        out.print(line)
    out.print()


def print_summary(result: Summary) -> None:
    """Print the figures of a run."""
    out = console()
    out.print(Group(*(part for part in (_figures(result), _deployments(result), _services(result)) if part is not None)))
    _print_waits(out, result["waits"])


def _figures(result: Summary) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in figures(result):
        table.add_row(name, text)
    return table


def figures(result: Summary) -> list[tuple[str, str]]:
    """The lines of the summary: (name, text)."""
    pods, placed = result["pods"], result["pods"]["placements"]
    phases = ", ".join(f"{count:,} {phase}" for phase, count in pods["phases"].items()) or "none"
    writes = ", ".join(f"{name} {sum(row.values()):,}" for name, row in sorted(result["writes"].items(), key=_busiest)[:5])
    lines = [
        ("nodes", f"{result['nodes']['count']:,}, {result['nodes']['ready']:,} ready"),
        ("Pods", f"{pods['count']:,}: {phases}"),
        ("placements", f"{placed['nodes_used']:,} nodes used, {placed['pods_per_node_min']} to {placed['pods_per_node_max']} Pods a node"),
    ]
    lines += [(label, _latency(result["latencies"][key])) for label, key in LATENCIES]
    lines += [
        ("writes", f"{result['write_count']:,}: {writes}"),
        ("events", f"{result['events']:,}"),
        ("virtual time", f"{result['virtual_seconds']:.3f} s, {'converged' if result['converged'] else 'not converged'}"),
        ("wall time", f"{result['wall_seconds']:.2f} s, {result['pods_per_second']:,.0f} Pods/s"),
        ("peak memory", f"{result['peak_memory_bytes'] / 2**20:,.0f} MiB"),
        ("digest", f"{result['digest']} (seed {result['seed']})"),
    ]
    return lines


LATENCIES = (("create to bound", "create_to_scheduled"), ("create to Running", "create_to_running"))


def _busiest(item: tuple[str, dict[str, int]]) -> int:
    return -sum(item[1].values())


def _latency(figure: Summary) -> str:
    if not figure["count"]:
        return "no Pod yet"
    return f"p50 {figure['p50_seconds']:.3f} s, p99 {figure['p99_seconds']:.3f} s, at most {figure['max_seconds']:.3f} s (virtual)"


def _deployments(result: Summary) -> Table | None:
    rows = [(f"{each['namespace']}/{each['name']}", f"{each['available']}/{each['replicas']}") for each in result["deployments"]]
    return _table("Deployment", "available", rows)


def _services(result: Summary) -> Table | None:
    rows = [(f"{each['namespace']}/{each['name']}", str(each["endpoints"])) for each in result["services"] if each["name"] != "kubernetes"]
    return _table("Service", "endpoints", rows)


def _table(heading: str, figure: str, rows: list[tuple[str, str]]) -> Table | None:
    if not rows:
        return None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(heading, overflow="fold")
    table.add_column(figure, justify="right")
    for row in rows[:ROWS_MAX]:
        table.add_row(*row)
    if len(rows) > ROWS_MAX:
        table.add_row(f"… and {len(rows) - ROWS_MAX:,} more", "")
    return table


def _print_waits(out: Console, waiting: list[Summary]) -> None:
    from kubesim.observe.waits import Wait

    if not waiting:
        return
    out.print(Text("what waits for what", style="bold"))
    for each in waiting[:ROWS_MAX]:
        out.print(f"  {Wait(each['object'], each['waits_for'], each['count'])}", markup=False)
    if len(waiting) > ROWS_MAX:
        out.print(f"  … and {len(waiting) - ROWS_MAX:,} more")
