"""What guests say and are told: any bytes give a result or Corrupt, on the host and in the guest."""

import json
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinnybox import run
from skinnybox.errors import Corrupt, SkinnyboxError
from skinnybox.hosts.guest_io import reports
from skinnybox.hosts.guest_io.machine_output import LOG_SIZE, Log, Mailbox, Panic, read_log
from skinnybox.model import Report
from skinnybox.wire import Line, Message, decode, encode
from tests.fuzz.conftest import survives
from tests.fuzz.mutate import lines_mixed, mutated

ME, NONCE = UUID(int=5), "ab" * 16
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
REPORT = f"""skinnybox-report 1
state ready
nonce {NONCE}
instance {ME}
image {UUID(int=9)}
seed 3
dax off
overlay 1000000 1000
full
address eth0 10.0.2.15/24 fe80::1/64
ssh-host-key {KEY}
kernel 6.1.0-56-cloud-amd64
uptime 12.34
failed-unit a.service
inactive-unit b.service
rebase 0af3 failed dpkg ended with 1
reason it is so
end
""".encode()
SEED = encode(
    "seed",
    1,
    [
        Line("generation", "7"),
        Line("instance", str(ME)),
        Line("hostname", "web-01"),
        Line("network", "static 10.0.0.5/24 gateway 10.0.0.1 dns 1.1.1.1,8.8.8.8"),
        Line("authorized-keys", "root", b"ssh-ed25519 AAAA\n" * 20),
        Line("file", "/etc/with blanks 0644 root:root", bytes(range(256)) * 3),
        Line("run-once", "", b"#!/bin/sh\necho hi\n"),
    ],
)
WORDS = (
    b"end\n", b"\nend\n", b"skinnybox-report 1\n", b"state failed\n", b"state checking\n", b"rebase 1 done\n",
    b"full\n", b" ", b"\n ", b" AAAA\n",
    b"\r", b"overlay 9999999999999999 0\n", b"address eth0 ", b"image ", b"nonce 00\n", b"\xff\xfe",
    b"\x1b[2J", b"\0", b"uptime 1e400\n", b"address e fe80::1%eth0/64\n",
    b"address e ::ffff:1.2.3.4/1\n", b"9" * 5000,
)  # fmt: skip
KINDS = ("base", "seed", "identity", "report")


def broken(good: bytes, chance: random.Random) -> bytes:
    data = lines_mixed(good, chance) if chance.random() < 0.3 else good
    return mutated(data, chance, WORDS)


def test_any_bytes_are_a_message_or_corrupt(rounds: int, chance: random.Random) -> None:
    accepted = 0
    for turn in range(rounds):
        kind = KINDS[turn % 4]
        good = (SEED if chance.random() < 0.5 else REPORT).replace(
            b"skinnybox-seed", f"skinnybox-{kind}".encode()
        )
        data = broken(good.replace(b"skinnybox-report", f"skinnybox-{kind}".encode()), chance)
        found = survives(decode, data, kind)
        assert isinstance(found, Message | Corrupt)
        if isinstance(found, Message):
            accepted += 1
            again = decode(encode(kind, found.version, found.lines), kind)
            assert _told(again) == _told(found)
    assert 0.05 * rounds < accepted < 0.95 * rounds


def _told(message: Message) -> list[Line]:
    """An empty payload is none: no line says it."""
    return [Line(line.key, line.value, line.payload or None) for line in message.lines]


_KEYS = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True).filter(lambda key: key != "end")
_VALUES = st.from_regex(r"([!-~]([ -~]{0,80}[!-~])?)?", fullmatch=True)
_LINES = st.builds(Line, _KEYS, _VALUES, st.none() | st.binary(max_size=400))


@given(lines=st.lists(_LINES, max_size=20), version=st.integers(1, 9999))
def test_what_is_written_is_read(lines: list[Line], version: int) -> None:
    found = decode(encode("seed", version, lines) + b"\nanything", "seed", limit=1 << 20)
    told = [Line(line.key, line.value, line.payload or None) for line in lines]
    assert found == Message("seed", version, tuple(told))


@given(data=st.binary(max_size=2000))
def test_noise_is_never_a_message(data: bytes) -> None:
    with pytest.raises(Corrupt):
        decode(data, "report")


