"""exec, with a program in ssh's place that runs the command here and tells its end as OpenSSH does."""

import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from skinnybox.errors import NoSpace, UsageError
from skinnybox.fleet import remote
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.spool import spooled
from skinnybox.operation import Operation
from tests.fleet.conftest import HOST_KEYS, SPARSE

SSH = r"""#!/bin/sh
# -E is the first of its words, the command the last
log=$2
for word; do command=$word; done
said() { echo "debug1: clientloop.c:client_loop():1531 (pid=1): $1" >>"$log"; }
case $command in
refused) echo "ssh: connect to host 127.0.0.1 port 1: Connection refused" >>"$log"; exit 255 ;;
lost) said "Exit status -1"; exit 255 ;;
killed) echo "clientloop.c:client_input_channel_req():1: rtype exit-signal reply 0" >>"$log"; exit 255 ;;
esac
said "Entering interactive session."
sh -c "exec $command"
code=$?
said "Exit status $code"
exit $code
"""
EVERY_BYTE = bytes(range(256)) * 300 + b"\r\n\xff\x85\n\n no end"
Exec = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def execute(fleet: Fleet, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exec:
    """`exec` with these words, in a process of its own; machines a and b run."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(SSH)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    for instance in fleet.create(["a", "b"], "tiny", SPARSE):
        fleet._catalog.pin_host_keys(instance.uuid, HOST_KEYS)
    fleet.start(["a", "b"])

    def run(*words: str, **how: Any) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(line(state, *words), capture_output=True, **{"input": b"", **how})

    return run


def line(state: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "skinnybox", "--host", "fake", "--state", str(state), "exec", *words]


def test_bytes_go_through_one_machine_as_they_are(execute: Exec) -> None:
    done = execute("a", "--", "sh", "-c", "tee /dev/stderr; exit 3", input=EVERY_BYTE)
    assert (done.returncode, done.stdout, done.stderr) == (3, EVERY_BYTE, EVERY_BYTE)


def test_nothing_is_kept_in_memory_of_what_one_machine_says(execute: Exec, state: Path) -> None:
    """And it comes as it comes: the reader of a pipe has the first of it while the command goes on."""
    with subprocess.Popen(
        line(state, "a", "--", "sh", "-c", "echo first; read answer; echo $answer"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None and child.stdin is not None
        assert child.stdout.readline() == b"first\n"
        child.stdin.write(b"second\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"second\n"
    assert child.returncode == 0


@pytest.mark.parametrize(
    ("command", "code", "why"),
    [
        (["sh", "-c", "exit 255"], 255, b""),
        (["killed"], 255, b""),
        (["refused"], 255, b"skinnybox: ssh to a: connect to host 127.0.0.1 port 1: Connection refused\n"),
        (["lost"], 255, b"skinnybox: ssh to a: the connection ended before the command did\n"),
    ],
)
def test_the_255_of_ssh_is_told_apart(execute: Exec, command: list[str], code: int, why: bytes) -> None:
    done = execute("a", "--", *command)
    assert done.returncode == code and done.stderr.startswith(why) and bool(done.stderr) == bool(why)
    (found,) = json.loads(execute("a", "--format", "json", "--", *command).stdout)
    assert (found["exit_code"], found["error"] is None) == ((None, False) if why else (255, True))


def test_its_time_is_over(execute: Exec) -> None:
    before = time.monotonic()
    done = execute("a", "--timeout", "0.5", "--", "sh", "-c", "echo begun; exec sleep 60 >&- 2>&-")
    assert (done.returncode, done.stdout) == (124, b"begun\n")
    assert b"the command in a did not end within 0.5 s" in done.stderr
    several = execute("*", "--timeout", "0.5", "--", "sh", "-c", "echo begun; exec sleep 60 >&- 2>&-")
    assert (several.returncode, several.stdout) == (1, b"a: begun\nb: begun\n")
    assert time.monotonic() - before < 30
    for wrong in ("0", "-1", "nan", "inf", "soon"):
        assert execute("a", "--timeout", wrong, "--", "true").returncode == 2


def test_each_of_several_reads_all_of_the_input(execute: Exec) -> None:
    done = execute("*", "--", "sh", "-c", "cat; echo oops >&2", input=b"one\x0btwo\xff\nthree")
    assert done.stdout == b"a: one\x0btwo\xff\na: three\nb: one\x0btwo\xff\nb: three\n"
    assert done.stderr == b"a: oops\nb: oops\n" and done.returncode == 0


def test_several_end_with_the_worst(execute: Exec, fleet: Fleet) -> None:
    assert execute("*", "--", "sh", "-c", "exit 7").returncode == 1
    assert execute("*", "--", "refused").returncode == 1
    fleet._catalog.unpin_host_keys(fleet.machine("b").instance.uuid)
    done = execute("*", "--", "true")
    assert done.returncode == 4 and b"b has not reported its ssh host keys yet" in done.stderr


def test_programs_read_every_byte_of_several(execute: Exec) -> None:
    done = execute("*", "--format", "json", "--", "sh", "-c", "cat; echo é >&2; exit 3", input=EVERY_BYTE)
    assert done.returncode == 1
    for name, record in zip("ab", json.loads(done.stdout), strict=True):
        assert b64decode(record.pop("stdout")) == EVERY_BYTE
        assert record == {
            "name": name, "exit_code": 3, "stdout_encoding": "base64", "stdout_cut": 0,
            "stderr": "é\n", "stderr_encoding": "utf-8", "stderr_cut": 0, "error": None,
        }  # fmt: skip


def test_what_several_say_is_bounded(execute: Exec, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "yes é | head -c 9000001"
    done = execute("a", "--format", "json", "--", "sh", "-c", lines)
    (record,) = json.loads(done.stdout)
    kept = len(record["stdout"].encode())
    assert kept + record["stdout_cut"] == 9000001 and record["stdout_encoding"] == "utf-8"
    assert remote.MOST_OUTPUT - 4 < kept <= remote.MOST_OUTPUT
    told = execute("*", "--", "sh", "-c", lines).stderr
    assert b"skinnybox: a: only 4.0M of 8.6M of its standard output were kept" in told
    monkeypatch.setattr(remote, "MOST_TOGETHER", 1 << 20)
    found = [outcome.value for outcome in fleet.remote.execute(["*"], ["sh", "-c", lines])]
    assert [len(value.stdout) if value else 0 for value in found] == [
        (1 << 18) - 1
    ] * 2  # which is half a character less


def test_ctrl_c_ends_it(execute: Exec, state: Path) -> None:
    for names in ("a", "*"):
        with subprocess.Popen(
            line(state, names, "--", "sh", "-c", "echo begun >&2; exec sleep 60"),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as child:
            assert child.stderr is not None
            if names == "a":
                assert child.stderr.readline() == b"begun\n"
            else:
                time.sleep(2)
            child.send_signal(signal.SIGINT)
            assert child.wait(20) == 130


def full(**_: Any) -> IO[bytes]:
    return Path("/dev/full").open("r+b", buffering=0)


def test_the_input_of_several_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "in"
    file.write_bytes(EVERY_BYTE)
    with file.open("rb") as source, spooled(source.fileno(), Operation(), len(EVERY_BYTE)) as spool:
        for _ in range(2):
            with spool.reader() as descriptor:
                assert os.read(descriptor, 1 << 20) == EVERY_BYTE
    with (
        file.open("rb") as source,
        pytest.raises(UsageError, match="larger than"),
        spooled(source.fileno(), Operation(), len(EVERY_BYTE) - 1),
    ):
        pass
    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with (
        file.open("rb") as source,
        pytest.raises(NoSpace, match="to keep standard input"),
        spooled(source.fileno(), Operation()),
    ):
        pass
