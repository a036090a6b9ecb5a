"""No program gets more of the caller's environment than is named: not a password, and not what nobody has
thought of either."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox import process, run
from skinnybox.errors import CommandFailed, SkinnyboxError
from skinnybox.fleet.making import Build
from skinnybox.fleet.making_apart import make
from skinnybox.masters import build, namespace
from skinnybox.masters.recipe import Recipe
from skinnybox.operation import Operation
from skinnybox.run.environment import FETCHING, NOTHING, ORDINARY, OURSELVES, environment

SECRET = "sesame-48151623"
SECRETS = (
    "SKINNYBOX_XAPI_PASSWORD", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "LC_SECRET", "XDG_TOKEN",
    "SKINNYBOX_TOKEN", "LD_PRELOAD_NOT", "what_nobody_knows",
)  # fmt: skip
HARMLESS = {
    "HOME": "/root", "TERM": "dumb", "LC_TIME": "C", "TMPDIR": "/var/tmp", "https_proxy": "http://proxy:1",
    "APT_CONFIG": "/etc/apt/ours", "SKINNYBOX_MEMORY": "1G", "XDG_CONFIG_HOME": "/nowhere", "LC_ALL": "C",
}  # fmt: skip


@pytest.fixture(autouse=True)
def of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**dict.fromkeys(SECRETS, SECRET), **HARMLESS}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A program with this name that only writes down its environment, as the kernel shows it to others; the
    file it does so in."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def made(name: str) -> Path:
        told = tmp_path / f"{name}.told"
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\ncat /proc/self/environ >{shlex.quote(str(told))}\n")
        program.chmod(0o755)
        return told

    return made


def told(file: Path) -> dict[str, str]:
    content = file.read_bytes()
    assert SECRET.encode() not in content
    lines = content.decode().split("\0")
    return dict(line.split("=", 1) for line in lines if line)


def _detached(words: list[str]) -> None:
    with Path(os.devnull).open("wb") as output:
        pid = run.detach(words, output=output.fileno())
    pidfd = os.pidfd_open(pid)
    assert process.ended(pidfd, 60.0)
    os.close(pidfd)
    process.reap(pid)


def _beside(words: list[str], **how: bool) -> None:
    with run.start(words, **how) as child:  # type: ignore[arg-type]
        child.wait(60.0)


WAYS: dict[str, Callable[[list[str]], object]] = {
    "to its end": run.run,
    "line by line": lambda words: run.run(words, output=print),
    "fed": lambda words: run.feed(words, ()),
    "tied to us": lambda words: run.run(run.tied(words) if os.geteuid() == 0 else words),
    "beside us": _beside,
    "with the terminal": run.interactive,
    "shut in": lambda words: _beside(words, shut_in=True),
    "outliving us": _detached,
}


@pytest.mark.parametrize("way", WAYS)
def test_however_it_is_started_a_program_gets_what_is_named(way: str, stub: Callable[[str], Path]) -> None:
    file = stub("some-tool")
    WAYS[way](["some-tool"])
    found = told(file)
    assert "/usr/sbin" in found.pop("PATH").split(":")
    assert found.pop("LC_ALL") == ("C" if way == "with the terminal" else "C.UTF-8")
    shown = found.keys() - {"PWD", "OLDPWD", "SHLVL", "_"}  # the shell's own
    if way in ("shut in", "outliving us"):
        assert not shown
    else:
        assert {"HOME", "TERM", "LC_TIME", "TMPDIR"} <= shown
        assert not shown & {"https_proxy", "APT_CONFIG", "SKINNYBOX_MEMORY", "XDG_CONFIG_HOME"}


def test_more_is_what_the_caller_names() -> None:
    assert environment(NOTHING).keys() == {"PATH", "LC_ALL"}
    assert environment(NOTHING, {"LC_ALL": "de", "A": "b"})["LC_ALL"] == "de"
    assert environment(("what_nobody_*",))["what_nobody_knows"] == SECRET
    assert environment(FETCHING)["https_proxy"] == "http://proxy:1"
    assert "https_proxy" not in environment(ORDINARY)


@pytest.mark.parametrize(
    "name",
    ["SKINNYBOX_XAPI_PASSWORD", "SKINNYBOX_TOKEN", "XDG_TOKEN", "LC_SECRET", "AWS_SECRET_ACCESS_KEY"],
)
def test_a_pattern_takes_in_no_secret(name: str) -> None:
    found = environment(OURSELVES, locale=None)
    assert name not in found and found["SKINNYBOX_MEMORY"] == "1G" and found["LC_ALL"] == "C"


def test_without_a_path_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And an empty word in it is no folder: it would mean the one we stand in."""
    monkeypatch.delenv("PATH")
    assert run.find("sh") and environment(NOTHING)["PATH"].endswith("/sbin")
    monkeypatch.setenv("PATH", ":/usr/bin::")
    folders = environment(NOTHING)["PATH"].split(":")
    assert folders[0] == "/usr/bin" and "" not in folders


def test_a_build_hands_on_the_way_out_and_no_secret(
    stub: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "tied", lambda words: words)
    monkeypatch.setattr(namespace, "require_root", lambda: None)
    file = stub("mmdebstrap")
    (tmp_path / "store").mkdir()
    recipe = Recipe(suite="stable", mirror="http://mirror.example.org/")
    with pytest.raises((SkinnyboxError, OSError)):  # there is no tree
        build.build(recipe, store=tmp_path / "store", name="a", version="1", operation=Operation())
    found = told(file)
    assert found["https_proxy"] == "http://proxy:1" and found["APT_CONFIG"] == "/etc/apt/ours"
    assert "SKINNYBOX_MEMORY" not in found


def test_what_makes_masters_in_a_namespace_gets_the_settings_and_no_password(
    stub: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKINNYBOX_XAPI_PASSWORD_FILE", "/root/password")
    monkeypatch.setattr(namespace, "needed", lambda: True)
    monkeypatch.setattr(namespace, "why_not", lambda: None)
    file = stub("unshare")
    with pytest.raises(CommandFailed, match="as root of a namespace ended with 0"):  # it is a stub
        make(tmp_path / "masters", Build(reference="a"), Operation())
    found = told(file)
    assert found["SKINNYBOX_MEMORY"] == "1G" and found["XDG_CONFIG_HOME"] == "/nowhere"
    assert found["SKINNYBOX_XAPI_PASSWORD_FILE"] == "/root/password" and found["https_proxy"]
