"""Machines that throw away what they wrote: made, changed, planned, and what cannot be done with them."""

from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import Blocked, Unsupported, UsageError
from skinnybox.fleet import present
from skinnybox.fleet.flatten import FlatDisk
from skinnybox.fleet.service import Fleet
from skinnybox.model import Instance, ThrowAway, Thrown
from skinnybox.overlays import inspect
from skinnybox.sizes import MIB
from skinnybox.wire import decode
from tests.fleet.conftest import SPARSE, open_fake, said
from tests.fleet.fleetfile import HEAD, File
from tests.fleet.test_encrypted import refuses_to_read
from tests.samples import seal

DISK, MEMORY = ThrowAway(), ThrowAway(kind=Thrown.MEMORY, size=64 * MIB)
LARGE = ThrowAway(kind=Thrown.MEMORY, size=192 * MIB)


def told(fleet: Fleet, state: Path, name: str) -> str | None:
    disk = state / "instances" / str(fleet.machine(name).instance.uuid) / "overlay.img"
    return decode(inspect._content(disk, "seed", 16384), "seed").get("throw-away")


def test_a_machine_is_made_so_and_stays_so(fleet: Fleet, state: Path) -> None:
    fleet.create(["a"], "tiny", replace(SPARSE, throw_away=DISK))
    fleet.create(["b"], "tiny", replace(SPARSE, throw_away=MEMORY))
    fleet.create(["c"], "tiny", SPARSE)
    assert [told(fleet, state, name) for name in "abc"] == ["disk", f"memory {64 * MIB}", None]
    assert present.machine(fleet.machine("b"))["throw_away"] == {"kind": "memory", "size": 64 * MIB}
    assert fleet.overlays.reset(["a"])[0].ok
    assert told(fleet, state, "a") == "disk"
    with pytest.raises(UsageError, match="more than half"):
        fleet.create(["d"], "tiny", replace(SPARSE, throw_away=LARGE))
    assert fleet.overlays.tell(["b"], {"throw_away": LARGE})[0].error is not None
    assert fleet.set(["b"], {"memory": 512 * MIB})[0].ok
    assert fleet.overlays.tell(["b"], {"throw_away": LARGE})[0].ok
    assert isinstance(fleet.set(["b"], {"memory": 256 * MIB})[0].error, UsageError)


