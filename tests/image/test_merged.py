"""What a machine sees, read from its disks and its master without mounting them, against what a real
overlayfs shows of the same."""

import base64
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.merged import frames, sending
from skinnybox.delta.merged.frames import Entry
from skinnybox.delta.merged.receiving import ENGINES, Disks, Frames, OnTheDataDisk, told
from skinnybox.delta.merged.tree import Elsewhere
from skinnybox.errors import Corrupt
from skinnybox.ext4 import open_descriptor
from skinnybox.masters import erofs
from skinnybox.model import ImageKind
from skinnybox.operation import Operation
from skinnybox.overlays.inspect import opened
from tests.guest.conftest import GUEST
from tests.image.overlaid import Machine

pytestmark = pytest.mark.image
Content = Callable[[Disks, bytes], bytes | None]
Seen = dict[bytes, tuple[int, bytes]]

DONE = r"""
echo mine >etc/hostname
rm etc/app/one
rm -r var/log && mkdir var/log && echo new >var/log/syslog
rm -r opt/redo && echo file >opt/redo
rm srv/data && mkdir srv/data && echo in >srv/data/in
mkdir -p own/a/b && echo deep >own/a/b/deep && ln -s ../../../etc own/a/b/etc && ln -s /own/a/b own/short
ln own/a/b/deep own/hard
rm bin && mkdir bin && echo x >bin/x
mkfifo own/pipe && mknod own/dev c 1 3
chmod 4755 etc/app.conf
printf a >"$(printf 'own/new\nline')" && printf b >"$(printf 'own/\377\376')"
truncate -s 5G own/sparse && printf end >>own/sparse
head -c 200000 /dev/urandom >own/random
"""
# All below the folder where it is, as `seen` has it.
SHOWN = r"""
import base64, json, os, stat
found = {}
def look(path, key):
    status = os.lstat(path)
    content = b""
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(status.st_mode) and status.st_size > 5 << 30:
        content = b"<%d>end" % (5 << 30)
    elif stat.S_ISREG(status.st_mode):
        content = open(path, "rb").read()
    elif stat.S_ISDIR(status.st_mode):
        for name in os.listdir(path):
            look(path + b"/" + name, key + b"/" + name)
    found[base64.b64encode(key).decode()] = status.st_mode, base64.b64encode(content).decode()
look(b".", b"")
print(json.dumps(found))
"""


def disks(machine: Machine, kind: ImageKind = ImageKind.EROFS_LZ4HC, **more: object) -> Disks:
    image = machine.folder / f"image-{kind}"
    if not image.exists():
        erofs.make(machine.lower, image, kind, newest=1, operation=Operation())
    return Disks(overlay=machine.image, images=[image], **more)  # type: ignore[arg-type]


def seen(of: Disks, path: bytes, *, recursive: bool = True) -> Seen | None:
    with told(of, path, recursive=recursive) as heard:
        if heard is None:
            return None
        found: Seen = {}
        _read(heard, heard.top, b"", found)
        return found


def _read(heard: Frames, entry: Entry, key: bytes, found: Seen) -> None:
    content = entry.target
    if stat.S_ISDIR(entry.mode):
        for each in heard.below():
            _read(heard, each, key + b"/" + each.name, found)
    elif stat.S_ISREG(entry.mode):
        content = b"".join(
            b"<%d>" % piece if isinstance(piece, int) else piece for piece in heard.content(entry)
        )
    found[key] = entry.mode, content


@pytest.fixture
def content() -> Iterator[Content]:
    """Of a file at a path, b"" for a folder, read in this process."""
    with ExitStack() as held:

        def volume(disk: Path) -> int:
            return held.enter_context(opened(disk))

        def asked(of: Disks, path: bytes) -> bytes | None:
            names = tuple(os.fsencode(each.strip("/")) for each in of.folders)
            tree, _ = sending.tree_of(
                sending.Disks(
                    overlay=open_descriptor(volume(of.overlay)),
                    images=tuple(map(volume, of.images)),
                    data=None if of.data is None else open_descriptor(volume(of.data)),
                    folders=(*names, b"var/lib/docker", b"var/lib/lxc") if names else (),
                    engines=(b"var/lib/docker", b"var/lib/lxc"),
                )
            )
            found = tree.find(path)
            if found is None or not found.thing.is_file:
                return None if found is None else b""
            pieces = found.side.content(found.thing)
            return b"".join(piece for piece in pieces if isinstance(piece, bytes))

        yield asked


