"""The order of the tests, and limits that follow the host they run on."""

import os
import time
from pathlib import Path

import pytest

from tests import pace
from tests.boot import conftest as boots
from tests.pace import within


class Item:
    """What is asked of a test."""

    def __init__(self, nodeid: str, *marks: str) -> None:
        self.nodeid, self.marks = nodeid, marks

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self.marks else None


ITEMS = [
    Item("tests/boot/test_life.py::test_a_life", "boot"),
    Item("tests/contract/test_lifecycle.py::test_a_life[qemu]", "boot"),
    Item("tests/contract/test_lifecycle.py::test_a_life[memory]"),
    Item("tests/faults/test_blows.py::test_kill"),
    Item("tests/new/test_something.py::test_it"),
    Item("tests/unit/test_wire.py::test_b"),
    Item("tests/unit/test_wire.py::test_a"),
]


def ordered(is_worker: bool) -> list[str]:
    items = sorted(ITEMS, key=lambda item: pace._rank(item, is_worker))  # type: ignore[arg-type]
    return [item.nodeid.split("/", 1)[1] for item in items]


def test_what_boots_comes_last_and_what_is_quick_first() -> None:
    assert ordered(is_worker=False) == [
        "unit/test_wire.py::test_b",
        "unit/test_wire.py::test_a",
        "contract/test_lifecycle.py::test_a_life[memory]",
        "faults/test_blows.py::test_kill",
        "new/test_something.py::test_it",
        "contract/test_lifecycle.py::test_a_life[qemu]",
        "boot/test_life.py::test_a_life",
    ]


def test_one_of_several_workers_begins_early_with_what_it_does_alone() -> None:
    assert ordered(is_worker=True)[:3] == [
        "unit/test_wire.py::test_b",
        "unit/test_wire.py::test_a",
        "boot/test_life.py::test_a_life",
    ]


def test_what_shares_something_stays_together() -> None:
    for file in ("tests/boot/test_life.py", "tests/boot/test_kept.py", "tests/contract/test_bridge.py"):
        assert pace._together(f"{file}::test_it[a/b::c]") == "boot"
    shared = {pace._together(f"tests/contract/test_isolation.py::{name}") for name in ("a", "b")}
    assert len(shared) == 1
    assert len({pace._together(f"tests/unit/test_wire.py::{name}") for name in ("a", "b")}) == 2
    for file in (*pace._WITH_A_BRIDGE, *pace._SHARING):
        assert Path(file).exists()


def test_every_test_of_a_bridge_is_known_to_need_it() -> None:
    tests = Path(__file__).parents[1]
    using = {file for file in tests.rglob("test_*.py") if f"bridge_name{': str'}" in file.read_text()}
    names = {f"tests/{file.relative_to(tests)}" for file in using}
    assert {name for name in names if not name.startswith("tests/boot/")} == set(pace._WITH_A_BRIDGE)


@pytest.mark.parametrize(
    ("taken", "factor"),
    [
        (None, 1.0),
        (0.5 * pace.USUAL, 1.0),
        (pace.USUAL, 1.0),
        (3 * pace.USUAL, 3.0),
        (60 * pace.USUAL, pace._SLOWEST),
    ],
)
def test_limits_follow_the_calibration_boot(
    monkeypatch: pytest.MonkeyPatch, taken: float | None, factor: float
) -> None:
    asked = 0

    def boot() -> float | None:
        nonlocal asked
        asked += 1
        return taken

    monkeypatch.setattr(pace, "_slowness", [1.0])
    monkeypatch.setattr(pace, "_calibrated", boot)
    assert within(60) == 60
    pace.calibrate()
    pace.calibrate()
    assert within(60) == 60 * factor
    assert asked == 1


@pytest.mark.parametrize(("file", "seconds"), [("test_forty.py", 5400), ("test_life.py", 900)])
def test_what_boots_has_the_limit_that_its_file_names(
    request: pytest.FixtureRequest, file: str, seconds: int
) -> None:
    module = pytest.Module.from_parent(request.session, path=Path(boots.__file__).with_name(file))
    items = [item for item in module.collect() if isinstance(item, pytest.Item)]
    boots.pytest_collection_modifyitems(items)
    limits = [mark for item in items if (mark := item.get_closest_marker("timeout"))]
    assert [limit.args for limit in limits] == [(seconds,)] * len(items) != []


def test_the_calibration_waits_for_the_guest_and_not_for_ever() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"booting\ntiny guest re")
    began = time.monotonic()
    pace._wait_for(reading, began + 0.2)
    assert 0.15 < time.monotonic() - began < 60
    os.write(writing, b"tiny guest ready\n")
    pace._wait_for(reading, time.monotonic() + 600)
    os.close(writing)
    pace._wait_for(reading, time.monotonic() + 600)
    os.close(reading)
