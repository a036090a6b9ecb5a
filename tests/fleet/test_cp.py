"""cp, with a program in ssh's place that runs OpenSSH's own server of files here, or one that lies."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import GuestFailed, TimedOut
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.sftp import fetch, packets, send, tally
from skinnybox.fleet.sftp.fetch import stays_within
from skinnybox.operation import Operation
from tests.fleet import sftp_server
from tests.fleet.conftest import HOST_KEYS, SPARSE

SERVER = next(
    (
        p
        for p in map(Path, ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server"))
        if p.exists()
    ),
    Path("/usr/lib/openssh/sftp-server"),
)
SSH = """#!/bin/sh
for word; do subsystem=$word; done
[ "$subsystem" = sftp ] && [ "$3" = -s -o "$7" = -s ] || exit 99
exec {server}
"""
LONG = "x" * 300
EVERY_BYTE = bytes(range(256)) * 3000 + b"no end"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def serve(path: Path, server: str) -> None:
    path.write_text(SSH.format(server=server))
    path.chmod(0o755)


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    serve(program, str(SERVER))
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program


@pytest.fixture
def cp(fleet: Fleet, state: Path, ssh: Path, here: Path) -> Run:
    """`cp` with these words in the folder `here`; machine a runs."""
    (instance,) = fleet.create(["a"], "tiny", SPARSE)
    fleet._catalog.pin_host_keys(instance.uuid, HOST_KEYS)
    fleet.start(["a"])

    def run(*words: str, **how: Any) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(line(state, *words), capture_output=True, text=True, cwd=here, **how)

    return run


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """What the machine has."""
    (tmp_path / "there").mkdir()
    return tmp_path / "there"


def line(state: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "skinnybox", "--host", "fake", "--state", str(state), "cp", *words]


def tree(folder: Path) -> Path:
    """With all that a tree may have."""
    (folder / "sub/empty").mkdir(parents=True)
    (folder / "every").write_bytes(EVERY_BYTE)
    (folder / "empty").write_bytes(b"")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o751)
    (folder / "sub/a\nb \\ é").write_text("odd")
    (folder / "sub/up").symlink_to("../every")
    (folder / "sub").chmod(0o700)
    (folder / "sub/empty").chmod(0o555)
    return folder


def listing(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Modes, and what is in it."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            str(path.readlink()).encode()
            if path.is_symlink()
            else path.read_bytes()
            if path.is_file()
            else b"",
        )
        for path in [*folder.rglob("*")]
    }


def only(folder: Path, *names: str) -> bool:
    """Nothing else, and no part of anything."""
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_a_file_goes_both_ways(cp: Run, here: Path, there: Path) -> None:
    (here / "f").write_bytes(EVERY_BYTE)
    (here / "f").chmod(0o640)
    assert cp("f", f"a:{there}").returncode == 0  # into a folder
    assert cp("f", f"a:{there}/g").returncode == 0  # under a name
    done = cp(f"a:{there}/g", "back")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for path in (there / "f", there / "g", here / "back"):
        assert path.read_bytes() == EVERY_BYTE and stat.S_IMODE(path.stat().st_mode) == 0o640
    (here / "f").write_bytes(b"new")
    (there / "g").write_bytes(b"other")
    assert cp("f", f"a:{there}/f").returncode == cp(f"a:{there}/g", "back").returncode == 0
    assert (there / "f").read_bytes() == b"new" and (here / "back").read_bytes() == b"other"
    assert only(here, "f", "back") and only(there, "f", "g")


def test_several_go_into_a_folder(cp: Run, here: Path, there: Path) -> None:
    for name in ("x", "y"):
        (here / name).write_text(name)
    assert cp("x", "y", f"a:{there}").returncode == 0
    (here / "in").mkdir()
    assert cp(f"a:{there}/x", f"a:{there}/y", "in").returncode == 0
    assert only(here / "in", "x", "y")
    assert cp("x", "y", f"a:{there}/x").returncode == cp(f"a:{there}/x", f"a:{there}/y", "x").returncode == 2


def test_a_tree_goes_both_ways(cp: Run, here: Path, there: Path) -> None:
    wanted = listing(tree(here / "tree"))
    assert cp("tree", f"a:{there}").returncode == 2
    assert cp("-r", "tree", f"a:{there}/").returncode == 0
    assert listing(there / "tree") == wanted
    assert cp("-r", f"a:{there}/tree/", "copy").returncode == 0
    assert listing(here / "copy") == wanted and stat.S_IMODE((here / "copy").stat().st_mode) == 0o755
    for words in (("-r", "tree", f"a:{there}"), ("-r", f"a:{there}/tree", "copy", "--quiet")):
        before = listing(here), listing(there)
        done = cp(*words)
        if words[-1] == "--quiet":  # into the folder that is there
            assert done.returncode == 0 and listing(here / "copy/tree") == wanted
        else:
            assert done.returncode == 4 and "exists already" in done.stderr
            assert (listing(here), listing(there)) == before


def test_what_leads_out_of_a_tree_stays_behind(cp: Run, here: Path, there: Path) -> None:
    folder = there / "t"
    folder.mkdir()
    (folder / "out").symlink_to("/etc/passwd")
    (folder / "up").symlink_to("../x")
    (folder / "round").symlink_to("sub/../../x")
    os.mkfifo(folder / "pipe")
    (folder / "set").write_text("x")
    (folder / "set").chmod(0o4755)
    done = cp("-r", f"a:{folder}", ".")
    assert done.returncode == 0 and only(here / "t", "set")
    assert stat.S_IMODE((here / "t/set").stat().st_mode) == 0o755
    assert all(f"left out: a:{folder}/{name} (" in done.stderr for name in ("out", "up", "round", "pipe"))


@pytest.mark.parametrize(
    ("target", "depth", "stays"),
    [
        (b"x", 0, True), (b"./x//y", 0, True), (b"..", 1, True), (b"../x", 1, True), (b"../x", 0, False),
        (b"/x", 5, False), (b"x/..", 5, False), (b"x/../y", 5, False), (b"../../x", 2, True),
        (b".././../x", 5, False),
    ],
)  # fmt: skip
def test_where_links_may_lead(target: bytes, depth: int, stays: bool) -> None:
    assert stays_within(target, depth) is stays


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        ("up", 1, "a name that is none: '../up'"),
        ("absolute", 1, "a name that is none: '/"),
        ("empty", 1, "a name that is none"),
        ("nul", 1, "a name that is none"),
        ("long", 1, "a name that is none"),
        ("twice", 0, "left out: a:/made/a (a link that leads out of it)"),
        ("device", 0, "left out: a:/made/null (no file)"),
        ("link", 0, "left out: a:/made/a (a link that leads out of it)"),
        ("setuid", 0, ""),
        ("none", 1, "a list of no names"),
        ("dots", 1, "a folder that holds itself again and again"),
        ("deep", 1, "more than 64 folders deep"),
        ("babble", 1, "a packet of an impossible length"),
        ("other-number", 1, "an answer to what was not asked"),
    ],
)
def test_a_machine_that_lies_about_a_folder(
    cp: Run, ssh: Path, here: Path, wrong: str, code: int, said: str
) -> None:
    serve(ssh, f"{sys.executable} {sftp_server.__file__} {wrong} {here.parent}/up")
    done = cp("-r", "a:/made", "made")
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert only(here, *(["made"] if code == 0 else []))
    assert not any(path.is_symlink() for path in here.rglob("*"))
    if wrong == "setuid":
        assert (here / "made/sh").read_bytes() == b"hello"
        assert stat.S_IMODE((here / "made/sh").stat().st_mode) == 0o755
    assert not (here.parent / "up").exists()


def test_a_machine_that_makes_up_names(
    cp: Run, fleet: Fleet, ssh: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(ssh, f"{sys.executable} {sftp_server.__file__} endless")
    monkeypatch.setattr(tally, "MOST_ENTRIES", 5000)
    said: list[str] = []
    with pytest.raises(GuestFailed, match="more than 5000 files"):
        fleet.remote.fetch("a", ["/made"], here / "x", recursive=True, operation=Operation(log=said.append))
    assert only(here) and len(said) == 20


@pytest.mark.parametrize("wrong", ["left-deep", "left-endless"])
def test_what_a_machine_makes_up_is_not_cleared_away_for_ever(
    cp: Run, fleet: Fleet, ssh: Path, here: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """It refuses what is written, and then answers at once, whatever is removed, that there is more."""
    serve(ssh, f"{sys.executable} {sftp_server.__file__} {wrong}")
    monkeypatch.setattr(send, "_CLEARING", 1.0)
    (here / "f").write_text("x")
    said: list[str] = []
    begun = time.monotonic()
    with pytest.raises(GuestFailed, match="the machine says: no"):
        fleet.remote.send("a", [here / "f"], "/f", operation=Operation(log=said.append))
    assert time.monotonic() - begun < 10
    assert len(said) == 1 and said[0].startswith("what came over of it may lie there: a:/.f.")


def test_a_machine_that_stops_answering_is_given_up(
    cp: Run, fleet: Fleet, ssh: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(ssh, f"{sys.executable} {sftp_server.__file__} silent")
    monkeypatch.setattr(packets, "SILENT", 1.0)
    monkeypatch.setattr(send, "_CLEARING", 1.0)
    (here / "f").write_text("x")
    with pytest.raises(TimedOut, match="has said nothing for 1 s"):
        fleet.remote.fetch("a", ["/f"], here / "g")
    with pytest.raises(TimedOut, match="has said nothing for 1 s"):
        fleet.remote.send("a", [here / "f"], "/f")
    assert only(here, "f")


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        ("huge", 7, "a:/file is 4194304.0T, and"),
        ("cut", 1, "a:/file ended after 40 of 100 bytes"),
        ("never-ends", 1, "a:/file does not say how long it is, and does not end"),
        ("too-much", 1, "a text that is too long"),
    ],
)
def test_a_machine_that_lies_about_a_file(
    cp: Run, ssh: Path, here: Path, wrong: str, code: int, said: str
) -> None:
    (here / "file").write_text("mine")
    serve(ssh, f"{sys.executable} {sftp_server.__file__} {wrong}")
    done = cp("a:/file", "file")
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert only(here, "file") and (here / "file").read_text() == "mine"


def test_a_copy_that_is_cut_leaves_nothing(cp: Run, ssh: Path, here: Path, there: Path, state: Path) -> None:
    (here / "f").write_bytes(b"x" * (8 << 20))
    (there / "f").write_bytes(b"x" * (8 << 20))
    (there / "before").write_text("before")
    serve(ssh, f"sh -c 'dd bs=1000 count=300 status=none | {SERVER}'")
    done = cp("f", f"a:{there}/before")
    assert done.returncode == 1 and "the connection" in done.stderr and "may lie there: a:" in done.stderr
    assert (there / "before").read_text() == "before"
    serve(ssh, f"sh -c '{SERVER} | dd bs=1000 count=300 status=none'")
    done = cp(f"a:{there}/f", "g")
    assert done.returncode == 1 and "the connection" in done.stderr and only(here, "f")
    serve(
        ssh,
        f"sh -c '{SERVER} | pv_slow'".replace(
            "pv_slow", "while dd bs=64k count=1 status=none; do sleep 0.05; done"
        ),
    )
    with subprocess.Popen(line(state, f"a:{there}/f", "g"), cwd=here, stderr=subprocess.DEVNULL) as child:
        time.sleep(1.5)
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 130
    assert only(here, "f")


def test_what_is_refused(cp: Run, here: Path, there: Path) -> None:
    (here / "f").write_text("x")
    for words, code, said in (
        (("f", "g"), 2, "one side of a copy is a machine"),
        (("a:/f", "a:/g"), 2, "one side of a copy is a machine"),
        (("a:/f", "f", "."), 2, "one side of a copy is a machine"),
        (("f", "b:/f"), 3, "b"),
        (("g", f"a:{there}"), 3, "g: no such file"),
        ((f"a:{there}/g", "."), 3, f"a:{there}/g: no such file"),
        (("f", f"a:{there}/no/f"), 3, "no such file"),
        (("f", f"a:{there}/no/"), 3, "no/: no such folder"),
        (("a:/etc/hostname", "no/"), 3, "no/: no such folder"),
        ((f"a:{there}", "x"), 2, "-r copies it"),
        (("a:/dev/null", "x"), 2, "neither a file nor a folder"),
        (("/dev/null", f"a:{there}"), 2, "neither a file nor a folder"),
        (("f", "a:/dev/null"), 4, "is there and no file"),
        (("-r", "a:/", "."), 2, "has no name of its own"),
        (("", "a:/"), 2, "empty"),
        ((LONG, f"a:{there}"), 1, "File name too long"),
        ((LONG, "f", f"a:{there}"), 1, "File name too long"),
        (("a:/etc/hostname", LONG), 1, "File name too long"),
        (("a:/etc/hostname", f"{LONG}/"), 3, "no such folder"),
        (("a:/etc/hostname", "a:/etc/passwd", LONG), 2, "is no folder"),
        (("f", f"a:{there}/{LONG}"), 1, "the machine says"),
    ):
        done = cp(*words)
        assert (done.returncode, said in done.stderr) == (code, True), (words, done.stderr)
    assert only(here, "f") and only(there)
    assert Path("/dev/null").is_char_device()


def test_without_a_server_of_files(cp: Run, ssh: Path, here: Path) -> None:
    (here / "f").write_text("x")
    ssh.write_text("#!/bin/sh\necho 'subsystem request failed on channel 0' >>$2\nexit 255\n")
    done = cp("f", "a:/f")
    assert done.returncode == 1 and "serves no files (sftp)" in done.stderr
    ssh.write_text("#!/bin/sh\necho 'ssh: connect to host x port 1: Connection refused' >>$2\nexit 255\n")
    done = cp("f", "a:/f")
    assert done.returncode == 1 and "Connection refused" in done.stderr


def test_folders_that_forbid_it_are_cleared_away_too(
    cp: Run, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an ordinary user, whom a mode binds."""
    (there / "t/closed/in").mkdir(parents=True)
    (there / "t/closed").chmod(0o000)
    folder = os.open(there, os.O_RDONLY)
    removed: list[tuple[str, int]] = []
    real = os.chmod

    def chmod(name: str, mode: int, *, dir_fd: int) -> None:
        removed.append((name, mode))
        real(name, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "chmod", chmod)
    fetch._remove(folder, "t")
    os.close(folder)
    assert only(there) and ("closed", 0o700) in removed
