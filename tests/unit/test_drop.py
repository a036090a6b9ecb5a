"""Paths given back to the master, and copies that say nothing: on real disks, against what a guest sees."""

import contextlib
import os
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skinnybox.delta.drop import building, ordering
from skinnybox.delta.rebase import comparing
from skinnybox.delta.rebase.orders import decoded
from skinnybox.errors import Blocked, NotFound, UsageError
from skinnybox.ext4 import open_volume
from skinnybox.masters.system import image
from skinnybox.masters.system.values import System
from skinnybox.model.drop import Dropped, Gone, Wanted, path_of
from skinnybox.operation import Operation
from skinnybox.overlays import edit
from tests.unit import rebased_disk
from tests.unit.rebased import OPAQUE, WHITEOUT, Thing, a_system, d, f, l
from tests.unit.rebased_disk import Model, Rebase, Tree, overlay, read, whole, without_confinement

cache = rebased_disk.cache
PLAIN = a_system(manager=None)


class Drop:
    """Of an upper directory what is left; `told` is what was said of that."""

    def __init__(self, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._cache, self._patch = folder, cache, monkeypatch
        self._rebase = Rebase(folder, monkeypatch)
        self.told: list[Gone | Dropped] = []

    def __call__(
        self, upper: Tree, master: Tree, wanted: Wanted, *, system: System = PLAIN, files: Any = None
    ) -> dict[bytes, Thing]:
        old, new = self._folder / "old.img", self._folder / "new.img"
        old.unlink(missing_ok=True)
        overlay(old, self._cache, upper)
        new.write_bytes(old.read_bytes())
        tree = whole(master)
        with contextlib.ExitStack() as held:
            sealed = self._rebase._files(held, tree, system, files or {})
            self._patch.setattr(image, "opened", {sealed.image: Model(tree)}.__getitem__)
            scratch = held.enter_context(building._scratch(self._folder))
            with new.open("rb") as device:
                twins = list(map(os.dup, scratch))
                _, _, *answers = ordering._answers(device.fileno(), wanted, sealed.word, twins)
            self.told = list(building._checked(iter(answers)))
            with building._reading(scratch[0]) as first, building._reading(scratch[1]) as then:
                edit.edited(new, [*decoded(first, 0), *decoded(then, 0)], scratch[3], Operation())
            edit.settled(new)
            with open_volume(new) as volume:
                list(comparing.compared(volume, os.dup(scratch[2])))
        return read(new)

    @property
    def sum(self) -> Dropped:
        assert isinstance(self.told[-1], Dropped)
        return self.told[-1]


@pytest.fixture
def drop(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Drop:
    without_confinement(monkeypatch)
    return Drop(tmp_path, cache, monkeypatch)


def paths(*texts: str) -> Wanted:
    return Wanted(paths=tuple(map(path_of, texts)))


IDLE = Wanted(idle=True)


def seen(upper: Tree, master: Tree) -> dict[bytes, Thing]:
    """What a guest sees, by the rules of overlayfs and by nothing of ours. Times and overlayfs' marks are
    none of it; a folder's own metadata are the upper's."""
    merged = dict(whole(master))
    for path, thing in whole_but_root(upper).items():
        hides = thing.type != "d" or thing.xattrs.get("trusted.overlay.opaque") == b"y"
        if path and (hides or merged.get(path, thing).type != "d"):
            for below in [each for each in merged if each == path or each.startswith(path + b"/")]:
                del merged[below]
        if thing.type != "c":
            own = {k: v for k, v in thing.xattrs.items() if not k.startswith("trusted.overlay.")}
            merged[path] = replace(thing, xattrs=own)
    return merged


def whole_but_root(upper: Tree) -> Mapping[bytes, Thing]:
    return {path: thing for path, thing in whole(upper).items() if path}


# --- paths


MASTER = {
    b"etc/motd": f("welcome"), b"etc/passwd": f("root"), b"etc/apache2/ports.conf": f("80"),
    b"etc/apache2/sites/default": f("site"), b"usr/bin/tool": f("1"), b"lib": l("usr/lib"),
    b"usr/lib/x.so": f("x"),
}  # fmt: skip


def test_a_path_is_the_masters_again_and_all_else_is_not_touched(drop: Drop) -> None:
    upper = {b"etc/motd": f("mine"), b"etc/apache2/ports.conf": f("8080"), b"srv/www/index.html": f("hello")}
    after = drop(upper, MASTER, paths("/etc/apache2"))
    assert {path for path, t in after.items() if t.type != "d"} == {b"etc/motd", b"srv/www/index.html"}
    gone = [each.path for each in drop.told if isinstance(each, Gone)]
    assert gone == [b"etc/apache2/ports.conf", b"etc/apache2"]
    assert drop.sum.count == 2 and drop.sum.freed > 0


def test_what_was_deleted_comes_back(drop: Drop) -> None:
    after = drop({b"etc/apache2": WHITEOUT, b"srv/x": f("1")}, MASTER, paths("/etc/apache2"))
    assert b"etc/apache2" not in after and b"srv/x" in after


def test_a_folder_that_took_the_place_of_the_masters_goes_whole(drop: Drop) -> None:
    upper = {b"etc/apache2": d(xattrs=OPAQUE), b"etc/apache2/own": f("1"), b"srv/x": f("1")}
    assert b"etc/apache2" not in drop(upper, MASTER, paths("/etc/apache2"))


def test_below_such_a_folder_nothing_can_come_back_alone(drop: Drop) -> None:
    upper = {b"etc/apache2": d(xattrs=OPAQUE), b"etc/apache2/ports.conf": f("1"), b"etc/apache2/own": f("2")}
    for path in ("/etc/apache2/ports.conf", "/etc/apache2/sites", "/etc/apache2/sites/default"):
        with pytest.raises(Blocked, match="took the place of the master's"):
            drop(upper, MASTER, paths(path))
    assert b"etc/apache2/own" not in drop(upper, MASTER, paths("/etc/apache2/own"))


def test_a_folder_that_keeps_something_shows_the_masters_again(drop: Drop) -> None:
    upper = {b"etc": d(xattrs=OPAQUE), b"etc/passwd": f("root, me"), b"etc/own": f("1"), b"srv/x": f("1")}
    after = drop(upper, MASTER, paths("/etc"))
    assert set(after) - {b""} == {b"etc", b"etc/passwd", b"srv", b"srv/x"}
    assert not after[b"etc"].xattrs
    assert drop.sum.notes == ("/etc/passwd: it tells of the whole machine, and goes when it is named itself",)


def test_where_there_is_nothing_it_says_so(drop: Drop) -> None:
    with pytest.raises(NotFound, match="nothing of its own at /etc/motd"):
        drop({b"srv/x": f("1")}, MASTER, paths("/etc/motd"))
    with pytest.raises(Blocked, match="/etc/apache2 is no folder there any more"):
        drop({b"etc/apache2": WHITEOUT}, MASTER, paths("/etc/apache2/ports.conf"))


def test_it_goes_through_the_machines_own_symlinks(drop: Drop) -> None:
    assert b"usr/lib/x.so" not in drop({b"usr/lib/x.so": f("mine")}, MASTER, paths("/lib/x.so"))


def test_host_keys_of_the_master_stay_deleted_and_its_own_bookkeeping_stays(drop: Drop) -> None:
    master = {**MASTER, b"etc/ssh/ssh_host_rsa_key": f("shared by all")}
    upper = {
        b"etc/ssh/ssh_host_rsa_key": WHITEOUT, b"etc/ssh/sshd_config": f("1"),
        b"var/lib/skinnybox/seed-applied": f("1 x"), b"var/lib/mine": f("1"),
    }  # fmt: skip
    after = drop(upper, master, paths("/etc/ssh", "/var"))
    assert {path for path, t in after.items() if t.type != "d"} == {
        b"etc/ssh/ssh_host_rsa_key", b"var/lib/skinnybox/seed-applied",
    }  # fmt: skip


def test_a_name_that_ends_a_line_goes_too(drop: Drop) -> None:
    upper = {b"srv/a\nb": f("1"), b'srv/-rf "q"': f("2"), b"srv/<12>": f("3"), b"keep": f("4")}
    assert set(drop(upper, MASTER, paths("/srv"))) - {b""} == {b"keep"}


@pytest.mark.parametrize("text", ["etc", "", "/", "//", "/a/../b", "/a\0b", "/" + "x" * 5000])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        path_of(text)
    assert path_of("//etc/./apache2/") == b"etc/apache2"


# --- packages


STATUS = b"var/lib/dpkg/status"


def _status(*packages: str) -> Thing:
    return f("".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n"
        for name, _, version in (package.partition("=") for package in packages)
    ))  # fmt: skip


SYSTEM = a_system("git=1", "vim=1")
FILES = {"git:amd64": ("usr/bin/git", "etc/git.conf"), "vim:amd64": ("usr/bin/vim",)}
WITH_PACKAGES = {
    b"usr/bin/git": f("1"), b"etc/git.conf": f("1"), b"usr/bin/vim": f("1"),
    STATUS: _status("git=1", "vim=1"),
}  # fmt: skip


def test_the_files_of_a_package_go_by_its_name(drop: Drop) -> None:
    upper = {
        b"usr/bin/git": f("broken"),
        b"etc/git.conf": f("2"),
        b"usr/bin/vim": f("2"),
        b"usr/bin/a": f("1"),
    }
    after = drop(upper, WITH_PACKAGES, Wanted(packages=("git",)), system=SYSTEM, files=FILES)
    assert {path for path, t in after.items() if t.type != "d"} == {b"usr/bin/vim", b"usr/bin/a"}
    with pytest.raises(NotFound, match="its master has no package emacs"):
        drop(upper, WITH_PACKAGES, Wanted(packages=("emacs",)), system=SYSTEM, files=FILES)
    with pytest.raises(NotFound, match="nothing of its own in place of the files of vim"):
        drop({b"x": f("1")}, WITH_PACKAGES, Wanted(packages=("vim",)), system=SYSTEM, files=FILES)


def _info(name: str, *files: str) -> dict[bytes, Thing]:
    lines = "".join(f"/{each}\n" for each in files)
    return {f"var/lib/dpkg/info/{name}.list".encode(): f(lines)}


@pytest.mark.parametrize(
    ("machine", "own", "path"),
    [
        (("git=2", "vim=1"), {b"usr/bin/git": f("2"), **_info("git", "usr/bin/git")}, "/usr/bin/git"),
        (("git=1", "vim=1", "mc=1"), {b"usr/bin/mc": f("1"), **_info("mc", "usr/bin/mc")}, "/usr/bin"),
        (("vim=1",), {b"usr/bin/git": WHITEOUT}, "/usr/bin/git"),
    ],
    ids=["upgraded", "installed", "removed"],
)
def test_what_a_package_manager_did_it_undoes(
    drop: Drop, machine: tuple[str, ...], own: Tree, path: str
) -> None:
    upper = {**own, STATUS: _status(*machine)}
    with pytest.raises(Blocked, match="its package manager undoes that"):
        drop(upper, WITH_PACKAGES, paths(path), system=SYSTEM, files=FILES)
    after = drop({**upper, b"usr/bin/mine": f("1")}, WITH_PACKAGES, paths("/usr"), system=SYSTEM, files=FILES)
    assert b"usr/bin/mine" not in after and set(own) <= set(after)
    assert "its package manager undoes that" in drop.sum.notes[0]


def test_folders_of_its_packages_stay_without_what_is_in_them(drop: Drop) -> None:
    """Or Apache would not start, which has nowhere to write to."""
    own = {b"var/log/mc/log": f("1"), b"var/log/mc": d(0o750), b"var/log/mine/log": f("1")}
    upper = {**own, STATUS: _status("git=1", "vim=1", "mc=1"), **_info("mc", "var/log/mc")}
    after = drop(upper, WITH_PACKAGES, paths("/var/log"), system=SYSTEM, files=FILES)
    assert {path for path in after if path.startswith(b"var/log")} == {b"var/log", b"var/log/mc"}
    assert after[b"var/log/mc"].mode == 0o750


def test_a_setting_of_an_upgraded_package_is_anybodys(drop: Drop) -> None:
    upper = {b"etc/git.conf": f("2"), STATUS: _status("git=2", "vim=1"), **_info("git", "etc/git.conf")}
    after = drop(upper, WITH_PACKAGES, paths("/etc/git.conf"), system=SYSTEM, files=FILES)
    assert b"etc/git.conf" not in after


def test_the_package_database_does_not_go_and_stays_where_a_folder_around_it_goes(drop: Drop) -> None:
    upper = {STATUS: _status("git=1"), b"var/lib/mine": f("1")}
    with pytest.raises(Blocked, match="says which packages the machine has"):
        drop(upper, WITH_PACKAGES, paths("/var/lib/dpkg/status"), system=SYSTEM, files=FILES)
    after = drop(upper, WITH_PACKAGES, paths("/var"), system=SYSTEM, files=FILES)
    assert STATUS in after and b"var/lib/mine" not in after


# --- what says nothing


def test_copies_that_say_nothing_go_and_all_else_stays(drop: Drop) -> None:
    upper = {
        b"etc/motd": f("welcome"), b"etc/passwd": f("ROOT"), b"usr/bin/tool": f("1", mode=0o755),
        b"etc/apache2/ports.conf": f("80", mtime_ns=5), b"lib": l("usr/lib"), b"usr/none": WHITEOUT,
        b"usr/lib": d(), b"srv/empty": d(), b"var": d(0o700),
    }  # fmt: skip
    after = drop(upper, {**MASTER, b"var": d()}, IDLE)
    assert set(after) - {b""} == {
        b"etc", b"etc/passwd", b"etc/apache2", b"etc/apache2/ports.conf", b"usr", b"usr/bin", b"usr/bin/tool",
        b"srv", b"srv/empty", b"var",
    }  # fmt: skip
    assert {each.path for each in drop.told if isinstance(each, Gone)} == {
        b"etc/motd", b"lib", b"usr/none", b"usr/lib",
    }  # fmt: skip


def test_below_a_folder_that_hides_the_masters_a_copy_is_all_there_is(drop: Drop) -> None:
    upper = {b"etc": d(xattrs=OPAQUE), b"etc/motd": f("welcome"), b"etc/gone": WHITEOUT}
    assert set(drop(upper, MASTER, IDLE)) - {b""} == {b"etc", b"etc/motd", b"etc/gone"}


# --- against a model


NAMES = (b"a", b"b", b"c")
SEEDS = [*range(6), *(pytest.param(seed, marks=pytest.mark.full) for seed in range(6, 60))]


def _random_tree(dice: random.Random, depth: int = 3) -> dict[bytes, Thing]:
    tree: dict[bytes, Thing] = {}
    for name in NAMES:
        kind = dice.choice(["none", "file", "link", "folder", "folder"])
        if kind == "file":
            tree[name] = f(dice.choice("12"), mode=dice.choice((0o644, 0o600)), mtime_ns=dice.choice((0, 7)))
        elif kind == "link":
            tree[name] = l(dice.choice("xy"))
        elif kind == "folder" and depth:
            tree[name] = d(dice.choice((0o755, 0o700)))
            tree |= {name + b"/" + below: thing for below, thing in _random_tree(dice, depth - 1).items()}
    return tree


def _random_upper(dice: random.Random, master: Tree) -> dict[bytes, Thing]:
    upper = _random_tree(dice)
    for path, thing in whole(master).items():
        if path and dice.random() < 0.3 and _can_stand(path, upper):
            upper[path] = thing if dice.random() < 0.7 else WHITEOUT
    for path, thing in tuple(upper.items()):
        if thing.type == "d" and dice.random() < 0.2:
            upper[path] = replace(thing, xattrs=OPAQUE)
        if thing.type != "d":
            for below in [each for each in upper if each.startswith(path + b"/")]:
                del upper[below]
    return upper


def _can_stand(path: bytes, upper: Tree) -> bool:
    folders = [path[:at] for at in range(len(path)) if path[at : at + 1] == b"/"]
    return path not in upper and all(upper.get(each, d()).type == "d" for each in folders)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_guest_sees_the_masters_at_those_paths_and_elsewhere_what_it_saw(drop: Drop, seed: int) -> None:
    dice = random.Random(seed)
    master = _random_tree(dice)
    upper = _random_upper(dice, master)
    asked = [path for path in whole(upper) if path]
    if not asked:
        return
    path = dice.choice(asked)
    before = seen(upper, master)
    try:
        after = seen(drop(upper, master, paths("/" + path.decode())), master)
    except Blocked as error:
        assert "took the place" in str(error)
        return

    def is_at(each: bytes) -> bool:
        return each == path or each.startswith(path + b"/")

    sealed = whole(master)
    assert {p: t for p, t in after.items() if is_at(p)} == {p: t for p, t in sealed.items() if is_at(p)}
    assert {p: t for p, t in after.items() if not is_at(p)} == {
        p: t for p, t in before.items() if not is_at(p)
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_without_its_idle_copies_a_guest_sees_the_same(drop: Drop, seed: int) -> None:
    dice = random.Random(seed)
    master = _random_tree(dice)
    upper = _random_upper(dice, master)
    slim = drop(upper, master, IDLE)
    assert seen(slim, master) == seen(upper, master)
    assert len(slim) <= len(whole(upper))
    assert drop(slim, master, IDLE) == slim
