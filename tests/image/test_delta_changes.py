"""What a real overlayfs mount leaves behind, listed from outside, judged by what the mount itself showed."""

import os
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.listing import listed
from skinnybox.delta.seed_marks import expected
from skinnybox.delta.upper_disk import differences
from skinnybox.errors import Corrupt
from skinnybox.ext4 import TOO_DEEP, directory, open_volume
from skinnybox.masters.index import Entry, read_index, scan
from skinnybox.model import ChangeKind, Seed, SeedFile
from skinnybox.operation import Operation
from tests.image.overlaid import Machine, line
from tests.samples import PUBLIC_KEY, an_instance

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting an overlay needs root")
pytestmark = [pytest.mark.image, needs_root]


def test_nothing_done_is_nothing_changed(machine: Machine) -> None:
    machine.sh("ls -R >/dev/null")
    assert machine.told() == []


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ("echo more >>etc/app.conf", ["modified - etc/app.conf"]),
        ("tr a-z A-Z <etc/app/one >x; cat x >etc/app/one; rm x", ["modified - etc/app/one"]),
        ("chmod 600 etc/app.conf", ["metadata - etc/app.conf (mode 644 -> 600)"]),
        ("chown 33:44 srv", ["metadata d srv (owner 0:0 -> 33:44)"]),
        ("touch etc/app.conf", ["metadata - etc/app.conf (mtime)"]),
        ("setfattr -n user.x -v y etc/app.conf", ["metadata - etc/app.conf (xattrs user.x)"]),
        ("setfattr -x user.kept srv/data", ["metadata - srv/data (xattrs user.kept)"]),
        ("chmod 600 srv/data", ["metadata - srv/data (mode 644 -> 600)"]),
        ("chmod 600 etc/app.conf; chmod 644 etc/app.conf", []),
        ("chmod 600 etc/app.conf; echo >etc/app.conf", ["modified - etc/app.conf (mode 644 -> 600)"]),
        ("rm etc/app.conf", ["deleted - etc/app.conf"]),
        ("rm -r usr/share", ["deleted d usr/share (with 3 below)"]),
        ("rm -r etc/app; mkdir etc/app", ["deleted - etc/app/one", "deleted - etc/app/two"]),
        (
            "rm -r opt/redo; mkdir -p opt/redo/sub; echo n >opt/redo/new; cp -a etc/a-b opt/redo/sub/older",
            ["added - opt/redo/new", "deleted - opt/redo/old", "modified - opt/redo/sub/older"],
        ),
        (
            "rm -r etc/app usr/share/doc; mkdir etc/app usr/share/doc; touch etc/app/two",
            [
                "deleted - etc/app/one",
                "modified - etc/app/two",
                "deleted - usr/share/doc/x",
                "deleted - usr/share/doc/y",
            ],
        ),
        (
            # One within another, of which the outer one still counts behind the inner one.
            "rm -r opt/redo/sub; mkdir opt/redo/sub; cp -a opt x; rm -r opt; mv x opt; rm opt/redo/old",
            ["deleted - opt/redo/old", "deleted - opt/redo/sub/older"],
        ),
        (
            "rm -r opt; mkdir -p opt/redo",
            ["deleted - opt/redo/old", "deleted d opt/redo/sub (with 1 below)"],
        ),
        ("rm etc/a-b; mkdir etc/a-b; touch etc/a-b/c", ["type d etc/a-b (- -> d)", "added - etc/a-b/c"]),
        ("rm -r etc/app; ln -s x etc/app", ["type l etc/app (d -> l, with 2 below)"]),
        ("ln -sfn sbin bin", ["modified l bin"]),
        ("ln -sfn usr/sbi bin; touch -hd @1 bin", ["modified l bin"]),
        ("touch -h bin", ["metadata l bin (mtime)"]),
        ("touch srv/empty", ["metadata - srv/empty (mtime)"]),
        (
            "chown 1:2 dev/null; rm dev/p; mkfifo dev/p",
            ["metadata c dev/null (owner 0:0 -> 1:2)", "metadata p dev/p (mtime)"],
        ),
        (
            "rm dev/null dev/sda; mknod dev/null c 1 5; mknod dev/sda b 300 70000",
            ["modified c dev/null", "modified b dev/sda"],
        ),
        (
            "mkdir -p n/m; touch n/m/f; mkfifo n/p; mknod n/null c 1 3",
            ["added d n", "added d n/m", "added - n/m/f", "added c n/null", "added p n/p"],
        ),
        ("mv etc/app.conf srv/moved", ["deleted - etc/app.conf", "added - srv/moved"]),
        ("touch new; rm new", []),
        ("ln etc/a-b srv/hard", ["added - srv/hard"]),
        ("chmod 700 .", ["metadata d  (mode 755 -> 700)"]),
        (
            "rm etc/a-b etc/app/one etc/app.conf",
            ["deleted - etc/a-b", "deleted - etc/app/one", "deleted - etc/app.conf"],
        ),
    ],
)
def test_what_a_guest_does(machine: Machine, script: str, wanted: list[str]) -> None:
    machine.sh(script)
    assert machine.told() == wanted


