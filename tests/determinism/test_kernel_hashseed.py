"""The same seed gives the same digest in another process under another PYTHONHASHSEED; another seed gives another."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("kernel_script.py")


def output(seed: int, hash_seed: int) -> str:
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, str(SCRIPT), str(seed)], env=environment, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_the_digest_depends_on_the_seed_only() -> None:
    first = output(3, 1)
    assert int(first.split()[0]) > 200
    assert first == output(3, 2)
    assert first != output(4, 1)


def test_an_order_taken_from_a_set_would_be_noticed() -> None:
    assert len({output(-1, hash_seed) for hash_seed in range(1, 4)}) > 1


def test_the_digest_is_the_same_on_every_machine() -> None:
    assert output(3, 1) == "267 e1c031504caa2d39542b10796035a352"