@pytest.mark.parametrize(
    "kind", [ImageKind.EROFS_LZ4HC, pytest.param(ImageKind.EROFS_PLAIN, marks=pytest.mark.full)]
)
def test_all_of_it_is_as_overlayfs_shows_it(machine: Machine, kind: ImageKind) -> None:
    machine.sh(DONE)
    printed = json.loads(machine.act(sys.executable, "-c", SHOWN))
    wanted = {base64.b64decode(key): (mode, base64.b64decode(held)) for key, (mode, held) in printed.items()}
    found = seen(disks(machine, kind), b"/")
    assert found is not None and found.keys() == wanted.keys()
    assert found == wanted


def test_links_lead_within_the_tree_and_nowhere_else(machine: Machine, content: Content) -> None:
    machine.sh(
        DONE + "ln -s /etc/app.conf own/absolute; ln -s ../../../../../../../../etc/hostname own/above;"
        "ln -s round own/round; ln -s none own/nowhere; ln -s /etc own/etc; rm etc/a-b;"
        "ln -s ../../own etc/a-b"
    )
    of = disks(machine)
    for path, held in {
        b"/own/short/etc/hostname": b"mine\n",
        b"/own/short/deep": b"deep\n",
        b"/own/short/../../hard": b"deep\n",
        b"/etc/a-b/hard": b"deep\n",
        b"//own/./a//b/deep": b"deep\n",
        b"/own/absolute": b"etc/app.conf\n",
        b"/own/above": b"mine\n",
        b"/../../etc/hostname": b"mine\n",
        b"/own/etc/../etc/app/two": b"etc/app/two\n",
        b"/own/round": None,
        b"/own/nowhere": None,
        b"/etc/app/one": None,
        b"/etc/hostname/x": None,
        b"/var/log/messages": None,
        b"/opt/redo/old": None,
    }.items():
        assert content(of, path) == held, path
    assert seen(of, b"/own/a\0b") is seen(of, b"/" + b"x" * 5000) is None
    assert seen(of, b"/own/etc", recursive=False) == {b"": (stat.S_IFDIR | 0o755, b"")}


def test_folders_of_the_data_disk_are_seen_where_they_are_bound(
    machine: Machine, content: Content, tmp_path: Path
) -> None:
    """Asked for only by who comes near them; what no start has put there yet is as the system has it."""
    machine.sh("mkdir -p srv/www srv/later var/lib && echo under >srv/www/index && echo yet >srv/later/x")
    machine.sh("ln -s /srv/www/../www home; mkdir -p var/lib/docker && echo under >var/lib/docker/x")
    orders = tmp_path / "orders"
    orders.write_text(
        "mkdir /direct\nmkdir /direct/var%lib%docker\nmkdir /direct/var%lib%other\n"
        "cd /upper\nmknod gone c 0 0\n"
    )
    run.run(["debugfs", "-w", "-f", orders, machine.image])
    data = tmp_path / "data.img"
    (tmp_path / "tree/folders/srv%www").mkdir(parents=True)
    (tmp_path / "tree/folders/srv%www/index").write_text("over")
    for name in ("new%way", "gone%way"):  # of before a reset: their ways are made at the next start
        (tmp_path / "tree/folders" / name).mkdir()
        (tmp_path / "tree/folders" / name / "x").write_text(name)
    run.run(["mke2fs", "-q", "-t", "ext4", "-d", tmp_path / "tree", data, "16M"])
    folders = ("/srv/www", "/srv/later", "/new/way", "/gone/way")
    without = disks(machine, folders=folders)
    for path in (
        b"/new/way/x",
        b"/srv/www/index",
        b"/srv/www",
        b"/home/index",
        b"/srv/www/../data",
        b"/var/lib/lxc/x",
    ):
        with pytest.raises(Elsewhere):
            content(without, path)
    for path in (b"/srv", b"/srv/www/index"):
        with pytest.raises(OnTheDataDisk):
            seen(without, path)
    assert content(without, b"/srv/data") == b"srv/data\n" and content(without, b"/etc") == b""
    of = disks(machine, folders=folders, data=data)
    assert content(of, b"/srv/www/index") == content(of, b"/home/index") == b"over"
    assert content(of, b"/srv/later/x") == b"yet\n"
    assert (
        content(of, b"/new/way/x") == b"new%way"
        and content(of, b"/new") == b""
        and not content(of, b"/new/x")
    )
    assert content(of, b"/gone/way/x") == b"gone%way"
    every = seen(of, b"/") or {}
    assert every[b"/new/way/x"][1] == b"new%way" and every[b"/gone/way/x"][1] == b"gone%way"
    assert (seen(of, b"/srv") or {})[b"/www/index"][1] == b"over"
    # Of engines' folders what is beside the upper directory, as long as the data disk has none.
    assert content(of, b"/var/lib/docker/x") is None and content(of, b"/var/lib/docker") == b""
    assert content(disks(machine), b"/var/lib/docker/x") is None


