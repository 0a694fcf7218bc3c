"""Count the writes of a run and time each Pod from its creation to Running, from the apiserver's audit hook.

One call per write, no object is kept. A Pod's times are virtual; percentiles are nearest-rank (an observed value, never between two).
"""

from array import array
from collections import Counter, defaultdict
from typing import Any

import numpy as np

from kubesim.apiserver.requests import Object, Request

POD_RESOURCE = "pods"


class Metrics:
    """Counts and latencies of one run; ``on_write`` is an audit function."""

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[str, str, str, str], int] = defaultdict(int)  # (user, verb, resource, subresource)
        self._created_ns: dict[str, int] = {}  # uid of a Pod that is not Running yet
        self._scheduled_ns = array("q")
        self._running_ns = array("q")

    def on_write(self, time_ns: int, request: Request, obj: Object, revision: int) -> None:
        """Count one write."""
        resource = request.resource
        self._counts[request.user, request.verb, resource, request.subresource] += 1
        if resource == POD_RESOURCE:
            self._on_pod(time_ns, request.verb, request.subresource, obj)

    def _on_pod(self, time_ns: int, verb: str, subresource: str, obj: Object) -> None:
        if subresource == "status":
            created_ns = self._created_ns.get(obj["metadata"]["uid"])
            if created_ns is not None and obj["status"].get("phase") == "Running":
                self._running_ns.append(time_ns - created_ns)
                del self._created_ns[obj["metadata"]["uid"]]
        elif subresource == "binding":
            created_ns = self._created_ns.get(obj["metadata"].get("uid", ""))
            if created_ns is not None:
                self._scheduled_ns.append(time_ns - created_ns)
        elif not subresource and verb == "create":
            self._created_ns[obj["metadata"]["uid"]] = time_ns
        elif verb == "delete":
            self._created_ns.pop(obj["metadata"].get("uid", ""), None)

    @property
    def running_count(self) -> int:
        """How many Pods have become Running so far."""
        return len(self._running_ns)

    @property
    def write_count(self) -> int:
        """How many writes there were."""
        return sum(self._counts.values())

    def writes(self) -> dict[str, dict[str, int]]:
        """Writes as ``{"pods": {"create": 10, "update status": 30}}``, in alphabetical order."""
        table: dict[str, dict[str, int]] = {}
        for (_, verb, resource, subresource), count in sorted(self._counts.items()):
            row = table.setdefault(resource, {})
            operation = f"{verb} {subresource}".strip()
            row[operation] = row.get(operation, 0) + count
        return {resource: dict(sorted(row.items())) for resource, row in sorted(table.items())}

    def writes_by_component(self) -> dict[str, int]:
        """Writes of each user of the apiserver, in alphabetical order."""
        totals: Counter[str] = Counter()
        for (user, *_), count in self._counts.items():
            totals[user or "unknown"] += count
        return dict(sorted(totals.items()))

    def latencies(self) -> dict[str, dict[str, Any]]:
        """Percentiles in virtual seconds: ``create_to_scheduled`` and ``create_to_running``; the values are None before the first Pod."""
        return {"create_to_scheduled": percentiles(self._scheduled_ns), "create_to_running": percentiles(self._running_ns)}


def percentiles(values_ns: array) -> dict[str, Any]:
    """Count, p50, p99 and maximum, in seconds, of latencies in nanoseconds."""
    if not values_ns:
        return {"count": 0, "p50_seconds": None, "p99_seconds": None, "max_seconds": None}
    values = np.frombuffer(values_ns, dtype=np.int64)
    p50, p99, top = np.percentile(values, (50, 99, 100), method="inverted_cdf")
    return {"count": len(values), "p50_seconds": int(p50) / 1e9, "p99_seconds": int(p99) / 1e9, "max_seconds": int(top) / 1e9}
