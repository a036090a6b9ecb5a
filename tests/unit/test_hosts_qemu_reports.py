import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from skinnybox.errors import Corrupt
from skinnybox.hosts.guest_io import reports
from skinnybox.hosts.guest_io.machine_output import LOG_SIZE, Log, Mailbox, Panic, conclude, read_log
from skinnybox.json_file import read_json, write_json
from skinnybox.model import DiskKind, GuestDisk, RebaseTasks, Report
from skinnybox.process import boot_id
from skinnybox.wire import Line, encode

ME, NONCE = UUID(int=5), "ab" * 16
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode()
HEAD = [("state", "ready"), ("nonce", NONCE), ("instance", str(ME))]


def started(nonce: str = NONCE) -> dict[str, object]:
    """What is written down of a start."""
    began = {"started": NOW.isoformat(), "boot_id": boot_id()}
    return {"pid": 1, "start_time": 3, "nonce": nonce, **began}


def message(*lines: tuple[str, str], head: list[tuple[str, str]] = HEAD) -> bytes:
    return encode("report", 1, [Line(key, value) for key, value in (*head, *lines)])


def test_a_full_report_is_read_and_kept() -> None:
    raw = message(
        ("image", str(UUID(int=9))),
        ("seed", "3"),
        ("dax", "off"),
        ("overlay", "1000 10"),
        ("data", "500 400"),
        ("full", ""),
        ("address", "eth0 10.0.2.15/24 fe80::1/64"),
        ("ssh-host-key", KEY),
        ("failed-unit", "apache2.service"),
        ("failed-unit", r"srv-a\x2db.mount"),
        ("kernel", "6.1.0-56-cloud-amd64"),
        ("uptime", "12.34"),
        ("disk", "overlay 2000 1000 no room for it"),
        ("disk", "data 3000 3000"),
        ("disk", "of-tomorrow 1"),
        ("something-of-tomorrow", "x"),
    )
    report = reports.parse(raw, ME, NONCE, NOW)
    assert report.ready and report.images == (UUID(int=9),) and report.seed_generation == 3
    assert report.dax is False and (report.overlay_size, report.overlay_free) == (1000, 10)
    assert (report.data_size, report.data_free) == (500, 400)
    assert report.addresses == ("eth0 10.0.2.15/24", "eth0 fe80::1/64")
    assert report.failed_units == ("apache2.service", r"srv-a\x2db.mount")
    assert report.ssh_host_keys == (KEY,) and report.uptime == 12.34
    assert report.disks == (
        GuestDisk(kind=DiskKind.OVERLAY, size=2000, filesystem=1000, why="no room for it"),
        GuestDisk(kind=DiskKind.DATA, size=3000, filesystem=3000),
    )
    assert reports.from_record(json.loads(json.dumps(reports.to_record(report)))) == report
    for reachable in (True, False):
        looked = replace(report, reachable=reachable)
        assert reports.from_record(json.loads(json.dumps(reports.to_record(looked)))) == looked
    with pytest.raises(ValueError, match="reachable"):
        reports.from_record({**reports.to_record(report), "reachable": "yes"})


def test_a_record_of_who_did_not_look_is_read() -> None:
    record = reports.to_record(reports.parse(message(), ME, NONCE, NOW))
    for later in ("reachable", "disks", "data_size", "data_free", "checking", "rebase", "inactive_units"):
        del record[later]
    found = reports.from_record(record)
    assert (found.checking, found.rebase, found.inactive_units) == (False, None, ())
    assert (found.reachable, found.disks, found.data_size, found.data_free) == (None, (), None, None)


def test_what_a_guest_says_of_a_rebase_is_read_and_kept() -> None:
    said = (("rebase", "0af3 done"), ("inactive-unit", "apache2.service"))
    report = reports.parse(message(*said), ME, NONCE, NOW)
    assert report.ready and report.inactive_units == ("apache2.service",)
    assert report.rebase == RebaseTasks(identifier="0af3", done=True)
    assert reports.from_record(json.loads(json.dumps(reports.to_record(report)))) == report
    failed = [("state", "failed"), *HEAD[1:], ("reason", "x")]
    report = reports.parse(
        message(("rebase", "0af3 failed dpkg: it ended with 1"), head=failed), ME, NONCE, NOW
    )
    assert report.rebase == RebaseTasks(identifier="0af3", done=False, why="dpkg: it ended with 1")
    assert not report.ready and not report.checking
    assert reports.from_record(json.loads(json.dumps(reports.to_record(report)))) == report


