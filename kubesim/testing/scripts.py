"""Whole-cluster behaviour as text: commands and the output that is expected of them.

A script is a sequence of blocks: a command line, input lines if the command takes any, ``----``, the expected output, an empty line.
``#`` starts a comment outside of a block. ``run_script(path)`` raises AssertionError with a diff; ``rewrite=True`` writes
what came out into the file instead, to be read and committed.

====================================  ==============================================================================
command                               output
====================================  ==============================================================================
cluster [nodes=N] [seed=N] ...        the number of nodes; the first command of a script
apply                                 the input is a manifest; what was applied
scale KIND NAME N                     nothing
set-image KIND NAME IMAGE             nothing; of the first container of the template
delete KIND NAME                      nothing
fail-node NAME, restore-node NAME     nothing
run DURATION                          the time since the start
run-until CONDITION                   the same; conditions are those of ``Cluster.run_until``
converge                              the same
get KIND NAME PATH...                 the values at the field paths, one per line
list KIND [PATH...]                   one line per object: its name and the values at the paths
count KIND PATH                       how many objects have which value at the path
events KIND NAME                      reason and message of the Events about an object, in the order they were recorded
waits                                 what waits for what
====================================  ==============================================================================

A NAME may be ``NAMESPACE/NAME``. An error is output too: ``error: ...``.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path
from typing import Any

from kubesim.api.documents import value_at
from kubesim.api.errors import ApiError
from kubesim.cluster.cluster import Cluster, NotConverged
from kubesim.kernel.time import format_duration
from kubesim.workload.manifests import ManifestError, shown

Object = dict[str, Any]
SEPARATOR = "----"
COMMANDS_MAX = 10_000


@dataclass(slots=True)
class Block:
    """One command of a script, with everything needed to write it back."""

    before: list[str]  # comments and empty lines above it
    command: str
    line: int
    input: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)


def parse_script(text: str) -> tuple[list[Block], list[str]]:
    """The blocks of a script and the lines after the last one. Raises ValueError with the line of a block without ``----``."""
    blocks: list[Block] = []
    before: list[str] = []
    lines = text.splitlines()
    index = 0
    while index < len(lines):
        line = lines[index]
        index += 1
        if not line.strip() or line.startswith("#"):
            before.append(line)
            continue
        block = Block(before, line, index)
        before = []
        if SEPARATOR not in lines[index:]:
            raise ValueError(f"line {index}: the command {line!r} has no {SEPARATOR!r} after it")
        while lines[index] != SEPARATOR:
            block.input.append(lines[index])
            index += 1
        index += 1
        while index < len(lines) and lines[index].strip():
            block.expected.append(lines[index])
            index += 1
        blocks.append(block)
    if len(blocks) > COMMANDS_MAX:
        raise ValueError(f"the script has {len(blocks)} commands; expected at most {COMMANDS_MAX}")
    return blocks, before


def run_script(path: str | Path, *, rewrite: bool = False) -> int:
    """Run a script and return the number of its commands. Raises AssertionError with a diff where the output differs."""
    text = Path(path).read_text(encoding="utf-8")
    blocks, after = parse_script(text)
    player = _Player()
    lines: list[str] = []
    for block in blocks:
        lines += [*block.before, block.command, *block.input, SEPARATOR, *player.play(block)]
    lines += after
    result = "\n".join(lines) + "\n"
    if rewrite:
        Path(path).write_text(result, encoding="utf-8")
    elif result != text:
        diff = unified_diff(text.splitlines(), result.splitlines(), f"{path} (expected)", "came out", lineterm="")
        raise AssertionError("\n".join(diff))
    return len(blocks)


class _Player:
    """Runs commands on one cluster."""

    def __init__(self) -> None:
        self._cluster: Cluster | None = None

    def play(self, block: Block) -> list[str]:
        name, *words = block.command.split()
        command = _COMMANDS.get(name)
        if command is None:
            raise ValueError(f"line {block.line}: there is no command {name!r}; expected one of {', '.join(_COMMANDS)}")
        try:
            if name == "cluster":
                options: dict[str, Any] = {key: int(value) for key, _, value in (word.partition("=") for word in words)}
                self._cluster = Cluster(**options)
                return [f"{len(self._cluster.config.nodes)} nodes"]
            if self._cluster is None:
                raise ValueError("the first command of a script is cluster")
            return list(command(self._cluster, words, "\n".join(block.input) + "\n"))
        except (ApiError, ManifestError, NotConverged, ValueError) as error:
            return [f"error: {line}" for line in str(error).splitlines()]


def _place(word: str) -> tuple[str, str]:
    namespace, _, name = word.rpartition("/")
    return name, namespace or "default"


def _apply(cluster: Cluster, words: Sequence[str], text: str) -> list[str]:
    return [f"{obj['kind']} {obj['metadata']['name']}" for obj in cluster.apply(text)]


def _scale(cluster: Cluster, words: Sequence[str], text: str) -> list[str]:
    kind, name, replicas = words
    cluster.scale(kind, _place(name)[0], int(replicas), _place(name)[1])
    return []


def set_image(cluster: Cluster, kind: str, name: str, image: str, namespace: str = "default") -> None:
    """Give the first container of a workload's template another image, by a patch as ``kubectl set image`` sends it."""
    container = cluster.get(kind, name, namespace)["spec"]["template"]["spec"]["containers"][0]["name"]
    cluster.patch(kind, name, {"spec": {"template": {"spec": {"containers": [{"name": container, "image": image}]}}}}, namespace)


