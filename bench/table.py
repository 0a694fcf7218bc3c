"""Run every benchmark at full size and print the table of README.md: ``python -m bench.table``.

A row is ``count`` things of a ``unit`` in the median round (``extra_info``, see conftest.py), or ``seconds``. The scenarios of whole
clusters also have wall time and peak memory, and floors that the last column holds against them. ``--write`` puts the table into
README.md.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- bench: begin (make bench) -->", "<!-- bench: end -->"
HEAD = ("room", "operation", "figure", "unit", "floor")


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and with ``--write`` update README.md; further arguments go to pytest."""
    write = "--write" in arguments
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmarks.json"
        command = [sys.executable, "-m", "pytest", "bench", "--size", "full", "--benchmark-enable", f"--benchmark-json={path}"]
        status = subprocess.run([*command, *(each for each in arguments if each != "--write")], cwd=ROOT, check=False).returncode
        if not path.exists() or not path.stat().st_size:
            return status or 1
        benchmarks = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    table = markdown(benchmarks)
    print(table)
    if write:
        text = README.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        README.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    return status


def markdown(benchmarks: Iterable[dict[str, Any]]) -> str:
    """The table of all benchmarks that name a row, by room and operation."""
    rows = [row for each in benchmarks for row in _rows(each) if each["extra_info"].get("room")]
    rows.sort(key=lambda row: row[0] != "cluster")  # the whole first; the rest in the order they ran
    lines = [f"| {' | '.join(HEAD)} |", "| --- | --- | ---: | --- | --- |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _rows(benchmark: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    info = benchmark["extra_info"]
    room, operation, floor = info.get("room", ""), info.get("operation", ""), info.get("floor") or {}
    if "seconds" in info:
        yield room, operation, f"{info['seconds']:.2f}", "s", str(floor or "")
        return
    if "wall_seconds" not in info:
        rate = info.get("count", 0) / benchmark["stats"]["median"]
        at_least = f"at least {figure(floor)}" if isinstance(floor, (int, float)) else str(floor or "")
        yield room, operation, figure(rate), f"{info.get('unit', 'things')}/s", at_least
        return
    yield room, operation, f"{info['wall_seconds']:.2f}", "s of wall time", _at_most(floor.get("wall_seconds"), 1, "s")
    if info["pods_per_second"]:
        yield room, operation, figure(info["pods_per_second"]), "Pods/s", ""
        yield room, operation, f"{info['wall_seconds'] / info['count'] * 1e6:.0f}", "µs per Pod", ""
    yield room, operation, f"{info['peak_memory_bytes'] / 1e6:,.0f}", "MB at the peak", _at_most(floor.get("peak_memory_bytes"), 1e6, "MB")


def _at_most(limit: float | None, scale: float, unit: str) -> str:
    return f"at most {limit / scale:,.0f} {unit}" if limit else ""


def figure(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        digits = len(str(int(value))) - 3
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
