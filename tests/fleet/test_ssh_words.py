"""State folders of any name, and keys anywhere, as ssh itself reads them."""

import os
import pwd
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import UsageError
from skinnybox.fleet.access import Login, own_key
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.ssh_words import quoted
from tests.fleet.conftest import SPARSE, open_fake
from tests.fleet.other_computer import sshd
from tests.samples import seal

ODD = (
    "a b",
    "100%",
    "%h",
    'q"q',
    "it's",
    "#c",
    "b\\x",
    "b\\\\y",
    "end\\",
    "t\tt",
    "n\nl",
    "$HOME",
    "=",
    "ü",
    " ",
)


@pytest.mark.parametrize("name", ODD)
def test_ssh_reads_one_path(name: str) -> None:
    path = Path("/tmp") / name / "file"
    said = run.run(["ssh", "-G", "-F", "/dev/null", "-o", f"UserKnownHostsFile={quoted(path)}", "x"]).stdout
    assert f"userknownhostsfile {path}\n".encode() in said


def test_what_ssh_cannot_write_is_refused() -> None:
    with pytest.raises(UsageError, match="for a variable"):
        quoted(Path("/tmp/${HOME}/file"))
    assert quoted(Path("/var/lib/skinnybox/ssh/id_ed25519")) == "/var/lib/skinnybox/ssh/id_ed25519"


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Fleet]:
    """Of a state folder of an odd name; machine a runs, and a real sshd answers for it."""
    state = tmp_path / "st \"%h' #1"
    seal(state, tmp_path, "tiny", "1")
    with open_fake(state) as fleet:
        user = pwd.getpwuid(os.geteuid()).pw_name
        (instance,) = fleet.create(["a"], "tiny", replace(SPARSE, ssh_user=user))
        fleet.start(["a"])
        key = tmp_path / "host"
        run.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
        public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
        fleet._catalog.pin_host_keys(instance.uuid, (public,))
        (tmp_path / "authorized").write_bytes(own_key(state / "ssh").with_suffix(".pub").read_bytes())
        (tmp_path / "config").write_text(
            f"Port {instance.ssh_port}\nListenAddress 127.0.0.1\nHostKey {key}\nStrictModes no\nUsePAM no\n"
            f"AuthorizedKeysFile {tmp_path}/authorized\nPidFile none\n"
        )
        assert instance.ssh_port is not None
        with sshd(tmp_path / "config", instance.ssh_port):
            yield fleet


def test_a_real_ssh_through_an_odd_folder(
    odd: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And past an agent that never answers."""
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(tmp_path / "agent"))
        hung.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        _real_ends(odd)
    monkeypatch.delenv("SSH_AUTH_SOCK")
    other = tmp_path / 'my "own" %key'
    run.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other])
    (outcome,) = odd.remote.execute(["a"], ["true"], login=Login(key=other))
    assert outcome.value is not None and "Permission denied" in str(outcome.value.error)
    (tmp_path / "authorized").write_bytes(Path(f"{other}.pub").read_bytes())
    (outcome,) = odd.remote.execute(["a"], ["true"], login=Login(key=other))
    assert outcome.value is not None and (outcome.value.code, outcome.value.error) == (0, None)


def _real_ends(fleet: Fleet) -> None:
    """What this OpenSSH tells of how a command ended."""
    for command, code, error in (
        ("exit 3", 3, None),
        ("exit 255", 255, None),
        ("kill -9 $$", 255, None),
        ("kill -9 $PPID; sleep 5", None, "ssh to a: the connection ended before the command did"),
    ):
        (outcome,) = fleet.remote.execute(["a"], ["sh", "-c", command])
        assert outcome.value is not None, outcome.error
        told = outcome.value.error and outcome.value.error.message
        assert (command, outcome.value.code, told) == (command, code, error)
    (outcome,) = fleet.remote.execute(["a"], ["-x"])  # of ssh it would be an option
    assert outcome.value is not None and outcome.value.code and outcome.value.error is None
