"""A machine as its supervisor watches it where the disk of its host is full: that costs what would have been
written, never the machine nor the supervisor."""

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skinnybox.hosts.events import EventKind, Journal, read
from skinnybox.hosts.guest_io import machine_output
from skinnybox.hosts.guest_io.door import Door
from skinnybox.hosts.guest_io.watch import Watch
from skinnybox.hosts.reach import Way
from tests.unit.test_hosts_qemu_door import READY, STARTED, Ways
from tests.unit.test_hosts_qemu_hub import silent_loop


@pytest.fixture
def ways() -> Ways:
    return Ways({Way("127.0.0.1", 20000): True})


@pytest.fixture
def watch(tmp_path: Path, ways: Ways) -> Watch:
    assert READY.instance is not None
    made = Watch(tmp_path, READY.instance, STARTED, silent_loop(), Journal(tmp_path / "events"))
    made._door = Door(STARTED, None, ways.knock)
    return made


@contextmanager
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(machine_output, "write_json", refuse)
        yield


def told(folder: Path) -> list[EventKind]:
    return [event.kind for event in read(folder / "events")]


def test_it_is_ready_when_that_can_be_written_down(
    watch: Watch, ways: Ways, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch._door.seen(READY)
    with full(monkeypatch):
        for _ in range(2):
            watch.tick()
        assert told(tmp_path) == [] and not (tmp_path / "report.json").exists()
    watch.tick()
    assert told(tmp_path) == [EventKind.READY] and (tmp_path / "report.json").exists()
    watch.tick()
    assert told(tmp_path) == [EventKind.READY] and ways.at_work == 0


def test_what_it_prints_goes_on_to_who_looks(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, log = list[bytes](), watch._log._file
    monkeypatch.setattr(watch.hub, "send", seen.append)
    with Path("/dev/full").open("wb", buffering=0) as nowhere:
        watch._log._file = nowhere.fileno()
        watch._printed(b"lost\n")
    watch._log._file = log
    watch._printed(b"kept\n")
    assert seen == [b"lost\n", b"kept\n"] and (tmp_path / "console.log").read_bytes() == b"kept\n"


def test_its_end_is_seen_and_left_to_who_can_write_it_down(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "machine.json").write_text(json.dumps({**STARTED, "pid": 1, "started": "then"}))
    watch._panicked = "Kernel panic - not syncing: no init"
    with full(monkeypatch):
        watch._end()
    assert watch.over and told(tmp_path) == [] and (tmp_path / "machine.json").exists()