def _set_image(cluster: Cluster, words: Sequence[str], text: str) -> list[str]:
    kind, place, image = words
    name, namespace = _place(place)
    set_image(cluster, kind, name, image, namespace)
    return []


def _delete(cluster: Cluster, words: Sequence[str], text: str) -> list[str]:
    cluster.delete(words[0], *_place(words[1]))
    return []


def _fail_node(cluster: Cluster, words: Sequence[str], text: str) -> list[str]:
    cluster.fail_node(words[0])
    return []


def _restore_node(cluster: Cluster, words: Sequence[str], text: str) -> list[str]:
    cluster.restore_node(words[0])
    return []


def _since_start(cluster: Cluster) -> list[str]:
    return [f"+{format_duration(cluster.kernel.now_ns - cluster.start_ns)}"]


def _run(cluster: Cluster, words: Sequence[str], text: str) -> list[str]:
    return _since_start(cluster.run_for(words[0]))


def _run_until(cluster: Cluster, words: Sequence[str], text: str) -> list[str]:
    return _since_start(cluster.run_until(" ".join(words)))


def _converge(cluster: Cluster, words: Sequence[str], text: str) -> list[str]:
    return _since_start(cluster.run_until_converged())


def _get(cluster: Cluster, words: Sequence[str], text: str) -> list[str]:
    obj = cluster.get(words[0], *_place(words[1]))
    return [f"{path}: {_value(obj, path)}" for path in words[2:]]


def _list(cluster: Cluster, words: Sequence[str], text: str) -> list[str]:
    return [" ".join([obj["metadata"]["name"], *(_value(obj, path) for path in words[1:])]) for obj in cluster.list(words[0])]


def _count(cluster: Cluster, words: Sequence[str], text: str) -> list[str]:
    counts = Counter(_value(obj, words[1]) for obj in cluster.list(words[0]))
    return [f"{count} {value}" for value, count in sorted(counts.items())]


def _events(cluster: Cluster, words: Sequence[str], text: str) -> list[str]:
    uid = cluster.get(words[0], *_place(words[1]))["metadata"]["uid"]
    found = [event for event in cluster.list("Event") if event["involvedObject"].get("uid") == uid]
    found.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
    return [f"{event['reason']}: {event['message']}" for event in found]


def _waits(cluster: Cluster, words: Sequence[str], text: str) -> list[str]:
    return [str(wait) for wait in cluster.waits()]


def _value(obj: Object, path: str) -> str:
    value = value_at(obj, path)
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, dict) and "type" in each and "status" in each for each in value):
        return ",".join(f"{each['type']}={each['status']}" for each in value)
    return shown(value)


_COMMANDS: dict[str, Callable[[Cluster, Sequence[str], str], list[str]]] = {
    "cluster": lambda cluster, words, text: [],
    "apply": _apply,
    "scale": _scale,
    "set-image": _set_image,
    "delete": _delete,
    "fail-node": _fail_node,
    "restore-node": _restore_node,
    "run": _run,
    "run-until": _run_until,
    "converge": _converge,
    "get": _get,
    "list": _list,
    "count": _count,
    "events": _events,
    "waits": _waits,
}
