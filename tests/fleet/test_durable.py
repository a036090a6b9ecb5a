"""What a command said is done survives a power cut: a file is on the disk before it has its name, and the
name before the command ends. Killed processes show nothing of that; so the calls are watched."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.model import ImageKind, Swap
from skinnybox.model.datadisk import data_disk
from skinnybox.sizes import MIB
from skinnybox.values import replace
from tests.fleet.conftest import SPARSE
from tests.layered import planted
from tests.rebased import rebase, rollback
from tests.samples import seal

SYNCED = "synced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """In their order: what was synced, or a name that something got, by its inode."""

    made: list[tuple[str, int]] = field(default_factory=list)

    def synced(self, descriptor: int) -> None:
        self.made.append((SYNCED, os.fstat(descriptor).st_ino))

    def naming(self, really: Callable[..., None]) -> Callable[..., None]:
        def named(source: Any, target: Any, **more: Any) -> None:
            self.made.append((os.fspath(target), Path(source).lstat().st_ino))
            really(source, target, **more)

        return named

    def making(self, really: Callable[..., None]) -> Callable[..., None]:
        def made(folder: Any, *more: Any, **named: Any) -> None:
            really(folder, *more, **named)
            self.made.append((os.fspath(folder), Path(folder).stat().st_ino))

        return made

    def are_durable(self, name: Path, *, whole: bool = True, changed: bool = True) -> None:
        """Of who got that name last. `whole`: it was all there by then. `changed`: we have written it."""
        before, after = self._at(name)
        for inode in _within(name) if changed else ():
            assert (SYNCED, inode) in (before if whole else after), f"{name} was not on the disk by then"
        assert (SYNCED, name.parent.stat().st_ino) in after, f"the name {name} is not on the disk"
        if (str(name.parent), name.parent.stat().st_ino) in self.made:  # a folder made for it
            _, later = self._at(name.parent)
            above = name.parent.parent
            assert (SYNCED, above.stat().st_ino) in later, f"the name {name.parent} is not on the disk"

    def _at(self, name: Path) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        """What came before it got that name, and behind."""
        got = (str(name), name.stat().st_ino)
        assert got in self.made, f"{name} did not get its name here"
        at = len(self.made) - 1 - self.made[::-1].index(got)
        return self.made[:at], self.made[at:]


def _within(path: Path) -> list[int]:
    info = path.stat()
    below = list(path.iterdir()) if stat.S_ISDIR(info.st_mode) else []
    return [info.st_ino, *(each.stat().st_ino for each in below)]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, sparing: None) -> Calls:
    calls = Calls()
    monkeypatch.setattr(os, "fsync", calls.synced)
    for name in ("rename", "replace", "link"):
        monkeypatch.setattr(os, name, calls.naming(getattr(os, name)))
    monkeypatch.setattr(os, "mkdir", calls.making(os.mkdir))
    return calls


@pytest.fixture
def folder(fleet: Fleet, state: Path) -> Path:
    """Of a machine with a data disk."""
    [db] = fleet.create(["db"], "tiny", replace(SPARSE, data=data_disk(48 * MIB)))
    return state / "instances" / str(db.uuid)


def test_a_snapshot_and_what_is_put_back_of_it(fleet: Fleet, folder: Path, calls: Calls) -> None:
    assert fleet.overlays.snapshot(["db"], "one", data=True)[0].ok
    for name in ("one.img", "one.data"):
        calls.are_durable(folder / "snapshots" / name)
    calls.are_durable(folder / "snapshots" / "one.json", whole=False)
    assert fleet.overlays.restore(["db"], "one", data=True)[0].ok
    for name in ("overlay.img", "data.img"):
        calls.are_durable(folder / name)


def changed(fleet: Fleet, what: str) -> bool:
    match what:
        case "reset":
            return fleet.overlays.reset(["db"])[0].ok
        case _:
            return fleet.overlays.tell(["db"], {"swap": Swap(size=16 * MIB)})[0].ok


@pytest.mark.parametrize("what", ["reset", "a new seed"])
def test_an_overlay_that_takes_the_place_of_another(
    fleet: Fleet, folder: Path, calls: Calls, what: str
) -> None:
    assert changed(fleet, what)
    calls.are_durable(folder / "overlay.img")


def test_a_rebase_and_its_way_back(
    fleet: Fleet, folder: Path, state: Path, tmp_path: Path, calls: Calls
) -> None:
    rebase(fleet, "db", seal(state, tmp_path, "next", "1"))
    calls.are_durable(folder / "overlay.img")
    for kept in ("before-rebase-1.img", "before-rebase-1.json"):
        calls.are_durable(folder / "snapshots" / kept, whole=False, changed=kept.endswith("json"))
    rollback(fleet, "db")
    calls.are_durable(folder / "overlay.img", changed=False)
    for kept in ("after-rebase-2.img", "after-rebase-2.json"):
        calls.are_durable(folder / "snapshots" / kept, whole=False, changed=kept.endswith("json"))


def test_a_master_and_an_image_that_it_is_given_later(state: Path, tmp_path: Path, calls: Calls) -> None:
    sealed = seal(state, tmp_path, "durable", "1")
    place = state / "masters" / sealed.id.removeprefix("sha256:")
    calls.are_durable(place)
    plain = seal(state, tmp_path, "durable", "1", dax=True).image_of(ImageKind.EROFS_PLAIN)
    assert plain is not None
    for name in (plain.file, "manifest.json"):
        calls.are_durable(place / name)


def test_a_layer(fleet: Fleet, tmp_path: Path, calls: Calls) -> None:
    tree = planted(tmp_path / "site", {"srv/www/index.html": "hello"})
    calls.are_durable(fleet.layers.folder(fleet.layers.import_tree(tree, "site:1", above="tiny")))
