import subprocess
import time
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed, TimedOut


def test_output_is_returned_and_the_locale_fixed() -> None:
    assert run.run(["sh", "-c", "echo $LC_ALL"]).stdout == b"C.UTF-8\n"
    assert run.run(["cat"], stdin=b"in").stdout == b"in"
    assert run.run(["cat"]).stdout == b""


def test_a_failure_says_what_the_program_said() -> None:
    with pytest.raises(CommandFailed, match="sh ended with 3: second") as caught:
        run.run(["sh", "-c", "echo first >&2; echo second >&2; exit 3"])
    assert caught.value.returncode == 3
    assert caught.value.stderr == "first\nsecond"
    assert run.run(["sh", "-c", "exit 3"], ok=(0, 3)).returncode == 3


def test_a_signal_has_its_name() -> None:
    with pytest.raises(CommandFailed, match="was killed by SIGTERM"):
        run.run(["sh", "-c", "kill -TERM $$"])


def test_a_missing_program_is_named() -> None:
    with pytest.raises(CommandFailed, match="no-such-thing: no such program") as caught:
        run.run(["no-such-thing"])
    assert caught.value.hint


def test_a_timeout_ends_the_program() -> None:
    before = time.monotonic()
    with pytest.raises(TimedOut, match="sleep did not end within"):
        run.run(["sleep", "30"], timeout=0.2)
    assert time.monotonic() - before < 30


@pytest.mark.parametrize(
    "error", [FileNotFoundError("a folder that went"), subprocess.TimeoutExpired("ours", 1)]
)
def test_what_the_attendant_raises_kills_the_program_and_comes_as_it_is(error: Exception) -> None:
    """Not as if there were no such program, or it had been too slow."""

    def attend() -> None:
        raise error

    before = time.monotonic()
    with pytest.raises(type(error)) as caught:
        run.run(["sleep", "30"], attend=attend)
    assert caught.value is error
    assert time.monotonic() - before < 30


def test_lines_come_as_they_are_printed() -> None:
    lines: list[str] = []
    run.run(["sh", "-c", "echo a; echo b >&2; echo c"], output=lines.append)
    assert lines == ["a", "b", "c"]
    with pytest.raises(CommandFailed, match="last words"):
        run.run(["sh", "-c", "echo last words; exit 1"], output=lines.append)


def test_a_program_beside_us_ends_with_the_block() -> None:
    with run.start(["sleep", "30"]) as child:
        pid = child.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()