def test_a_guest_that_checks_itself_is_neither_ready_nor_failed() -> None:
    head = [("state", "checking"), *HEAD[1:], ("reason", "check fails: no route")]
    report = reports.parse(message(head=head), ME, NONCE, NOW)
    assert (report.ready, report.checking, report.reason) == (False, True, "check fails: no route")
    assert reports.from_record(json.loads(json.dumps(reports.to_record(report)))) == report


@pytest.mark.parametrize(
    "lines",
    [
        [("rebase", "xyz done")], [("rebase", "0af3")], [("rebase", "0af3 perhaps")],
        [("rebase", "a" * 65 + " done")],
        [("rebase", "1 done"), ("rebase", "2 done")], [("inactive-unit", "a b")],
        [("inactive-unit", f"u{number}.service") for number in range(65)],
    ],
)  # fmt: skip
def test_what_makes_no_sense_of_a_rebase_refuses_the_report(lines: list[tuple[str, str]]) -> None:
    with pytest.raises(Corrupt, match="report"):
        reports.parse(message(*lines), ME, NONCE, NOW)


def test_a_disk_that_is_told_of_twice_refuses_the_report() -> None:
    with pytest.raises(Corrupt, match="twice"):
        reports.parse(message(("disk", "data 1 1"), ("disk", "data 2 2")), ME, NONCE, NOW)


@pytest.mark.parametrize(
    "line",
    [
        ("state", "failed"),
        ("data", "400 500"),
        ("data", "500"),
        ("data", "99999999999999999 1"),
        ("seed", "-1"),
        ("seed", "9" * 17),
        ("seed", "0x10"),
        ("dax", "maybe"),
        ("overlay", "10 11"),
        ("overlay", "10"),
        ("overlay", "1 2 3"),
        ("address", "eth0 10.0.2.15/33"),
        ("address", "../../etc 10.0.2.15/24"),
        ("address", "eth0 fe80::1%<b>/64"),
        ("ssh-host-key", "ssh-ed25519 !!!!"),
        ("ssh-host-key", "ssh-rsa " + KEY.split()[1]),
        ("ssh-host-key", KEY + " comment"),
        ("image", "sha256:00"),
        ("kernel", "6.1 <script>"),
        ("uptime", "nan"),
        ("uptime", "1e9"),
        ("disk", "overlay 1"),
        ("disk", "overlay -1 1"),
        ("disk", f"overlay {1 << 60} 1"),
        ("disk", "data 1 x"),
    ],
)
def test_a_false_word_refuses_the_report(line: tuple[str, str]) -> None:
    with pytest.raises(Corrupt):
        reports.parse(message(line), ME, NONCE, NOW)


@pytest.mark.parametrize(
    "head",
    [
        [("state", "ready"), ("nonce", NONCE), ("instance", str(UUID(int=6)))],
        [("state", "ready"), ("nonce", "00"), ("instance", str(ME))],
        [("state", "fine"), ("nonce", NONCE), ("instance", str(ME))],
        [("state", "ready"), ("instance", str(ME))],
    ],
)
def test_a_report_of_another_machine_or_start_is_refused(head: list[tuple[str, str]]) -> None:
    with pytest.raises(Corrupt):
        reports.parse(message(head=head), ME, NONCE, NOW)


def test_many_lines_are_refused() -> None:
    with pytest.raises(Corrupt):
        reports.parse(message(*[("ssh-host-key", KEY)] * 65), ME, NONCE, NOW)


@pytest.mark.parametrize("piece", [1, 7, 100000])
def test_the_last_complete_report_counts(tmp_path: Path, piece: int) -> None:
    mailbox = Mailbox(tmp_path, ME, NONCE)
    raw = b"noise\n" + message(("seed", "1")) + message(("seed", "2")) + message(("seed", "3"))[:-6]
    for at in range(0, len(raw), piece):
        mailbox.feed(raw[at : at + piece])
    assert mailbox.deliver() and not mailbox.deliver()
    values = read_json(tmp_path / "report.json")
    assert values is not None and values["seed_generation"] == 2


def test_an_endless_report_is_refused_and_the_next_one_read(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path, ME, NONCE)
    for _ in range(40):
        mailbox.feed(b"a" * 4096)
    assert mailbox.deliver() and (tmp_path / "rejected.json").exists()
    mailbox.feed(b"\nend\n" + message())
    assert mailbox.deliver() and (tmp_path / "report.json").exists()


@pytest.mark.parametrize("piece", [1, 4096])
@pytest.mark.parametrize("inside", [5, 40, 120])
def test_what_follows_on_rubbish_is_read_wherever_the_limit_falls(
    tmp_path: Path, inside: int, piece: int
) -> None:
    mailbox = Mailbox(tmp_path, ME, NONCE)
    raw = message(("seed", "1"))
    rubbish = b"a" * (reports.LIMIT + 1 - inside)
    for data in (rubbish, raw[:inside], raw[inside:]):
        for at in range(0, len(data), piece):
            mailbox.feed(data[at : at + piece])
    assert isinstance(mailbox.deliver(), Report)


