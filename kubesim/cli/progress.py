"""Progress on a terminal: one line on stderr that follows virtual time, writes and running Pods; silence in a pipe."""

import sys
import time
from types import TracebackType
from typing import Any, Self

from kubesim.kernel.time import format_duration

INTERVAL_SECONDS = 0.1


class Progress:
    """A line that is redrawn at most ten times a second; the simulation calls ``update`` whenever it likes."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._status: Any = None
        self._started = time.perf_counter()
        self._next = 0.0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True).status("starting")
            self._status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._status is not None:
            self._status.stop()

    def update(self) -> None:
        """Redraw the line if it is time to."""
        if self._status is None:
            return
        now = time.perf_counter()
        if now < self._next:
            return
        self._next = now + INTERVAL_SECONDS
        cluster, seconds = self._cluster, now - self._started
        running = cluster.metrics.running_count
        passed = format_duration(cluster.kernel.now_ns - cluster.start_ns)
        self._status.update(
            f"virtual {passed} · {cluster.kernel.dispatched_count:,} events · {cluster.metrics.write_count:,} writes · "
            f"{running:,} Pods running ({running / seconds if seconds else 0:,.0f}/s)"
        )
