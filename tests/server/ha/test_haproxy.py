"""Two ``kubesim serve`` behind haproxy on a three-member etcd: whatever is killed, nothing acknowledged is lost, and kubectl goes on."""

import shutil
import subprocess
from pathlib import Path

import pytest

from kubesim.server.http_client import Client
from tests.server.ha.kills import MAPS, haproxy, kill_in_turn, lost, world

pytestmark = pytest.mark.skipif(not haproxy(), reason="haproxy is not installed (tools/debian_packages.sh)")
WRITES = 150  # make soak: 5,000


def test_each_process_is_killed_in_turn_and_nothing_is_lost(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        rows, writers = kill_in_turn(there, WRITES)
        assert [row.victim for row in rows] == ["apiserver-1", "apiserver-2", "etcd-0", "etcd-1", "etcd-2"]
        assert len(writers.acknowledged) >= WRITES
        assert lost(there, writers) == []
        assert writers.refusals == []
        uids = [uid for uid, _ in writers.acknowledged.values()]
        versions = [version for _, version in writers.acknowledged.values()]
        assert len(set(uids)) == len(set(versions)) == len(writers.acknowledged)
        _a_write_is_read_at_the_other(there.servers[0].kubeconfig, there.servers[1].kubeconfig)
        if shutil.which("kubectl"):
            there.servers[0].kill()
            command = ["kubectl", "--kubeconfig", str(there.kubeconfig), "get", "namespace", "default", "-o", "name"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert done.stdout == "namespace/default\n", done.stderr


def _a_write_is_read_at_the_other(one: Path, other: Path) -> None:
    """What one server has acknowledged the other shows at once, in reads, lists and watches, and refuses stale writes."""
    first, second = Client.of(one), Client.of(other)
    watch = second.watch(f"{MAPS}?resourceVersion={second.get(MAPS)['metadata']['resourceVersion']}")
    for number in range(5):
        made = first.post(MAPS, {"metadata": {"name": f"seen-{number}"}, "data": {"n": "0"}})
        assert second.get(f"{MAPS}/seen-{number}") == made
        changed = second.put(f"{MAPS}/seen-{number}", {**made, "data": {"n": "1"}})
        assert first.get(f"{MAPS}/seen-{number}") == changed
    seen = [next(watch) for _ in range(10)]
    watch.close()
    assert [event["type"] for event in seen] == ["ADDED", "MODIFIED"] * 5
    first.close()
    second.close()
