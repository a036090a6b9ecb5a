"""A directory is sealed under an overlayfs as it would be from a copy; what that would alter is copied.

Requirements: root of this computer; mkfs.erofs."""

import contextlib
import mmap
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from skinnybox import run
from skinnybox.errors import Cancelled, CommandFailed, NotFound, UsageError
from skinnybox.masters import catalogue, tree, uncopied
from skinnybox.masters.imports import import_tree
from skinnybox.masters.index import Entry, read_index, scan
from skinnybox.masters.renumber import Renumbering, renumber
from skinnybox.model import Master
from skinnybox.operation import Operation, Step
from skinnybox.sandbox import libc
from tests.image.families import FAMILIES
from tests.pace import within

pytestmark = [pytest.mark.image, pytest.mark.skipif(os.geteuid() != 0, reason="mounts")]
_PROJECT = Path(__file__).parents[2]
_ODD = "a b,c:d=e\\f%\nä"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / _ODD / "source"
    for name in ("usr/lib/deep/er/file", "etc/os-release", "etc/machine-id", "var/log/x"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(name * 1000)
    FAMILIES["Debian 12"].make(made)
    for name in ("usr/hard", "var/hard", "hard"):
        (made / name).hardlink_to(made / "usr/lib/deep/er/file")
    (made / "var/-rf *\n").write_text("x")
    Path(os.fsdecode(os.fsencode(made) + b"/var/\xff")).write_text("y")
    (made / "var/link").symlink_to("../usr")
    os.mkfifo(made / "var/fifo")
    os.mknod(made / "var/null", 0o20666, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(made / "var/door"))
    os.setxattr(made / "usr/lib/deep", "user.note", b"\0\1")
    os.setxattr(made / "usr/hard", "trusted.note", b"2")
    for number, name in enumerate((".", "usr", "usr/lib", "var", "hard", "var/link", "var/null")):
        os.chown(made / name, 1200 + number, 4321, follow_symlinks=False)
        if not (made / name).is_symlink():
            (made / name).chmod((0o2750, 0o1777, 0o4555, 0o711)[number % 4])
        os.utime(made / name, ns=(1, (number + 1) * 1_234_567_890_123), follow_symlinks=False)
    return made


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """On another filesystem than the source is."""
    with_room = Path("/dev/shm")
    if with_room.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one filesystem")
    place = with_room / f"skinnybox-{os.getpid()}"
    place.mkdir()
    yield place
    shutil.rmtree(place)


def _entries(place: Path) -> list[Entry]:
    return list(scan(place, Operation()))


def _times(place: Path) -> list[tuple[str, int, int]]:
    """What a look may not alter."""
    return [(str(p), p.lstat().st_ctime_ns, p.lstat().st_mtime_ns) for p in [place, *place.rglob("*")]]


def _same_from_both(
    source: Path, place: Path, alter: Callable[[Path], object], *, named: Path | None = None
) -> list[Entry]:
    """What is altered of it, told alike of the overlay and of a copy; the source is as it was."""
    before, times = _entries(source), _times(source)

    def altered(under: Path, unread: contextlib.AbstractContextManager[None]) -> list[Entry]:
        alter(under)
        with unread:
            return _entries(under)

    for name in ("over", "copy"):
        (place / name).mkdir()
    found = uncopied.uncopied(named or source, place / "over", altered, Operation())
    copy = tree.unpacked(source, place / "copy", Operation())
    alter(copy)
    assert found == _entries(copy)
    assert (_entries(source), _times(source)) == (before, times)
    return found


def test_nothing_differs_from_the_source(source: Path, tmp_path: Path) -> None:
    assert _same_from_both(source, tmp_path, lambda _: None) == _entries(source)


def _alter(under: Path) -> None:
    with (under / "usr/hard").open("a") as file:
        file.write("more")  # of all its names
    (under / "usr/lib").rename(under / "var/lib")
    shutil.rmtree(under / "etc")
    (under / "etc").mkdir()
    (under / "var/link").unlink()
    os.chown(under / "var/null", 7, 8)
    (under / "hard").unlink()
    for folder in (under, under / "var", under / "usr", under / "etc"):
        os.utime(folder, (5, 5))
    os.utime(under / "usr/hard", (6, 6))


def test_what_is_altered_is_altered_there_alone(source: Path, tmp_path: Path) -> None:
    _same_from_both(source, tmp_path, _alter)


def _renumbered(under: Path) -> None:
    """Two change places: of a file with several names that is to be done once."""
    (under / "etc/passwd").write_text("".join(f"u{n}:x:{n}:{n}::/:\n" for n in (1204, 1205)))
    (under / "etc/group").write_text("")
    for name in ("etc/passwd", "etc/group", "etc"):
        os.utime(under / name, (5, 5))
    renumber(under, Renumbering(uids={1204: 1205, 1205: 1204}), Operation())


def test_names_of_one_file_are_one_with_other_numbers(source: Path, tmp_path: Path) -> None:
    found = {entry.path: entry for entry in _same_from_both(source, tmp_path, _renumbered)}
    assert {found[name].uid for name in (b"hard", b"usr/hard", b"var/hard")} == {1205}


def test_a_path_that_is_relative_or_leads_by_a_symlink(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "named").symlink_to(source)
    monkeypatch.chdir(tmp_path)
    _same_from_both(source, Path(), lambda _: None, named=Path("named"))


def test_nobody_else_sees_it_and_nothing_stays(source: Path, tmp_path: Path) -> None:
    ours, mounts = Path("/proc/self/ns/mnt").readlink(), Path("/proc/self/mountinfo").read_text()
    seen: list[str] = []

    def act(under: Path, _: object) -> None:
        assert Path("/proc/thread-self/ns/mnt").readlink() != ours
        assert (under / "hard").exists()
        seen.append(Path("/proc/self/mountinfo").read_text())
        seen.append(run.run(["cat", under / "etc/os-release"]).stdout.decode())

    uncopied.uncopied(source, tmp_path, act, Operation())
    assert seen == [mounts, "etc/os-release" * 1000]
    assert Path("/proc/thread-self/ns/mnt").readlink() == ours
    assert list((tmp_path / "uncopied/tree").iterdir()) == []
    catalogue.delete(tmp_path / "uncopied")


def _whiteout(source: Path) -> None:
    os.mknod(source / "etc/gone", 0o20000, os.makedev(0, 0))


def _opaque(source: Path) -> None:
    os.setxattr(source / "usr/lib", "trusted.overlay.opaque", b"y")


def _labelled(source: Path) -> None:
    os.setxattr(source / "etc/os-release", "security.selinux", b"system_u:object_r:etc_t:s0\0")


def _access_list_of_the_root(source: Path) -> None:
    os.setxattr(source, "user.note", b"kept")


@pytest.mark.parametrize("alter", [_whiteout, _opaque, _labelled, _access_list_of_the_root])
def test_what_an_overlay_would_show_otherwise_takes_a_copy(
    source: Path, tmp_path: Path, alter: Callable[[Path], None]
) -> None:
    alter(source)
    with pytest.raises(uncopied.Unfit):
        uncopied.uncopied(source, tmp_path, lambda *_: pytest.fail("it was mounted"), Operation())


def _writes_unseen(writer: mmap.mmap, descriptor: int) -> bool:
    """Unless it happens to be written to the disk between one and the other."""
    writer[:1] = b"1"
    before = os.fstat(descriptor).st_ctime_ns
    time.sleep(0.05)
    writer[:1] = b"2"
    return os.fstat(descriptor).st_ctime_ns == before


@pytest.mark.parametrize("place", ["disk", "memory"])
def test_one_that_somebody_may_write_to_unseen_takes_a_copy(
    source: Path, elsewhere: Path, tmp_path: Path, place: str
) -> None:
    """By a mapping: its time of change stays, so that no second look finds it."""
    tree = source if place == "disk" else Path(shutil.copytree(source / "var/log", elsewhere / "log"))
    with (source / "usr/hard" if place == "disk" else tree / "x").open("r+b") as file:
        with mmap.mmap(file.fileno(), 0) as writer:
            assert any(_writes_unseen(writer, file.fileno()) for _ in range(20))
            with pytest.raises(uncopied.Unfit):
                uncopied.uncopied(tree, tmp_path, lambda *_: None, Operation())
        for access in (mmap.ACCESS_READ, mmap.ACCESS_COPY):
            with mmap.mmap(file.fileno(), 0, access=access):
                assert uncopied.uncopied(tree, tmp_path, lambda *_: "read", Operation()) == "read"
            shutil.rmtree(tmp_path / "uncopied")


@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_what_is_mounted_in_it_takes_a_copy(source: Path, tmp_path: Path, kind: str) -> None:
    """Of this filesystem or of another one."""
    how = ["-t", "tmpfs", "none"] if kind == "tmpfs" else ["--bind", source / "var"]
    (source / "here and there").mkdir()
    script = 'mount "$@" && exec "$PYTHON" -m tests.image.test_masters_uncopied "$SOURCE" "$WORK"'
    env = {"PYTHON": sys.executable, "SOURCE": str(source), "WORK": str(tmp_path)}
    words = ["unshare", "--mount", "sh", "-ec", script, "sh", *how, source / "here and there"]
    said = run.run(words, env=env, keep=run.OURSELVES, cwd=_PROJECT)
    assert said.stdout == b"unfit\n"


@pytest.mark.parametrize("why", ["user", "kernel", "namespace", "index"])
def test_where_the_kernel_does_not_do_it_takes_a_copy(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    def refused(*_: object) -> None:
        raise OSError(1, "not here")

    if why == "user":
        monkeypatch.setattr(os, "geteuid", lambda: 1)
    elif why == "index":
        monkeypatch.setattr(uncopied, "_OPTIONS", "index=off,redirect_dir=on")
    else:
        monkeypatch.setattr(libc, "mount" if why == "kernel" else "unshare", refused)
    with pytest.raises(uncopied.Unfit):
        uncopied.uncopied(source, tmp_path, lambda *_: pytest.fail("it was mounted"), Operation())


def test_a_source_that_is_not_there_or_holds_us(source: Path) -> None:
    with pytest.raises(NotFound):
        uncopied.uncopied(source / "nowhere", source, lambda *_: None, Operation())
    with pytest.raises(UsageError, match="holds the masters"):
        uncopied.uncopied(source, source / "var", lambda *_: None, Operation())


def _import(source: Path, store: Path, operation: Operation | None = None, **more: Any) -> Master:
    options: dict[str, Any] = {
        "as_is": True,
        "allow_foreign": True,
        "kernel": next(source.glob("boot/vmlinuz*")),
        **more,
    }
    return import_tree(
        source, store=store, name="x", version="1", initrd=options["kernel"],
        operation=operation or Operation(), **options,
    )  # fmt: skip


def _sealed_entries(store: Path, master: Master) -> list[Entry]:
    catalogue.verify(store, master, Operation())
    return list(read_index(catalogue.folder(store, master) / catalogue.INDEX))


def _copies(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is copied from now on."""
    made: list[Path] = []

    def unpacked(source: Path, work: Path, operation: Operation) -> Path:
        made.append(source)
        return tree.unpacked(source, work, operation)

    monkeypatch.setattr("skinnybox.masters.archives.bring.unpacked", unpacked)
    return made


def test_a_master_is_the_same_of_both(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = _copies(monkeypatch)
    for as_is in (True, False):
        store = tmp_path / str(as_is)
        master = _import(source, store, as_is=as_is)
        assert copies == []
        with monkeypatch.context() as patch:
            patch.setattr(uncopied, "_ALL_IDS", [])
            again = _import(source, store / "again", as_is=as_is)
        assert (again.id, again.images) == (master.id, master.images) and copies.pop() == source
        assert [each.name for each in store.iterdir() if each.name.startswith(".")] == [".lock"]


def test_a_store_on_another_filesystem(
    source: Path, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether inode numbers are said to stay there, or it is copied: a file of several names stays one."""
    over = _import(source, elsewhere, as_is=False)
    monkeypatch.setattr(uncopied, "_ALL_IDS", [])
    assert _import(source, tmp_path / "masters", as_is=False).id == over.id
    monkeypatch.undo()
    with contextlib.suppress(uncopied.Unfit):
        _same_from_both(source, elsewhere, _renumbered)


def test_a_file_that_nobody_may_change_is_copied(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An overlayfs keeps that; a copy has lost it, and is cleaned."""
    copies = _copies(monkeypatch)
    try:
        run.run(["chattr", "+i", source / "etc/machine-id"])
    except CommandFailed:
        pytest.skip("this filesystem has no such flag")
    try:
        master = _import(source, tmp_path / "masters", as_is=False)
    finally:
        run.run(["chattr", "-i", source / "etc/machine-id"])
    found = {entry.path: entry for entry in _sealed_entries(tmp_path / "masters", master)}
    assert found[b"etc/machine-id"].size == 0 and copies == [source]


@pytest.mark.parametrize("how", ["written", "made", "deleted", "swapped"])
def test_one_that_changes_meanwhile_is_copied(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """After its index was read: the image may have the one or the other."""
    copies, told, done = _copies(monkeypatch), list[str](), list[str]()

    def change(*_: object) -> str | None:
        if not done:
            done.append(how)
            match how:
                case "written":
                    (source / "hard").write_text("new")
                case "made":
                    (source / "etc/new").touch()
                case "deleted":
                    (source / "var/fifo").unlink()
                case "swapped":
                    (source / "usr/lib/deep").rename(source / "usr/lib/was")
                    (source / "usr/lib/deep").symlink_to("/usr")
        return None

    monkeypatch.setattr("skinnybox.masters.seal.kept.write", change)
    master = _import(source, tmp_path / "masters", Operation(log=told.append))
    assert copies == [source] and len(told) == 1 and "changed while it was read" in told[0]
    assert _sealed_entries(tmp_path / "masters", master) == _entries(source)


@pytest.mark.parametrize("task", ["look", "index"])
def test_it_can_be_cancelled(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    copies = _copies(monkeypatch)

    def heard(step: Step) -> None:
        if step.task == task:
            operation.cancel()

    operation = Operation(heard)
    with pytest.raises(Cancelled):
        _import(source, tmp_path / "masters", operation)
    assert [each.name for each in (tmp_path / "masters").iterdir()] == [".lock"] and copies == []


def test_killed_in_it_leaves_nothing_mounted(source: Path, tmp_path: Path) -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
    words = [
        sys.executable,
        "-m",
        "tests.image.test_masters_uncopied",
        str(source),
        str(tmp_path / "work"),
        "hang",
    ]
    (tmp_path / "work").mkdir()
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=_PROJECT) as child:
        assert child.stdout is not None and child.stdout.readline() == b"mounted\n"
        child.send_signal(signal.SIGKILL)
    assert Path("/proc/self/mountinfo").read_text() == mounts
    end = time.monotonic() + within(20)
    while True:  # the kernel lets go of it a moment later
        with contextlib.suppress(Exception):
            catalogue.delete(tmp_path / "work")
            break
        assert time.monotonic() < end
        time.sleep(0.1)
    assert _entries(source)


def test_a_copy_does_not_outlive_us(source: Path, tmp_path: Path) -> None:
    """Who goes on writing would bring back what the next command has swept."""
    (tmp_path / "bin").mkdir()
    program, said = tmp_path / "bin/cp", tmp_path / "said"
    program.write_text(f"#!/bin/sh\necho $$ >{said}.new; mv {said}.new {said}; exec sleep 300\n")
    program.chmod(0o755)
    env = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    words = [sys.executable, "-m", "tests.image.test_masters_uncopied", str(source), str(tmp_path), "copy"]
    with subprocess.Popen(words, cwd=_PROJECT, env=env) as child:
        end = time.monotonic() + within(30)
        while not said.exists():
            assert time.monotonic() < end and child.poll() is None
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
    while _lives(int(said.read_text())):
        assert time.monotonic() < end
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def _hang(under: Path, _: object) -> None:
    print("mounted", flush=True)
    time.sleep(3600)


if __name__ == "__main__":
    try:
        given, work, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
        if how == ["copy"]:
            tree.unpacked(given, work, Operation())
        uncopied.uncopied(given, work, _hang if how == ["hang"] else print, Operation())
    except uncopied.Unfit:
        print("unfit")
