"""Events: what becomes one, how often, and that they are bounded on disk."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from skinnybox.errors import Corrupt
from skinnybox.hosts import events
from skinnybox.hosts.events import EventKind, Journal, Thresholds
from skinnybox.hosts.guest_io.event_reporter import AT_ONCE, REFUSED_AT_ONCE, SECONDS_EACH, Teller
from skinnybox.model import Report

ME = UUID(int=5)
VALUES = {"nonce": "ab", "name": "web-01", "thresholds": [80, 95]}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def teller(tmp_path: Path, clock: Clock) -> Teller:
    return new_teller(tmp_path, clock)


def new_teller(folder: Path, clock: Clock, nonce: str = "ab") -> Teller:
    (folder / "machine").mkdir(exist_ok=True)
    values = {**VALUES, "nonce": nonce}
    return Teller(folder / "machine", ME, values, Journal(folder), clock)


def report(used: int | None = None, *, ready: bool = True, reason: str | None = None) -> Report:
    return Report(
        ready=ready,
        nonce="ab",
        instance=ME,
        reason=reason,
        overlay_size=None if used is None else 1000,
        overlay_free=None if used is None else 1000 - used,
        received=datetime.now(UTC),
    )


def kinds(folder: Path, after: int = 0) -> list[str]:
    return [event.kind.value for event in events.read(folder, after)]


def test_what_is_noted_of_a_start_is_told_with_it(tmp_path: Path) -> None:
    Teller(tmp_path / "machine", ME, {**VALUES, "note": "emulated\x1b"}, Journal(tmp_path)).started()
    assert [(e.kind.value, e.detail) for e in events.read(tmp_path)] == [("started", "emulated\\x1b")]


def test_thresholds_are_told_once_on_the_way_up_and_again_after_recovery(
    tmp_path: Path, teller: Teller
) -> None:
    teller.started()
    for used in (100, 799, 800, 805, 790, 760, 949, 950, 990, 905, 899, 760, 749, 800):
        teller.heard(report(used))
    assert kinds(tmp_path) == [
        "started",
        "ready",
        "overlay-warning",
        "overlay-critical",
        "overlay-recovered",
        "overlay-recovered",
        "overlay-warning",
    ]
    assert [e.detail[:6] for e in events.read(tmp_path)][2:] == [
        "80.0 %",
        "95.0 %",
        "89.9 %",
        "74.9 %",
        "80.0 %",
    ]


def test_straight_to_the_top_is_one_event(tmp_path: Path, teller: Teller) -> None:
    teller.heard(report(1000))
    assert kinds(tmp_path) == ["ready", "overlay-critical"]


def test_the_thresholds_are_those_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "machine").mkdir()
    values = {**VALUES, "thresholds": [50, 60]}
    Teller(tmp_path / "machine", ME, values, Journal(tmp_path)).heard(report(510))
    assert kinds(tmp_path) == ["ready", "overlay-warning"]
    assert Thresholds() == Thresholds(warning=80, critical=95)


def test_an_overlay_without_a_size_is_no_event(tmp_path: Path, teller: Teller) -> None:
    teller.heard(report())
    assert kinds(tmp_path) == ["ready"]


def test_another_supervisor_goes_on_where_the_last_one_stopped(tmp_path: Path, clock: Clock) -> None:
    first = new_teller(tmp_path, clock)
    first.started()
    first.heard(report(850))
    second = new_teller(tmp_path, clock)
    second.started()
    second.heard(report(851))
    second.ended("powered off")
    new_teller(tmp_path, clock).ended("powered off")
    assert kinds(tmp_path) == ["started", "ready", "overlay-warning", "ended"]
    third = new_teller(tmp_path, clock, nonce="cd")
    third.started()
    third.heard(report(851))
    assert kinds(tmp_path)[4:] == ["started", "ready"]
    assert [event.number for event in events.read(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_a_guest_that_lies_back_and_forth_writes_little(tmp_path: Path, teller: Teller, clock: Clock) -> None:
    minutes = 30
    for turn in range(minutes * 600):
        clock.now = turn / 10
        teller.heard(report(10 if turn % 2 else 990, ready=bool(turn % 3), reason="x"))
        teller.heard(Corrupt("nonsense"))
    count = len(kinds(tmp_path))
    at_once, later = AT_ONCE + REFUSED_AT_ONCE, 2 * minutes * 60 / SECONDS_EACH
    assert at_once < count <= at_once + later
    teller.ended("powered off")
    assert kinds(tmp_path)[-1] == "ended"
    assert any("before it were left out" in event.detail for event in events.read(tmp_path))


def test_false_reports_do_not_silence_true_ones(tmp_path: Path, teller: Teller) -> None:
    for _ in range(1000):
        teller.heard(Corrupt("nonsense"))
    teller.heard(report(960))
    assert kinds(tmp_path) == ["report-refused"] * REFUSED_AT_ONCE + ["ready", "overlay-critical"]


def test_the_file_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for _ in range(9000):
        journal.write(ME, "web-01", EventKind.REPORT_REFUSED, "x" * 400)
    sizes = [path.stat().st_size for path in tmp_path.glob("events*")]
    assert len(sizes) == 2 and max(sizes) <= events.LIMIT
    found = list(events.read(tmp_path))
    assert found[-1].number == 9000 and len(found) > 1500
    assert [e.number for e in found] == list(range(found[0].number, 9001))
    assert [e.number for e in events.read(tmp_path, 8998)] == [8999, 9000]
    Journal(tmp_path).write(ME, "web-01", EventKind.ENDED)
    assert next(iter(events.read(tmp_path, 9000))).number == 9001


def test_no_word_of_a_guest_reaches_a_terminal_raw(tmp_path: Path) -> None:
    Journal(tmp_path).write(ME, "web-01", EventKind.FAILED, "a\x1b]0;owned\x07b\r\nc\u202e" + "y" * 9999)
    raw = (tmp_path / "events.jsonl").read_text()
    assert len(raw) < 1000 and "\x1b" not in json.loads(raw)["detail"]
    assert next(iter(events.read(tmp_path))).detail.startswith("a\\x1b]0;owned\\x07b\\r\\nc\\u202ey")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"number": 1}',
        b"\xff\n",
        b'{"number": "x", "time": 1}',
        b"[" * 9000,
        b'{"number": Infinity}',
    ],
)
def test_a_line_that_is_no_event_is_skipped(tmp_path: Path, line: bytes) -> None:
    Journal(tmp_path).write(ME, "web-01", EventKind.STARTED)
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(line + b"\n")
    Journal(tmp_path).write(ME, "web-01", EventKind.ENDED)
    assert kinds(tmp_path) == ["started", "ended"]


def test_two_writers_count_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor, and a command that could not start a machine; also over the change to a new file."""
    monkeypatch.setattr(events, "LIMIT", 10000)
    writers = [Journal(tmp_path), Journal(tmp_path)]

    def writes(which: int) -> None:
        for _ in range(50):
            writers[which].write(ME, "web-01", EventKind.FAILED, "x" * 100)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(writes, (0, 1)))
    numbers = [event.number for event in events.read(tmp_path)]
    assert (tmp_path / "events.jsonl.1").exists() and numbers[-1] == 100
    assert numbers == list(range(numbers[0], 101))


def test_a_guest_that_checks_itself_makes_no_event(tmp_path: Path, teller: Teller) -> None:
    for reason in ("check fails: a", "check fails: b"):
        teller.heard(replace(report(ready=False, reason=reason), checking=True))
    assert kinds(tmp_path) == []
    teller.heard(report())
    assert kinds(tmp_path) == ["ready"]
