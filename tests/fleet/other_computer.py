"""Another computer, as ssh has it: a real sshd on this one's loopback, with a Skinnybox of its own."""

import os
import pwd
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from skinnybox import run

_FAR = """#!{python}
import importlib, os, sys
from pathlib import Path
place = Path({place!r}).read_text().split(".")
if place[0]:
    owner = importlib.import_module(".".join(place[:-2]))
    setattr(getattr(owner, place[-2]), place[-1], lambda *_, **__: os._exit(9))
from skinnybox.cli.main import run_command
sys.exit(run_command(sys.argv[1:]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Computer:
    """`other` is how ssh knows it; `stranger` the same of which the host key is not known, `refused` with a
    key that it does not take, and `off` where nobody listens. `program` is its skinnybox."""

    folder: Path
    program: Path

    def dies_in(self, place: str) -> None:
        """The next commands there, where they call it; "" for no more."""
        (self.folder / "place").write_text(place)


@contextmanager
def sshd(config: Path, port: int) -> Iterator[None]:
    """It answers on that port of loopback."""
    server = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if server is None:
        pytest.skip("needs sshd")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # what its unit makes; only root's needs it
    with run.start([server, "-D", "-f", config]) as child:
        while child.poll() is None and not _answers(port):
            time.sleep(0.05)
        if child.poll() is not None:
            pytest.skip("sshd does not run here")
        yield


@contextmanager
def computer(folder: Path) -> Iterator[Computer]:
    folder.mkdir()
    for name in ("host", "key", "none"):
        run.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name])
    (folder / "authorized").write_bytes((folder / "key.pub").read_bytes())
    (folder / "place").touch()
    program = folder / "bin" / "skinnybox"
    program.parent.mkdir()
    program.write_text(_FAR.format(python=sys.executable, place=str(folder / "place")))
    program.chmod(0o755)
    port = _free()
    _configure(folder, port)
    with sshd(folder / "sshd_config", port):
        yield Computer(folder=folder, program=program)


def _configure(folder: Path, port: int) -> None:
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/authorized\nPidFile none\n"
        f"SetEnv PATH={folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    )
    public = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known").write_text(f"other {public}\n")
    user = pwd.getpwuid(os.geteuid()).pw_name
    (folder / "config").write_text(
        f"Host off\n  Port 1\nHost refused\n  IdentityFile {folder}/none\n"
        f"Host other stranger\n  IdentityFile {folder}/key\n"
        f"Host stranger\n  HostKeyAlias stranger\n"
        f"Host *\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n"
        f"  HostKeyAlias other\n  UserKnownHostsFile {folder}/known\n  GlobalKnownHostsFile /dev/null\n"
        "  IdentitiesOnly yes\n"
    )
    ssh = folder / "ssh" / "ssh"  # as its user's own configuration, which only a home can have
    ssh.parent.mkdir()
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n')
    ssh.chmod(0o755)


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
