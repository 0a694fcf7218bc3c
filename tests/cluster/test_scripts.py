"""Whole-cluster behaviour: the scripts of tests/scripts. ``--rewrite-scripts`` writes what came out into them."""

from pathlib import Path

import pytest

from kubesim.testing.scripts import run_script

SCRIPTS = sorted((Path(__file__).resolve().parents[1] / "scripts").glob("*.txt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path, request: pytest.FixtureRequest) -> None:
    assert run_script(path, rewrite=request.config.getoption("--rewrite-scripts")) > 1
