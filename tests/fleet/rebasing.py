"""Machines that are put on another master, with guests that do as they are told."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from skinnybox import run
from skinnybox.fleet.rebase_rollout import Rollout
from skinnybox.fleet.rebase_run import Moved
from skinnybox.fleet.rebases import Wishes
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.fake import host as fake
from skinnybox.model import Instance, Report, Space, image_uuid
from skinnybox.overlays import inspect
from skinnybox.sizes import GIB
from tests.fleet.conftest import open_fake
from tests.fleet.test_disks import image

QUICK = Rollout(timeout=1)
Guest = Callable[[Report, dict[str, Any]], Report | None]
"""What a guest says, made of what a good one says and of the host's entry; None: it has gone off."""


@pytest.fixture
def fleet_of_two(state: Path, two_masters: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """With the masters web:1 and web:2 (test_rebase.py), also for its command line."""
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")
    shutil.copytree(two_masters, state)
    with open_fake(state) as opened:
        yield opened


def with_free(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """The fake host's disk says that it has that many bytes left."""
    said = Space(total=GIB, free=size, masters=0, promised=0, written=0, allocated=0, owed=0, instances=0)
    monkeypatch.setattr(fake.FakeHost, "space", lambda *_: said)


def good(report: Report, entry: dict[str, Any]) -> Report:
    return report


def hangs(report: Report, entry: dict[str, Any]) -> Report:
    """It has said nothing in this start."""
    return replace(report, ready=False, nonce="0" * 32)


def lies_about_its_start(report: Report, entry: dict[str, Any]) -> Report:
    """Ready, and of another start than this."""
    return replace(report, nonce="0" * 32)


def fails(report: Report, entry: dict[str, Any]) -> Report:
    return replace(report, ready=False, reason="dpkg --configure -a ended with 1")


def checks_itself(report: Report, entry: dict[str, Any]) -> Report:
    return replace(report, ready=False, checking=True, reason="its check fails: curl")


def lies_about_its_system(report: Report, entry: dict[str, Any]) -> Report:
    """Ready, and of another system than it was to boot."""
    return replace(report, images=(uuid4(),))


def lies_about_its_tasks(report: Report, entry: dict[str, Any]) -> Report:
    from skinnybox.model import RebaseTasks

    return replace(report, rebase=RebaseTasks(identifier="ab" * 16, done=True))


def lacks_a_unit(report: Report, entry: dict[str, Any]) -> Report:
    return replace(report, inactive_units=("apache2.service",))


def dies(report: Report, entry: dict[str, Any]) -> None:
    return None


def on_new(guest: Guest, digest: str) -> Guest:
    """A guest that is so on one system, and good on every other."""
    uuid = str(image_uuid(digest))

    def both(report: Report, entry: dict[str, Any]) -> Report | None:
        return guest(report, entry) if entry["images"] == [uuid] else report

    return both


def guests(monkeypatch: pytest.MonkeyPatch, guest: Guest, names: tuple[str, ...] = ()) -> None:
    """All of them are so, or those of the names."""
    usual, statuses = fake._report, fake.FakeHost.statuses

    def told(uuid: UUID, entry: dict[str, Any]) -> Report:
        said = usual(uuid, entry)
        if names and entry["name"] not in names:
            return said
        return guest(said, entry) or replace(said, ready=False, nonce="0" * 32)

    def seen(self: fake.FakeHost) -> Any:
        with self._entries() as entries:
            for key, entry in entries.items():
                meant = not names or entry["name"] in names
                if entry["runs"] and meant and guest(usual(UUID(key), entry), entry) is None:
                    entry["runs"] = False
        return statuses(self)

    monkeypatch.setattr(fake, "_report", told)
    monkeypatch.setattr(fake.FakeHost, "statuses", seen)


def rebase(fleet: Fleet, *names: str, onto: str = "web:2", how: Rollout = QUICK) -> list[Any]:
    return fleet.rebases.run(names, onto, Wishes(), how)


def moved(fleet: Fleet, name: str, how: Rollout = QUICK) -> Moved:
    [outcome] = rebase(fleet, name, how=how)
    assert outcome.error is None, outcome.error
    found: Moved = outcome.value
    return found


def has(state: Path, instance: Instance, path: str) -> str | None:
    """What its upper directory has there; None for nothing."""
    found = run.run(["debugfs", "-R", f"cat upper/{path}", image(state, instance)])
    return found.stdout.decode() or None


def agrees(fleet: Fleet, state: Path, name: str) -> MachineView:
    """Record and disk speak of one system, whichever that is."""
    machine = fleet.machine(name)
    base = inspect.read_base(image(state, machine.instance))
    assert (base.get("image") or "").split()[0] == machine.instance.stack.images[0]
    return machine
