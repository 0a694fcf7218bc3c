"""One seed, one history: the same digest in another process and under another hash seed; another seed, another digest."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubesim import Cluster
from kubesim.testing.builders import deployment, service
from kubesim.testing.scripts import set_image

ROOT = Path(__file__).resolve().parents[2]


def digest_of_a_process(hash_seed: str, seed: int = 3) -> str:
    command = [sys.executable, "-m", "kubesim", "run", "--json", "--nodes", "7", "--pods", "150", "--seed", str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed})
    return json.loads(done.stdout)["digest"]


def test_the_digest_does_not_depend_on_the_process() -> None:
    digests = {digest_of_a_process(hash_seed) for hash_seed in ("1", "2", "random")}
    assert len(digests) == 1
    assert digest_of_a_process("1", seed=4) not in digests


def eventful(seed: int, **options: bool) -> tuple[str, str]:
    """A history with an update, a failure, a return and a deletion: the digests half way and at the end."""
    with Cluster(nodes=4, seed=seed, **options) as cluster:
        cluster.apply([deployment("a", 6), deployment("b", 3), service("a")])
        cluster.run_for("5s")
        set_image(cluster, "Deployment", "a", "docker.io/library/redis:7.4")
        half = cluster.digest
        cluster.fail_node("node-2")
        cluster.run_for("7m")
        cluster.restore_node("node-2")
        cluster.delete("Deployment", "b")
        cluster.run_until_converged()
        return half, cluster.digest


@pytest.mark.parametrize("options", [{}, {"shuffle_ties": True}, {"debug": True}], ids=str)
def test_the_same_calls_give_the_same_history(options: dict[str, bool]) -> None:
    assert eventful(1, **options) == eventful(1, **options)


def test_other_seeds_give_other_histories() -> None:
    assert len({eventful(seed)[1] for seed in range(4)}) == 4


def test_freezing_objects_changes_nothing() -> None:
    assert eventful(5) == eventful(5, debug=True)