def test_marks_that_hide_nothing_are_not_shown(machine: Machine) -> None:
    """A whiteout of a name that the stack does not have, as a newer master may leave it."""
    machine.sh('mkdir srv/new; mknod "$0/stale" c 0 0; mknod "$0/srv/new/stale" c 0 0')
    assert machine.told() == ["added d srv/new"]


@pytest.mark.parametrize("value", ["x", "n", "yy", ""])
def test_only_one_value_of_the_mark_hides_anything(machine: Machine, value: str) -> None:
    """Since Linux 6.7 "x" says that a directory may hold whiteouts of another kind; it hides nothing."""
    mark = f'setfattr -n trusted.overlay.opaque -v "{value}" "$0/etc/app"'
    machine.sh(f'mkdir -p "$0/etc/app"; {mark}')
    shown = machine.act("/bin/sh", "-euc", "ls etc/app")
    assert (shown, machine.told()) == (b"one\ntwo\n", [])


def test_the_mark_hides_nothing_on_the_root(machine: Machine) -> None:
    """Overlayfs asks for it where it looks a directory up."""
    machine.sh('setfattr -n trusted.overlay.opaque -v y "$0"; rm etc/a-b')
    shown = machine.act("/bin/sh", "-euc", "ls etc srv")
    assert b"app.conf" in shown and b"data" in shown
    assert machine.told() == ["deleted - etc/a-b"]


def test_a_whiteout_of_the_other_kind_is_named(machine: Machine) -> None:
    """Overlayfs never makes one, older kernels show it as the empty file it is, and newer ones hide it."""
    machine.sh('mkdir -p "$0/etc"; : >"$0/etc/a-b"; setfattr -n trusted.overlay.whiteout -v "" "$0/etc/a-b"')
    assert machine.told() == ["modified - etc/a-b (whiteout)"]


SAME = "cp -p etc/app.conf keep; sed -i 's/./X/' etc/app.conf; touch -r keep etc/app.conf; rm keep"


def test_a_forged_time_fools_only_the_quick_look(machine: Machine) -> None:
    machine.sh(SAME)
    assert machine.told() == ["modified - etc/app.conf"]
    assert machine.told(quick=True) == []


def test_the_seeds_own_writes_are_marked_or_left_out(machine: Machine) -> None:
    machine.sh("echo web-01 >etc/hostname; mkdir -m 700 -p root/.ssh; touch root/.ssh/authorized_keys")
    machine.sh("touch etc/motd; chmod 644 etc/motd; echo 127.0.0.1 >etc/hosts")
    seed = Seed(
        hostname="web-01",
        machine_id="0" * 32,
        files=(SeedFile(path="/etc/motd", content=b""),),
        authorized_keys=(PUBLIC_KEY,),
    )
    wanted = expected(an_instance(seed=seed), ())
    changed = [
        "added - etc/hosts (not as the seed has it)",
        "added - root/.ssh/authorized_keys (not as the seed has it)",
    ]
    shown = machine.told(expected=wanted)
    assert [line for line in shown if "not as" in line] == changed
    assert [line for line in shown if "(seed)" in line] == [
        "modified - etc/hostname (seed)",
        "added - etc/motd (seed)",
        "added d root (seed)",
        "added d root/.ssh (seed)",
    ]
    assert len(shown) == 6
    assert machine.told(include_seed=False, expected=wanted) == changed
    assert len(machine.told(include_seed=False)) == 6


