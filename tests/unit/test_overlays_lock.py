import os
import sys
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Conflict, NotFound, SkinnyboxError
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
    with pytest.raises(SkinnyboxError, match="cannot be opened"):
        acquire(link)


def test_a_failed_attempt_leaves_no_descriptor(disk: Path) -> None:
    with exclusive(disk):
        before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(Conflict):
            acquire(disk)
        assert len(list(Path("/proc/self/fd").iterdir())) == before
