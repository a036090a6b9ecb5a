"""Pages that say what the code is like, and the code, for tests that hold one to the other."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "skinnybox"


def rows(page: Path, first: str) -> list[list[str]]:
    """The cells of the tables whose head begins with this word, without their heads."""
    tables = re.findall(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", page.read_text(), re.MULTILINE)
    assert tables, f"{page} has no table of {first}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in "".join(tables).splitlines()]


@cache
def sources() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}


@cache
def names() -> set[str]:
    """What the code defines: modules, functions, classes, and of these `Class.member`, the inherited too."""
    nodes = [node for tree in sources().values() for node in ast.walk(tree)]
    found = {path.stem for path in sources()}.union(*map(_defined, nodes))
    bases = [
        (f"{base.id}.", f"{node.name}.")
        for node in nodes
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name)
    ]
    return found | {
        own + name.removeprefix(base) for base, own in bases for name in found if name.startswith(base)
    }


def _defined(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef):
        yield node.name
    if isinstance(node, ast.ClassDef):
        yield node.name
        for each in node.body:
            match each:
                case ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                    yield f"{node.name}.{name}"
                case ast.Assign(targets=[ast.Name(id=name)]):
                    yield f"{node.name}.{name}"
                case _:
                    pass
        for inside in ast.walk(node):
            match inside:
                case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                    yield f"{node.name}.{name}"
                case _:
                    pass