FLAGGED = [
    ("chattr +i etc/app.conf", "metadata - etc/app.conf (flags i)"),
    ("chattr +ai etc/app.conf", "metadata - etc/app.conf (flags ia)"),
    ("chattr +dA etc/app.conf", "metadata - etc/app.conf (flags dA)"),
    ("chattr +i srv", "metadata d srv (flags i)"),
    ("chattr +D srv", "metadata d srv (flags D)"),
    ("echo >srv/new; chattr +i srv/new", "added - srv/new (flags i)"),
    ("rm -r etc/app; echo >etc/app; chattr +a etc/app", "type - etc/app (d -> -, with 2 below, flags a)"),
    ("echo >>etc/app.conf; chattr +i etc/app.conf", "modified - etc/app.conf (flags i)"),
    # As a kernel before 5.15 leaves it, and one that says what this one does not understand.
    (
        'chmod 600 etc/app.conf; chattr +i "$0/etc/app.conf"',
        "metadata - etc/app.conf (mode 644 -> 600, flags i)",
    ),
    (
        'chmod 600 etc/app.conf; setfattr -n trusted.overlay.protattr -v iz "$0/etc/app.conf"',
        "metadata - etc/app.conf (mode 644 -> 600)",
    ),
]


@pytest.mark.parametrize(("script", "wanted"), FLAGGED)
def test_flags_are_told_as_lsattr_shows_them(machine: Machine, script: str, wanted: str) -> None:
    machine.sh(script)
    assert machine.told() == [wanted]


def test_what_lsattr_shows_is_what_is_told(machine: Machine) -> None:
    shown = machine.act("/bin/sh", "-euc", "chattr +aiAdSc etc/app.conf; lsattr etc/app.conf").decode()
    (told,) = machine.told()
    letters = shown.split()[0].replace("-", "").replace("e", "")
    assert told == f"metadata - etc/app.conf (flags {letters})"


def test_flags_that_were_taken_back_are_none(machine: Machine) -> None:
    machine.sh("chattr +i etc/app.conf; chattr -i etc/app.conf; chattr +d srv; chattr -d srv")
    assert machine.told() == []


def test_what_is_immutable_is_not_as_seeded(machine: Machine) -> None:
    files = (SeedFile(path="/srv/x", content=b""),)
    wanted = expected(an_instance(seed=Seed(hostname="h", machine_id="0" * 32, files=files)), ())
    machine.sh(": >srv/x; chmod 644 srv/x")
    assert machine.told(include_seed=False, expected=wanted) == []
    machine.sh("chattr +i srv/x")
    assert machine.told(include_seed=False, expected=wanted) == [
        "added - srv/x (flags i, not as the seed has it)"
    ]


def test_a_folder_of_the_stack_is_no_work_of_the_seed(machine: Machine) -> None:
    """Though one that the seed needs would look just so."""
    files = (SeedFile(path="/srv/x", content=b""),)
    wanted = expected(an_instance(seed=Seed(hostname="h", machine_id="0" * 32, files=files)), ())
    (machine.lower / "srv").chmod(0o711)
    machine.sh("chmod 755 srv")
    assert machine.told(include_seed=False, expected=wanted) == ["metadata d srv (mode 711 -> 755)"]


def test_a_foreign_kernels_metacopy_is_not_taken_for_content(machine: Machine) -> None:
    machine.sh('chmod 600 etc/app.conf; setfattr -n trusted.overlay.metacopy "$0/etc/app.conf"')
    assert machine.told() == ["metadata - etc/app.conf (mode 644 -> 600, metacopy)"]


def test_an_index_out_of_order_is_refused(machine: Machine) -> None:
    machine.sh("touch new")
    entries = list(scan(machine.lower, Operation()))
    swapped = [entries[0], *reversed(entries[1:])]
    with open_volume(machine.image) as volume, pytest.raises(Corrupt, match="not in order"):
        list(differences(volume, swapped, quick=False))


