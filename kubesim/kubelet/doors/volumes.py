"""Volumes that the node serves itself, and the files in an emptyDir.

emptyDir, hostPath, configMap, secret, projected and downwardAPI need no driver: they are there as soon as what they refer to is there.
Everything else waits for a plugin of its kind. An emptyDir holds files as long as its Pod: a file is a list of lines with their times,
written one by one or by a writer that adds a line per period; such lines are only counted when somebody reads, so a container that
logs for a day costs nothing.

Upstream: pkg/kubelet/volumemanager, pkg/volume/{emptydir,configmap,secret,projected}.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from kubesim.apiserver.requests import Object
from kubesim.kubelet.facts import Need

LINES_MAX = 100_000  # per read
NEVER_NS = 2**62


class Line(NamedTuple):
    """One line of a file or of a log, and when it was written."""

    time_ns: int
    text: str


class _Writer:
    """Lines ``text`` at start + k * period until it is closed."""

    __slots__ = ("period_ns", "start_ns", "stop_ns", "text")

    def __init__(self, start_ns: int, period_ns: int, text: str) -> None:
        self.start_ns = start_ns
        self.period_ns = period_ns
        self.stop_ns = NEVER_NS
        self.text = text

    def close(self, now_ns: int) -> None:
        """Stop writing."""
        self.stop_ns = min(self.stop_ns, now_ns)

    def lines(self, after_ns: int, until_ns: int) -> list[Line]:
        """Lines written in (after_ns, until_ns]; at most LINES_MAX, the last ones."""
        last = (min(until_ns, self.stop_ns) - self.start_ns) // self.period_ns
        first = max(0, (after_ns - self.start_ns) // self.period_ns + 1, last - LINES_MAX + 1)
        return [Line(self.start_ns + k * self.period_ns, self.text.replace("%d", str(k))) for k in range(first, last + 1)]


class File:
    """One file: lines written singly and lines of writers, read back in the order of their times."""

    __slots__ = ("_single", "_writers")

    def __init__(self) -> None:
        self._single: list[Line] = []
        self._writers: list[_Writer] = []

    def append(self, now_ns: int, text: str) -> None:
        """Write one line."""
        self._single.append(Line(now_ns, text))

    def stream(self, now_ns: int, period_ns: int, text: str) -> Callable[[int], None]:
        """Write ``text`` (``%d``: the number of the line) now and every ``period_ns``; returns what stops it at a time."""
        if period_ns <= 0:
            raise ValueError(f"period_ns: {period_ns}: expected a positive number")
        writer = _Writer(now_ns, period_ns, text)
        self._writers.append(writer)
        return writer.close

    def read(self, until_ns: int, after_ns: int = -1) -> list[Line]:
        """The lines written in (after_ns, until_ns]. O(lines)."""
        lines = [line for line in self._single if after_ns < line.time_ns <= until_ns]
        for writer in self._writers:
            lines += writer.lines(after_ns, until_ns)
        return sorted(lines, key=lambda line: line.time_ns)[-LINES_MAX:]


class EmptyDirs:
    """The emptyDir volumes of one Pod: files by (volume, path inside it)."""

    __slots__ = ("_files",)

    def __init__(self) -> None:
        self._files: dict[tuple[str, str], File] = {}

    def file(self, volume: str, path: str) -> File:
        """The file, made when it is not there."""
        key = (volume, path.strip("/"))
        found = self._files.get(key)
        if found is None:
            found = self._files[key] = File()
        return found

    def paths(self, volume: str) -> list[str]:
        """The files of a volume."""
        return [path for name, path in self._files if name == volume]


def locate(container: Object, path: str, volumes: tuple[str, ...]) -> tuple[str, str] | None:
    """(volume, path inside it) of a path in a container, by the longest mount that covers it; None when it is in none of ``volumes``."""
    best: Object | None = None
    for mount in container.get("volumeMounts") or ():
        root = mount["mountPath"].rstrip("/")
        if (path == root or path.startswith(root + "/")) and (best is None or len(root) > len(best["mountPath"].rstrip("/"))):
            best = mount
    if best is None or best["name"] not in volumes:
        return None
    inside = path[len(best["mountPath"].rstrip("/")) :]
    return best["name"], f"{best.get('subPath', '')}/{inside}".replace("//", "/").strip("/")


class Missing(NamedTuple):
    """Something a Pod waits for: a sentence of upstream's, and the object (``resource`` is empty when it is not an object)."""

    message: str
    resource: str
    key: str


def missing_of(needs: tuple[Need, ...], namespace: str, caches: Mapping[str, Mapping[str, Object]]) -> list[Missing]:
    """What is not there yet, in the order of the spec, each thing once. ``caches``: objects by key, per resource."""
    found: dict[str, Missing] = {}
    for need in needs:
        key = f"{namespace}/{need.name}"
        obj = caches[need.resource].get(key)
        singular = need.resource[:-1]
        if obj is None:
            message = f'{singular} "{need.name}" not found'
        elif need.key and need.key not in (obj.get("data") or {}) and need.key not in (obj.get("binaryData") or {}):
            message = (
                f"references non-existent {'config' if singular == 'configmap' else 'secret'} key: {need.key}"
                if need.volume
                else f"couldn't find key {need.key} in {'ConfigMap' if singular == 'configmap' else 'Secret'} {key}"
            )
        else:
            continue
        text = f'MountVolume.SetUp failed for volume "{need.volume}" : {message}' if need.volume else message
        found.setdefault(text, Missing(text, need.resource, key))
    return list(found.values())


def unserved_reason(volume: Object, namespace: str) -> str:
    """Why a volume of a kind that the node does not serve is not there, for whoever asks what a Pod waits for."""
    name = volume["name"]
    claim = volume.get("persistentVolumeClaim")
    if claim is not None:
        return f'volume "{name}" waits for PersistentVolumeClaim {namespace}/{claim["claimName"]} to be provisioned and attached'
    if "ephemeral" in volume:
        return f'volume "{name}" waits for its ephemeral PersistentVolumeClaim to be provisioned and attached'
    kinds = ", ".join(key for key in volume if key != "name") or "no source"
    return f'volume "{name}" waits for a driver of {kinds}'


