"""Scenarios: faults from a YAML or JSON file, or from plain values, checked before anything happens.

    apiVersion: kubesim.dev/v1alpha1
    kind: FaultScenario
    seed: 7
    faults:
    - fault: fail-node
      at: 30s
      duration: 2m
      node: node-1

A file may have several such documents. Everything that is wrong is told at once, with file, document, line, field, value and what was
expected.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kubesim.api.documents import Document, TextError, read_documents
from kubesim.faults.contract import Fault, Target, number, span, text
from kubesim.faults.registry import all_kinds
from kubesim.kernel.time import format_duration

API_VERSION, KIND = "kubesim.dev/v1alpha1", "FaultScenario"
TOP = ("apiVersion", "kind", "metadata", "seed", "faults")
COMMON = ("fault", "name", "at", "duration", "seed")
FAULTS_MAX = 100_000
SEED_MAX = 2**64 - 1


class ScenarioError(ValueError):
    """A scenario that cannot be; one sentence per line."""


class _Problems:
    """Gathers what is wrong with one document."""

    def __init__(self, source: str, document: Document | None) -> None:
        self.source = source
        self.document = document
        self.found: list[str] = []

    def add(self, path: str, message: str, value: Any = None) -> None:
        """One problem; the value is shown when there is one."""
        where = [self.source] if self.source else []
        if self.document is not None:
            line = self.document.line_of(path)
            where.append(f"document {self.document.number}" + (f", line {line}" if line else ""))
        shown = "" if value is None else f"{_shown(value)}: "
        self.found.append(": ".join([*where, *([path] if path else []), f"{shown}{message}"]))


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def read_scenario(path: str | Path, target: Target) -> list[Fault]:
    """The faults of a file. Raises ScenarioError."""
    try:
        content = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ScenarioError(f"{path}: cannot be read: {reason}; expected a YAML or JSON file of faults") from None
    return parse_scenario(content, target, str(path))


def parse_scenario(content: str, target: Target, source: str = "<text>") -> list[Fault]:
    """The faults of a text. Raises ScenarioError."""
    faults: list[Fault] = []
    problems: list[str] = []
    try:
        for document in read_documents(content):
            if document.value is not None:
                gathered = _Problems(source, document)
                faults += _document(document.value, target, gathered, len(faults))
                problems += gathered.found
    except TextError as error:
        where = ", ".join([f"document {error.document}", *([f"line {error.line}"] if error.line else [])])
        raise ScenarioError(f"{source}: {where}: {error}") from None
    if not faults and not problems:
        problems.append(f"{source}: holds no faults; expected a {KIND}")
    if problems:
        raise ScenarioError("\n".join(problems))
    return faults


def _document(value: Any, target: Target, problems: _Problems, before: int) -> list[Fault]:
    if not isinstance(value, dict):
        problems.add("", f"expected a {KIND}", value)
        return []
    for field, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        if value.get(field) != expected:
            problems.add(field, f'expected "{expected}"', value.get(field, "missing"))
    for field in value:
        if field not in TOP:
            problems.add(field, f"unknown field; expected {', '.join(TOP)}")
    seed = _common(value, "seed", number(0, SEED_MAX), 0, target, problems, "")
    entries = value.get("faults")
    if not isinstance(entries, list) or not entries or before + len(entries) > FAULTS_MAX:
        problems.add("faults", f"expected a list of 1 to {FAULTS_MAX} faults", "missing" if entries is None else entries)
        return []
    found = [_fault(entry, target, problems, f"faults[{index}]", seed + before + index) for index, entry in enumerate(entries)]
    return [fault for fault in found if fault is not None]


def _fault(entry: Any, target: Target, problems: _Problems, path: str, seed: int) -> Fault | None:
    at = f"{path}." if path else ""
    count = len(problems.found)
    if not isinstance(entry, Mapping):
        problems.add(path, "expected a mapping with fault and at", entry)
        return None
    kind = all_kinds().get(entry.get("fault", ""))
    if kind is None:
        problems.add(f"{at}fault", f"there is no such fault; expected one of {', '.join(all_kinds())}", entry.get("fault", "missing"))
        return None
    names = [parameter.name for parameter in kind.parameters]
    for field in entry:
        if field not in COMMON and field not in names:
            problems.add(f"{at}{field}", f"unknown field; expected {', '.join([*COMMON, *names])}", entry[field])
    parameters = {}
    for parameter in kind.parameters:
        if parameter.required and parameter.name not in entry:
            problems.add(f"{at}{parameter.name}", f"a {kind.name} needs it", "missing")
        parameters[parameter.name] = _common(entry, parameter.name, parameter.read, parameter.default, target, problems, at)
    at_ns = _common(entry, "at", span, 0, target, problems, at)
    duration_ns = _common(entry, "duration", span, None, target, problems, at)
    if kind.lasting and "duration" not in entry:
        problems.add(f"{at}duration", f"a {kind.name} needs one", "missing")
    name = _common(entry, "name", text, kind.name, target, problems, at)
    own_seed = _common(entry, "seed", number(0, SEED_MAX), seed, target, problems, at)
    return None if len(problems.found) > count else Fault(kind, parameters, at_ns, duration_ns, own_seed, name)


def _common(entry: Mapping[str, Any], field: str, read: Any, default: Any, target: Target, problems: _Problems, at: str) -> Any:
    if field not in entry:
        return default
    try:
        return read(entry[field], target)
    except ValueError as error:
        problems.add(f"{at}{field}", str(error), entry[field])
        return default


def make_fault(target: Target, kind: str, *, seed: int = 0, **fields: Any) -> Fault:
    """A fault from Python, as ``make_fault(target, "fail-node", node="node-1", at="30s")``; numbers are ns. Raises ScenarioError."""
    problems = _Problems("", None)
    times = {name: format_duration(fields[name]) for name in ("at", "duration") if isinstance(fields.get(name), int)}
    entry = {"fault": kind, **fields, **times}
    fault = _fault(entry, target, problems, "", seed)
    if fault is None:
        raise ScenarioError("\n".join(problems.found))
    return fault


def kinds_text(kinds: Iterable[Any]) -> str:
    """A table of the kinds for a help page."""
    return "\n".join(
        f"{kind.name:<17} {kind.summary} ({', '.join(each.name + ('' if each.required else '?') for each in kind.parameters)})"
        for kind in kinds
    )
