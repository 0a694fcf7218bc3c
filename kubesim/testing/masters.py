"""What a control plane of several masters is worth when something fails: a client that writes all the time, and a row of the kill table."""

from typing import Any, NamedTuple

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Request
from kubesim.cluster.cluster import Cluster
from kubesim.cluster.masters import Masters
from kubesim.kernel.time import MILLISECOND, SECOND

UNDO = {"kill": "restart", "pause": "resume", "isolate": "rejoin"}


class Prober:
    """A client that creates one ConfigMap after the other, each once, and remembers what it was told."""

    def __init__(self, cluster: Cluster, name: str = "prober") -> None:
        assert isinstance(cluster.parts, Masters), "expected a cluster of several masters"
        self.cluster = cluster
        self.name = name
        self.link = cluster.parts.link(name)
        self.tried_count = self.acknowledged_count = self.failed_count = 0
        self.acknowledged: dict[str, int] = {}  # name -> when
        self.failed_last_ns = -1

    def write(self) -> None:
        """Send one more."""
        name = f"{self.name}-{self.tried_count}"
        self.tried_count += 1
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": {"name": name}}

        def done(outcome: Any) -> None:
            if isinstance(outcome, ApiError):
                self.failed_count += 1
                self.failed_last_ns = self.cluster.kernel.now_ns
            else:
                self.acknowledged_count += 1
                self.acknowledged[name] = self.cluster.kernel.now_ns

        self.link.ask(Request("create", "configmaps", "default", name, body), done)

    def run(self, count: int, pause_ns: int) -> None:
        """Send ``count`` at this pace."""
        for _ in range(count):
            self.write()
            self.cluster.run_for(pause_ns)

    def lost(self) -> list[str]:
        """What was acknowledged and is not there."""
        there = {obj["metadata"]["name"] for obj in self.cluster.list("ConfigMap", "default")}
        return sorted(self.acknowledged.keys() - there)


class KillRow(NamedTuple):
    """One row of the kill table. ``recovery_ns``: from the fault to the first write that is acknowledged for good."""

    fault: str
    host: str
    down_seconds: float
    tried: int
    acknowledged: int
    failed: int
    retried: int
    lost: int
    recovery_ns: int


def kill_row(cluster: Cluster, fault: str, host: str, down_seconds: float = 30.0, requests: int = 600) -> KillRow:
    """Write all the time, let ``fault`` (kill, pause, isolate) befall a host, undo it, and count."""
    prober = Prober(cluster)
    pace_ns = int(down_seconds * 1.5 * SECOND) // requests
    prober.run(requests // 6, pace_ns)
    hit_ns = cluster.kernel.now_ns
    getattr(cluster.hosts[host], fault)()
    prober.run(requests * 4 // 6, pace_ns)
    getattr(cluster.hosts[host], UNDO[fault])()
    prober.run(requests - prober.tried_count, pace_ns)
    cluster.run_for("20s")
    last_ns = max(prober.failed_last_ns, hit_ns)
    first_ns = min((time_ns for time_ns in prober.acknowledged.values() if time_ns >= last_ns), default=1 << 62)
    return KillRow(
        fault,
        host,
        down_seconds,
        prober.tried_count,
        prober.acknowledged_count,
        prober.failed_count,
        prober.link.retried_count,
        len(prober.lost()),
        first_ns - hit_ns,
    )


def print_table(seed: int = 0) -> int:
    """Print the kill table of three masters; return how many writes were lost."""
    columns = "{:8} {:10} {:>7} {:>6} {:>6} {:>7} {:>8} {:>5} {:>10}"
    print(columns.format("fault", "host", "down s", "tried", "acked", "failed", "retried", "lost", "recovered"))
    lost = 0
    for fault in UNDO:
        for host in ("master-1", "master-2", "master-3", "lb-1", "lb-2"):
            row = kill_row(Cluster(nodes=2, control_planes=3, seed=seed), fault, host)
            lost += row.lost
            recovery = f"{row.recovery_ns / SECOND:.3f} s" if row.recovery_ns >= MILLISECOND else "at once"
            print(columns.format(*row[:2], f"{row.down_seconds:g}", *row[3:8], recovery), flush=True)
    return lost


if __name__ == "__main__":
    raise SystemExit(1 if print_table() else 0)