def test_a_disk_or_an_index_that_makes_no_sense_is_corrupt(machine: Machine) -> None:
    machine.sh("touch $(seq 2000)")
    assert len(machine.changes()) == 2000
    with listed(machine.image, machine.folder / "index.jsonl.gz") as found:
        assert next(found).kind is ChangeKind.ADDED  # the rest is not waited for
    (machine.folder / "bad.gz").write_bytes(b"\x1f\x8b nonsense")
    with pytest.raises(Corrupt), listed(machine.image, machine.folder / "bad.gz") as found:
        list(found)
    run.run(["debugfs", "-w", "-R", "clri /upper/7", machine.image])
    with pytest.raises(Corrupt, match="inode") as caught:
        machine.changes()
    assert caught.value.hint


DEEP = """
import os
os.mkdir("srv/deep")
top = os.open("srv/deep", os.O_RDONLY)
for depth in range({depth}):
    os.mkdir("{name}", dir_fd=top)
    below = os.open("{name}", os.O_RDONLY, dir_fd=top)
    os.close(top)
    top = below
open("srv/later", "w").close()
os.unlink("usr/share/doc/x")
"""
LATER = ["added - srv/later", "deleted - usr/share/doc/x"]


@pytest.mark.parametrize(("name", "depth"), [("n" * 255, 40), ("n", 5000)])
def test_a_branch_without_end_hides_nothing_else(machine: Machine, name: str, depth: int) -> None:
    """Any user of a guest can make one: without a right to anything but a directory of its own."""
    machine.act(sys.executable, "-c", DEEP.format(name=name, depth=depth))
    told = machine.told()
    unread = [line for line in told if line.startswith("unread")]
    assert len(unread) == 1 and unread[0].endswith(f"/{name} ({TOO_DEEP})")
    place = told.index(unread[0])
    assert [line.split(" (")[0] for line in told[place - 1 : place + 1]] == [
        f"{kind} d {unread[0].split()[2]}" for kind in ("added", "unread")
    ]
    assert told[place + 1 :] == LATER
    with open_volume(machine.image) as volume, pytest.raises(Corrupt, match="more than 4096 bytes"):
        list(volume.walk(b"upper"))


