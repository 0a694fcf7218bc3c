"""Replay the openb trace (a production GPU cluster: 1,523 nodes, 8,152 Pods in 149 days) through a whole cluster, in virtual time.

    python examples/openb.py FOLDER [--pods N] [--out DIRECTORY]

FOLDER holds openb_node_list_all_node.csv and openb_pod_list_default.csv (or .csv.gz), of github.com/alibaba/clusterdata
(cluster-trace-gpu-v2023). Writes allocation.csv and allocation.svg, and prints a summary.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gpu_share import GpuShare

from kubesim import Cluster
from kubesim.api import quantity
from kubesim.apiserver.requests import Request
from kubesim.observe.allocation import Allocation, totals_of
from kubesim.scheduler import PluginConfig, Profile, SchedulerConfig
from kubesim.scheduler.profile import DEFAULT_PLUGINS
from kubesim.workload.traces import GPU, SHARE_LABEL, WHOLE, Trace, read_openb, replay

COLUMNS = ("cpu_milli", "memory_mib", "gpu_milli")
Object = dict[str, Any]


def main() -> None:
    """Parse the command line, replay, write."""
    parser = argparse.ArgumentParser(description="Replay the openb trace.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pods", type=int, default=None, help="the first Pods only")
    parser.add_argument("--out", type=Path, default=Path())
    arguments = parser.parse_args()
    started = time.perf_counter()
    try:
        trace = read_openb(
            find(arguments.folder, "openb_node_list_all_node.csv"), find(arguments.folder, "openb_pod_list_default.csv"), arguments.pods
        )
    except ValueError as error:
        print(f"openb: {error}", file=sys.stderr)
        sys.exit(2)
    cluster, allocation = run(trace)
    totals = totals_of(trace.nodes, COLUMNS, node_amounts)
    picture = allocation.svg(totals, "openb: share of all that is allocated", cluster.start_ns)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "allocation.csv").write_text(allocation.csv(cluster.start_ns), encoding="utf-8")
    (arguments.out / "allocation.svg").write_text(picture, encoding="utf-8")
    latencies = cluster.metrics.latencies()["create_to_scheduled"]
    print(f"{len(trace.stays)} Pods on {len(trace.nodes)} nodes, {cluster.virtual_seconds / 86400:.1f} virtual days")
    print(f"bound {latencies['count']}, waited at most {latencies['max_seconds']} s; digest {cluster.digest}")
    for name, total in totals.items():
        peak = max((row[allocation.columns.index(name)] for row in allocation.rows), default=0)
        print(f"{name}: at most {peak} of {total} ({100 * peak / total:.1f} %)")
    print(f"{time.perf_counter() - started:.2f} s of wall time; allocation.csv and allocation.svg are in {arguments.out.resolve()}")


def find(folder: Path, name: str) -> Path:
    """The file, or its gzipped form."""
    packed = folder / f"{name}.gz"
    return packed if packed.exists() else folder / name


def run(trace: Trace) -> tuple[Cluster, Allocation]:
    """Replay the trace to its end."""
    own = (PluginConfig(GpuShare.name, GpuShare.weight), *DEFAULT_PLUGINS)  # first: it binds the Pods that have GPUs
    config = SchedulerConfig(profiles=(Profile(plugins=own),))
    cluster = Cluster(nodes=trace.nodes, timeline_entries_max=0, scheduler_config=config, scheduler_plugins=[GpuShare])
    allocation = Allocation(COLUMNS, pod_amounts)
    cluster.apiserver.audit.append(allocation.on_write)

    def send(request: Request) -> None:
        request.user = "trace"
        cluster.apiserver.call(request)

    replay(cluster.kernel, send, trace.stays)
    cluster.run_until_converged(timeout="10000h")
    return cluster, allocation


def pod_amounts(pod: Object) -> dict[str, int]:
    """What a bound Pod holds."""
    requests = pod["spec"]["containers"][0]["resources"]["requests"]
    gpu_milli = int(requests.get(GPU, 0)) * WHOLE + int(pod["metadata"].get("labels", {}).get(SHARE_LABEL, 0))
    return {**amounts(requests), "gpu_milli": gpu_milli}


def node_amounts(node: Object) -> dict[str, int]:
    """What a node has."""
    capacity = node["status"]["capacity"]
    return {**amounts(capacity), "gpu_milli": int(capacity.get(GPU, 0)) * WHOLE}


def amounts(texts: Object) -> dict[str, int]:
    """cpu and memory of a list of resources."""
    return {"cpu_milli": quantity.milli_value(texts["cpu"]), "memory_mib": quantity.value(texts["memory"]) >> 20}


if __name__ == "__main__":
    main()
