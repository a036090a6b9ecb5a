"""Swap of machines: asked for, changed, planned, refused; and left out of copies."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import wire
from skinnybox.errors import Blocked, NotFound, Unsupported, UsageError
from skinnybox.fleet import present
from skinnybox.fleet.exporting import Export
from skinnybox.fleet.restoring import Restore
from skinnybox.fleet.service import Fleet
from skinnybox.model import Instance, Swap, SwapKind
from skinnybox.overlays import inspect
from skinnybox.sizes import MIB
from tests.fleet.conftest import SPARSE, open_fake, said
from tests.fleet.fleetfile import HEAD, File
from tests.samples import seal

SWAP = Swap(size=16 * MIB)
SECRET = b"what a program had in its memory" * 128


def overlay_of(state: Path, instance: Instance) -> Path:
    return state / "instances" / str(instance.uuid) / "overlay.img"


def told(fleet: Fleet, state: Path, name: str) -> str | None:
    """What the seed on the overlay says of it."""
    disk = overlay_of(state, fleet.machine(name).instance)
    return wire.decode(inspect._content(disk, "seed", 16384), "seed").get("swap")


def test_a_machine_is_made_with_it(fleet: Fleet, state: Path) -> None:
    fleet.create(["a"], "tiny", replace(SPARSE, swap=SWAP))
    fleet.create(["b"], "tiny", SPARSE)
    assert (told(fleet, state, "a"), told(fleet, state, "b")) == (f"file {16 * MIB}", None)
    assert present.machine(fleet.machine("a"))["swap"] == {"kind": "file", "size": 16 * MIB}
    assert fleet.overlays.reset(["a"])[0].ok
    assert told(fleet, state, "a") == f"file {16 * MIB}"


def test_one_that_leaves_too_little_of_the_overlay_is_refused(fleet: Fleet) -> None:
    with pytest.raises(UsageError, match="does not fit"):
        fleet.create(["a"], "tiny", replace(SPARSE, swap=Swap(size=40 * MIB)))
    fleet.create(["a"], "tiny", SPARSE)
    assert isinstance(fleet.overlays.tell(["a"], {"swap": Swap(size=40 * MIB)})[0].error, UsageError)
    assert fleet.machine("a").instance.swap is None


def test_it_is_set_on_one_that_is_off(fleet: Fleet, state: Path) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    before = fleet.machine("a").instance
    for swap in (SWAP, Swap(kind=SwapKind.ZRAM), None):
        assert fleet.overlays.tell(["a"], {"swap": swap})[0].ok
        assert fleet.machine("a").instance.swap == swap
        now = fleet.machine("a").instance.seed.generation
        assert fleet.overlays.tell(["a"], {"swap": swap})[0].ok  # the same again is no new seed
        assert fleet.machine("a").instance.seed.generation == now
    assert told(fleet, state, "a") is None
    assert fleet.machine("a").instance.seed.generation > before.seed.generation
    fleet.start(["a"])
    assert isinstance(fleet.overlays.tell(["a"], {"swap": SWAP})[0].error, Blocked)


def test_an_older_master_is_refused_beforehand(fleet: Fleet, state: Path, tmp_path: Path) -> None:
    seal(state, tmp_path, "old", "1", protocol=2)
    with pytest.raises(Unsupported, match="does not know swap: it speaks protocol 2"):
        fleet.create(["a"], "old", replace(SPARSE, swap=SWAP))
    assert fleet.names() == []
    fleet.create(["a"], "old", SPARSE)
    assert isinstance(fleet.overlays.tell(["a"], {"swap": SWAP})[0].error, Unsupported)
    assert fleet.machine("a").instance.seed.generation == 1


def test_a_plan_shows_it_and_apply_does_it(file: File, state: Path, tmp_path: Path) -> None:
    file.write(HEAD + "machines:\n  web: {swap: 16M}\n  db: {}\n")
    assert all(outcome.ok for outcome in file.apply())
    assert told(file.fleet, state, "web") == f"file {16 * MIB}" and file.plan() == []
    file.write(HEAD + "machines:\n  web: {swap: zram}\n  db: {swap: 'zram:32M'}\n")
    assert file.plan() == ["seed web", "seed db"]
    assert all(outcome.ok for outcome in file.apply())
    assert (told(file.fleet, state, "web"), told(file.fleet, state, "db")) == ("zram", f"zram {32 * MIB}")
    assert file.plan() == []
    file.write(HEAD + "machines:\n  web: {}\n  db: {swap: 63M}\n")
    with pytest.raises(UsageError, match="does not fit"):
        file.plan()
    file.write(HEAD + "machines:\n  web: {swap: a lot}\n")
    with pytest.raises(UsageError, match=r"fleet.yaml:5:\d+"):
        file.plan()


def test_an_existing_machine_on_an_older_master_is_not_given_it(
    file: File, state: Path, tmp_path: Path
) -> None:
    seal(state, tmp_path, "old", "1", protocol=2)
    head = HEAD.replace("tiny", "old")
    file.write(head + "machines:\n  web: {}\n")
    assert all(outcome.ok for outcome in file.apply())
    seal(state, tmp_path, "old", "2", unrelated=True)
    file.write(head + "machines:\n  web: {swap: 16M}\n")
    assert file.plan() == ["seed web"]
    assert isinstance(file.apply()[0].error, Unsupported)


def test_the_command_line(made: dict[str, Instance], state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    way = ("--host", "fake", "--state", str(state))
    ended = said(capsys, *way, "set", "a", "--swap", "16M", "--cpus", "2")
    assert ended.code == 0, ended
    ended = said(capsys, *way, "set", "b", "--swap", "zram:32M")
    assert (ended.code, "applies all of its seed" in ended.out + ended.err) == (0, True)
    shown = said(capsys, *way, "show", "a", "b").out
    assert "swap:            16M" in shown and "swap:            zram:32M" in shown
    assert said(capsys, *way, "set", "a", "--swap", "none").code == 0
    assert said(capsys, *way, "set", "a", "--swap", "lots").code == 2
    with open_fake(state) as fleet:
        a = fleet.machine("a").instance
        assert (a.swap, a.cpus) == (None, 2)


def with_swap(disk: Path) -> tuple[int, int]:
    """An overlay on which a guest swapped; (offset, length) of the file's first piece. ext4 has its blocks as
    never written, as fallocate made them: what is swapped goes past it."""
    length = 16 * MIB
    run_debugfs(disk, f"write /dev/null swap\nfallocate swap 0 {length // 4096 - 1}\nsif swap size {length}\n"
                      "sif swap mode 0100600\n")  # fmt: skip
    pieces = inspect.read_swap(disk)
    assert sum(piece for _, piece in pieces) == length
    with disk.open("r+b") as file:
        os.pwrite(file.fileno(), SECRET, pieces[0][0] + 4096)
    return pieces[0]


def run_debugfs(disk: Path, commands: str) -> None:
    subprocess.run(["debugfs", "-w", "-f", "/dev/stdin", str(disk)], input=commands.encode(), check=True,
                   capture_output=True)  # fmt: skip


@pytest.mark.parametrize("way", ["copy", "export"])
def test_what_is_taken_along_is_without_it(fleet: Fleet, state: Path, tmp_path: Path, way: str) -> None:
    (instance,) = fleet.create(["a"], "tiny", replace(SPARSE, swap=SWAP))
    disk = overlay_of(state, instance)
    with_swap(disk)
    if way == "copy":
        (made,) = fleet.deltas.copy("a", ["b"])
    else:
        fleet.deltas.export("a", Export(file=tmp_path / "archive"))
        packed = subprocess.run(["zstd", "-dc", tmp_path / "archive"], capture_output=True, check=True)
        assert SECRET not in packed.stdout
        made = fleet.deltas.restore("b", Restore(sources=(tmp_path / "archive",), new_identity=True))
    other = overlay_of(state, made)
    assert made.swap == SWAP and SECRET in disk.read_bytes() and SECRET not in other.read_bytes()
    if way == "export":
        with pytest.raises(NotFound):  # its guest makes it
            inspect.read_swap(other)


@pytest.mark.parametrize("way", ["snapshot", "grow", "set", "slim", "restore"])
def test_no_copy_of_a_stopped_machine_carries_what_was_swapped(fleet: Fleet, state: Path, way: str) -> None:
    (instance,) = fleet.create(["a"], "tiny", replace(SPARSE, swap=SWAP))
    disk = overlay_of(state, instance)
    with_swap(disk)
    assert SECRET in disk.read_bytes()
    match way:
        case "snapshot" | "restore":
            assert fleet.overlays.snapshot(["a"], "x")[0].ok
            kept = disk.parent / "snapshots/x.img"
            assert SECRET not in kept.read_bytes()
            assert fleet.overlays.restore(["a"], "x")[0].ok
        case "slim":
            assert fleet.deltas.slim(["a"])[0].ok
        case "grow":
            assert fleet.overlays.grow(["a"], 96 * MIB)[0].ok
        case "set":
            assert fleet.overlays.tell(["a"], {"swap": Swap(size=8 * MIB)})[0].ok
    assert SECRET not in disk.read_bytes()
    assert inspect.is_clean(disk)
    done = subprocess.run(["e2fsck", "-fn", disk], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def test_of_a_disk_that_is_not_clean_nothing_is_taken(fleet: Fleet, state: Path) -> None:
    """What stands there of the file may be of before it was made anew, and its blocks another's by now."""
    (instance,) = fleet.create(["a"], "tiny", replace(SPARSE, swap=SWAP))
    disk = overlay_of(state, instance)
    with_swap(disk)
    run_debugfs(disk, "feature needs_recovery\n")
    assert inspect.read_swap(disk) == []
    assert fleet.overlays.snapshot(["a"], "x")[0].ok
    assert SECRET in (disk.parent / "snapshots/x.img").read_bytes()
