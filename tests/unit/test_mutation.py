"""What the mutants of a piece of source are: a tool that makes none would report that none survived."""

import argparse
import queue
from pathlib import Path

import pytest

from tests.mutation import run, trying
from tests.mutation.mutants import mutants
from tests.mutation.named import Named, files_of_tests, named_after, within
from tests.mutation.run import Map
from tests.mutation.trying import Chosen

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


def test_tests_that_carry_the_words_of_a_module_are_named_after_it() -> None:
    files = [f"tests/{name}.py" for name in (
        "fleet/test_launcher", "fleet/test_launch_killed", "unit/test_qemu_launch", "unit/test_relaunch",
        "unit/test_launch", "unit/test_qemu", "unit/test_qemu_launch_killed",
    )]  # fmt: skip
    stems = [Path(file).stem for file in named_after("src/skinnybox/hosts/qemu/launch.py", files)]
    assert stems == ["test_qemu_launch", "test_qemu_launch_killed", "test_launch", "test_launch_killed"]
    packages = named_after("src/skinnybox/hosts/qemu/__init__.py", files)
    assert [Path(file).stem for file in packages] == [
        "test_qemu", "test_qemu_launch", "test_qemu_launch_killed",
    ]  # fmt: skip
    assert named_after("src/skinnybox/hosts/qemu/never_named.py", files) == named_after(
        "src/skinnybox/hosts/qemu.py", files
    )
    assert named_after("src/skinnybox/hosts/xapi/never_named.py", files) == []


def test_those_that_say_nothing_are_passed_over_and_the_budget_is_kept() -> None:
    took = {"fails": None, "slow": 9.0, "quick": 1.0}
    assert within(["fails", "slow", "quick"], took.get, 5.0) == (["slow"], 9.0)
    assert within(["quick", "slow", "quick"], took.get, 5.0) == (["quick"], 1.0)
    assert within(["fails"], took.get, 5.0) == ([], 0.0)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of four modules, of which the last has no test, and one fails by itself."""
    for name, text in {
        "src/skinnybox/a/caught.py": "X = 1\n", "src/skinnybox/a/lives.py": "X = 1\n",
        "src/skinnybox/a/broken.py": "X = 1\n", "src/skinnybox/a/lonely.py": "X = 1\n",
        "tests/unit/test_caught.py": "from skinnybox.a.caught import X\ndef test(): assert X == 1\n",
        "tests/unit/test_lives.py": "def test(): pass\n",
        "tests/unit/test_broken.py": "def test(): assert False\n",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for package in ("skinnybox", "skinnybox/a"):
        (tmp_path / "src" / package / "__init__.py").touch()
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # which begins in a third of the time
    monkeypatch.setattr(trying, "ROOT", tmp_path)
    monkeypatch.setattr(run, "ROOT", tmp_path)
    return tmp_path


def test_a_map_is_made_only_for_what_the_named_tests_let_live(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = [
        Chosen(file=f"src/skinnybox/a/{name}.py", mutant=next(iter(mutants(b"X = 1"))))
        for name in ("broken", "caught", "lives", "lonely")
    ]
    copies: trying.Copies = queue.SimpleQueue()
    copies.put(checkout)
    options = argparse.Namespace(folders=["unit"], seconds=60.0, jobs=1, quick=True)
    maps: list[Map] = []

    def mapped(*_: object) -> Map:
        maps.append(Map(seconds={}, lines={}))
        return maps[0]

    monkeypatch.setattr(run, "_map", mapped)
    fates = [fate.name for fate in run._fates([sample[0], *sample[2:]], copies, options)]
    assert fates == ["UNTRIED", "SURVIVED", "UNTRIED"] and not maps
    options.quick = False
    assert [fate.name for fate in run._fates(sample[1:2], copies, options)] == ["CAUGHT"] and not maps
    assert [fate.name for fate in run._fates(sample[3:], copies, options)] == ["UNTRIED"] and len(maps) == 1
    assert (checkout / sample[1].file).read_text() == "X = 1\n", "it is put back"
    tests = files_of_tests(checkout, ["unit/test_l*", "nowhere"])
    assert tests == ["tests/unit/test_lives.py"]
    assert Named(copies, tests, 60.0).tried(sample[1]) is None
