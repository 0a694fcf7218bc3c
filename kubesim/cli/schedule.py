"""``kubesim schedule``: decisions of the scheduler for scenarios, one JSON object per line in, one per line out."""

import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import click

from kubesim.cli.errors import BadInput


@click.command()
@click.option("--scenarios", "path", required=True, metavar="FILE|-", help="Scenarios, one JSON object per line; - is standard input.")
def schedule(path: str) -> None:
    """Schedule the pending Pods of scenarios and say why where: reasons, scores, preemption, volume bindings.

    \b
    Example:
      zcat public-mixed.jsonl.gz | jq -c .scenario | kubesim schedule --scenarios -
    """
    import orjson

    from kubesim.scheduler.scenarios import run_scenario

    for number, scenario in _scenarios(path):
        try:
            answer = run_scenario(scenario)
        except (ValueError, KeyError) as error:
            text = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
            raise BadInput("\n".join(f"{path}:{number}: {line}" for line in text.splitlines())) from error
        sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
        sys.stdout.buffer.flush()


def _scenarios(path: str) -> Iterator[tuple[int, Any]]:
    """(line number, object) of each line that is not empty."""
    import orjson

    with _opened(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                scenario = orjson.loads(line)
            except ValueError as error:
                raise BadInput(f"{path}:{number}: not JSON: {error}") from error
            if not isinstance(scenario, dict):
                raise BadInput(f"{path}:{number}: a scenario is a JSON object, got {type(scenario).__name__}")
            yield number, scenario


def _opened(path: str) -> BinaryIO:
    if path == "-":
        return sys.stdin.buffer
    try:
        return open(path, "rb")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
