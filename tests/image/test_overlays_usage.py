"""What takes the room of a disk, beside what `du` and `df` of the real mount say."""

import os
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Corrupt
from skinnybox.model import DiskKind
from skinnybox.model.diskuse import DiskUse
from skinnybox.overlays import usage
from skinnybox.overlays.usage import read_use
from skinnybox.sizes import KIB, MIB
from tests.image.overlaid import Machine

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting an overlay needs root")
pytestmark = [pytest.mark.image, needs_root]

FILL = """
mkdir -p srv/site/a/b/c/d var/cache/apt
head -c 3000000 /dev/urandom >srv/site/a/b/c/d/deep; ln srv/site/a/b/c/d/deep srv/twice
head -c 2000000 /dev/urandom >var/cache/apt/pkg; head -c 400000 /dev/urandom >var/cache/other
printf 'x' >"srv/odd
name"; rm etc/app.conf; truncate -s 1G srv/sparse
sync; du -s --block-size=1 "$0" >OUT
"""


def used(machine: Machine, depth: int = 3, rows: int = 20) -> DiskUse:
    return read_use(machine.image, DiskKind.OVERLAY, depth=depth, rows=rows)


def filled(machine: Machine) -> dict[bytes, int]:
    machine.sh(FILL.replace("OUT", str(machine.folder / "du")))
    return {heavy.path: heavy.size for heavy in used(machine).largest}


def test_all_of_it_is_told_once(machine: Machine) -> None:
    filled(machine)
    found = used(machine)
    parts = dict(found.parts)
    assert sum(parts.values()) + found.free == found.size == 64 * MIB
    assert parts["files"] == int((machine.folder / "du").read_text().split()[0])
    assert parts["journal"] == 4 * MIB and 0 < parts["filesystem"] < 4 * MIB
    assert found.unread == 0 and found.reserved == 64 * MIB // 100 // 4096 * 4096


def test_the_largest_come_first_and_once(machine: Machine) -> None:
    largest = filled(machine)
    assert list(largest.values()) == sorted(largest.values(), reverse=True)
    deep = 3000000 // 4096 * 4096 + 4096
    assert largest[b"/srv/site/a/b/c/d/deep"] == deep
    # It is nearly all of the folders on the way, which are not told by themselves; with two names it is once.
    assert not {b"/srv", b"/srv/site", b"/srv/site/a"} & set(largest) and b"/srv/twice" not in largest
    assert largest[b"/var/cache"] > largest[b"/var/cache/apt/pkg"] > largest[b"/var/cache/other"]
    assert b"/srv/sparse" not in largest and b"/etc/app.conf" not in largest
    assert largest[b"/srv/odd\nname"] == 4 * KIB
    assert [heavy.path for heavy in used(machine, rows=1).largest] == [b"/srv/site/a/b/c/d/deep"]


def test_folders_below_the_depth_are_in_the_totals(machine: Machine) -> None:
    machine.sh(
        "mkdir -p a/b/c/d; for n in $(seq 40); do head -c 20000 /dev/zero | tr '\\0' x >a/b/c/d/$n; done"
    )
    shallow, deep = (
        [h.path for h in used(machine, depth=n, rows=4).largest if h.type == "d"] for n in (2, 4)
    )
    assert shallow == [b"/a/b"] and deep == [b"/a/b/c/d"]
    assert next(h.count for h in used(machine, depth=2).largest if h.type == "d") == 43


def test_a_data_disk_tells_its_folders_as_the_machine_has_them(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "folders/var%lib%mysql/x").mkdir(parents=True)
    (tree / "folders/srv").mkdir()
    (tree / "folders/var%lib%mysql/x/a%b").write_bytes(b"x" * 100_000)
    (tree / "folders/srv/one").write_bytes(b"x" * 50_000)
    run.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, tmp_path / "d.img", "32M"])
    found = read_use(tmp_path / "d.img", DiskKind.DATA, depth=3, rows=3)
    assert [heavy.path for heavy in found.largest[:2]] == [b"/var/lib/mysql/x/a%b", b"/srv/one"]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [[1, 2, 0, 0], []],  # more is free than there is
        [[-1, 0, 0, 0], []],
        [[1, 0, 0, True], []],
        [[1, 0, 0, 0], [["rm -rf", 1]]],
        [[1, 0, 0, 0], [["files", 1 << 70]]],
        [[1, 0, 0, 0], [], ["-", 1, 1, "/a"], ["-", 1, 1, "/b"]],  # more rows than were asked for
        [[1, 0, 0, 0], [], ["x", 1, 1, "/a"]],
        [[1, 0, 0, 0], [], ["-", 1.5, 1, "/a"]],
        [[1, 0, 0, 0], [], ["-", 1, 1, "a" * 5000]],
        [[1, 0, 0, 0], [], ["-", 1, 1, "/a\0b"]],
        [[1, 0, 0, 0], [], ["-", 1, 1, None]],
        "no list",
        {"error": 1},
    ],
)
def test_a_reader_that_was_taken_over_is_not_believed(values: object) -> None:
    with pytest.raises(Corrupt):
        usage._checked(values, 1)  # type: ignore[arg-type]


def test_a_disk_that_names_a_folder_twice_ends_it(machine: Machine) -> None:
    machine.sh("mkdir a b; touch a/x")
    run.run(["debugfs", "-w", "-R", "ln upper/a upper/b/again", machine.image])
    with pytest.raises(Corrupt):
        used(machine)
