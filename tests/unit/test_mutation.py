"""What the mutants of a piece of source are: a tool that makes none would report that none survived."""

import pytest

from tests.mutation.mutants import mutants
from tests.mutation.run import Chosen, Map

SOURCE = '''"""A sentence of one_word"""
from somewhere import something
WORDS = ["--core=0", "-S"]
def f(a: "int | None", b: int = 3) -> "bool":
    """A_word"""
    with lock:
        a.b = 1
    if a < b and not c:
        call(a, key=True)
    raise ValueError(f"{a} is_bad")
'''


def test_every_kind_is_there() -> None:
    source = SOURCE.encode()
    made = {
        (found.line, found.applied(source).decode().splitlines()[found.line - 1]) for found in mutants(source)
    }
    assert made == {
        (3, 'WORDS = ["-S"]'),
        (3, 'WORDS = ["--core=0"]'),
        (3, "WORDS = ['--core=0x', \"-S\"]"),
        (3, "WORDS = [\"--core=0\", '-Sx']"),
        (4, 'def f(a: "int | None", b: int = 4) -> "bool":'),
        (6, "    if True:"),
        (7, "        a.b = 2"),
        (7, "        pass"),
        (8, "    if a <= b and not c:"),
        (8, "    if a < b or not c:"),
        (8, "    if a < b and c:"),
        (8, "    if (not (a < b and not c)):"),
        (9, "        call(a, key=False)"),
        (9, "        call(a)"),
        (9, "        pass"),
        (10, "    pass"),
    }
    assert all(found.compiles(source) for found in mutants(source))


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("x = (a) is (b)", {"x = (a) is not (b)"}),
        ("x = a not in b", {"x = a in b"}),
        ("x = 7", {"x = 8"}),
        ("x = 30.0", {"x = 0.0"}),
        ("é = a + b  # of ü", {"é = a - b  # of ü"}),
        ("x = f'{a:>{b}}'", set()),
        ("x: int | None", set()),
        ("del x", {"pass"}),
    ],
)
def test_what_a_line_becomes(line: str, wanted: set[str]) -> None:
    assert {found.applied(line.encode()).decode() for found in mutants(line.encode())} == wanted


def test_a_mutant_is_tried_with_the_tests_that_know_its_line() -> None:
    known = Map(
        seconds={
            "tests/unit/test_x.py::slow": 9.0,
            "tests/unit/test_run_programs.py::named": 5.0,
            "t::quick": 0.1,
        },
        lines={"src/skinnybox/run/programs.py": {"3": [0, 1, 2], "4": [0], "5": []}},
    )

    def tests(line: int, file: str = "src/skinnybox/run/programs.py", budget: float = 6.0) -> list[str]:
        (mutant,) = mutants(b"\n" * (line - 1) + b"x = 1")
        return known.tests(Chosen(file=file, mutant=mutant), budget)

    assert tests(3) == ["tests/unit/test_run_programs.py::named", "t::quick"]
    assert tests(3, budget=60) == [*tests(3), "tests/unit/test_x.py::slow"]
    assert tests(4) == ["tests/unit/test_x.py::slow"]
    assert tests(5) == tests(3)
    assert tests(3, file="src/skinnybox/other.py") == []
