"""Programs that do one piece of work between them end together."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed
from tests.pace import within

SLEEP = ["sleep", "300"]


def nothing() -> None:
    pass


def test_what_both_say_is_told_in_their_order(tmp_path: Path) -> None:
    argvs = [["sh", "-c", "sleep 0.3; echo one >&2"], ["sh", "-c", "pwd >&2"]]
    assert run.together(argvs, cwd=tmp_path, attend=nothing) == f"one\n{tmp_path}\n".encode()


def test_the_first_that_fails_ends_the_others() -> None:
    begun = time.monotonic()
    with pytest.raises(CommandFailed, match="ended with 3: why") as caught:
        run.together([SLEEP, ["sh", "-c", "echo why >&2; exit 3"]], attend=nothing)
    assert caught.value.returncode == 3 and time.monotonic() - begun < 100


def test_one_that_fails_last_is_told_of_too() -> None:
    with pytest.raises(CommandFailed, match="ended with 3"):
        run.together([["true"], ["sh", "-c", "sleep 0.3; exit 3"]], attend=nothing)


def test_who_looks_on_can_end_them() -> None:
    begun = time.monotonic()

    def enough() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.together([SLEEP, SLEEP], attend=enough)
    assert time.monotonic() - begun < 100


def test_a_program_that_is_missing() -> None:
    begun = time.monotonic()
    with pytest.raises(CommandFailed, match="no such program"):
        run.together([SLEEP, ["no-such-program-here"]], attend=nothing)
    assert time.monotonic() - begun < 100


def test_they_do_not_outlive_us(tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = f"echo $$ >>{said}; exec sleep 300"
    ours = f"from skinnybox import run; run.together([['sh', '-c', {script!r}]] * 2, attend=lambda: None)"
    with subprocess.Popen([sys.executable, "-c", ours]) as process:
        end = time.monotonic() + within(30)
        while not said.exists() or len(said.read_text().split()) < 2:
            assert time.monotonic() < end
            time.sleep(0.02)
        process.kill()
    for number in said.read_text().split():
        while Path(f"/proc/{number}/exe").exists():
            assert time.monotonic() < end, "it is still there"
            time.sleep(0.02)
