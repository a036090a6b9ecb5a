"""Options of ssh's own: which of them somebody may give, and that what we say of a machine is still said."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import UsageError
from skinnybox.fleet.access import USUAL, ssh_argv
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.ssh_words import option
from tests.fleet.conftest import HOST_KEYS, SPARSE, said

OURS = ("stricthostkeychecking", "userknownhostsfile", "globalknownhostsfile", "hostkeyalias", "hostname",
        "identityfile", "identityagent", "identitiesonly", "port", "user", "batchmode", "checkhostip",
        "nohostauthenticationforlocalhost", "knownhostscommand", "proxycommand", "forwardagent")  # fmt: skip
REFUSED = (
    "StrictHostKeyChecking=no", "stricthostkeychecking no", "UserKnownHostsFile=/dev/null", "HostKeyAlias=x",
    "GlobalKnownHostsFile=/tmp/x", "KnownHostsCommand=/bin/echo", "NoHostAuthenticationForLocalhost=yes",
    "VerifyHostKeyDNS=yes", "UpdateHostKeys=yes", "Include=/tmp/x", "Match=all", "Host=*",
    "ControlPath=/tmp/x",
    "ProxyCommand=sh", "ProxyJump=x", "LocalCommand=sh", "PermitLocalCommand=yes", "PKCS11Provider=/tmp/x.so",
    "SecurityKeyProvider=/tmp/x.so", "IdentityAgent=/tmp/x", "IdentityFile=/tmp/x", "ForwardAgent=yes",
    "HostName=x", "Port=1", "User=x", "CanonicalizeHostname=yes", "XAuthLocation=/tmp/x", "ForwardX11=yes",
    "LogLevel", "=x", "", "LogLevel=\nHostName=x", "LogLevel", "NoSuchOption=1", "-oLogLevel=INFO",
)  # fmt: skip


def effective(argv: Sequence[str]) -> dict[str, str]:
    """What ssh itself makes of a command line; of several that are alike all."""
    found: dict[str, str] = {}
    for line in run.run([argv[0], "-G", *argv[1:]]).stdout.decode().splitlines():
        key, _, value = line.partition(" ")
        found[key] = f"{found[key]} {value}" if key in found else value
    return found


@pytest.fixture
def up(fleet: Fleet) -> Fleet:
    (instance,) = fleet.create(["a"], "tiny", SPARSE)
    fleet._catalog.pin_host_keys(instance.uuid, HOST_KEYS)
    fleet.start(["a"])
    return fleet


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_theirs_to_say(text: str) -> None:
    with pytest.raises(UsageError):
        option(text)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("LogLevel=INFO", "loglevel", "INFO"),
        ("loglevel info", "loglevel", "INFO"),
        ("ServerAliveInterval = 7", "serveraliveinterval", "7"),
        ("ConnectTimeout=3", "connecttimeout", "3"),
        ("SetEnv=A=b", "setenv", "A=b"),
        ("LocalForward=8080 localhost:80", "localforward", "8080 [localhost]:80"),
    ],
)
def test_the_rest_is_as_it_was(up: Fleet, text: str, key: str, value: str) -> None:
    machine = up.machine("a")
    usual = effective(ssh_argv(up._ssh, machine, USUAL, batch=True))
    other = effective(ssh_argv(up._ssh, machine, USUAL, batch=True, options=option(text)))
    assert other[key] == value != usual.get(key)
    assert {mine: other.get(mine) for mine in OURS} == {mine: usual.get(mine) for mine in OURS}


def test_they_come_to_ssh(
    up: Fleet, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    words = ("ssh", "--host", "fake", "--state", str(state), "a", "-L", "8080:localhost:80", "-D", "1080",
             "-N", "-vv", "-t", "-R", "9:h:9", "-o", "Compression=yes", "--", "uptime", "-L")  # fmt: skip
    capfd.readouterr()
    from skinnybox.cli.main import run_command

    assert run_command(words) == 0
    line = capfd.readouterr().out
    begin = "-o Compression=yes -L 8080:localhost:80 -R 9:h:9 -D 1080 -N -t -vv -F /dev/null "
    assert line.startswith(begin) and line.endswith("-- root@127.0.0.1 uptime -L\n")


def test_what_is_wrong_is_a_usage_error(up: Fleet, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("ssh", "--host", "fake", "--state", str(state), "a")
    told = said(capsys, *words, "-o", "StrictHostKeyChecking=no")
    assert told.code == 2 and "-o StrictHostKeyChecking: which machine" in told.err
    assert said(capsys, *words, "-L", "").code == said(capsys, *words, "-L", "1\n2").code == 2
