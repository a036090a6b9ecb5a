"""The C# keeps the rules of the house that a machine can see."""

from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[2] / "xencenter" / "source").rglob("*.cs"))
MOST_LINES, MOST_OF_A_METHOD, WIDEST = 300, 40, 130


def longest_method(lines: list[str]) -> int:
    """Of the members of a class, which open and close their braces at the second depth."""
    begun, longest = 0, 0
    for number, line in enumerate(lines):
        if line == "        {":
            begun = number
        elif line == "        }":
            longest = max(longest, number - begun + 1)
    return longest


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.name))
def test_the_rules_of_the_house(path: Path) -> None:
    text = path.read_text(encoding="ascii")
    lines = text.splitlines()
    assert len(lines) <= MOST_LINES and max(map(len, lines)) <= WIDEST
    assert longest_method(lines) <= MOST_OF_A_METHOD
    assert "\t" not in text and text.endswith("\n")
    assert all(line == line.rstrip() for line in lines)


def test_only_windows_need_a_display() -> None:
    """All else is run by the tests of the core."""
    for path in SOURCES:
        text = path.read_text()
        needs = "System.Windows.Forms" in text or "System.Drawing" in text
        assert not needs or path.parent.name == "windows", path