def test_the_guest_part_binds_the_same_folders() -> None:
    rows = (GUEST / "lib/direct.sh").read_text().split("<<-END\n")[1].split("END")[0].splitlines()
    assert tuple(row.split()[0] for row in rows if row.strip()) == ENGINES


HURT = (
    "set_inode_field /upper/own/random block[5] 0xffffffff",
    "set_inode_field /upper/own/random size 0xfffffffffffff",
    "set_inode_field /upper/own/a mode 0100644",
    "set_inode_field /upper/own/short size 5000",
    "unlink /upper",
    "rm /upper/own/a/b/deep\nlink /upper/own/a /upper/own/a/b/loop",
)


def test_a_disk_made_to_hurt_is_told_or_read_and_no_more(machine: Machine, tmp_path: Path) -> None:
    machine.sh(DONE)
    whole, image = machine.image.read_bytes(), disks(machine).images[0]
    for orders in HURT:
        machine.image.write_bytes(whole)
        (tmp_path / "orders").write_text(orders + "\n")
        run.run(["debugfs", "-w", "-f", tmp_path / "orders", machine.image])
        count = 0
        with opened(machine.image) as overlay, opened(image) as sealed:
            volume = open_descriptor(overlay)
            of = sending.Disks(overlay=volume, images=(sealed,), data=None, folders=(), engines=())
            with suppress(Corrupt):
                for frame in sending.said(of, b"/own", recursive=True):
                    count += len(frame) > 0
                    if count > 100_000:
                        break
        assert count or "unlink" in orders, orders


def test_what_a_reader_that_was_taken_over_says_is_not_believed() -> None:
    folder = frames.entry(Entry(name=b"", mode=stat.S_IFDIR, size=0))
    for said in (
        b"", b"x", frames.ENTRY, frames.END, folder, folder + b"x", folder + frames.data(b"x"),
        folder + frames.entry(Entry(name=b"../up", mode=stat.S_IFREG, size=0)),
        folder + frames.entry(Entry(name=b"..", mode=stat.S_IFREG, size=0)),
        folder + frames.entry(Entry(name=b"", mode=stat.S_IFREG, size=0)),
        folder + frames.entry(Entry(name=b"a\0b", mode=stat.S_IFREG, size=0)),
        folder + frames.entry(Entry(name=b"l" * 256, mode=stat.S_IFREG, size=0)),
        folder + frames.entry(Entry(name=b"l", mode=stat.S_IFLNK, size=0)),
        folder + frames.entry(Entry(name=b"l", mode=stat.S_IFREG, size=0, target=b"x")),
        folder + frames.entry(Entry(name=b"f", mode=stat.S_IFREG, size=1, stored=1)) + frames.data(b"xy"),
        folder + frames.entry(Entry(name=b"f", mode=stat.S_IFREG, size=1)) + frames.data(b"x"),
        folder + frames.entry(Entry(name=b"f", mode=stat.S_IFREG, size=1)) + frames.hole(2),
        folder + frames.entry(Entry(name=b"f", mode=stat.S_IFREG, size=1 << 63)),
        folder + frames.entry(Entry(name=b"f", mode=stat.S_IFREG, size=1 << 40, stored=1 << 40))
        + frames.DATA + frames.LENGTH.pack(1 << 30),
    ):  # fmt: skip
        heard = Frames(iter([said]))
        with pytest.raises(Corrupt):
            if heard.begin() == frames.ENTRY:
                _read(heard, heard.top, b"", {})
            else:
                raise AssertionError(said)
