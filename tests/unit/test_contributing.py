"""The pages for who works on the project: what they name is there, and tables are as the code is."""

import ast
import re
from pathlib import Path

import pytest

from skinnybox.hosts.local.host import LocalHost
from skinnybox.hosts.xapi.tags import Role
from tests.pages import ROOT, SOURCE, names, rows, sources

FOLDER = ROOT / "docs" / "contributing"
PAGES = [ROOT / "CONTRIBUTING.md", *sorted(FOLDER.glob("*.md"))]
SPAN = re.compile(r"`([^`\s]+)`")
A_PATH = re.compile(r"[\w.-]+(?:/[\w.*-]+)*(?:/|\.(?:py|sh|md|toml|svg|json))|[\w.-]+(?:/[\w.*-]+)+")
NO_PATHS = {"state.db", "instance.json", "/skinnybox/base"}
A_NAME = re.compile(r"[A-Z][a-z]\w+(?:\.\w+)?")


def spans(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return set(SPAN.findall(text)) - NO_PATHS


def named_paths(page: Path) -> set[str]:
    """Below the project's root, or below the package's."""
    return {span for span in spans(page) if A_PATH.fullmatch(span)}


def is_there(path: str) -> bool:
    return any((place / path).exists() for place in (ROOT, SOURCE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_every_file_and_every_name_on_a_page_is_there(page: Path) -> None:
    assert [path for path in sorted(named_paths(page)) if not is_there(path)] == []
    said = {span for span in spans(page) if A_NAME.fullmatch(span)}
    assert sorted(said - names() - {"Path"}) == []
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_pages_name_files_at_all() -> None:
    assert sum(len(named_paths(page)) for page in PAGES) > 100
    assert not is_there("fleet/catalogue/rows.py")


def part(module: str) -> str | None:
    """Which row of the map a module belongs to; None for the ground."""
    words = module.split(".")[1:]
    if not words or words[0] == "model" or not (SOURCE / words[0]).is_dir():
        return None
    if words[0] in ("fleet", "hosts") and len(words) > 1 and (SOURCE / words[0] / words[1]).is_dir():
        return "/".join(words[:2])
    return words[0]


def imported() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path, tree in sources().items():
        own = part(".".join(("skinnybox", *path.relative_to(SOURCE).with_suffix("").parts)))
        if own is None:
            continue
        targets = found.setdefault(own, set())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "skinnybox":
                whole = (part(f"{node.module}.{name.name}") for name in node.names)
                targets |= {target for target in whole if target not in (None, own)}
    return found


def test_the_map_says_who_imports_whom() -> None:
    said = {row[0].strip("`"): set(SPAN.findall(row[2])) for row in rows(FOLDER / "house.md", "part")}
    really = imported()
    lines = {name: ", ".join(f"`{each}`" for each in sorted(really.get(name, ()))) for name in said | really}
    assert {name: line for name, line in lines.items() if said.get(name) != really.get(name)} == {}


def test_what_a_host_on_local_files_writes_is_in_the_table() -> None:
    said = {row[0].strip("`") for row in rows(FOLDER / "kind-of-host.md", "method")}
    assert said == LocalHost.__abstractmethods__


def test_every_role_of_a_disk_is_in_the_table() -> None:
    assert {row[0].strip("`") for row in rows(FOLDER / "states.md", "role")} == {role.value for role in Role}


def test_files_and_functions_are_as_short_as_the_page_says() -> None:
    said = re.search(r"A file has at most (\d+) lines, a function at most (\d+)", PAGES[0].read_text())
    assert said is not None
    of_file, of_function = map(int, said.groups())
    texts = {path: path.read_text() for path in SOURCE.rglob("*.py")}
    assert [path for path, text in texts.items() if text.count("\n") > of_file] == []
    assert [
        f"{path}: {node.name}"
        for path, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (node.end_lineno or 0) - node.lineno >= of_function
    ] == []
