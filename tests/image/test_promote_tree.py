"""The merged tree of which a master is made, against what the kernel shows of the same two: overlayfs itself
is asked, and cp copies what it shows. Requirements: root, loop devices, mkfs.erofs."""

import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.delta.promote import promoted
from skinnybox.delta.promote.choosing import Chooser
from skinnybox.delta.promote.for_layer import of_layer
from skinnybox.delta.promote.lower import Lower
from skinnybox.delta.promote.merging import Told
from skinnybox.delta.promote.streaming import LAYER
from skinnybox.delta.promote.whose import Whose
from skinnybox.delta.rebase.masters import opened
from skinnybox.delta.upper_disk import UPPER
from skinnybox.ext4 import open_volume
from skinnybox.masters.imports import import_tree
from skinnybox.masters.index import Entry, scan
from skinnybox.masters.lookup import Lookup
from skinnybox.model import ImageFormat, Master
from skinnybox.operation import Operation
from tests.image.disks import ACL, CAPABILITY, REAL_ROOT, write_system
from tests.image.overlaid import Machine

pytestmark = [pytest.mark.image, pytest.mark.skipif(not REAL_ROOT, reason="overlayfs is mounted")]

NOBODY = Whose(names=frozenset(), passwords={}, files=frozenset(), expected={})
LEFT = (b"dev/", b"var/log/", b"etc/hostname")
KINDS = """
    printf new >srv/new; printf other >srv/data; rm srv/empty; chmod 0600 etc/app.conf
    rm -r opt/redo; mkdir opt/redo; printf again >opt/redo/again
    rm usr/share/doc/x; mkdir usr/share/doc/x; printf in >usr/share/doc/x/in
    rm -r etc/app; printf file >etc/app
    ln srv/new srv/newer; ln srv/new etc/newest; ln linked/one linked/four; rm linked/two
    ln -s /srv/new srv/link; rm bin; ln -s usr/sbin bin
    mkfifo srv/pipe; chown 1234:5678 srv/pipe; mkdir -m 2770 srv/sub; touch -d @1000000000.123456789 srv/sub
    truncate -s 9000000 srv/hole; printf end | dd of=srv/hole bs=1 seek=7000000 conv=notrunc status=none
    mv srv/moved srv/'with a
line'; printf x >"$(printf 'srv/\\377')"
    chown 7:7 kept; rm -r kept; mkdir kept
"""


def lay(machine: Machine) -> None:
    """What the script above expects, and more of every kind."""
    lower = machine.lower
    write_system(lower)
    for name in ("linked", "kept"):
        (lower / name).mkdir()
    for name in ("srv/moved", "linked/one", "kept/gone", "srv/cap", "srv/list"):
        (lower / name).write_text(name)
    os.link(lower / "linked/one", lower / "linked/two")
    os.link(lower / "linked/one", lower / "linked/zthree")
    os.setxattr(lower / "srv/cap", "security.capability", CAPABILITY)
    os.setxattr(lower / "srv/list", "system.posix_acl_access", ACL)
    os.setxattr(lower / "srv", "user.of a folder", b"\0\xff")
    (lower / "srv/large").write_bytes(random.Random(1).randbytes(100_000) + bytes(400_000))


def brought(machine: Machine, whose: Whose = NOBODY, kind: ImageFormat = ImageFormat.EROFS) -> Path:
    """What the machine's merged tree is said to be."""
    folder = machine.folder
    sealed = import_tree(
        machine.lower, store=folder / "masters", name="x", version="1", as_is=True, allow_foreign=True,
        kernel=None, initrd=None, operation=Operation(), image_format=kind,
    )  # fmt: skip
    return bring(machine, sealed, whose)


def bring(machine: Machine, sealed: Master, whose: Whose) -> Path:
    work = machine.folder / "work"
    work.mkdir()
    with opened(machine.folder / "masters", sealed, work) as files:
        lower = Lower(files=files, tree_size=sealed.tree_size, entries=sealed.entries)
        promoted.bring(machine.image, lower, whose, work, work / "tree", Operation())
    return work / "tree"


def shown(machine: Machine) -> Path:
    """What the kernel shows, copied."""
    copy = machine.folder / "shown"
    machine.sh(f"cp -a . {copy}")
    return copy


def told(tree: Path) -> Iterator[Entry]:
    """Of a folder that both sides have the time says nothing: overlayfs sets it at each copy-up. Names of a
    file that do not come are no further names of those that do."""
    left_out = (b"dev/", b"var/log/", b"etc/hostname")
    seen = [each for each in scan(tree, Operation()) if not each.path.startswith(left_out)]
    names = Counter(each.link for each in seen)
    first = {each.link: each.path for each in reversed(seen)}
    for entry in seen:
        if entry.type != "s":
            linked = entry.link is not None and names[entry.link] > 1
            entry = replace(entry, link=first[entry.link] if linked else None)
            yield replace(entry, mtime_ns=0) if entry.type == "d" else entry


@pytest.mark.parametrize("kind", [ImageFormat.EROFS, pytest.param(ImageFormat.EXT4, marks=pytest.mark.full)])
def test_it_is_what_the_kernel_shows(machine: Machine, kind: ImageFormat) -> None:
    lay(machine)
    machine.sh(KINDS)
    machine.sh("setfattr -n user.mine -v x srv/new; setfacl -m u:7:r srv/sub; rm srv/cap")
    tree = brought(machine, kind=kind)
    assert list(told(tree)) == list(told(shown(machine)))
    assert (tree / "srv/hole").stat().st_blocks < 100


