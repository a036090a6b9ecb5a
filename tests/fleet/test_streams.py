"""The standard streams: closed, full, without a reader."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from skinnybox.fleet.service import Fleet
from tests.fleet.conftest import SPARSE

MAIN = "from skinnybox.__main__ import run_process; run_process()"


def run(state: Path, closing: str, *words: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-c", MAIN, "--state", str(state), "--host", "fake", *words]
    return subprocess.run(
        ["sh", "-c", f'"$@" {closing}', "sh", *line], capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("closing", [">&-", "2>&-", "<&-", "<&- >&-", "<&- >&- 2>&-", ">/dev/null 2>&-"])
def test_no_file_of_ours_gets_a_closed_number(fleet: Fleet, state: Path, closing: str) -> None:
    """What was printed went into the catalog, or whatever was opened next."""
    done = run(state, closing, "create", "a", "b", "-m", "tiny", "--overlay", "64M", "--sparse")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert fleet.names() == ["a", "b"]
    assert run(state, closing, "list").returncode == 0
    assert run(state, closing, "show", "c").returncode == 3
    assert run(state, closing, "exec", "a", "--", "true").returncode == 4
    fleet._catalog.check()


NUMBERS = """
import os, sys
from skinnybox.cli import streams
streams.prepare()
for number in (0, 1, 2):
    found = os.fstat(number)
    assert (os.major(found.st_rdev), os.minor(found.st_rdev)) == (1, 3) and os.get_inheritable(number), number
print("out"); print("err", file=sys.stderr); assert sys.stdin.read() == ""
"""


def test_all_three_are_there() -> None:
    line = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", sys.executable, "-c", NUMBERS]
    assert subprocess.run(line, timeout=60).returncode == 0


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("--version",),
        ("--help",),
        ("show", "a"),
        ("completion", "bash"),
        ("__complete", "machines"),
    ],
)
def test_a_full_output_is_not_a_full_disk(fleet: Fleet, state: Path, words: tuple[str, ...]) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    main = (
        []
        if words[0].startswith("_") or words == ("--version",)
        else ["--state", str(state), "--host", "fake"]
    )
    environment = {**os.environ, "SKINNYBOX_STATE": str(state)}
    line = [sys.executable, "-c", MAIN, *main, *words]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            line, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, timeout=60
        )
    assert done.stderr == "skinnybox: cannot write the output: No space left on device\n"
    assert done.returncode == 1


def test_a_reader_that_has_gone(fleet: Fleet, state: Path) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    done = run(state, "| (exec <&-; sleep 1)", "list")
    assert done.stderr in ("skinnybox: cannot write the output: Broken pipe\n", "")
    reading, writing = os.pipe()
    os.close(reading)
    line = [sys.executable, "-c", MAIN, "--state", str(state), "--host", "fake", "list"]
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        ended: Any = subprocess.run(line, stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (1, "skinnybox: cannot write the output: Broken pipe\n")


def test_words_that_nobody_hears_stop_no_work(fleet: Fleet, state: Path) -> None:
    done = run(state, "2>/dev/full", "create", "a", "-m", "tiny", "--overlay", "64M", "--sparse", "--start")
    assert done.returncode == 0 and fleet.names() == ["a"]
    assert stat.S_ISREG((state / "state.db").stat().st_mode)
    assert run(state, "2>/dev/full", "show", "b").returncode == 3
