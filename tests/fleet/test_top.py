"""What running machines take: one look after the other."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import UUID

import pytest

from skinnybox.cli import top
from skinnybox.fleet import present_load
from skinnybox.fleet.service import Fleet
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import Instance, Usage
from tests.fleet import on_a_terminal
from tests.fleet.conftest import SPARSE, said

MIB = 1 << 20


@pytest.fixture(autouse=True)
def _machines(fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")
    fleet.create(["a", "b", "off"], "tiny", SPARSE)
    fleet.start(["a", "b"])


class Looks:
    """Each later look finds a second of a processor and a MiB of disk more, in b twice as much."""

    def __init__(self) -> None:
        self.looks = 0

    def usage(self, host: FakeHost, instances: Iterable[Instance]) -> Mapping[UUID, Usage]:
        self.looks += 1
        done = {i: self.looks * (2 if i.name == "b" else 1) for i in instances}
        return {i.uuid: Usage(cpu=n, memory=n * MIB, read=0, written=n * MIB) for i, n in done.items()}


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Looks:
    looks = Looks()
    monkeypatch.setattr(FakeHost, "usage", lambda host, instances: looks.usage(host, instances))
    return looks


def test_only_those_that_run_the_busiest_first(busy: Looks, capsys: pytest.CaptureFixture[str]) -> None:
    b, a = json.loads(said(capsys, "top", "--format", "json", "--interval", "0.2").out)
    assert (b["name"], a["name"]) == ("b", "a")
    # One second of a processor within 0.2 or, on a loaded computer, more seconds.
    assert 50 < a["cpu"] <= 500 and b["cpu"] == pytest.approx(2 * a["cpu"], rel=0.01)
    assert 0 < a["disk_write"] <= 5 * MIB and (a["disk_read"], b["memory_used"]) == (0, 4 * MIB)
    names = [line.split()[0] for line in said(capsys, "top", "--once", "--sort", "name").out.splitlines()]
    assert names == ["NAME", "a", "b"]
    assert len(json.loads(said(capsys, "top", "a", "--format", "json").out)) == 1
    assert busy.looks == 6


def test_what_nobody_tells_is_not_made_up(fleet: Fleet) -> None:
    seen = fleet.machine("a")
    known, blind = Usage(cpu=2, memory=5, read=7, written=9), Usage(cpu=3, memory=5)
    assert present_load.load(seen, known, blind, 1)["disk_read"] is None
    assert present_load.load(seen, None, known, 1)["cpu"] is None  # it was started between the looks
    assert present_load.load(seen, known, None, 1)["memory_used"] is None
    assert present_load.load(seen, blind, known, 1)["cpu"] == 0  # started anew: not less than nothing


def test_nothing_runs(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(said(capsys, "top", "off", "--format", "json").out) == []
    assert said(capsys, "top", "nobody").code == 3


def test_without_a_terminal_it_ends_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    heard = said(capsys, "top", "--interval", "0.1")
    assert heard.code == 0 and "\x1b" not in heard.out and len(heard.out.splitlines()) == 3


def test_on_a_terminal_it_goes_on_until_ctrl_c(state: Path) -> None:
    def thrice(text: str) -> bool:
        return text.count("2 running") >= 3

    words = ("top", "--interval", "0.1")
    code, text = on_a_terminal.shown(state, *words, columns=40, rows=4, until=thrice)
    assert code == 0 and "Traceback" not in text and "interrupted" not in text
    frame = text.split("\x1b[H")[2].replace("\x1b[K", "").replace("\x1b[J", "").splitlines()
    assert frame[0].startswith("2 running, ") and frame[1].startswith("NAME")
    assert frame[2].startswith("a ") and frame[3] == "and 1 more"
    assert max(map(len, frame)) <= 40
    once = on_a_terminal.shown(state, *words, "--once")[1]
    assert "\x1b[H" not in once and "\x1b[H" not in on_a_terminal.shown(state, *words, "--format", "csv")[1]


def test_how_long_it_is_up() -> None:
    assert top._up(None) is None
    for days in (0, 3):
        import datetime

        since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(
            days=days, hours=2, minutes=5, seconds=9
        )
        assert top._up(since.isoformat()) == ("3d 2h" if days else "2h 05m")
