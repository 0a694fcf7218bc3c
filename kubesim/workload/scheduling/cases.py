"""Read workload files: a list of test cases, each with operations (``workloadTemplate``) and the sizes to run them at (``workloads``).

The format is scheduler_perf's (test/integration/scheduler_perf), where time and churn are counted in Pods. Beside upstream's
``podTemplatePath`` and ``nodeTemplatePath`` a template may stand in the file itself (``podTemplate``, ``nodeTemplate``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubesim.api.documents import Document, TextError, read_documents
from kubesim.api.kinds import KINDS
from kubesim.api.schema import check
from kubesim.workload.manifests import ManifestError, Problem, shown

Object = dict[str, Any]
SHIPPED = Path(__file__).parent
SUFFIX = ".yaml"
COUNT_MAX = 1_000_000

# The fields of an operation: name -> type. A count is a number or the name of a parameter ("$initPods").
STRATEGY = {"labelKey": str, "labelValues": list}
OPERATIONS: Mapping[str, Mapping[str, Any]] = {
    "createNodes": {"nodeTemplate": dict, "nodeTemplatePath": str, "labelNodePrepareStrategy": dict},
    "createNamespaces": {"prefix": str, "labels": dict},
    "createPods": {"podTemplate": dict, "podTemplatePath": str, "namespace": str, "collectMetrics": bool, "skipWaitToCompletion": bool},
    "churn": {"mode": str, "number": int, "intervalPods": int, "templates": list},
    "barrier": {},
}
WITH_COUNT = ("createNodes", "createNamespaces", "createPods")
CASE_FIELDS = {"name": str, "defaultPodTemplate": dict, "defaultPodTemplatePath": str, "workloadTemplate": list, "workloads": list}
WORKLOAD_FIELDS = {"name": str, "params": dict, "threshold": int, "upstream": dict, "expect": dict, "labels": list}
CHURN_MODES = ("create", "recreate")
POD, NODE = "pods", "nodes"


@dataclass(frozen=True, slots=True)
class Workload:
    """One size of a case. ``expect``: how many measured Pods must be "scheduled" and "unschedulable", as parameter names or numbers."""

    name: str
    params: Mapping[str, int]
    threshold: int = 0  # Pods per second
    upstream: Mapping[str, int] = field(default_factory=dict)  # kube-scheduler's Pods per second: "sampled", "all"
    expect: Mapping[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A test case: its operations, templates resolved."""

    name: str
    operations: tuple[Object, ...]
    workloads: tuple[Workload, ...]


def shipped() -> list[Path]:
    """The workload files that come with kubesim, by name."""
    return sorted(SHIPPED.glob(f"*{SUFFIX}"))


def read_cases(path: Path) -> list[Case]:
    """The cases of a file. Raises ManifestError with every problem: file, line, field, value, expectation."""
    try:
        documents = list(read_documents(path.read_text(encoding="utf-8")))
    except TextError as error:
        raise ManifestError([Problem(str(path), str(error), error.document, "", error.line, error.column)]) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ManifestError([Problem(str(path), f"cannot be read: {reason}; expected a workload file")]) from None
    cases: list[Case] = []
    for document in documents:
        cases += _Reader(path, document).cases()
    return cases


