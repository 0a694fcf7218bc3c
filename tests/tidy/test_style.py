"""The house style, as far as a program can check it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for path in (ROOT / "kubesim").rglob("*.py") if path.stat().st_size)
STREET = ("drive", "cli", "server", "__main__.py")
AMBIENT = {"time", "random", "os", "threading", "asyncio", "socket", "uuid", "datetime", "secrets", "multiprocessing", "subprocess"}
CALENDARS = {"controllers/cronjob/zones.py"}  # time zones need the calendar of datetime, not its clock
NUMPY_ROOMS = ("scheduler", "observe", "workload", "testing")


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "kubesim").parts[0]


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), "a module starts with a docstring"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_street_touches_the_world(path: Path) -> None:
    if room_of(path) not in STREET:
        allowed = {"datetime"} if path.relative_to(ROOT / "kubesim").as_posix() in CALENDARS else set()
        assert not (imports(path) & AMBIENT) - allowed, "ambient time, randomness, environment, threads and sockets belong to floor 7"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_numpy_stays_in_its_rooms(path: Path) -> None:
    if room_of(path) not in NUMPY_ROOMS:
        assert "numpy" not in imports(path)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_notes_to_self(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text), "finish it, or write it into the table of deviations"


@pytest.mark.parametrize("path", sorted((ROOT / "kubesim" / "_core").glob("*.pyx")), ids=lambda path: path.name)
def test_a_compiled_module_has_its_stub(path: Path) -> None:
    assert path.with_suffix(".pyi").exists(), "each .pyx has a .pyi"