@pytest.mark.parametrize("where", ["one directory", "all together"])
def test_more_names_than_are_listed_hide_nothing_else(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Links cost no inode, so that a user can fill a directory with millions of names."""
    monkeypatch.setattr(directory, "MAX_NAMES", 100 if where == "one directory" else 160)
    count, parts = (300, ("d",)) if where == "one directory" else (150, ("d", "d/e", "d/e/f"))
    for part in parts:
        machine.sh(f"mkdir srv/{part}; cd srv/{part}; for n in $(seq {count}); do : >$n; done")
    machine.sh("touch srv/later; rm usr/share/doc/x")
    with open_volume(machine.image) as volume:
        found = [
            line(change) for change, _ in differences(volume, scan(machine.lower, Operation()), quick=False)
        ]
    assert [told for told in found if told.startswith("unread")] == [
        f"unread d srv/{parts[-1]} (too many names to be listed)"
    ]
    assert found[-2:] == LATER


def mischief(seed: int, steps: int, view: Path) -> str:
    """A program that does things at random in its working directory, which is the merged tree."""
    return f"""
import os, random, shutil, sys
from pathlib import Path
chance = random.Random({seed})

def paths(): return sorted(path for path in Path(".").rglob("*"))
def files(): return [path for path in paths() if path.is_file() and not path.is_symlink()]
def folders(): return [Path("."), *(path for path in paths() if path.is_dir() and not path.is_symlink())]
def remove(path): shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
def name(): return chance.choice(["f0", "f1", "d0", "d1", "a", "a-b", "a.b"])

for step in range({steps}):
    what = chance.randrange(9)
    folder = chance.choice(folders())
    path = folder / name()
    some = chance.choice(files() or [path])
    if what in (0, 1) and not path.is_dir():
        path.unlink(missing_ok=True)
        path.write_text(str(step))
    elif what == 2 and not path.exists() and not path.is_symlink():
        path.mkdir()
    elif what in (3, 4) and paths():
        remove(chance.choice(paths()))
    elif what == 5 and some.exists():
        some.chmod(chance.choice([0o600, 0o640, 0o755]))
    elif what == 6 and some.exists():
        some.write_text("x" * some.stat().st_size)
    elif what == 7 and not path.exists() and not path.is_symlink():
        path.symlink_to("nowhere")
    elif what == 8 and path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        path.mkdir()
from skinnybox.masters.index import scan, write_index
from skinnybox.operation import Operation
write_index(scan(Path("."), Operation()), Path({os.fspath(view)!r}))
"""


def compared_views(
    lower: dict[bytes, Entry], merged: dict[bytes, Entry]
) -> Iterator[tuple[bytes, ChangeKind]]:
    """By comparing the two whole views; a deleted directory is one change."""
    for path in sorted(lower.keys() | merged.keys(), key=lambda path: path.split(b"/") if path else []):
        old, new = lower.get(path), merged.get(path)
        parent = path.rpartition(b"/")[0]
        if old is None:
            yield path, ChangeKind.ADDED
        elif new is None:
            if parent in merged and merged[parent].type == "d":
                yield path, ChangeKind.DELETED
        elif old.type != new.type:
            yield path, ChangeKind.TYPE
        elif (old.digest, old.target) != (new.digest, new.target):
            yield path, ChangeKind.MODIFIED
        elif _plain(old) != _plain(new):
            yield path, ChangeKind.METADATA


def _plain(entry: Entry) -> Entry:
    """Without what a copy-up changes of itself: a directory's time, and the links between names."""
    return replace(entry, link=None, mtime_ns=0 if entry.type == "d" else entry.mtime_ns)


@pytest.mark.parametrize("seed", range(12))
def test_the_list_equals_a_comparison_of_the_two_views(tmp_path: Path, cache: Path, seed: int) -> None:
    machine = Machine(tmp_path, cache)
    chance = random.Random(seed)
    for folder in (".", "d0", "d1", "d0/d1", "d0/d0", "d1/a", "d1/a/d0"):
        (machine.lower / folder).mkdir(exist_ok=True)
        for name in ("f0", "f1", "a-b", "a.b"):
            if chance.random() < 0.7:
                (machine.lower / folder / name).write_text(f"{folder}/{name}")
    view = tmp_path / "view"
    machine.act(sys.executable, "-c", mischief(seed, 60, view))
    merged = {entry.path: entry for entry in read_index(view)}
    lower = {entry.path: entry for entry in scan(machine.lower, Operation())}
    found = [(change.path, change.kind) for change in machine.changes()]
    assert found == list(compared_views(lower, merged))
    assert len(found) > 3


BESIDE = "beside overlayfs, not looked into"


def test_what_lies_beside_is_one_line_each_in_its_place(machine: Machine) -> None:
    """Where the guest part binds it: on a folder that the upper has only where the stack has none."""
    machine.sh(
        "beside=$0/../direct; mkdir -p $beside/opt $beside/srv%lib $beside/var%lib%docker $beside/%new"
        " $beside/etc%app $beside/a%..%b; mkdir -p srv/lib var/lib/docker; echo x >srv/aa; echo y >var/z;"
        " head -c 70000 /dev/zero >$beside/opt/image; ln $beside/opt/image $beside/opt/again;"
        " head -c 5000 /dev/zero >$beside/var%lib%docker/layer"
    )
    found = [change for change in machine.changes() if BESIDE in change.detail]
    assert [line(change) for change in found] == [
        f"modified d opt ({BESIDE})",
        f"added d srv/lib ({BESIDE})",
        f"added d var/lib/docker ({BESIDE})",
    ]
    assert [change.size for change in found] == [4096 + 73728, 0, 4096 + 8192]
    told = [os.fsdecode(change.path) for change in machine.changes()]
    assert told.index("opt") < told.index("srv/aa") < told.index("srv/lib") < told.index("var/lib/docker")
    assert told.index("var/lib/docker") < told.index("var/z") and len(told) == len(set(told))


def test_what_lies_beside_may_be_anything(machine: Machine) -> None:
    machine.sh("ln -s / $0/../direct")
    assert machine.told() == []