class _Reader:
    """One document of a file, and the problems found in it."""

    def __init__(self, path: Path, document: Document) -> None:
        self._path = path
        self._document = document
        self._problems: list[Problem] = []

    def cases(self) -> list[Case]:
        """Every case; raises ManifestError when anything is wrong."""
        value = self._document.value
        entries = value if isinstance(value, list) else []
        if value is not None and not isinstance(value, list):
            self._complain("", f"Invalid value: {shown(value)}: expected a list of test cases")
        found = [self._case(f"[{index}]", entry) for index, entry in enumerate(entries)]
        if self._problems:
            raise ManifestError(self._problems)
        return [case for case in found if case is not None]

    def _complain(self, at: str, message: str) -> None:
        text = f"{at}: {message}" if at else message
        self._problems.append(Problem(str(self._path), text, self._document.number, "", self._document.line_of(at)))

    def _is_fine(self, at: str, value: Any, fields: Mapping[str, Any], required: tuple[str, ...]) -> bool:
        """Whether a value is a mapping of these fields, each of its type."""
        before = len(self._problems)
        if not isinstance(value, dict):
            self._complain(at, f"Invalid value: {shown(value)}: expected a mapping of {', '.join(fields)}")
            return False
        for name in required:
            if name not in value:
                self._complain(f"{at}.{name}", "missing")
        for name, found in value.items():
            kind = fields.get(name)
            if kind is None:
                self._complain(f"{at}.{name}", f"unknown field; expected one of {', '.join(fields)}")
            elif not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
                self._complain(f"{at}.{name}", f"Invalid value: {shown(found)}: expected {NAMES_OF_TYPES[kind]}")
        return len(self._problems) == before

    def _case(self, at: str, entry: Any) -> Case | None:
        if not self._is_fine(at, entry, CASE_FIELDS, ("name", "workloadTemplate", "workloads")):
            return None
        default = self._template(at, entry, "defaultPodTemplate", POD)
        workloads = [self._workload(f"{at}.workloads[{i}]", each) for i, each in enumerate(entry["workloads"])]
        params = [workload.params for workload in workloads if workload is not None]
        template = enumerate(entry["workloadTemplate"])
        operations = [self._operation(f"{at}.workloadTemplate[{index}]", each, default, params) for index, each in template]
        kept = tuple(workload for workload in workloads if workload is not None)
        return Case(entry["name"], tuple(operation for operation in operations if operation is not None), kept)

    def _workload(self, at: str, entry: Any) -> Workload | None:
        if not self._is_fine(at, entry, WORKLOAD_FIELDS, ("name", "params")):
            return None
        for name in ("params", "upstream", "expect"):
            self._is_fine(f"{at}.{name}", entry.get(name, {}), dict.fromkeys(entry.get(name, {}), int), ())
        for name, count in entry["params"].items():
            if isinstance(count, int) and not 0 <= count <= COUNT_MAX:
                self._complain(f"{at}.params.{name}", f"Invalid value: {count}: expected 0 to {COUNT_MAX}")
        more = {name: entry[name] for name in ("threshold", "upstream", "expect") if name in entry}
        return Workload(entry["name"], entry["params"], labels=tuple(entry.get("labels", ())), **more)

    def _operation(self, at: str, entry: Any, default: Object | None, params: list[Mapping[str, int]]) -> Object | None:
        code = entry.get("opcode") if isinstance(entry, dict) else None
        if not isinstance(code, str) or code not in OPERATIONS:
            self._complain(f"{at}.opcode", f"Invalid value: {shown(code)}: expected one of {', '.join(OPERATIONS)}")
            return None
        fields = {"opcode": str, **OPERATIONS[code], **({"count": int, "countParam": str} if code in WITH_COUNT else {})}
        required = ("mode", "templates") if code == "churn" else ()
        if not self._is_fine(at, entry, fields, required):
            return None
        found = dict(entry)
        if code in WITH_COUNT:
            self._check_count(at, entry, params)
        if code == "createPods":
            found["podTemplate"] = self._template(at, entry, "podTemplate", POD) or default
            if found["podTemplate"] is None:
                self._complain(f"{at}.podTemplate", "missing; expected a Pod here or as defaultPodTemplate of the case")
        elif code == "createNodes":
            found["nodeTemplate"] = self._template(at, entry, "nodeTemplate", NODE) or {}
            strategy = entry.get("labelNodePrepareStrategy")
            if strategy is not None:
                self._is_fine(f"{at}.labelNodePrepareStrategy", strategy, STRATEGY, ("labelKey", "labelValues"))
        elif code == "churn":
            self._check_churn(at, entry)
        return found

    def _check_count(self, at: str, entry: Object, params: list[Mapping[str, int]]) -> None:
        if ("count" in entry) == ("countParam" in entry):
            self._complain(at, "expected one of count and countParam")
        name = entry.get("countParam", "$").removeprefix("$")
        if name and not all(name in known for known in params):
            self._complain(f"{at}.countParam", f"Invalid value: {shown(entry['countParam'])}: expected a parameter of every workload")

    def _check_churn(self, at: str, entry: Object) -> None:
        if entry["mode"] not in CHURN_MODES:
            self._complain(f"{at}.mode", f"Invalid value: {shown(entry['mode'])}: expected one of {', '.join(CHURN_MODES)}")
        for name in ("number", "intervalPods"):
            if entry.get(name, 1) < 1:
                self._complain(f"{at}.{name}", f"Invalid value: {entry[name]}: expected 1 or more")
        for index, template in enumerate(entry["templates"]):
            kind = template.get("kind") if isinstance(template, dict) else None
            if kind not in ("Node", "Pod"):
                self._complain(f"{at}.templates[{index}].kind", f"Invalid value: {shown(kind)}: expected Node or Pod")
            else:
                self._check_object(f"{at}.templates[{index}]", template, POD if kind == "Pod" else NODE)

    def _template(self, at: str, entry: Object, name: str, resource: str) -> Object | None:
        """A template of the file itself, or of a file beside it; None when there is none or it is wrong."""
        path = entry.get(f"{name}Path")
        template = entry.get(name)
        if path is not None:
            at, name = f"{at}.{name}Path", ""
            try:
                documents = [d.value for d in read_documents((self._path.parent / path).read_text(encoding="utf-8"))]
                template = documents[0] if documents else None
            except (OSError, UnicodeDecodeError, TextError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                self._complain(at, f"Invalid value: {shown(path)}: {reason}")
                return None
        elif template is None:
            return None
        return self._check_object(f"{at}.{name}".rstrip("."), template, resource)

    def _check_object(self, at: str, template: Any, resource: str) -> Object | None:
        if not isinstance(template, dict):
            self._complain(at, f"Invalid value: {shown(template)}: expected a mapping")
            return None
        kind = KINDS.get(resource)
        assert kind is not None
        problems = check(template, kind.schema)
        for problem in problems:
            self._complain(at, str(problem))
        if resource == POD and not (template.get("spec") or {}).get("containers"):
            self._complain(at, "spec.containers: missing; expected at least one container")
        return template if not problems else None


NAMES_OF_TYPES = {str: "a text", int: "a whole number", bool: "true or false", list: "a list", dict: "a mapping"}


def find(cases: list[Case], pattern: str) -> Iterator[tuple[Case, Workload]]:
    """The workloads that a name means: "Case" (all of it), "Case/Workload", or "" for those labelled "performance"."""
    for case in cases:
        for workload in case.workloads:
            if pattern in (case.name, f"{case.name}/{workload.name}") or (not pattern and "performance" in workload.labels):
                yield case, workload
