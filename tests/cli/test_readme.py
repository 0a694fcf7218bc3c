"""README.md says nothing that does not run: its Python, its commands, the files it names, the public names."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

import kubesim
from kubesim.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


TESTS = [block for block in blocks("python") if "(kubesim)" in block]
SCRIPTS = [block for block in blocks("python") if block not in TESTS]
PRINTED = ["{'Running': 40}", "3 node(s) had three Pods of the team"]  # what each example prints
COMMANDS = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]


def test_there_is_something_to_run() -> None:
    assert len(SCRIPTS) == len(PRINTED)
    assert len(TESTS) == 1
    assert len(COMMANDS) >= 4


@pytest.mark.parametrize(("number", "text"), list(enumerate(PRINTED)), ids=PRINTED)
def test_a_python_example_runs(number: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(SCRIPTS[number], "README.md", "exec"), {"__name__": "readme"})
    assert text in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # kopf leaves a connection to the collector now and then
@pytest.mark.parametrize("name", re.findall(r"def (test_\w+)", "".join(TESTS)))
def test_a_test_runs(name: str, kubesim_factory: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    if "kopf" in TESTS[0]:
        pytest.importorskip("kopf", reason="kubesim[clients] is not installed")
        pytest.importorskip("kubernetes", reason="kubesim[clients] is not installed")
    monkeypatch.chdir(ROOT)
    found: dict[str, Callable[[object], None]] = {}
    exec(compile(TESTS[0], "README.md", "exec"), found)
    found[name](kubesim_factory())
    assert TESTS[0].count("\n") < 20


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    name, *arguments = shlex.split(command)
    assert name == "kubesim"
    assert main(arguments) == 0
    assert capsys.readouterr().err == ""


def test_the_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"^make (\w+)", README, re.MULTILINE))
    assert named and named <= targets


def test_the_folders_of_the_table_exist() -> None:
    for path in re.findall(r"`(kubesim/[a-z_/]+)<", README):
        assert (ROOT / path).is_dir(), path


def test_every_public_name_is_documented() -> None:
    assert dir(kubesim) == sorted(kubesim.__all__)
    for name in kubesim.__all__:
        value = getattr(kubesim, name)
        assert name == "__version__" or (value.__doc__ and not value.__doc__.startswith(f"{name}(")), name
    public = [getattr(kubesim.Cluster, name) for name in dir(kubesim.Cluster) if not name.startswith("_")]
    assert all(value.__doc__ for value in public)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = kubesim.Nothing
