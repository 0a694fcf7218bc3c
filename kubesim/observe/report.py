"""Write the result of a run as one file: Markdown, or HTML that needs nothing beside it."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from kubesim.observe.flow import Step

Object = dict[str, Any]
Table = tuple[str, Sequence[str], list[Sequence[str]]]  # heading, columns, rows
FORMATS = ("html", "md")
TITLE = "kubesim report"
STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #d0d7de}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{text-align:left;vertical-align:top;padding:.2rem 1rem .2rem 0}
th{color:#57606a;font-weight:600}tr+tr td{border-top:1px solid #eaeef2}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}h2,tr+tr td{border-color:#30363d}th{color:#8b949e}}"""


def render(result: Object, form: str, steps: Sequence[Step] = ()) -> str:
    """The text of a report. ``form`` is ``html`` or ``md``; ``result`` is a Cluster's summary, with wall time and memory if known."""
    if form not in FORMATS:
        raise ValueError(f"the form of a report is {form!r}; expected {' or '.join(FORMATS)}")
    tables = list(_tables(result, steps))
    return _html(tables) if form == "html" else _markdown(tables)


def _tables(result: Object, steps: Sequence[Step]) -> Iterable[Table]:
    rows: list[Sequence[str]]
    yield "Run", ("", ""), [(name, text) for name, text in _facts(result)]
    yield "Latencies (virtual seconds)", ("", "Pods", "p50", "p99", "maximum"), [
        (name.replace("_", " "), *(_number(each[key]) for key in ("count", "p50_seconds", "p99_seconds", "max_seconds")))
        for name, each in result["latencies"].items()
    ]
    if result["waits"]:
        rows = [(each["object"], _number(each["count"]), each["waits_for"]) for each in result["waits"]]
        yield "What waits for what", ("object", "count", "waits for"), rows
    if result["deployments"]:
        rows = [(_place(each), _number(each["available"]), _number(each["replicas"])) for each in result["deployments"]]
        yield "Deployments", ("name", "available", "replicas"), rows
    if result["services"]:
        rows = [(_place(each), _number(each["endpoints"])) for each in result["services"]]
        yield "Services", ("name", "endpoints"), rows
    yield "Writes by component", ("component", "writes"), [(name, _number(count)) for name, count in result["writes_by_component"].items()]
    yield "Writes by resource", ("resource", "operation", "writes"), [
        (resource, operation, _number(count)) for resource, row in result["writes"].items() for operation, count in row.items()
    ]
    if steps:
        rows = [(step.time, step.component, step.text, step.object, str(step.revision)) for step in steps]
        yield "The path of a Deployment", ("virtual time", "component", "step", "object", "resourceVersion"), rows


def _facts(result: Object) -> Iterable[tuple[str, str]]:
    pods, placed = result["pods"], result["pods"]["placements"]
    yield "nodes", f"{result['nodes']['count']:,}, {result['nodes']['ready']:,} ready"
    yield "Pods", ", ".join([f"{pods['count']:,} in all", *(f"{count:,} {phase}" for phase, count in pods["phases"].items())])
    yield "Pods a node", f"{placed['pods_per_node_min']} to {placed['pods_per_node_max']}, mean {placed['pods_per_node_mean']}"
    yield "virtual time", f"{result['virtual_seconds']:,.3f} s, {'converged' if result['converged'] else 'not converged'}"
    yield "writes, revision, events", f"{result['write_count']:,}, {result['revision']:,}, {result['events']:,}"
    if "wall_seconds" in result:
        yield "wall time", f"{result['wall_seconds']:,.2f} s, {result['pods_per_second']:,.0f} Pods/s"
        yield "peak memory", f"{result['peak_memory_bytes'] / 2**20:,.0f} MiB"
    yield "seed", str(result["seed"])
    yield "digest", result["digest"]


def _place(row: Object) -> str:
    return f"{row['namespace']}/{row['name']}"


def _number(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"


def _markdown(tables: Iterable[Table]) -> str:
    lines = [f"# {TITLE}"]
    for heading, columns, rows in tables:
        lines += ["", f"## {heading}", "", f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
        lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _html(tables: Iterable[Table]) -> str:
    head = f'<head><meta charset="utf-8"><title>{TITLE}</title><style>{STYLE}</style></head>'
    parts = [f'<!doctype html>\n<html lang="en">{head}<body>', f"<h1>{TITLE}</h1>"]
    for heading, columns, rows in tables:
        parts.append(f"<h2>{escape(heading)}</h2>\n<table>")
        if any(columns):
            parts.append(f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in columns)}</tr>")
        parts += [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
        parts.append("</table>")
    return "\n".join([*parts, "</body></html>", ""])
