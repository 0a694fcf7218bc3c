"""Turn manifests into objects with an address: source, document, line. Lists are unrolled, and every problem is one sentence.

Checks here need no cluster: a mapping, apiVersion, kind, a name, no object twice. Whether the kind exists and its fields are right
is the apiserver's business (``kubesim.cluster.apply``), which reports through the same ``Problem``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubesim.api.documents import Document, TextError, read_documents

Object = dict[str, Any]
ITEMS_MAX = 1_000_000
SUFFIXES = (".yaml", ".yml", ".json")
INLINE = "<text>"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (source, document, object, line), and what with what was expected."""

    source: str
    message: str
    document: int = 0
    label: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        where = [f"document {self.document}" + (f" ({self.label})" if self.label else "")] if self.document else []
        if self.label and not self.document:
            where.append(self.label)
        if self.line:
            where.append(f"line {self.line}" + (f", column {self.column}" if self.column else ""))
        return ": ".join([self.source, *([", ".join(where)] if where else []), self.message])


class ManifestError(ValueError):
    """A manifest that cannot be applied; ``problems`` has every problem that was found, ``str()`` one per line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Item:
    """One object of a manifest. ``prefix`` is its path inside the document: ``items[3].`` in a List, else empty."""

    source: str
    object: Object
    document: Document | None = None
    prefix: str = ""

    @property
    def label(self) -> str:
        """``Deployment "web"``; empty while the object is not even that."""
        kind, metadata = self.object.get("kind"), self.object.get("metadata")
        if not isinstance(kind, str) or not isinstance(metadata, dict):
            return ""
        return f'{kind} "{metadata.get("name") or metadata.get("generateName") or ""}"'

    def problem(self, path: str, message: str) -> Problem:
        """The problem ``path: message`` of this object; ``path`` may be empty."""
        at = self.prefix + path
        number = self.document.number if self.document else 0
        line = self.document.line_of(at) if self.document else 0
        return Problem(self.source, f"{at.rstrip('.')}: {message}" if at else message, number, self.label, line)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The objects of one source, in its order, with the warnings of the reader."""

    source: str
    items: tuple[Item, ...]
    warnings: tuple[Problem, ...] = ()


def sources(path: str | Path) -> list[Path]:
    """The files that ``path`` means: itself, or the manifests of a directory by name; ManifestError where there is none."""
    place = Path(path)
    if not place.exists():
        raise ManifestError([Problem(str(path), "there is no such file; expected a YAML or JSON manifest")])
    if not place.is_dir():
        return [place]
    files = sorted(child for child in place.iterdir() if child.suffix in SUFFIXES and child.is_file())
    if not files:
        raise ManifestError([Problem(str(path), f"the directory holds no manifest; expected files named *{', *'.join(SUFFIXES)}")])
    return files