@pytest.mark.parametrize("padding", [b"\0", b"\n", b"a"])
@pytest.mark.parametrize("length", [1, reports.LIMIT - 1, reports.LIMIT * 2])
@pytest.mark.parametrize("piece", [1000, 1 << 20])
def test_what_stands_behind_the_end_takes_no_report_away(
    tmp_path: Path, piece: int, length: int, padding: bytes
) -> None:
    mailbox = Mailbox(tmp_path, ME, NONCE)
    for generation in (1, 2):
        raw = message(("seed", str(generation))) + padding * length
        for at in range(0, len(raw), piece):
            mailbox.feed(raw[at : at + piece])
        report = mailbox.deliver()
        assert isinstance(report, Report) and report.seed_generation == generation


def test_a_false_report_does_not_replace_a_good_one(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path, ME, NONCE)
    mailbox.feed(message(("seed", "1")))
    mailbox.deliver()
    mailbox.feed(message(("dax", "maybe")))
    mailbox.deliver()
    values = read_json(tmp_path / "report.json")
    assert values is not None and values["seed_generation"] == 1


def test_the_log_is_bounded_and_keeps_the_end(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for number in range(400_000):
        log.write(b"%07d\n" % number)
    log.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2 * LOG_SIZE
    kept = read_log(tmp_path)
    assert LOG_SIZE < len(kept) <= 2 * LOG_SIZE and kept.endswith(b"0399999\n")
    assert read_log(tmp_path, 16) == b"0399998\n0399999\n"


def test_a_log_goes_on_where_the_last_supervisor_stopped(tmp_path: Path) -> None:
    for words in (b"one ", b"two"):
        log = Log(tmp_path)
        log.write(words)
        log.close()
    assert read_log(tmp_path) == b"one two"


def test_a_panic_is_seen_in_pieces_and_once() -> None:
    panic = Panic()
    for byte in b"[ 1.0] Kernel panic - not syncing: no init\r\n":
        panic.feed(bytes([byte]))
    assert panic.take() == "kernel panic: no init"
    assert panic.take() is None


@pytest.mark.parametrize(
    ("cause", "panic", "reason"),
    [
        ("guest-shutdown", None, None),
        ("guest-shutdown", "kernel panic: only printed", None),
        ("host-qmp-quit", None, None),
        ("host-qmp-quit", "kernel panic: x", "kernel panic: x"),
        ("guest-panic", None, "the guest panicked"),
        ("host-signal", None, "QEMU ended: host-signal"),
        (None, None, "QEMU vanished: it was killed"),
    ],
)
def test_how_a_machine_ended(
    tmp_path: Path, cause: str | None, panic: str | None, reason: str | None
) -> None:
    told: list[str] = []
    write_json(tmp_path / "machine.json", started())
    conclude(tmp_path, started(), cause, panic, told.append)
    assert told == [reason or "powered off"]
    end = read_json(tmp_path / "end.json")
    assert end is not None and end["reason"] == reason
    assert not (tmp_path / "machine.json").exists()


def test_nothing_is_taken_from_who_starts_it_as_soon_as_its_end_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It makes its files again the moment machine.json is gone."""
    files = ("console", "report", "qmp", "events", "stalled", "stopping")
    write_json(tmp_path / "machine.json", started())
    unlink = Path.unlink

    def and_start(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok=missing_ok)
        if path.name == "machine.json":
            for name in files:
                (tmp_path / name).write_text("of the new start")

    monkeypatch.setattr(Path, "unlink", and_start)
    conclude(tmp_path, started(), "guest-shutdown", None)
    assert {name for name in files if (tmp_path / name).exists()} == set(files)


def test_a_pulled_plug_is_no_crash(tmp_path: Path) -> None:
    write_json(tmp_path / "machine.json", started())
    (tmp_path / "stopping").touch()
    told: list[str] = []
    conclude(tmp_path, started(), None, None, told.append)
    assert told == ["the plug was pulled"]
    end = read_json(tmp_path / "end.json")
    assert end is not None and end["reason"] is None


def test_the_end_of_an_older_start_is_not_written_over_a_new_one(tmp_path: Path) -> None:
    write_json(tmp_path / "machine.json", started("new"))
    conclude(tmp_path, started("old"), None, None)
    assert (tmp_path / "machine.json").exists() and not (tmp_path / "end.json").exists()
