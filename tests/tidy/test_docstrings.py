"""Every public class, function and method of kubesim says what it does; what fulfils a contract is described there."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for path in (ROOT / "kubesim").rglob("*.py") if path.stat().st_size)
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """The public definitions of a module or class, and those inside its public classes."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            if any(ast.unparse(mark).endswith((".setter", "overload")) for mark in node.decorator_list):
                continue
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{prefix}{node.name}.")


def contract_names() -> set[str]:
    """The methods that the contracts of the rooms document: who implements one need not say it again."""
    names: set[str] = set()
    for path in MODULES:
        if path.name == "contract.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names.update(name.rpartition(".")[2] for name, node in public(tree.body) if "." in name and ast.get_docstring(node))
    return names


CONTRACT_NAMES = contract_names()


def is_described(name: str, node: Definition, classes: dict[str, ast.ClassDef]) -> bool:
    """Whether the definition has a docstring, or is a method of a subclass that a contract describes."""
    owner, _, method = name.rpartition(".")
    fulfils = owner in classes and bool(classes[owner].bases) and method in CONTRACT_NAMES
    return fulfils or bool(ast.get_docstring(node))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_names_are_documented(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = list(public(tree.body))
    classes = {name: node for name, node in found if isinstance(node, ast.ClassDef)}
    assert [name for name, node in found if not is_described(name, node, classes)] == []
