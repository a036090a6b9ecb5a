"""message.sh reads what wire.py writes."""

import os
from pathlib import Path

import pytest

from skinnybox.wire import Line, encode, padded
from tests.guest.conftest import Shell

PAYLOAD = bytes(range(256)) * 9 + b"no newline at the end"
SEED = encode(
    "seed",
    1,
    [
        Line("generation", "7"),
        Line("file", "/etc/with blanks 0644 root:root", PAYLOAD),
        Line("file", "/etc/empty 0600 a:b", b""),
        Line("run-once", "", b"#!/bin/sh\n"),
    ],
)


def unpack(shell: Shell, data: bytes, kind: str = "seed") -> int:
    (shell.tmp / "m").write_bytes(data)
    return shell("message", f"message_unpack {shell.tmp}/m {kind} {shell.tmp}/u").code


def test_lines_and_payloads_come_back(shell: Shell) -> None:
    assert unpack(shell, padded(SEED, 16384)) == 0
    assert unpack(shell, SEED.ljust(16384, b"\0")) == 0
    unpacked = shell.tmp / "u"
    assert shell("message", f"message_values {unpacked} file").out.splitlines() == [
        "/etc/with blanks 0644 root:root",
        "/etc/empty 0600 a:b",
    ]
    assert shell("message", f"message_value {unpacked} generation").out == "7\n"
    shell(
        "message", f"message_payload {unpacked} 2 >{shell.tmp}/p; message_payload {unpacked} 3 >{shell.tmp}/e"
    )
    assert (shell.tmp / "p").read_bytes() == PAYLOAD
    assert (shell.tmp / "e").read_bytes() == b""
    assert shell("message", f"message_payload {unpacked} 4").out == "#!/bin/sh\n"


def test_a_missing_key_fails(shell: Shell) -> None:
    unpack(shell, SEED)
    assert shell("message", f"message_value {shell.tmp}/u nothing").code == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n" * 4096,
        SEED.removesuffix(b"end\n"),
        SEED.replace(b"skinnybox-seed 1", b"skinnybox-seed 2"),
        SEED.replace(b"skinnybox-seed", b"skinnybox-base"),
        b"x" + SEED,
    ],
    ids=["empty", "never written", "cut off", "newer version", "other kind", "damaged"],
)
def test_what_is_no_whole_message_is_refused(shell: Shell, data: bytes) -> None:
    assert unpack(shell, data) == 1


def test_nothing_of_an_older_message_stays(shell: Shell) -> None:
    unpack(shell, SEED)
    unpack(shell, encode("seed", 1, [Line("generation", "8")]))
    assert sorted(path.name for path in (shell.tmp / "u").iterdir()) == ["lines"]


def test_what_follows_the_end_is_not_read(shell: Shell) -> None:
    assert unpack(shell, SEED + b"hostname evil\n") == 0
    assert shell("message", f"message_values {shell.tmp}/u hostname").out == ""


def test_a_payload_written_by_the_guest_is_read_by_the_host(shell: Shell, tmp_path: Path) -> None:
    from skinnybox.wire import decode

    key = os.urandom(500)
    (tmp_path / "key").write_bytes(key)
    text = shell("message", f"echo skinnybox-identity 1; echo k v; as_payload <{tmp_path}/key; echo end").out
    assert decode(text.encode(), "identity").lines == (Line("k", "v", key),)