def test_any_report_is_one_or_corrupt(rounds: int, chance: random.Random) -> None:
    accepted = 0
    for _ in range(rounds):
        data = broken(REPORT, chance)
        found = survives(reports.parse, data, ME, NONCE, NOW)
        assert isinstance(found, Report | Corrupt)
        if isinstance(found, Report):
            accepted += 1
            _is_fit_to_show(found)
            again = reports.from_record(json.loads(json.dumps(reports.to_record(found))))
            assert again == found
    assert accepted > 0.05 * rounds


def _is_fit_to_show(report: Report) -> None:
    assert report.instance == ME and report.nonce == NONCE
    texts = [report.reason or "", report.kernel or "", *report.addresses, *report.ssh_host_keys]
    assert all(text.isprintable() and text.isascii() and len(text) < 20_000 for text in texts)
    assert all("%" not in address for address in report.addresses), report.addresses
    assert len(report.images) <= 64 and len(report.addresses) <= 64
    assert report.data_free is None or 0 <= report.data_free <= (report.data_size or 0) < 1 << 51
    assert report.overlay_free is None or 0 <= report.overlay_free <= (report.overlay_size or 0) < 1 << 51


def test_any_stream_of_reports_is_filed_or_refused(rounds: int, chance: random.Random, around: Path) -> None:
    mailbox = Mailbox(around / "inside", ME, NONCE)
    for _ in range(rounds):
        data = b"".join(broken(REPORT, chance) for _ in range(chance.randrange(4)))
        while data:
            piece = chance.choice((1, 7, 300, 5000))
            mailbox.feed(data[:piece])
            data = data[piece:]
        survives(mailbox.deliver)
    files = list((around / "inside").iterdir())
    assert {path.name for path in files} <= {"report.json", "rejected.json"}
    assert sum(path.stat().st_size for path in files) < 1 << 17


def test_any_console_is_kept_within_bounds(rounds: int, chance: random.Random, around: Path) -> None:
    log, panic = Log(around / "inside"), Panic()
    for _ in range(rounds):
        data = mutated(
            b"Kernel panic - not syncing: a\x1b]0;owned\x07\r\n" * chance.choice((1, 2000)), chance
        )
        log.write(data)
        panic.feed(data)
        if chance.random() < 0.2:
            said = panic.take()
            assert said is None or (said.isprintable() and len(said) < 1000)
    log.close()
    assert len(read_log(around / "inside")) <= 2 * LOG_SIZE
    assert sum(path.stat().st_size for path in (around / "inside").iterdir()) <= 2 * LOG_SIZE


GUEST = Path(__file__).parents[2] / "guest"


@pytest.mark.parametrize("argv", [["dash"], ["busybox", "sh"]], ids=lambda argv: argv[0])
def test_the_guest_takes_what_the_host_would(
    few: int, chance: random.Random, around: Path, argv: list[str]
) -> None:
    """The shell's reader is no stricter than Python's, never believes half a message, writes nowhere else."""
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed")
    folder = around / "inside"
    inputs = [broken(SEED, chance) for _ in range(few)]
    for number, data in enumerate(inputs):
        (folder / f"{number}.in").write_bytes(data)
    script = f""". {GUEST}/lib/message.sh
number=0
while [ -e "$1/$number.in" ]; do
    code=0
    message_unpack "$1/$number.in" seed "$1/$number.out" 2>/dev/null || code=$?
    message_value "$1/$number.out" hostname >/dev/null || :
    message_values "$1/$number.out" file >/dev/null
    message_payload "$1/$number.out" 5 >/dev/null 2>&1 || :
    echo "$code"
    number=$((number + 1))
done"""
    done = run.run([*argv, "-uc", script, "sh", folder], timeout=120, cwd=folder)
    codes = [int(line) for line in done.stdout.split()]
    assert len(codes) == few and done.stderr == b""
    for number, (data, code) in enumerate(zip(inputs, codes, strict=True)):
        unpacked = folder / f"{number}.out"
        assert all(p.name == "lines" or p.suffix == ".b64" for p in unpacked.iterdir())
        if code == 0:
            head, *lines = data.split(b"\n")
            assert head == b"skinnybox-seed 1" and b"end" in lines, data
        if (found := _decoded(data)) is not None:
            assert code == 0, data
            assert len((unpacked / "lines").read_text().splitlines()) == len(found.lines)


def _decoded(data: bytes) -> Message | None:
    try:
        found = decode(data, "seed")
    except SkinnyboxError:
        return None
    return found if found.version == 1 else None
