import fcntl
import os
import sys
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Conflict, NotFound, SkinnyboxError
from skinnybox.overlays import lock
from skinnybox.overlays.lock import acquire, exclusive

TAKE = """
import sys
from pathlib import Path
from skinnybox.overlays.lock import acquire
acquire(Path(sys.argv[1]))
print("mine")
"""


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    disk = tmp_path / "overlay.img"
    disk.write_bytes(bytes(4096))
    return disk


def test_one_at_a_time(disk: Path) -> None:
    with exclusive(disk), pytest.raises(Conflict, match="in use"), exclusive(disk):
        pass
    with exclusive(disk) as descriptor:
        assert os.pwrite(descriptor, b"x", 0) == 1


def test_across_processes(disk: Path) -> None:
    take = [sys.executable, "-c", TAKE, str(disk)]
    assert run.run(take).stdout == b"mine\n"
    with exclusive(disk):
        assert b"Conflict" in run.run(take, ok=(1,)).stderr
    assert run.run(take).stdout == b"mine\n"


def test_a_child_that_inherits_the_descriptor_keeps_the_lock(disk: Path) -> None:
    descriptor = acquire(disk)
    with run.start(["sleep", "60"], pass_fds=[descriptor]) as child:
        os.close(descriptor)
        with pytest.raises(Conflict, match="in use"):
            acquire(disk)
        child.kill()
        child.wait()
    os.close(acquire(disk))


def test_a_child_that_does_not_inherit_it_does_not(disk: Path) -> None:
    descriptor = acquire(disk)
    with run.start(["sleep", "60"]):
        os.close(descriptor)
        os.close(acquire(disk))


def test_what_the_path_names_now_is_locked(disk: Path) -> None:
    """A replaced overlay's lock says nothing about the new one."""
    with exclusive(disk):
        beside = disk.with_name("new")
        beside.write_bytes(b"new")
        beside.replace(disk)
        with exclusive(disk) as descriptor:
            assert os.pread(descriptor, 3, 0) == b"new"


def test_no_overlay_and_a_link_to_one(disk: Path) -> None:
    with pytest.raises(NotFound, match="no such overlay"):
        acquire(disk.with_name("none"))
    link = disk.with_name("link")
    link.symlink_to(disk)
    with pytest.raises(SkinnyboxError, match="symbolic link"):
        acquire(link)


def test_a_failed_attempt_leaves_no_descriptor(disk: Path) -> None:
    with exclusive(disk):
        before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(Conflict):
            acquire(disk)
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def replaced_while_opened(disk: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """So many times the file is replaced behind who has opened it and not locked it yet."""
    really, left = lock._opened, iter(range(times))

    def opened(path: Path) -> int:
        descriptor = really(path)
        if (number := next(left, None)) is not None:
            beside = disk.with_name("new")
            beside.write_bytes(b"new %d" % number)
            beside.replace(disk)
        return descriptor

    monkeypatch.setattr(lock, "_opened", opened)


@pytest.mark.parametrize("times", [1, 4])
def test_a_file_replaced_between_opening_and_locking_is_let_go(
    disk: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Else two commands have "the" overlay: one the old file, one the new."""
    replaced_while_opened(disk, monkeypatch, times)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with exclusive(disk) as descriptor:
        assert os.path.samestat(os.fstat(descriptor), disk.stat())
        with pytest.raises(Conflict, match="in use"):
            acquire(disk)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_one_that_is_replaced_again_and_again_is_a_conflict(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced_while_opened(disk, monkeypatch, 100)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(Conflict, match="keeps being replaced"):
        acquire(disk)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_removed_between_opening_and_locking_is_not_there(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = lock._opened

    def opened(path: Path) -> int:
        descriptor = really(path)
        path.unlink()
        return descriptor

    monkeypatch.setattr(lock, "_opened", opened)
    with pytest.raises(NotFound):
        acquire(disk)


@pytest.mark.parametrize("byte", [100, 104, 200, 203])
def test_a_qemu_by_hand_is_seen_and_nothing_of_ours_stays_behind(disk: Path, byte: int) -> None:
    """Each of its bytes counts. Who was refused must not keep that QEMU from anything either."""
    other = os.open(disk, os.O_RDWR)
    lock._lock(other, fcntl.F_RDLCK, byte, 1, disk)
    with pytest.raises(Conflict, match="Skinnybox did not start"), exclusive(disk):
        pass
    mine = acquire(disk)
    with pytest.raises(Conflict):
        lock.against_qemu(mine, disk)
    assert not lock._others_hold(other, 100, 104)
    os.close(mine)
    os.close(other)


def test_no_qemu_gets_it_meanwhile(disk: Path) -> None:
    with exclusive(disk):
        other = os.open(disk, os.O_RDWR)
        for byte in (*range(100, 105), *range(200, 205)):
            assert lock._others_hold(other, byte, 1), byte
        os.close(other)
