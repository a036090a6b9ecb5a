"""Archives become the disks again that they were made of, whatever is on those."""

import os
import random
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.ext4 import open_volume
from skinnybox.model import DiskKind
from tests.unit.archived import exported, filled, fresh, index_of, restore, without_readers
from tests.unit.rebased import OPAQUE, WHITEOUT, Thing, d, f, l
from tests.unit.rebased_disk import cache, whole, without_confinement

__all__ = ["cache"]
OVERLAY, DATA = DiskKind.OVERLAY, DiskKind.DATA
ODD = b'a\n"\\\xff <12>'
ACL = bytes.fromhex(
    "02000000 01000600ffffffff 0200040007000000 04000400ffffffff 10000600ffffffff 20000400ffffffff"
)
EVERY = {
    b"": d(0o751, uid=1, mtime_ns=1_600_000_000_000_000_001),
    b"etc/hosts": f("127.0.0.1", mode=0o640, uid=70_000, gid=1 << 31, mtime_ns=-5),
    b"etc/empty": f(""),
    b"etc/gone": WHITEOUT,
    b"etc/new": d(0o700, xattrs=OPAQUE),
    b"etc/" + ODD: f("odd"),
    b"usr/bin/su": f("x", mode=0o4755, xattrs={"security.capability": b"\1\0\0\2" + bytes(16)}),
    b"srv/acl": f("acl", xattrs={"system.posix_acl_access": ACL, "user.a=b%c": b"\0\n\xff", "user.e": b""}),
    b"srv/link": l("/etc/hosts"),
    b"srv/long": l("x" * 300),
    b"srv/" + b"n" * 255: f("n" * 5000),
    b"dev/null": Thing("c", rdev=(1, 3), mode=0o666),
    b"dev/large": Thing("b", rdev=(259, 70_000), mode=0o660),
    b"run/pipe": Thing("p", mode=0o622),
    b"var/late": f("late", mtime_ns=10_000_000_000_999_999_999),
}


def test_every_kind_of_inode(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_confinement(monkeypatch)
    links = {b"srv/second": b"etc/hosts", b"srv/zz/third": b"etc/hosts", b"run/other": b"run/pipe"}
    tree = EVERY | {b"srv/zz": d()}
    disk = filled(fresh(tmp_path / "old.img", cache), tree, links=links, direct={b"var%lib%docker/a": f("1")})
    archive = exported(tmp_path / "a.zst", {OVERLAY: disk})
    assert archive.index.count(b"\n") == len(whole(tree)) + len(links) + 3
    new = restore(tmp_path, cache, [archive.file])
    assert index_of({OVERLAY: new}) == index_of({OVERLAY: disk}) == archive.index


# --- chains


def changed(disk: Path, chance: random.Random) -> None:
    """As a guest alters an overlay: files come, go, and are other ones; also their other names."""
    orders = list[str]()
    with open_volume(disk) as volume:
        there = [path for path, node in volume.walk(b"upper") if node.type != "d"]
        folders = [path for path, node in volume.walk(b"upper") if node.type == "d" and path]
    for _ in range(chance.randint(1, 8)):
        path = (chance.choice(folders) + b"/" if folders else b"") + b"n%d" % chance.randrange(12)
        name = f"upper/{path.decode()}"
        if path in there:
            orders.append(f"rm {name}")
            there.remove(path)
            continue
        match chance.randrange(5):
            case 0 if there:
                orders.append(f"ln upper/{chance.choice(there).decode()} {name}")
            case 1:
                orders.append(f"mkdir {name}")
                continue
            case 2:
                orders.append(f"symlink {name} {chance.choice('abc')}")
            case 3 if there:
                orders.append(f"sif upper/{chance.choice(there).decode()} uid {chance.randrange(99)}")
                continue
            case _:
                orders.append(f"write {os.fspath(chance.choice(contents(disk.parent)))} {name}")
        there.append(path)
    (disk.parent / "orders").write_text("".join(f"{order}\n" for order in orders))
    run.run(["debugfs", "-w", "-f", disk.parent / "orders", disk])
    run.run(["e2fsck", "-fy", disk], ok=(0, 1))


def contents(folder: Path) -> list[Path]:
    found = [folder / f"content-{number}" for number in range(3)]
    for number, path in enumerate(found):
        if not path.exists():
            path.write_bytes(b"%d" % number * number * 3000)
    return found


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(2, 60))]
)
def test_chains_of_any_changes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """What three increments restore is what there was at each of them."""
    without_readers(monkeypatch)
    chance = random.Random(seed)
    disk = filled(
        fresh(tmp_path / "old.img", cache), {b"a/one": f("1"), b"b/two": f("2"), b"b/c/three": f("3")}
    )
    archives = [exported(tmp_path / "0.zst", {OVERLAY: disk})]
    for number in range(1, 4):
        changed(disk, chance)
        archives.append(exported(tmp_path / f"{number}.zst", {OVERLAY: disk}, archives[-1]))
    plain = list[Path]()
    for number, archive in enumerate(archives):
        plain.append(tmp_path / f"{number}.tar")
        plain[-1].write_bytes(archive.tar)
        if number in (1, 3):
            assert index_of({OVERLAY: restore(tmp_path, cache, plain)}) == archive.index