def read(path: str | Path) -> Manifest:
    """Read one file; raise ManifestError when it cannot be read or holds no valid objects."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError([Problem(str(path), f"byte {error.start} is not UTF-8; expected a YAML or JSON text")]) from None
    except OSError as error:
        raise ManifestError([Problem(str(path), f"cannot be read: {error.strerror}; expected a YAML or JSON manifest")]) from None
    return parse(text, str(path))


def parse(text: str, source: str = INLINE) -> Manifest:
    """Parse YAML or JSON text into a manifest; raise ManifestError with every problem found."""
    items: list[Item] = []
    warnings: list[Problem] = []
    problems: list[Problem] = []
    try:
        for document in read_documents(text):
            warnings.extend(Problem(source, warning, document.number) for warning in document.warnings)
            if document.value is not None:
                unroll(Item(source, document.value, document), items, problems)
    except TextError as error:
        raise ManifestError([Problem(source, str(error), error.document, "", error.line, error.column)]) from None
    if not items and not problems:
        problems.append(Problem(source, "holds no objects; expected at least one Kubernetes object"))
    return _checked(source, items, warnings, problems)


def from_objects(objects: Iterable[Object], source: str = "<objects>") -> Manifest:
    """A manifest of objects that are in memory already; the same checks."""
    items: list[Item] = []
    problems: list[Problem] = []
    for obj in objects:
        unroll(Item(source, obj), items, problems)
    return _checked(source, items, [], problems)


def _checked(source: str, items: list[Item], warnings: list[Problem], problems: list[Problem]) -> Manifest:
    if not problems:
        problems = _duplicates(items)
    if problems:
        raise ManifestError(problems)
    return Manifest(source, tuple(items), tuple(warnings))


def unroll(item: Item, items: list[Item], problems: list[Problem]) -> None:
    """Append the objects of ``item``, which may be a List of Lists, to ``items``, or what is wrong with it to ``problems``."""
    wrong = _shape(item)
    if wrong:
        problems.extend(wrong)
        return
    children = item.object.get("items")
    if not (item.object["kind"].endswith("List") and isinstance(children, list)):
        items.append(item)
        return
    if len(items) + len(children) > ITEMS_MAX:
        problems.append(item.problem("items", f"{len(children)} objects; expected at most {ITEMS_MAX} in one source"))
        return
    for index, child in enumerate(children):
        if isinstance(child, dict):
            child = _typed(child, item.object)
        unroll(Item(item.source, child, item.document, f"{item.prefix}items[{index}]."), items, problems)


def _typed(child: Object, parent: Object) -> Object:
    """A child of a typed list (``ConfigMapList``) may leave out what its list says."""
    kind = parent["kind"].removesuffix("List")
    if not kind or ("kind" in child and "apiVersion" in child):
        return child
    return {"apiVersion": parent["apiVersion"], "kind": kind, **child}


def _shape(item: Item) -> list[Problem]:
    """What keeps the value from being an object at all."""
    value: Any = item.object
    if not isinstance(value, dict):
        number = item.document.number if item.document else 0
        message = f"the value is {shown(value)}; expected a mapping with apiVersion, kind and metadata"
        line = item.document.line_of(item.prefix.rstrip(".")) if item.document else 0
        return [Problem(item.source, f"{item.prefix.rstrip('.')}: {message}" if item.prefix else message, number, "", line)]
    problems = []
    for key, example in (("apiVersion", "apps/v1"), ("kind", "Deployment")):
        found = value.get(key)
        if not isinstance(found, str) or not found:
            what = "missing" if key not in value else shown(found)
            problems.append(item.problem(key, f'{what}; expected a string such as "{example}"'))
    if problems or value["kind"].endswith("List"):
        return problems
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        what = "missing" if metadata is None else shown(metadata)
        return [item.problem("metadata", f"{what}; expected a mapping with a name")]
    for key in ("name", "namespace", "generateName"):
        if metadata.get(key) is not None and not isinstance(metadata[key], str):
            problems.append(item.problem(f"metadata.{key}", f"Invalid value: {shown(metadata[key])}: expected a string"))
    if not metadata.get("name") and not metadata.get("generateName"):
        problems.append(item.problem("metadata.name", "missing; expected the object's name"))
    return problems


def _duplicates(items: Sequence[Item]) -> list[Problem]:
    first: dict[tuple[str, str, str, str], Item] = {}
    problems = []
    for item in items:
        metadata = item.object["metadata"]
        name = metadata.get("name")
        if not name:
            continue
        group = item.object["apiVersion"].rpartition("/")[0]
        key = (group, item.object["kind"], metadata.get("namespace") or "", name)
        before = first.setdefault(key, item)
        if before is not item:
            where = f"document {before.document.number}" if before.document else "an earlier object"
            problems.append(item.problem("metadata.name", f'Duplicate value: "{name}": {where} is the same object; expected it once'))
    return problems


def shown(value: Any, length_max: int = 60) -> str:
    """A value as JSON would show it, cut to ``length_max`` characters."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= length_max else text[: length_max - 1] + "…"
