"""What runs leave behind in the folder `run`, and what becomes of it."""

import json
import os
import socket
import uuid
from pathlib import Path
from typing import Any

import pytest

from skinnybox import process
from skinnybox.hosts.guest_io.run_folder import listen
from skinnybox.hosts.local import leftovers
from skinnybox.hosts.qemu.leftovers import of_runs
from skinnybox.issues import Deed

MACHINE = uuid.UUID(int=5)


pytestmark = pytest.mark.usefixtures("nothing_is_young")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "run" / str(MACHINE)
    folder.mkdir(parents=True)
    return folder


def runs(place: Path, **other: Any) -> None:
    """As if this very process were the machine's QEMU."""
    me = process.identify(os.getpid())
    assert me is not None
    values = {
        "pid": me.pid,
        "start_time": me.started,
        "boot_id": me.boot,
        "nonce": "00",
        "started": "2026-01-01T00:00:00+00:00",
        **other,
    }
    (place / "machine.json").write_text(json.dumps(values))


def found(place: Path, *known: uuid.UUID) -> dict[str, tuple[Deed, str]]:
    folder = place.parent
    return {str(f.path.relative_to(folder)): (f.deed, f.what) for f in of_runs(folder, known)}


def test_a_machine_that_runs_is_no_leftover(place: Path) -> None:
    runs(place)
    for name in (
        "console.log", "console.log.1", "report.json", "rejected.json", "told.json", "qemu.log", "stalled",
        "stopping",
    ):  # fmt: skip
        (place / name).touch()
    for name in (
        "supervisor.lock",
        "supervisor.log",
        "events.jsonl",
        "events.jsonl.1",
        "events.lock",
        "xapi",
    ):
        (place.parent / name).touch()
    with listen(place, "qmp"):
        assert found(place, MACHINE) == {}


def test_a_running_machine_that_nobody_knows_is_left_alone_and_named(place: Path) -> None:
    runs(place)
    deed, what = found(place)[place.name]
    assert deed is Deed.KEEP and f"kill {os.getpid()}" in what


def test_the_run_of_a_machine_that_is_no_more_goes(place: Path) -> None:
    (place / "console.log").touch()
    assert found(place)[place.name][0] is Deed.REMOVE


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"boot_id": "11111111-2222-4333-8444-555555555555"}, "the host has restarted since"),
        ({"start_time": 1}, "is gone"),  # the number is another process's now
        ({"pid": (1 << 22) + 1}, "is gone"),
    ],
)
def test_a_machine_that_ended_unheard(place: Path, other: dict[str, Any], why: str) -> None:
    runs(place, **other)
    deed, what = found(place, MACHINE)[f"{place.name}/machine.json"]
    assert deed is Deed.FINISH and why in what


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": 1}'])
def test_a_record_that_says_nothing_goes(place: Path, text: str) -> None:
    (place / "machine.json").write_text(text)
    assert found(place, MACHINE)[f"{place.name}/machine.json"][0] is Deed.REMOVE


def test_dead_sockets_and_half_written_files_go_and_others_stay(place: Path) -> None:
    for name in ("console", "qmp"):
        listen(place, name).close()
    listen(place.parent, "supervisor").close()
    (place / ".report.json.0123abcd").touch()
    (place / "notes").touch()
    (place.parent / "notes").touch()
    assert {name: deed for name, (deed, _) in found(place, MACHINE).items()} == {
        f"{place.name}/console": Deed.REMOVE,
        f"{place.name}/qmp": Deed.REMOVE,
        f"{place.name}/.report.json.0123abcd": Deed.REMOVE,
        "supervisor": Deed.REMOVE,
        f"{place.name}/notes": Deed.KEEP,
        "notes": Deed.KEEP,
    }


def test_what_is_new_may_be_of_a_machine_that_starts(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_YOUNG", 60.0)
    with listen(place, "qmp") as door:
        assert isinstance(door, socket.socket)
        assert found(place, MACHINE)[f"{place.name}/qmp"][0] is Deed.KEEP


def test_a_supervisor_that_answers_stays(place: Path) -> None:
    with listen(place.parent, "supervisor"):
        assert found(place, MACHINE) == {}


@pytest.mark.parametrize("name", ["events.jsonl", "events.jsonl.1"])
def test_a_pipe_in_place_of_what_happened_holds_up_nobody(place: Path, name: str) -> None:
    """`repair` and `doctor` waited for ever to open it."""
    os.mkfifo(place.parent / name)
    deed, what = found(place, MACHINE)[name]
    assert deed is Deed.KEEP and "not a regular file" in what
