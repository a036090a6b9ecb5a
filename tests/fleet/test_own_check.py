"""Machines with a check of their own: made, changed, planned, and what cannot be done with them."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from skinnybox.errors import Blocked, TimedOut, Unsupported, UsageError
from skinnybox.fleet import present
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import Instance, Master, Report
from skinnybox.overlays import inspect
from skinnybox.wire import decode
from tests.fleet.conftest import SPARSE, open_fake, said
from tests.fleet.fleetfile import HEAD, File
from tests.samples import seal

COMMAND = "curl -fs http://localhost/"


def told(fleet: Fleet, state: Path, name: str) -> bytes | None:
    disk = state / "instances" / str(fleet.machine(name).instance.uuid) / "overlay.img"
    lines = decode(inspect._content(disk, "seed", 16384), "seed").all("check")
    return lines[0].payload if lines else None


def test_it_is_told_to_its_guest_and_set_on_one_that_is_off(
    fleet: Fleet, state: Path, tmp_path: Path
) -> None:
    fleet.create(["a"], "tiny", replace(SPARSE, check=COMMAND))
    assert told(fleet, state, "a") == COMMAND.encode()
    assert present.machine(fleet.machine("a"))["check"] == COMMAND
    assert fleet.overlays.tell(["a"], {"check": "true"})[0].ok
    assert fleet.machine("a").instance.check == "true"
    assert fleet.overlays.tell(["a"], {"check": None})[0].ok
    assert fleet.machine("a").instance.check is None
    with pytest.raises(UsageError, match="no check"):
        fleet.create(["b"], "tiny", replace(SPARSE, check=" "))
    assert isinstance(fleet.overlays.tell(["a"], {"check": "a\0b"})[0].error, UsageError)
    fleet.start(["a"])
    assert isinstance(fleet.overlays.tell(["a"], {"check": "true"})[0].error, Blocked)


def test_a_master_of_before_goes_on_without_one(fleet: Fleet, state: Path, tmp_path: Path) -> None:
    seal(state, tmp_path, "old", "1", protocol=3)
    with pytest.raises(Unsupported, match="does not know check: it speaks protocol 3"):
        fleet.create(["a"], "old", replace(SPARSE, check=COMMAND))
    fleet.create(["a"], "old", SPARSE)
    assert fleet.start(["a"])[0].ok
    fleet.kill(["a"])
    assert isinstance(fleet.overlays.tell(["a"], {"check": COMMAND})[0].error, Unsupported)


def test_a_plan_shows_it_and_apply_does_it(file: File, state: Path) -> None:
    file.write(HEAD + f"machines:\n  web: {{check: '{COMMAND}'}}\n  db: {{}}\n")
    assert all(outcome.ok for outcome in file.apply())
    assert (told(file.fleet, state, "web"), told(file.fleet, state, "db")) == (COMMAND.encode(), None)
    assert file.plan() == []
    file.write(HEAD + "machines:\n  web: {}\n  db: {check: 'true'}\n")
    assert file.plan() == ["seed web", "seed db"]
    assert all(outcome.ok for outcome in file.apply())
    assert file.plan() == []
    file.write(HEAD + "machines:\n  web: {check: ''}\n")
    with pytest.raises(UsageError, match=r"fleet.yaml:5:\d+"):
        file.plan()


def test_the_command_line(made: dict[str, Instance], state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    way = ("--host", "fake", "--state", str(state))
    create = (*way, "create", "-m", "tiny", "--sparse", "--overlay", "64M")
    assert said(capsys, *create, "web", "--check", COMMAND).code == 0
    assert f"check:           {COMMAND}\n" in said(capsys, *way, "show", "web").out
    assert said(capsys, *create, "web-2", "--check", "").code == 2
    assert said(capsys, *way, "set", "web", "a", "--check", "test -e /run/up").code == 0
    with open_fake(state) as fleet:
        assert [fleet.machine(name).instance.check for name in ("web", "a")] == ["test -e /run/up"] * 2
    assert said(capsys, *way, "set", "web", "--check", "none").code == 0
    with open_fake(state) as fleet:
        assert fleet.machine("web").instance.check is None


class Checking(FakeHost):
    """Its guests say that they are not ready, until they are let."""

    well = threading.Event()

    def reports(self, uuids: Iterable[UUID]) -> Mapping[UUID, Report]:
        found = super().reports(uuids)
        if self.well.is_set():
            return found
        why = "check fails: no route"
        return {uuid: replace(said, ready=False, checking=True, reason=why) for uuid, said in found.items()}


def test_who_waits_is_told_why_and_then_that_it_is_ready(state: Path, master: Master) -> None:
    host = Checking(state)
    with Fleet(state, host, boots_at_once=2) as fleet:
        fleet.create(["a"], "tiny", SPARSE)
        (outcome,) = fleet.start(["a"], timeout=0.5)
        assert isinstance(outcome.error, TimedOut)
        assert "it keeps running: not ready: check fails: no route" in outcome.error.message
        (machine,) = fleet.machines()
        assert machine.condition is Condition.STARTING and machine.reason == "check fails: no route"
        host.well.set()
        assert fleet.wait(["a"], timeout=20)[0].error is None
        assert fleet.machines()[0].condition is Condition.READY
