"""The pages lead to each other: what they name is there, and the README leads to all of them."""

import re
from pathlib import Path

import pytest

from tests.pages import ROOT

FOLDERS = ("tutorial", "how-to", "reference", "explanation")
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
LINK = re.compile(r"\]\(([^)\s]*)\)")


def links(page: Path) -> list[tuple[Path, str]]:
    """Those that stay within the project: file, and heading or nothing."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    found = [link.partition("#") for link in LINK.findall(text) if not link.startswith("https://")]
    return [((page.parent / path).resolve() if path else page, heading) for path, _, heading in found]


def headings(page: Path) -> set[str]:
    """As a forge names them in addresses."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    named = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in named}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [str(to) for to, _ in links(page) if not to.exists()] == []
    assert [(to.name, h) for to, h in links(page) if h and to.suffix == ".md" and h not in headings(to)] == []


def test_the_readme_leads_to_every_page() -> None:
    led = {to for to, _ in links(ROOT / "README.md")}
    pages = {page for folder in FOLDERS for page in (ROOT / "docs" / folder).glob("*.md")}
    assert len(pages) > 20 and sorted(page.name for page in pages - led) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    if "results" in page.parts or page.name == "CHANGELOG.md":  # what was, as it was
        return
    named = re.findall(r"`(tests/[\w./]*?\.py)?(?:::(\w+))?`", page.read_text())
    assert [file for file, _ in named if file and not (ROOT / file).exists()] == []
    whole = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for file, test in named:
        assert not test or f"def {test}(" in ((ROOT / file).read_text() if file else whole), test
