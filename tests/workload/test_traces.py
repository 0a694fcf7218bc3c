"""Traces: reading openb's files, replaying them on a cluster, the shares of GPUs, allocation over time."""

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubesim.scheduler import SchedulingEngine
from kubesim.workload.traces import read_openb

ROOT = Path(__file__).resolve().parents[2]
OPENB = ROOT.parent / "shared" / "inputs" / "traces" / "openb"
NODES = "sn,cpu_milli,memory_mib,gpu,model\nn0,32000,262144,0,\nn1,8000,16384,2,T4\n"
PODS = """name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time
a,1000,1024,1,600,,LS,Running,0,500,0
b,1000,1024,1,600,,LS,Running,10,400,10
c,1000,1024,1,400,T4|P100,LS,Running,20,100,20
d,1000,1024,1,1000,,LS,Running,30,900,30
e,1000,1024,0,0,,LS,Running,40,60,40
"""
Object = dict[str, Any]


def example(name: str) -> Any:
    """A module of examples/, which is no package."""
    sys.path.insert(0, str(ROOT / "examples"))
    try:
        spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


gpu_share = example("gpu_share")
openb = example("openb")


def files(tmp_path: Path, nodes: str = NODES, pods: str = PODS) -> tuple[Path, Path]:
    found = tmp_path / "nodes.csv", tmp_path / "pods.csv"
    for path, text in zip(found, (nodes, pods)):
        path.write_text(text)
    return found


def test_a_trace_is_replayed_and_its_allocation_told(tmp_path: Path) -> None:
    cluster, allocation = openb.run(read_openb(*files(tmp_path)))
    start = cluster.start_ns
    rows = {round((time - start) / 1e9, 3): row for time, row in zip(allocation.times_ns, allocation.rows)}
    assert allocation.columns == ("pending", "bound", "cpu_milli", "memory_mib", "gpu_milli")
    assert rows[0.001] == (0, 1, 1000, 1024, 600)
    assert rows[10.001] == (0, 2, 2000, 2048, 1200)
    assert rows[20.001] == (0, 3, 3000, 3072, 1600), "the third share fills the rest of a GPU"
    assert rows[30.0][:2] == (1, 3), "no GPU is whole any more: d waits"
    assert rows[400.0][:2] == (1, 1)
    assert rows[400.001] == (0, 2, 2000, 2048, 1600), "b is gone: d has its GPU"
    assert rows[900.0] == (0, 0, 0, 0, 0)
    lines = allocation.csv(start).splitlines()
    assert lines[0] == "seconds,pending,bound,cpu_milli,memory_mib,gpu_milli"
    assert lines[1:3] == ["0.000,1,0,0,0,0", "0.001,0,1,1000,1024,600"]
    svg = allocation.svg({"cpu_milli": 40_000, "gpu_milli": 2000}, "a < b", start)
    assert svg.count("<polyline") == 2
    assert "a &lt; b" in svg
    points = re.findall(r'points="([^"]+)"', svg)[1].split()
    assert len(points) == len(allocation.rows)


BAD = {
    "no file": (NODES, None, "pods.csv: cannot be read: No such file or directory; expected a CSV file"),
    "a missing column": ("sn,cpu\n", PODS, "nodes.csv:1: column 'cpu_milli' is missing; expected sn, cpu_milli, memory_mib, gpu, model"),
    "no number": (NODES, PODS.replace("b,1000", "b,one"), "pods.csv:3: cpu_milli: 'one'; expected a number"),
    "below zero": (NODES.replace("8000", "-8"), PODS, "nodes.csv:3: cpu_milli: -8; expected 0 or more"),
}


@pytest.mark.parametrize(("nodes", "pods", "message"), BAD.values(), ids=BAD)
def test_a_wrong_file_is_named(tmp_path: Path, nodes: str, pods: str | None, message: str) -> None:
    paths = files(tmp_path, nodes, pods or "")
    if pods is None:
        paths[1].unlink()
    with pytest.raises(ValueError, match=re.escape(message)):
        read_openb(*paths)


@pytest.mark.shared
@pytest.mark.skipif(not OPENB.is_dir(), reason="the openb trace is not beside the checkout")
def test_a_slice_of_the_real_trace() -> None:
    trace = read_openb(OPENB / "openb_node_list_gpu_node.csv.gz", OPENB / "openb_pod_list_gpuspec33.csv.gz", 150)
    assert (len(trace.nodes), len(trace.stays)) == (1213, 150)
    cluster, allocation = openb.run(trace)
    assert cluster.metrics.latencies()["create_to_scheduled"]["count"] == 150
    assert allocation.rows[-1] == (0, 0, 0, 0, 0), "everybody has left"
    assert max(row[4] for row in allocation.rows) > 0


def gpu_pod(name: str, whole: int, milli: int) -> Object:
    requests = {"nvidia.com/gpu": str(whole)} if whole else {}
    metadata: Object = {"name": name, "labels": {"gpu-share/milli": str(milli)} if milli else {}}
    return {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "a", "resources": {"requests": requests}}]}}


def gpu_node(name: str, gpus: int) -> Object:
    return {"metadata": {"name": name}, "status": {"allocatable": {"cpu": "8", "pods": "99", "nvidia.com/gpu": str(gpus)}}}


demands = st.one_of(st.tuples(st.integers(1, 3), st.just(0)), st.tuples(st.just(0), st.sampled_from([100, 300, 500, 700])))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.lists(st.tuples(demands, st.booleans()), max_size=25))
def test_gpus_are_never_shared_beyond_their_whole(gpus: list[int], steps: list[tuple[tuple[int, int], bool]]) -> None:
    """Against a plain model of every GPU; and the vectorised answers against the twins, after every step."""
    engine = SchedulingEngine(plugins=[gpu_share.GpuShare])
    for index, count in enumerate(gpus):
        engine.add_node(gpu_node(f"n{index}", count))
    framework = engine.frameworks["default-scheduler"]
    plugin = next(plugin for plugin in framework.plugins if plugin.name == "GpuShare")
    free = {(f"n{index}", device): 1000 for index, count in enumerate(gpus) for device in range(count)}
    placed: list[tuple[Object, str, list[int], int]] = []
    for number, ((whole, milli), leaves) in enumerate(steps):
        decision = engine.schedule(gpu_pod(f"p{number}", whole, milli))
        for wanted in ((1, 0), (2, 0), (0, 300), (whole, milli)):
            rows = np.arange(engine.table.row_count)
            assert plugin.filter(wanted, None).tolist() == [plugin.filter_row(wanted, row) for row in rows]
            assert plugin.score(wanted, rows).tolist() == [plugin.score_row(wanted, row) for row in rows]
        if decision.node_name:
            request = plugin.bind(decision.pod, decision.pod.row)
            devices = [int(text) for text in request.obj["metadata"]["annotations"]["gpu-share/devices"].split(",")]
            taken = 1000 if whole else milli
            assert len(devices) == max(whole, 1)
            for device in devices:
                free[decision.node_name, device] -= taken
                assert free[decision.node_name, device] >= 0
            placed.append((decision.pod.obj, decision.node_name, devices, taken))
        else:
            fits = [sum(left == 1000 for (name, _), left in free.items() if name == node) >= whole > 0 for node in {n for n, _ in free}]
            assert not any(fits) and not (milli and any(left >= milli for left in free.values()))
        if leaves and placed:
            obj, node, devices, taken = placed.pop(0)
            engine.cache.remove(engine.memo.info(obj))
            for device in devices:
                free[node, device] += taken
    engine.check()
