"""`skinnybox events`: what happened, in every format, of whom, and as it comes; and what a terminal gets."""

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from skinnybox.errors import NotFound
from skinnybox.fleet.registry import open_host
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import load
from skinnybox.hosts import events
from skinnybox.hosts.events import EventKind, Journal, Thresholds
from skinnybox.hosts.preferences import Preferences
from skinnybox.hosts.qemu.host import QemuHost
from tests.fleet.conftest import SPARSE


@pytest.fixture
def happened(fleet: Fleet) -> Fleet:
    """Three machines, one of them gone by now."""
    fleet.create(["web-{1..3}"], "tiny", SPARSE)
    fleet.start(["web-*"])
    fleet.kill(["web-1"])
    fleet.delete(["web-1"])
    return fleet


def cli(state: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "skinnybox", "--host", "memory", "--state", str(state), *words]


def said(state: Path, *words: str) -> str:
    return subprocess.run(cli(state, *words), check=True, stdout=subprocess.PIPE, text=True).stdout


def test_of_all_and_of_some(happened: Fleet) -> None:
    told = [(event.name, str(event.kind)) for event in happened.events()]
    assert sorted(told) == [
        ("web-1", "ended"), ("web-1", "ready"), ("web-1", "started"),
        ("web-2", "ready"), ("web-2", "started"), ("web-3", "ready"), ("web-3", "started"),
    ]  # fmt: skip
    assert [event.number for event in happened.events()] == list(range(1, 8))
    assert {event.name for event in happened.events(["web-1"])} == {"web-1"}
    assert {event.name for event in happened.events(["web-[23]"])} == {"web-2", "web-3"}
    assert {event.name for event in happened.events(["web-{1..2}"])} == {"web-1", "web-2"}
    with pytest.raises(NotFound):
        happened.events(["db-1"])


def test_in_every_format(happened: Fleet, state: Path) -> None:
    lines = said(state, "events", "web-1").splitlines()
    assert lines[0].split() == ["TIME", "MACHINE", "EVENT", "DETAIL"]
    assert [line.split()[1:3] for line in lines[1:]][-1] == ["web-1", "ended"]
    records = json.loads(said(state, "events", "web-1", "--format", "json"))
    assert [record["event"] for record in records] == ["started", "ready", "ended"]
    assert set(records[0]) == {"number", "time", "machine", "uuid", "event", "detail"}
    rows = said(state, "events", "web-1", "--format", "csv", "--no-headers").splitlines()
    assert rows[-1].endswith("web-1,ended,powered off")


def test_as_it_comes(happened: Fleet, state: Path) -> None:
    """First what is known, then what happens; of machines that are made later, too."""
    command = cli(state, "events", "--follow", "--format", "json", "web-2", "late-*")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            first = [json.loads(child.stdout.readline())["event"] for _ in range(2)]
            assert first == ["started", "ready"]
            happened.kill(["web-2", "web-3"])
            happened.create(["late-1"], "tiny", SPARSE)
            happened.start(["late-1"])
            then = [json.loads(child.stdout.readline()) for _ in range(3)]
            assert [(record["machine"], record["event"]) for record in then] == [
                ("web-2", "ended"),
                ("late-1", "started"),
                ("late-1", "ready"),
            ]
        finally:
            child.terminate()


def test_following_names_what_nobody_has(happened: Fleet) -> None:
    with pytest.raises(NotFound):
        next(happened.follow_events(["db-1"]))


def test_thresholds_come_from_the_settings(state: Path) -> None:
    settings = load({"SKINNYBOX_OVERLAY_WARNING": "70", "XDG_CONFIG_HOME": "/nonexistent"}, {})
    assert (settings.overlay_warning, settings.overlay_critical) == (70, 95)
    host = open_host("qemu", state, Preferences(thresholds=Thresholds(warning=70, critical=95)))
    assert isinstance(host, QemuHost)
    assert host._preferences.thresholds == Thresholds(warning=70, critical=95)
    host.close()


def shown(command: list[str]) -> bytes:
    """What it writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        seen = b""
        with suppress(OSError):  # EIO: the other side is closed
            while data := os.read(ours, 65536):
                seen += data
        child.wait()
    os.close(ours)
    return seen


def test_nothing_a_terminal_obeys_is_printed(happened: Fleet, state: Path) -> None:
    """Not even from a record that somebody else wrote."""
    uuid = happened.machine("web-2").instance.uuid
    Journal(state / "run").write(uuid, "web-2", EventKind.FAILED, "honest")
    file = state / "run" / "events.jsonl"
    file.write_bytes(file.read_bytes().replace(b"honest", rb"\u001b]0;owned\u0007\u009b2J\u202e"))
    assert "\x1b" in list(events.read(state / "run"))[-1].detail
    seen = shown(cli(state, "events"))
    assert rb"\x1b]0;owned\x07\x9b2J\u202e" in seen and b"\x1b" not in seen and b"\x07" not in seen
