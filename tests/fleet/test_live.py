"""The changes of a running machine by its guest's word: what it is asked, and what is made of its answer."""

import os
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.fleet import live
from skinnybox.fleet.live import Listing, Told, compared, listing
from skinnybox.model import ChangeKind
from tests.fleet.test_disks import STACK, told


def test_every_folder_that_is_cut_off_counts_and_every_one_around_it() -> None:
    found = Listing(
        paths={name: told("d", mode=0o755) for name in (b"etc", b"etc/d", b"opt", b"opt/x")},
        whiteouts=frozenset(),
        opaque=frozenset({b"etc/d", b"opt"}),
    )
    assert [(c.path, c.kind) for c in compared(found, iter(STACK))] == [
        (b"etc/d/below", ChangeKind.DELETED),
        (b"opt/x/y", ChangeKind.DELETED),
        (b"opt/z", ChangeKind.DELETED),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set what overlayfs sets")
@pytest.mark.skipif(run.find("getfattr") is None, reason="no getfattr (Debian: attr)")
def test_what_a_guest_is_asked_to_run_tells_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upper = tmp_path / "upper"
    for name, mark in (("cut", b"y"), ("a b/also cut", b"y"), ("may hold", b"x"), ("plain", None)):
        (upper / name).mkdir(parents=True)
        if mark is not None:
            os.setxattr(upper / name, "trusted.overlay.opaque", mark)
    (upper / "file\n1").write_bytes(b"abc")
    os.utime(upper / "file\n1", (5, 5))
    (upper / "file\n1").chmod(0o640)
    os.chown(upper / "file\n1", 33, 44)
    os.mknod(upper / "gone", 0o020000)
    os.mknod(upper / "null", 0o020600, os.makedev(1, 3))
    script = live._SCRIPT.replace(live._UPPER, str(upper))
    found = listing(run.run(["sh", "-c", script]).stdout)
    assert found.opaque == {b"cut", b"a b/also cut"}
    assert found.whiteouts == {b"gone"}
    assert found.paths[b"file\n1"] == Told(type="-", mode=0o640, uid=33, gid=44, size=3, seconds=5)
    assert set(found.paths) == {
        b"cut", b"a b", b"a b/also cut", b"may hold", b"plain", b"file\n1", b"gone", b"null"
    }  # fmt: skip
    nowhere = run.run(["sh", "-c", live._SCRIPT.replace(live._UPPER, "/nowhere")], ok=range(256))
    assert nowhere.returncode == 3 and b"this guest shows no /nowhere" in nowhere.stderr