def layered(machine: Machine) -> tuple[dict[bytes, Entry], set[bytes]]:
    """The layer of what it has of its own; at which places it is told that something is not in it."""
    folder, work = machine.folder, machine.folder / "work"
    sealed = import_tree(
        machine.lower, store=folder / "masters", name="x", version="1", as_is=True, allow_foreign=True,
        kernel=None, initrd=None, operation=Operation(),
    )  # fmt: skip
    work.mkdir()
    with opened(folder / "masters", sealed, work) as files:
        lower = Lower(files=files, tree_size=sealed.tree_size, entries=sealed.entries)
        promoted.bring(machine.image, lower, NOBODY, work, work / "tree", Operation(), LAYER)
        with open_volume(machine.image) as volume:
            chooser = Chooser(whose=NOBODY, volume=volume, sealed=lambda path: None)
            found = of_layer(volume.walk(UPPER), Lookup(files.index, files.table), chooser)
            places = {each.path for each in found if isinstance(each, Told)}
    return {entry.path: entry for entry in scan(work / "tree", Operation())}, places


def _adds(machine: Machine) -> None:
    """Over the old tree it is what the kernel shows, but for the places that are told."""
    found, places = layered(machine)
    before = {entry.path: replace(entry, link=None) for entry in scan(machine.lower, Operation())}
    for entry in told(shown(machine)):
        path, seen = entry.path, replace(entry, link=None)
        there = found.pop(path, None) if entry.type != "d" else None
        if there is not None:
            assert replace(there, link=None) == seen
        elif entry.type != "d" and path not in places:
            assert before.get(path) == seen, (path, places)
    more = [path for path, entry in found.items() if entry.type != "d"]
    assert [path for path in more if not path.startswith(LEFT)] == []


@pytest.mark.full
def test_a_layer_of_it_adds_what_the_kernel_shows(machine: Machine) -> None:
    lay(machine)
    machine.sh(KINDS)
    _adds(machine)


@pytest.mark.full
@pytest.mark.parametrize("_", range(40))
def test_a_layer_of_whatever_was_done_adds_it(machine: Machine, _: int) -> None:
    lay(machine)
    seed = random.randrange(1 << 32)
    machine.act(sys.executable, "-c", DO_ANYTHING.replace("SEED", str(seed)))
    print(f"seed {seed}")
    _adds(machine)


DO_ANYTHING = """
import os, random, shutil
chance = random.Random(SEED)
def places():
    found = ["."]
    for folder, folders, files in os.walk("."):
        folders[:] = sorted(name for name in folders if name not in ("dev", "lost+found"))
        found += [os.path.join(folder, name) for name in (*folders, *sorted(files))]
    return found
def write(at, hole=0):
    # Not of a FIFO, which would wait for a reader.
    with os.fdopen(os.open(at, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK), "wb") as out:
        out.seek(hole)
        out.write(chance.randbytes(chance.choice((0, 1, 5000, 200000))))
        out.truncate(max(out.tell(), hole + hole // 2))
def attribute(at):
    os.setxattr(at, "user." + chance.choice("ab=%"), chance.randbytes(3), follow_symlinks=False)
def gone(at):
    # rmtree opens what it is given: a FIFO would wait for a writer.
    shutil.rmtree(at) if os.path.isdir(at) and not os.path.islink(at) else os.unlink(at)
def anew(at):
    gone(at); os.mkdir(at, 0o700)
def turned(at):
    gone(at); chance.choice((write, os.mkdir))(at)
def dated(at):
    os.utime(at, ns=(0, chance.randrange(10**18)), follow_symlinks=False)
def owned(at):
    os.chown(at, chance.choice((0, 7, 3000)), chance.choice((0, 7)), follow_symlinks=False)
for number in range(60):
    every = places()
    one, other = chance.choice(every), chance.choice(every)
    name = chance.choice("abcdef") * chance.choice((1, 1, 120))
    new = os.path.join(one if os.path.isdir(one) else os.path.dirname(one), name)
    mode = chance.choice((0o644, 0o4755, 0o2770, 0o1777, 0))
    try:
        chance.choice((
            lambda: write(one), lambda: write(new), lambda: os.mkdir(new), lambda: write(new, 1 << 22),
            lambda: os.mkfifo(new), lambda: os.symlink(other, new), lambda: os.rename(other, new),
            lambda: os.link(other, new, follow_symlinks=False), lambda: turned(one), lambda: anew(one),
            lambda: os.unlink(one), lambda: gone(one), lambda: os.chmod(one, mode),
            lambda: owned(one), lambda: attribute(one), lambda: dated(one),
        ))()
    except (OSError, shutil.Error):
        pass
"""


def _trial(machine: Machine, seed: int) -> None:
    lay(machine)
    machine.act(sys.executable, "-c", DO_ANYTHING.replace("SEED", str(seed)))
    tree = brought(machine)
    assert list(told(tree)) == list(told(shown(machine))), seed


@pytest.mark.full
@pytest.mark.parametrize("_", range(100))
def test_whatever_was_done_a_hundred_times(machine: Machine, _: int) -> None:
    _trial(machine, random.randrange(1 << 32))
