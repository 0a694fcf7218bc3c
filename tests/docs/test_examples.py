"""Every example runs, and every page in docs/ names one that exists; the index lists all pages."""

import re
from pathlib import Path
from runpy import run_path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
INDEX = (ROOT / "docs" / "README.md").read_text()
RUNNABLE = [name for name in EXAMPLES if f"`examples/{name}`" in INDEX]  # the others are plugins, or ask for a trace
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.name != "README.md")


@pytest.mark.parametrize("name", RUNNABLE)
def test_an_example_runs_and_says_something(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_path(str(ROOT / "examples" / name), run_name="example")["main"]()
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_names_an_example_that_exists_and_is_in_the_index(name: str) -> None:
    named = re.findall(r"examples/([\w/]+\.(?:py|yaml))", (ROOT / "docs" / name).read_text())
    assert named
    assert all((ROOT / "examples" / each).exists() for each in named)
    assert f"]({name})" in INDEX


def test_no_example_is_left_without_a_page() -> None:
    pages = "".join((ROOT / "docs" / name).read_text() for name in PAGES)
    assert [name for name in EXAMPLES if name not in pages] == []
