"""A mark names one process for good: no later one, of the same number, is taken for it."""

import os
import shutil
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.fleet.catalog.owner import process_lives, process_mark


def test_we_live() -> None:
    boot, pid, started = process_mark().split("/")
    assert process_lives(process_mark())
    assert pid == str(os.getpid())
    assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert started == Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]


@pytest.mark.parametrize(("place", "other"), [(0, "another-boot"), (2, "1")])
def test_a_pid_used_again_is_another_process(place: int, other: str) -> None:
    words = process_mark().split("/")
    words[place] = other
    assert not process_lives("/".join(words))


def test_one_that_ended_lives_no_more() -> None:
    with run.start(["sleep", "60"]) as child:
        mark = process_mark(child.pid)
        assert process_lives(mark) and mark != process_mark()
        child.kill()
        child.wait()
        assert not process_lives(mark)


def test_one_of_which_only_the_exit_code_is_left_does_not_live() -> None:
    """Whoever started it may never ask for that, and its machine would be held for ever."""
    with run.start(["sleep", "60"]) as child:
        mark = process_mark(child.pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not process_lives(mark)


def test_a_strange_name_hides_no_process(tmp_path: Path) -> None:
    """The name stands in /proc as it is, in parentheses of its own."""
    program = tmp_path / "s) Z 1 (2"
    shutil.copy("/bin/sleep", program)
    with run.start([program, "60"]) as child:
        assert process_lives(process_mark(child.pid))
        child.kill()


@pytest.mark.parametrize("nonsense", ["", "boot", "boot/x/1", "boot/1", "boot/999999999/1", "//"])
def test_what_is_no_mark_is_nobody(nonsense: str) -> None:
    assert not process_lives(nonsense)
