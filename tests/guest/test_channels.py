"""channels.sh: the host's word, by whichever way it comes; always the same files come of it."""

import base64
from pathlib import Path

import pytest

from skinnybox.wire import Line, encode
from tests.guest.conftest import INSTANCE, OTHER, Ended, Shell
from tests.guest.xenstored import Xenstored

PARTS = "message xenstore disks channels host"
SEED = encode("seed", 1, [Line("generation", "3"), Line("file", "/x 0644 root:root", b"long" * 2000)])


@pytest.fixture(autouse=True)
def silence(shell: Shell) -> None:
    for file in (shell.tmp / "run/host").iterdir():
        file.unlink()


def listen(shell: Shell) -> Ended:
    ended = shell(PARTS, "listen", stubs=["sleep"])
    assert ended.code == 0, ended.out
    return ended


def heard(shell: Shell, name: str) -> bytes:
    file = shell.tmp / "run/host" / name
    return file.read_bytes().rstrip(b"\n") if file.exists() else b""


def parts(name: str, message: bytes) -> dict[str, str]:
    text = base64.b64encode(message).decode()
    cut = [text[at : at + 2000] for at in range(0, len(text), 2000)]
    return {name: str(len(cut))} | {f"{name}-{number}": part for number, part in enumerate(cut)}


WORDS = {
    "instance": INSTANCE, "nonce": "abc123", "overlay": "xvdb", "layers": "xvde,xvdf", **parts("seed", SEED),
}  # fmt: skip


def firmware(shell: Shell, words: dict[str, str]) -> None:
    for name, value in words.items():
        folder = shell.tmp / "sys/firmware/qemu_fw_cfg/by_name/opt/skinnybox" / name
        folder.mkdir(parents=True)
        (folder / "raw").write_text(value)


def told_disk(
    shell: Shell, name: str, instance: str = INSTANCE, sectors: int = 2048, padding: bytes = b"\n"
) -> Path:
    lines = [Line("instance", instance), Line("nonce", "abc123"), Line("overlay", "xvdb")]
    message = encode("told", 1, [*lines, Line("seed", payload=SEED)])
    device = shell.disk(name, None, message.ljust(16384, padding))
    (shell.tmp / "sys/block" / name / "size").write_text(f"{sectors}\n")
    return device


def test_the_command_line(shell: Shell) -> None:
    shell.cmdline(f"quiet skinnybox.instance={INSTANCE} skinnybox.nonce=abc123 ro")
    listen(shell)
    assert heard(shell, "instance") == INSTANCE.encode()
    assert (heard(shell, "nonce"), heard(shell, "overlay"), heard(shell, "seed")) == (b"abc123", b"", b"")


@pytest.mark.parametrize(
    "cmdline", ["quiet", "xskinnybox.nonce=1", "skinnybox.noncense=1", "nonce=1", "skinnybox.nonce"]
)
def test_what_the_command_line_does_not_say(shell: Shell, cmdline: str) -> None:
    shell.cmdline(cmdline)
    assert shell(PARTS, "command_line_says nonce").code == 1


def test_a_word_is_no_file_name_pattern(shell: Shell) -> None:
    shell.cmdline("/* skinnybox.nonce=*")
    assert shell(PARTS, "command_line_says nonce").out == "*\n"


def test_the_firmware(shell: Shell) -> None:
    firmware(shell, WORDS | {"name": "Web 1"})
    listen(shell)
    assert (heard(shell, "instance"), heard(shell, "nonce")) == (INSTANCE.encode(), b"abc123")
    assert (heard(shell, "overlay"), heard(shell, "name")) == (b"xvdb", b"Web 1")
    assert heard(shell, "layers") == b"xvde,xvdf"
    assert (shell.tmp / "run/host/seed").read_bytes() == SEED


def test_xenstore(shell: Shell) -> None:
    tree = {f"vm-data/skinnybox/{name}": value for name, value in WORDS.items()} | {"name": "Web 1"}
    with Xenstored(shell.tmp / "dev/xen/xenbus", tree):
        listen(shell)
    assert (heard(shell, "instance"), heard(shell, "nonce")) == (INSTANCE.encode(), b"abc123")
    assert (heard(shell, "overlay"), heard(shell, "name")) == (b"xvdb", b"Web 1")
    assert heard(shell, "layers") == b"xvde,xvdf"
    assert (shell.tmp / "run/host/seed").read_bytes() == SEED
    assert heard(shell, "base") == b""


@pytest.mark.parametrize("padding", [b"\n", b"\0"])
def test_a_disk_made_for_it(shell: Shell, padding: bytes) -> None:
    shell.disk("vda", "skinny-overlay", bytes(64))
    told_disk(shell, "vdb", padding=padding)
    listen(shell)
    assert (heard(shell, "instance"), heard(shell, "overlay")) == (INSTANCE.encode(), b"xvdb")
    assert (shell.tmp / "run/host/seed").read_bytes() == SEED


def test_a_large_disk_is_no_such_disk(shell: Shell) -> None:
    """Somebody's data may begin with anything."""
    told_disk(shell, "vdb", sectors=1 << 21)
    listen(shell)
    assert heard(shell, "instance") == b""


def test_of_two_such_disks_none_is_believed(shell: Shell) -> None:
    told_disk(shell, "vdb")
    told_disk(shell, "vdc")
    listen(shell)
    assert heard(shell, "instance") == b""


def test_one_channel_is_listened_to(shell: Shell) -> None:
    """A disk that somebody made does not add a word to what the host says."""
    shell.cmdline(f"skinnybox.instance={INSTANCE}")
    firmware(shell, WORDS | {"instance": OTHER})
    told_disk(shell, "vdb", OTHER)
    listen(shell)
    assert heard(shell, "instance") == INSTANCE.encode()
    assert heard(shell, "nonce") == heard(shell, "seed") == b""


@pytest.mark.parametrize("count", ["", "x", "-1", "99999", "2x"])
def test_a_count_that_is_none(shell: Shell, count: str) -> None:
    firmware(shell, {"instance": INSTANCE, "seed": count, "seed-0": "c2VlZA=="})
    listen(shell)
    assert not (shell.tmp / "run/host/seed").exists()


def test_a_lost_part_makes_no_whole_message(shell: Shell) -> None:
    lost = {name: value for name, value in WORDS.items() if name != "seed-2"}
    firmware(shell, lost)
    listen(shell)
    assert not (shell.tmp / "run/host/seed").exists()
