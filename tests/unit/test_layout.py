"""The table of what a state folder holds: that it is whole, and that writers and the page agree with it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePath
from uuid import UUID

import pytest

from skinnybox import layout
from skinnybox.fleet.catalog import host_kind, known_hosts
from skinnybox.fleet.repair.examine import DATABASE
from skinnybox.hosts.guest_io import event_reporter, stall
from skinnybox.hosts.local.shared import SNAPSHOTS
from skinnybox.hosts.local.store import RECORD, write_atomically
from skinnybox.hosts.xapi import identity
from skinnybox.json_file import write_json
from skinnybox.layout import Sort
from skinnybox.masters import manifest
from skinnybox.masters.catalogue import INDEX, INITRD, KERNEL, LOCK
from skinnybox.masters.images import FILES
from skinnybox.masters.workspace import HIDDEN

ROOT = Path(__file__).parents[2]
MACHINE, DIGEST, TIME = str(UUID(int=7)), "0" * 64, "20260101T000000Z"


def test_the_page_has_just_what_the_table_has() -> None:
    done = subprocess.run([sys.executable, ROOT / "script/disk-reference", "--check"], check=False)
    assert done.returncode == 0
    rows = (
        (ROOT / "docs/reference/on-disk.md").read_text().split("| file | what | whose |")[1].split("<!--")[0]
    )
    told = [row.split("`")[1] for row in rows.splitlines() if row.startswith("| `")]
    assert told == [part.path for part in layout.TABLE]


def test_each_part_stands_there_once_in_a_folder_that_does_too() -> None:
    paths = [part.path for part in layout.TABLE]
    assert len(set(paths)) == len(paths)
    assert {part.place for part in layout.TABLE} - {layout.STATE} <= set(paths)
    for part in layout.TABLE:
        assert not {part.name} & set(layout.halves(part.place)), part
        assert part.what and part.by and part.socket == ("socket" in part.what), part
        if part.of_last_run or part.until_end:
            assert part.place == layout.RUN, part


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (layout.RUN, stall.FILE), (layout.RUN, event_reporter.FILE), (layout.INSTANCE, RECORD),
        (layout.INSTANCE, SNAPSHOTS),
        (layout.STATE, host_kind.FILE), (layout.STATE, identity.FILE), (layout.STATE, identity.POOL),
        (layout.STATE, DATABASE), (layout.MASTER, manifest.FILE),
        *((layout.MASTER, file) for file in FILES.values()),
        (layout.MASTER, KERNEL), (layout.MASTER, INITRD), (layout.MASTER, INDEX),
        (layout.MASTER, layout.SYSTEM),
        (layout.MASTERS, LOCK), (layout.RUNS, "events.lock"),
        (layout.SNAPSHOTS, "before-upgrade.img"), (layout.PINS, MACHINE), (layout.VERIFIED, f"{DIGEST}.json"),
    ],
)  # fmt: skip
def test_what_is_written_is_a_part(place: str, name: str) -> None:
    assert layout.sort(place, name) is Sort.PART


@pytest.mark.parametrize(
    ("place", "name", "sort"),
    [
        *((layout.MASTERS, f"{hidden}1-ab_c", Sort.HALF) for hidden in HIDDEN),
        (layout.STATE, ".state.db.0123abcd.new-wal", Sort.HALF),
        (layout.STATE, ".flat-x1_y.new", Sort.HALF),
        (layout.SNAPSHOTS, ".a.img.new", Sort.HALF),
        (layout.SSH, ".new.pub", Sort.HALF),
        (layout.STATE, f"state.db.broken-{TIME}.1-wal", Sort.ASIDE),
        (layout.RUN, "machine.json.old", Sort.STRANGER),
        (layout.RUN, ".notes.0123abcd", Sort.STRANGER),
        (layout.PINS, f"{MACHINE}0", Sort.STRANGER),
        (layout.VERIFIED, f"{DIGEST}/x.json", Sort.STRANGER),
        (layout.STATE, "stateXdb", Sort.STRANGER),
        (layout.STATE, "", Sort.STRANGER),
    ],
)
def test_what_else_there_may_be(place: str, name: str, sort: Sort) -> None:
    assert layout.sort(place, name) is sort


WRITERS: dict[str, Callable[[Path], object]] = {
    "run/<uuid>/machine.json": lambda path: write_json(path, {}),
    "run/<uuid>/report.json": lambda path: write_json(path, {}),
    "run/<uuid>/rejected.json": lambda path: write_json(path, {}),
    "run/<uuid>/told.json": lambda path: write_json(path, {}),
    "run/<uuid>/end.json": lambda path: write_json(path, {}),
    "instances/<uuid>/instance.json": lambda path: write_atomically(path, b""),
    "host": lambda path: host_kind.note(path.parent, "qemu"),
    "pretended.json": lambda path: write_atomically(path, b""),
    "ssh/known_hosts/<uuid>": lambda path: known_hosts.keep(path.parent, UUID(path.name), ("ssh-rsa AAAA",)),
}


@pytest.mark.parametrize("written", WRITERS)
def test_what_a_kill_leaves_is_known_as_half_written(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(self: Path, *args: object, **words: object) -> Path:
        raise Killed

    path = tmp_path / written.replace("<uuid>", MACHINE)
    path.parent.mkdir(parents=True, exist_ok=True)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        for method in ("replace", "rename", "unlink"):
            patched.setattr(Path, method, killed)
        WRITERS[written](path)
    (left,) = path.parent.iterdir()
    assert layout.sort(str(PurePath(written).parent).removeprefix("."), left.name) is Sort.HALF, left


def test_a_path_is_placed_with_its_machine() -> None:
    found = layout.placed(f"run/{MACHINE}/stalled")
    assert found is not None and (found.part.name, found.machine) == ("stalled", MACHINE)
    assert layout.placed(f"instances/{MACHINE}/.settle-abc") is None  # only while a command works
    assert layout.placed(f"masters/{DIGEST}/kernel/x") is None


def test_nobody_makes_folders_past_the_one_function_that_gives_them_their_mode() -> None:
    """`mkdir(parents=True, mode=0o700)` gives only the last of them that mode."""
    source = ROOT / "src" / "skinnybox"
    making = {str(path.relative_to(source)) for path in source.rglob("*.py") if ".mkdir(" in path.read_text()}
    inside_a_private_one = {"masters/build.py", "masters/inside.py", "masters/mount_points.py"}
    inside_a_private_one |= {"package_cache/disk.py", "package_cache/private.py", "sandbox/enclosed.py"}
    inside_a_private_one |= {
        "masters/uncopied.py",
        "masters/tree.py",
        "masters/layers/taking.py",
        "overlays/format.py",
    }
    for_its_user = {"fleet/sftp/fetch.py"}  # where somebody wants a copy, one at a time
    assert making == {"private.py", *inside_a_private_one, *for_its_user}
    # Roots of a process's own, where nobody else is.
    others = {path.name for path in source.rglob("*.py") if "makedirs(" in path.read_text()}
    assert others <= {"empty_root.py", "enclosed.py"}