def test_what_is_thrown_away_in_memory_and_the_memory_change_together(
    made: dict[str, Instance], state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each was refused for what the other was before, in both directions."""
    way = ("--host", "fake", "--state", str(state), "set", "a")
    for memory, thrown in (("1G", "memory:512M"), ("256M", "memory:128M")):
        assert said(capsys, *way, "--memory", memory, "--throw-away", thrown, "--yes") == (
            0, "a: changed; its next start applies all of its seed\n", ""
        )  # fmt: skip
        assert said(capsys, *way, "--memory", memory, "--throw-away", thrown).code == 0
    refused = said(capsys, *way, "--cpus", "2", "--memory", "512M", "--throw-away", "memory:384M")
    assert refused.code == 2 and "more than half" in refused.err
    both = said(capsys, *way, "b", "--ssh-port", "9000", "--swap", "zram")
    assert both.code == 2 and "one port cannot lead to several machines" in both.err
    with open_fake(state) as fleet:
        now = fleet.machine("a").instance
        assert (now.memory, now.cpus, now.swap, str(now.throw_away)) == (256 * MIB, 1, None, "memory:128M")


def test_what_would_be_thrown_away_or_is_not_there_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    fleet.create(["kept"], "tiny", SPARSE)
    assert fleet.overlays.snapshot(["kept"], "x")[0].ok
    assert fleet.overlays.tell(["kept"], {"throw_away": DISK})[0].ok
    assert isinstance(fleet.overlays.snapshot(["kept"], "y")[0].error, Unsupported)
    assert isinstance(fleet.overlays.restore(["kept"], "x")[0].error, Unsupported)
    assert [snapshot.label for _, snapshot in fleet.overlays.snapshots()] == ["x"]
    with fleet.overlays.changes("kept") as found:
        assert list(found) == []
    assert fleet.overlays.grow(["kept"], 96 * MIB)[0].ok
    assert fleet.overlays.tell(["kept"], {"throw_away": MEMORY})[0].ok
    with pytest.raises(Unsupported, match="in its memory"), fleet.overlays.changes("kept"):
        pass
    with pytest.raises(Unsupported, match="in its memory"):
        fleet.overlays.flatten("kept", FlatDisk(file=tmp_path / "flat"))
    assert fleet.overlays.grow(["kept"], 128 * MIB)[0].ok
    assert fleet.overlays.reset(["kept"])[0].ok
    assert fleet.overlays.tell(["kept"], {"throw_away": None})[0].ok
    assert fleet.overlays.restore(["kept"], "x")[0].ok


def test_no_command_takes_its_disk_for_what_it_wrote(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.create(["web"], "tiny", replace(SPARSE, throw_away=MEMORY))
    why = "keeps what it writes in its memory|throws away what it wrote"
    refuses_to_read(fleet, "web", why, tmp_path, capsys)


def test_it_is_set_on_one_that_is_off_and_on_a_master_that_knows_it(
    fleet: Fleet, state: Path, tmp_path: Path
) -> None:
    seal(state, tmp_path, "old", "1", protocol=2)
    with pytest.raises(Unsupported, match="does not know throw_away"):
        fleet.create(["a"], "old", replace(SPARSE, throw_away=DISK))
    fleet.create(["a"], "old", SPARSE)
    assert isinstance(fleet.overlays.tell(["a"], {"throw_away": DISK})[0].error, Unsupported)
    fleet.create(["b"], "tiny", SPARSE)
    fleet.start(["b"])
    assert isinstance(fleet.overlays.tell(["b"], {"throw_away": DISK})[0].error, Blocked)


def test_a_plan_shows_it_and_apply_does_it(file: File, state: Path) -> None:
    file.write(HEAD + "machines:\n  web: {throw_away: true}\n  db: {throw_away: false}\n")
    assert all(outcome.ok for outcome in file.apply())
    assert (told(file.fleet, state, "web"), told(file.fleet, state, "db")) == ("disk", None)
    assert file.plan() == []
    file.write(HEAD + "machines:\n  web: {throw_away: 'memory:64M'}\n  db: {throw_away: disk}\n")
    assert file.plan() == ["seed web", "blocked db"]
    assert [(outcome.name, outcome.ok) for outcome in file.apply()] == [("web", True), ("db", False)]
    assert (file.plan(), told(file.fleet, state, "db")) == (["blocked db"], None)
    assert file.plan(reset=frozenset({"db"})) == ["reset db"]
    assert all(outcome.ok for outcome in file.apply(reset=frozenset({"db"})))
    assert (told(file.fleet, state, "web"), told(file.fleet, state, "db")) == (f"memory {64 * MIB}", "disk")
    assert file.plan() == []
    for wrong in ("yesterday", "5", "memory:1"):
        file.write(HEAD + f"machines:\n  web: {{throw_away: {wrong}}}\n")
        with pytest.raises(UsageError, match=r"fleet.yaml:5:\d+"):
            file.plan()


def test_the_command_line(made: dict[str, Instance], state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    way = ("--host", "fake", "--state", str(state))
    create = (*way, "create", "-m", "tiny", "--sparse", "--overlay", "64M")
    assert said(capsys, *create, "kiosk", "--throw-away").code == 0
    assert said(capsys, *create, "kiosk-2", "--throw-away", "memory:64M").code == 0
    confused = said(capsys, *create, "--throw-away", "kiosk-3")
    assert confused.code == 2 and "kiosk-3" in confused.err
    setting = (*way, "set", "a", "b", "--throw-away", "memory", "--swap", "zram")
    with open_fake(state) as fleet:
        fleet.start(["b"])
    asked = said(capsys, *setting)
    assert asked.code == 2 and "yes: throw away at their next start what a made their own" in asked.err
    with open_fake(state) as fleet:
        assert fleet.machine("a").instance.throw_away is None
        fleet.kill(["b"])
    assert said(capsys, *setting, "--yes").code == 0
    assert said(capsys, *way, "set", "a", "--throw-away", "disk").code == 0  # nothing of it is left to lose
    assert said(capsys, *way, "set", "a", "--throw-away", "memory").code == 0
    shown = said(capsys, *way, "show", "kiosk", "kiosk-2", "a").out
    for line in ("disk", "memory:64M", "memory"):
        assert f"throw away:      {line}\n" in shown
    assert said(capsys, *way, "set", "kiosk", "--throw-away", "none").code == 0
    with open_fake(state) as fleet:
        assert fleet.machine("kiosk").instance.throw_away is None
