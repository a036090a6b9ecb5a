"""Command lines that keep strangers out: ssh's, and what confined programs are started with. A word dropped
from one of them is seen by nobody until it matters; see tests/data/command-lines."""

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox.fleet.access import Login
from skinnybox.fleet.remote import Remote
from skinnybox.fleet.service import Fleet
from skinnybox.sandbox import confinement
from skinnybox.sandbox.confinement import Bounds, Handed
from tests.fleet.conftest import HOST_KEYS, SPARSE

KEPT = Path(__file__).parents[1] / "data" / "command-lines"
BATCH = "-o BatchMode=yes\n"


@pytest.fixture
def calls(fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine that runs, and a program in ssh's place that writes down how it is called."""
    program, told = tmp_path / "bin" / "ssh", tmp_path / "told"
    program.parent.mkdir()
    lines = f'for word; do printf "%s\\n" "$word"; done >{shlex.quote(str(told))}'
    program.write_text(f"#!/bin/sh\n{lines}\ncat /proc/self/environ >{shlex.quote(f'{told}.environment')}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    instance = fleet.create(["web"], "tiny", SPARSE)[0]
    fleet._catalog.pin_host_keys(instance.uuid, HOST_KEYS)
    fleet.start(["web"])
    yield told


def shown(fleet: Fleet, told: Path, state: Path) -> tuple[str, list[str]]:
    """The line, with what differs from run to run named, and the words of the remote command."""
    instance = fleet.machine("web").instance
    words = told.read_text().splitlines()
    ours = next(number for number, word in enumerate(words) if word.endswith("@127.0.0.1")) + 1
    text = " ".join(words[:ours]).replace(" -", "\n-").replace(" root@", "\nroot@") + "\n"
    for value, name in ((state, "STATE"), (instance.uuid, "UUID"), (instance.ssh_port, "PORT")):
        text = text.replace(str(value), name)
    return re.sub("/proc/[0-9]+/fd/[0-9]+", "LOG", text), words[ours:]


def test_how_ssh_is_called(fleet: Fleet, calls: Path, state: Path, tmp_path: Path) -> None:
    kept, telling = (KEPT / "ssh.txt").read_text(), (KEPT / "ssh-telling.txt").read_text()
    fleet.remote.execute(["web"], ["echo", "a b", "$HOME"])
    assert shown(fleet, calls, state) == (telling + kept, ["echo 'a b' '$HOME'"])
    fleet.ssh("web", ["id"])
    assert shown(fleet, calls, state) == (kept.replace(BATCH, ""), ["id"])
    key = tmp_path / "key"
    key.touch()
    fleet.remote.execute(["web"], ["id"], login=Login(user="admin", key=key))
    line = calls.read_text()
    assert f"IdentityFile={key}\n" in line and "IdentityAgent" not in line
    assert "\nadmin@127.0.0.1\n" in line and "id_ed25519" not in line


@pytest.mark.parametrize(("name", "who"), [("root", 7), ("user", None)])
def test_what_a_confined_program_is_started_with(name: str, who: int | None) -> None:
    bounds = Bounds(memory=1, cpu_seconds=2, file_size=3, output=4, threads=5, files=6)
    handed = Handed(files=[10, 11], owned=[12], folder=Path("/a folder"))
    words = confinement.program_words(bounds, who, handed, 9, ["e2fsck", "-p"])
    assert words[0] == sys.executable and Path(words[5], "skinnybox", "sandbox", "jail.py").exists()
    told = [*words[1:5], "PACKAGES", *words[6:]]
    assert "".join(f"{word}\n" for word in told) == (KEPT / f"confined-{name}.txt").read_text()


def test_the_usual_bounds_and_the_words_for_python() -> None:
    usual = Bounds()
    assert (usual.memory, usual.cpu_seconds, usual.file_size) == (1 << 30, 60, 0)
    assert (usual.output, usual.threads, usual.files, usual.waiting) == (16 << 20, 1, 64, 240.0)
    words = confinement.reader_words(usual, None, Handed(files=[3]), 9, "a.module", ["x"])
    told = [*words[1:5], "PACKAGES", *words[6:]]
    assert "".join(f"{word}\n" for word in told) == (KEPT / "confined-reader.txt").read_text()
    code = words[4]
    # What is imported later would be read from files that are closed by then.
    assert code.index("import_module(") < code.index("jail.read(") < code.index("main(sys")


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("reach", [Remote.ssh, Remote.execute])
def test_ssh_gets_no_secret_of_the_caller_and_an_agent_only_for_a_key_of_his_own(
    fleet: Fleet,
    calls: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reach: Callable[..., object],
    own: bool,
) -> None:
    for name in ("SKINNYBOX_XAPI_PASSWORD", "AWS_SESSION_TOKEN", "anything"):
        monkeypatch.setenv(name, "sesame-48151623")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/the/agent")
    monkeypatch.setenv("TERM", "xterm-kitty")
    (tmp_path / "key").touch()
    login = Login(key=tmp_path / "key") if own else None
    reach(fleet.remote, "web" if reach is Remote.ssh else ["web"], ["true"], login=login)
    got = calls.with_name(f"{calls.name}.environment").read_bytes()
    assert b"sesame" not in got and b"TERM=xterm-kitty" in got
    assert (b"SSH_AUTH_SOCK=/the/agent" in got) is own
