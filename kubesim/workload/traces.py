"""Traces of real clusters: what came when and how long it stayed, as objects with times; and their replay on a cluster.

``read_openb`` reads the CSV files of alibaba/clusterdata's GPU trace of 2023 (``openb_node_list_*.csv``, ``openb_pod_list_*.csv``, also
gzipped). Whole GPUs become the extended resource ``nvidia.com/gpu``; a share of one GPU becomes the label ``gpu-share/milli``, for a
scheduler plugin that understands it (examples/gpu_share.py).
"""

import csv
import gzip
import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kubesim.apiserver.requests import Object, Request, create, delete
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import SECOND

GPU, SHARE_LABEL, MODEL_LABEL = "nvidia.com/gpu", "gpu-share/milli", "gpu-share/model"
WHOLE = 1000  # thousandths of a GPU
NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
POD_COLUMNS = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec", "creation_time", "deletion_time")


class Stay(NamedTuple):
    """One Pod of a trace: when it comes and goes, in ns since the start (gone: None, it stays)."""

    come_ns: int
    gone_ns: int | None
    pod: Object


class Trace(NamedTuple):
    """Nodes, and the stays of Pods by the time they come."""

    nodes: list[Object]
    stays: list[Stay]


def read_openb(nodes: str | Path, pods: str | Path, limit: int | None = None) -> Trace:
    """Read the trace; ``limit`` takes the first Pods only. Raises ValueError that names file, line, column and value."""
    specs: dict[tuple[str, ...], tuple[Object, Object]] = {}
    stays = [_stay(row, f"{pods}:{number}", specs) for number, row in _rows(pods, POD_COLUMNS, limit)]
    return Trace([_node(row, f"{nodes}:{number}") for number, row in _rows(nodes, NODE_COLUMNS)], sorted(stays, key=lambda s: s.come_ns))


def _rows(path: str | Path, columns: Sequence[str], limit: int | None = None) -> Iterator[tuple[int, Mapping[str, str]]]:
    """(line number, row by column)."""
    try:
        raw = Path(path).read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8"
        raise ValueError(f"{path}: cannot be read: {reason}; expected a CSV file") from error
    reader = csv.DictReader(text.splitlines())
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(f"{path}:1: column {missing[0]!r} is missing; expected {', '.join(columns)}")
    for count, row in enumerate(reader):
        if limit is not None and count >= limit:
            return
        yield count + 2, row


def _number(row: Mapping[str, str], column: str, place: str) -> int:
    try:
        value = int(float(row[column]))
    except (TypeError, ValueError):
        raise ValueError(f"{place}: {column}: {row[column]!r}; expected a number") from None
    if value < 0:
        raise ValueError(f"{place}: {column}: {value}; expected 0 or more")
    return value


def _node(row: Mapping[str, str], place: str) -> Object:
    gpus = _number(row, "gpu", place)
    amounts = {"cpu": f"{_number(row, 'cpu_milli', place)}m", "memory": f"{_number(row, 'memory_mib', place)}Mi", "pods": "110"}
    labels = {}
    if gpus:
        amounts[GPU] = str(gpus)
        labels[MODEL_LABEL] = row["model"]
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": row["sn"], "labels": labels}, "status": {"capacity": amounts}}


def _stay(row: Mapping[str, str], place: str, specs: dict[tuple[str, ...], tuple[Object, Object]]) -> Stay:
    """One row; Pods that ask for the same share one spec, as those of a template do: what is worked out of it is worked out once."""
    key = tuple(row[column] for column in ("cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec"))
    if key not in specs:
        specs[key] = _labels_and_spec(row, place)
    labels, spec = specs[key]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": row["name"], "namespace": "default", "labels": labels}, "spec": spec}
    gone_ns = _number(row, "deletion_time", place) * SECOND if row["deletion_time"] else None
    return Stay(_number(row, "creation_time", place) * SECOND, gone_ns, pod)


def _labels_and_spec(row: Mapping[str, str], place: str) -> tuple[Object, Object]:
    requests = {"cpu": f"{_number(row, 'cpu_milli', place)}m", "memory": f"{_number(row, 'memory_mib', place)}Mi"}
    gpus, milli = _number(row, "num_gpu", place), _number(row, "gpu_milli", place)
    labels = {}
    if gpus == 1 and 0 < milli < WHOLE:
        labels[SHARE_LABEL] = str(milli)
    elif gpus:
        requests[GPU] = str(gpus)
    limits = {GPU: requests[GPU]} if GPU in requests else {}
    spec: Object = {
        "containers": [{"name": "main", "image": "trace:1", "resources": {"requests": requests, "limits": limits}}],
        "terminationGracePeriodSeconds": 0,
    }
    if row["gpu_spec"]:
        expression = {"key": MODEL_LABEL, "operator": "In", "values": row["gpu_spec"].split("|")}
        required = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
        spec["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    return labels, spec


def replay(kernel: Kernel, send: Callable[[Request], Any], stays: Sequence[Stay]) -> None:
    """Let the Pods come and go at their times, counted from now; the kernel has to be run. One event is in the agenda at a time."""
    start_ns = kernel.now_ns
    departures: list[tuple[int, int]] = []  # (time, number of the stay)
    arrivals = iter(enumerate(stays))
    pending = next(arrivals, None)

    def go() -> None:
        nonlocal pending
        now_ns = kernel.now_ns - start_ns
        while pending is not None and pending[1].come_ns <= now_ns:
            number, stay = pending
            send(create("pods", stay.pod["metadata"]["namespace"], stay.pod))
            if stay.gone_ns is not None:
                heapq.heappush(departures, (max(stay.gone_ns, stay.come_ns + SECOND), number))
            pending = next(arrivals, None)
        while departures and departures[0][0] <= now_ns:
            metadata = stays[heapq.heappop(departures)[1]].pod["metadata"]
            send(delete("pods", metadata["namespace"], metadata["name"]))
        plan()

    def plan() -> None:
        times = [pending[1].come_ns] if pending is not None else []
        times += [departures[0][0]] if departures else []
        if times:
            kernel.at(start_ns + min(times), go)

    plan()
