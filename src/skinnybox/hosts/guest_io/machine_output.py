"""What one machine says, bounded: its console log, its reports, and how it ended. Used by the supervisor."""

import contextlib
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from skinnybox import private
from skinnybox.errors import Corrupt
from skinnybox.hosts.guest_io import reports
from skinnybox.hosts.guest_io.run_folder import read_machine, tail
from skinnybox.json_file import read_json, write_json
from skinnybox.layout import UNTIL_END
from skinnybox.model import Report
from skinnybox.printable import printable
from skinnybox.process import boot_id

LOG_SIZE = 1 << 20
VANISHED, WITHOUT_A_WORD = "QEMU vanished", ": it was killed"
_START = b"skinnybox-report "
_PANIC = re.compile(rb"Kernel panic - not syncing:? ?([^\r\n]{0,200})")
_PANIC_TAIL = 16384


class Log:
    """`console.log`, turned into `console.log.1` when it has LOG_SIZE bytes. Never more than both."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "console.log"
        self._open()

    def write(self, data: bytes) -> None:
        while data:
            room = LOG_SIZE - self._size
            self._size += os.write(self._file, data[:room])
            data = data[room:]
            if self._size >= LOG_SIZE:
                self.close()
                self._path.replace(self._path.with_suffix(".log.1"))
                self._open()

    def close(self) -> None:
        os.close(self._file)

    def _open(self) -> None:
        self._file = private.to_append(self._path)
        self._size = os.fstat(self._file).st_size


def read_log(folder: Path, length: int = 2 * LOG_SIZE) -> bytes:
    """The last bytes of what the guest printed since its start."""
    newest = tail(folder / "console.log", length)
    return tail(folder / "console.log.1", length - len(newest)) + newest


def printed_bytes(folder: Path) -> int:
    """How much of the newest is kept: as good as always another number when the guest has printed."""
    with contextlib.suppress(OSError):
        return (folder / "console.log").stat().st_size
    return 0


class Panic:
    """Sees the kernel say that it panicked, also when the words come in pieces."""

    def __init__(self) -> None:
        self._recent = b""

    def feed(self, data: bytes) -> None:
        self._recent = (self._recent + data)[-_PANIC_TAIL:]

    def take(self) -> str | None:
        """What the kernel said since the last time somebody asked; None when it did not panic."""
        found = _PANIC.findall(self._recent)
        self._recent = b""
        return f"kernel panic: {printable(found[-1].decode('ascii', 'replace'))}" if found else None


class Mailbox:
    """Puts the report port's bytes together. Only the last complete message of a moment is looked at. `seen`
    adds to a report what the host knows of its own."""

    def __init__(
        self, folder: Path, uuid: UUID, nonce: str, seen: Callable[[Report], Report] = lambda report: report
    ) -> None:
        self._folder, self._uuid, self._nonce, self._seen = folder, uuid, nonce, seen
        self._buffer = b""
        self._waiting: bytes | None = None

    def feed(self, data: bytes) -> None:
        self._buffer += data
        complete, end, rest = self._buffer.rpartition(reports.END)
        if end:
            start = complete.rfind(_START)
            self._waiting = complete[max(start, 0) :] + end
            self._buffer = rest
        if len(self._buffer) > reports.LIMIT:
            # A report that waits, perhaps for room on the disk, is not given up for the rubbish behind it.
            self._waiting = self._waiting or self._buffer
            self._buffer = self._begun()

    def _begun(self) -> bytes:
        """Of a buffer that is too long, what may be the beginning of a message behind the rubbish."""
        start = self._buffer.rfind(_START)
        if start <= 0 or len(self._buffer) - start > reports.LIMIT:
            start = len(self._buffer) - len(_START) + 1  # it may have come in part
        return self._buffer[start:]

    def deliver(self) -> Report | Corrupt | None:
        """Check and file what came; the report, or why it is none. None when nothing came."""
        raw, self._waiting = self._waiting, None
        if raw is None:
            return None
        try:
            return self._filed(raw, datetime.now(UTC))
        except OSError:  # the disk is full: it is tried again, since the guest may not say it again
            self._waiting = raw
            return None

    def _filed(self, raw: bytes, now: datetime) -> Report | Corrupt:
        try:
            report = reports.parse(raw, self._uuid, self._nonce, now)
        except Corrupt as error:
            refused = {"reason": error.message[:500], "received": now.isoformat()}
            write_json(self._folder / "rejected.json", refused)
            return error
        report = self._seen(report)
        self.keep(report)
        return report

    def keep(self, report: Report) -> None:
        """In place of the one before. Raises OSError when the disk is full."""
        write_json(self._folder / "report.json", reports.to_record(report))


def conclude(
    folder: Path,
    values: dict[str, Any],
    cause: str | None,
    panic: str | None,
    tell: Callable[[str], None] = lambda how: None,
) -> None:
    """Record how a machine ended, `tell` it, and then that it does not run any more. Idempotent. OSError
    where the disk has no room for the reason of a crash: to be tried again.

    `cause` is QEMU's word for why it shut down; None when it said nothing.
    """
    now = read_machine(folder)
    if now is not None and now["nonce"] != values["nonce"]:
        return
    reason = _crash(folder, values, cause, panic)
    end = {"at": datetime.now(UTC).isoformat(), "reason": reason, "nonce": values["nonce"]}
    try:
        write_json(folder / "end.json", end)
    except OSError:
        if reason:
            raise
    tell(reason or ("the plug was pulled" if (folder / "stopping").exists() else "powered off"))
    # machine.json is the last to go: who sees it gone may start the machine anew, and makes all these again.
    # That it was `stopping` is left to that start (launch.py): gone before machine.json, a kill would make
    # a crash of it; after it, it may be the next one's.
    for name in UNTIL_END:
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()


def _crash(folder: Path, values: dict[str, Any], cause: str | None, panic: str | None) -> str | None:
    if (folder / "stopping").exists() or (cause == "host-qmp-quit" and not panic):
        return None
    if cause == "guest-shutdown":
        return _gave_up(folder, values)
    if panic or cause == "guest-panic":
        return panic or "the guest panicked"
    if cause is not None:
        return f"QEMU ended: {cause}"
    if values["boot_id"] != boot_id():
        return "the host went down while it ran"
    said = tail(folder / "qemu.log", 2000).decode("utf-8", "replace").strip().splitlines()
    return VANISHED + (f": {printable(said[-1][:300])}" if said else WITHOUT_A_WORD)


def _gave_up(folder: Path, values: dict[str, Any]) -> str | None:
    """A guest that says it failed and powers off did not simply stop."""
    last = read_json(folder / "report.json")
    if last and last.get("ready") is False and last.get("nonce") == values["nonce"]:
        return f"the guest gave up: {last.get('reason') or 'it said no reason'}"
    return None
