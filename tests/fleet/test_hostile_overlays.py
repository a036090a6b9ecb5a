"""Overlays that a guest prepared for whoever reads them: `changes` and `reset` come to no harm."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.cli.main import run_command
from skinnybox.fleet.service import Fleet
from tests.fleet.conftest import SPARSE

pytestmark = pytest.mark.image

NAMES = (b"\x1b]0;owned\x07", b"new\nline", b"tab\there", b"\xff\xfe", "\u202ea".encode(), b"-rf", b"\r")
Write = Callable[[str], None]


@pytest.fixture
def overlay(fleet: Fleet, state: Path) -> Path:
    fleet.create(["evil"], "tiny", SPARSE)
    return state / "instances" / str(fleet.machine("evil").instance.uuid) / "overlay.img"


@pytest.fixture
def write(overlay: Path) -> Write:
    """Commands of debugfs, that a root of the guest has other words for."""

    def commands(text: str) -> None:
        run.run(["debugfs", "-w", "-f", "-", overlay], stdin=text.encode())

    return commands


def changes(fleet: Fleet) -> dict[bytes, str]:
    with fleet.overlays.changes("evil") as found:
        return {change.path: str(change.kind) for change in found}


@pytest.mark.parametrize("name", ["base", "seed", "identity"])
def test_links_in_place_of_our_files_lead_nowhere(
    fleet: Fleet, write: Write, tmp_path: Path, name: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("skinnybox-identity 1\nend\n")
    write(f"rm /skinnybox/{name}\nsymlink /skinnybox/{name} {secret}\n")
    assert changes(fleet) == {}
    assert fleet.overlays.reset(["evil"])[0].error is None
    assert secret.read_text() == "skinnybox-identity 1\nend\n"
    assert changes(fleet) == {}


def test_a_folder_and_a_device_in_place_of_our_files(fleet: Fleet, write: Write) -> None:
    write(
        "rm /skinnybox/identity\nmkdir /skinnybox/identity\nrm /skinnybox/seed\nmknod /skinnybox/seed b 8 0\n"
    )
    assert fleet.overlays.reset(["evil"])[0].error is None


def test_a_folder_that_holds_itself(fleet: Fleet, write: Write) -> None:
    write("mkdir /upper/a\nmkdir /upper/a/b\nlink /upper/a /upper/a/b/a\n")
    with pytest.raises(Exception, match="two places"):
        changes(fleet)
    assert fleet.overlays.reset(["evil"])[0].error is None
    assert changes(fleet) == {}


def test_a_gigantic_file_of_holes_costs_nothing(fleet: Fleet, write: Write, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.write_bytes(b"x")
    write(f"cd /upper\nwrite {small} huge\nset_inode_field huge size 0x00000f0000000000\n")
    began = time.monotonic()
    assert changes(fleet) == {b"huge": "added"}
    assert time.monotonic() - began < 60


def test_nothing_hides_behind_what_the_seed_brings(fleet: Fleet, write: Write, tmp_path: Path) -> None:
    """The name is as the seed has it, the key of another's, and nobody knows that ssh host key."""
    if os.geteuid() != 0:
        pytest.skip("debugfs keeps the owner of what it writes")
    (tmp_path / "hostname").write_text("evil\n")
    (tmp_path / "key").write_text("ssh-ed25519 AAAA intruder\n")
    write(
        "mkdir /upper/etc\nmkdir /upper/etc/ssh\nmkdir /upper/root\nmkdir /upper/root/.ssh\n"
        f"write {tmp_path}/hostname /upper/etc/hostname\n"
        f"write {tmp_path}/key /upper/root/.ssh/authorized_keys\n"
        f"write {tmp_path}/key /upper/etc/ssh/ssh_host_ed25519_key.pub\n"
    )
    found = changes(fleet)
    assert b"etc/hostname" not in found
    assert found[b"root/.ssh/authorized_keys"] == found[b"etc/ssh/ssh_host_ed25519_key.pub"] == "added"
    with fleet.overlays.changes("evil", include_seed=True) as every:
        details = {change.path: change.detail for change in every}
    assert details[b"etc/hostname"] == "seed"
    assert details[b"root/.ssh/authorized_keys"] == "not as the seed has it"


def test_no_name_reaches_a_terminal_raw(
    fleet: Fleet, overlay: Path, tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory of every strange name, made by mke2fs in an overlay of the same kind."""
    if os.geteuid() != 0:
        pytest.skip("mke2fs keeps the owner of what it copies")
    tree = tmp_path / "tree"
    for name in NAMES:
        (tree / "upper" / os.fsdecode(name)).mkdir(parents=True)
    (tree / "work").mkdir()
    run.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, overlay])
    for form in ("table", "csv"):
        words = ["--host", "memory", "--state", str(state), "changes", "evil", "--format", form]
        assert run_command(words) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 8
        assert all(line.isprintable() for line in lines), lines
        assert any("\\x1b]0;owned\\x07" in line for line in lines)
        assert any("new\\nline" in line for line in lines)
