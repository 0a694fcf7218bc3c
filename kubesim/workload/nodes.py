"""Make nodes: by count, from a template, or from a file.

A node is described by a Node object: its labels, its taints and ``status.capacity`` (``status.allocatable`` where it differs). The rest
of the object (addresses, conditions, node info) is the kubelet's to report.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kubesim.api import quantity
from kubesim.api.documents import TextError, read_documents
from kubesim.workload.manifests import Item, ManifestError, Problem, shown, unroll

Object = dict[str, Any]
NODES_MAX = 200_000
CAPACITY = {"cpu": "8", "ephemeral-storage": "100Gi", "memory": "32Gi", "pods": "110"}


def from_count(count: int, template: Mapping[str, Any] | None = None, prefix: str = "node-", first: int = 1) -> list[Object]:
    """``count`` nodes like ``template`` (a Node object without a name), named ``node-1`` onwards with equally many digits."""
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= NODES_MAX:
        raise ValueError(f"the number of nodes is {count}; expected a number from 0 to {NODES_MAX}")
    width = len(str(count + first - 1))
    return [from_template(template or {}, f"{prefix}{index:0{width}}") for index in range(first, first + count)]


def from_template(template: Mapping[str, Any], name: str) -> Object:
    """One node called ``name``; ``CAPACITY`` fills in what the template leaves out, the labels every node has are added."""
    metadata = dict(template.get("metadata") or {})
    status = dict(template.get("status") or {})
    metadata["name"] = name
    metadata["labels"] = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        **(metadata.get("labels") or {}),
    }
    status["capacity"] = {**CAPACITY, **(status.get("allocatable") or {}), **(status.get("capacity") or {})}
    status["allocatable"] = {**status["capacity"], **(status.get("allocatable") or {})}
    node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status}
    if template.get("spec"):
        node["spec"] = dict(template["spec"])
    return node


def read_nodes(path: str | Path) -> list[Object]:
    """The nodes of a file: Node documents, a list of Nodes, or ``{count: N, template: …}``, in any mixture.

    Raises ManifestError with file, document, line and what was expected.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ManifestError([Problem(str(path), f"cannot be read: {reason}; expected a YAML or JSON file of Nodes")]) from None
    return parse_nodes(text, str(path))


def parse_nodes(text: str, source: str = "<text>") -> list[Object]:
    """The same from a text."""
    items: list[Item] = []
    try:
        for document in read_documents(text):
            if isinstance(document.value, list):
                items.extend(Item(source, entry, document, f"[{index}].") for index, entry in enumerate(document.value))
            elif document.value is not None:
                items.append(Item(source, document.value, document))
    except TextError as error:
        raise ManifestError([Problem(source, str(error), error.document, "", error.line, error.column)]) from None
    return _nodes(items, source)


def from_entries(entries: Iterable[Any], source: str = "<nodes>") -> list[Object]:
    """The same from Node objects and groups that are in memory already."""
    return _nodes([Item(source, entry) for entry in entries], source)


def _nodes(items: Sequence[Item], source: str) -> list[Object]:
    nodes: list[Object] = []
    for item in items:
        nodes.extend(_entry(item, len(nodes)))
    if len(nodes) > NODES_MAX:
        raise ManifestError([Problem(source, f"describes {len(nodes)} nodes; expected at most {NODES_MAX}")])
    _refuse_duplicates(nodes, source)
    return nodes


def _entry(item: Item, before: int) -> list[Object]:
    value: Any = item.object
    if isinstance(value, dict) and "count" in value:
        return _group(item, before)
    items: list[Item] = []
    problems: list[Problem] = []
    unroll(item, items, problems)
    for each in items:
        if each.object["kind"] != "Node":
            problems.append(each.problem("kind", f'Invalid value: {shown(each.object["kind"])}: expected "Node"'))
        elif not each.object["metadata"].get("name"):
            problems.append(each.problem("metadata.name", "missing; expected the node's name"))
        else:
            problems.extend(_wrong_amounts(each, "", each.object))
    if problems:
        raise ManifestError(problems)
    return [from_template(each.object, each.object["metadata"]["name"]) for each in items]


def _group(item: Item, before: int) -> list[Object]:
    """``{count: 3, template: {metadata, spec, status}, prefix: "gpu-"}``."""
    value: Any = item.object
    known = ("count", "template", "prefix")
    problems = [item.problem(key, "unknown field; expected count, template or prefix") for key in value if key not in known]
    template, prefix = value.get("template") or {}, value.get("prefix")
    if not isinstance(template, dict):
        problems.append(item.problem("template", f"Invalid value: {shown(template)}: expected a Node without a name"))
    else:
        problems.extend(_wrong_amounts(item, "template.", template))
    if prefix is not None and not isinstance(prefix, str):
        problems.append(item.problem("prefix", f"Invalid value: {shown(prefix)}: expected a string"))
    if problems:
        raise ManifestError(problems)
    try:
        return from_count(value["count"], template, **({"prefix": prefix} if prefix else {"first": before + 1}))
    except ValueError as error:
        raise ManifestError([item.problem("count", str(error))]) from None


def _wrong_amounts(item: Item, at: str, node: Object) -> list[Problem]:
    """Capacities that are not quantities: they are needed before any apiserver runs."""
    status: Any = node.get("status") or {}
    problems = []
    if not isinstance(status, dict) or not isinstance(node.get("metadata") or {}, dict):
        return [item.problem(at.rstrip("."), "metadata or status is not a mapping; expected a Node")]
    for field in ("capacity", "allocatable"):
        amounts: Any = status.get(field) or {}
        if not isinstance(amounts, dict):
            problems.append(item.problem(f"{at}status.{field}", f"Invalid value: {shown(amounts)}: expected a mapping of quantities"))
            continue
        for name, amount in amounts.items():
            try:
                quantity.parse(str(amount))
            except ValueError as error:
                problems.append(item.problem(f"{at}status.{field}[{name}]", f"Invalid value: {shown(amount)}: {error}"))
    return problems


def _refuse_duplicates(nodes: Sequence[Object], source: str) -> None:
    seen: set[str] = set()
    for node in nodes:
        name = node["metadata"]["name"]
        if name in seen:
            raise ManifestError([Problem(source, f'two nodes are called "{name}"; expected different names')])
        seen.add(name)
