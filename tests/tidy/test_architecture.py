"""ARCHITECTURE.md speaks of files and names: each must be there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
LIFE = TEXT.partition("## The life of a Pod")[2].partition("## Contracts")[0]
PLACES = sorted(set(re.findall(r"`([a-z_]+/[\w/.]+?\.pyx?)(?::([\w.]+))?`", LIFE)))


def test_the_life_of_a_pod_is_told() -> None:
    assert len(PLACES) > 20


@pytest.mark.parametrize(("path", "name"), PLACES, ids=lambda part: part or "file")
def test_a_place_exists(path: str, name: str) -> None:
    file = ROOT / path if path.startswith("tests/") else ROOT / "kubesim" / path
    assert file.exists(), f"{path} is named in ARCHITECTURE.md"
    source = file.read_text(encoding="utf-8")
    for part in filter(None, name.split(".")):
        assert re.search(rf"\b(class|def) {part}\b|^{part}\b", source, re.MULTILINE), f"{path} has no {part}"
