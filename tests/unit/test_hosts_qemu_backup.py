"""A copy of the disk of a machine that runs, with a stand-in for its QEMU: what it says decides."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from skinnybox.errors import CommandFailed, SkinnyboxError, TimedOut
from skinnybox.hosts.guest_io import backup
from skinnybox.operation import UNATTENDED

OURS = "skinnybox-copy"


class Qemu:
    """`says`: the job at each question, from when it was begun; the last answer stays."""

    def __init__(self, *says: dict[str, Any] | None) -> None:
        self._says: Iterator[dict[str, Any] | None] = iter(says)
        self._last: dict[str, Any] | None = None
        self.nodes: set[str] = set()
        self.asked: list[str] = []
        self.words: dict[str, Any] = {}

    def __call__(self, folder: Path) -> "Qemu":
        return self

    def __enter__(self) -> "Qemu":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def add_file(self, descriptor: int, name: str) -> int:
        return 7

    def execute(self, command: str, **words: Any) -> Any:
        self.asked.append(command)
        self.words[command] = words
        match command:
            case "query-jobs" if self.nodes:
                self._last = next(self._says, self._last)
                return [{"id": OURS, **self._last}] if self._last else []
            case "query-named-block-nodes":
                return [{"node-name": name} for name in self.nodes]
            case "blockdev-add":
                self.nodes.add(words["node-name"])
            case "blockdev-del":
                self.nodes.remove(words["node-name"])
            case "block-job-cancel":
                self._says = iter([{**(self._last or {}), "status": "concluded"}])
            case "job-dismiss":
                self._says, self._last = iter(()), None
        return []


def copied(qemu: Qemu, tmp_path: Path, patch: pytest.MonkeyPatch) -> SkinnyboxError | None:
    """Why it was not."""
    patch.setattr(backup, "Monitor", qemu)
    patch.setattr(backup, "_POLL", (0.001, 0.001))
    with (tmp_path / "copy.img").open("w+b") as file:
        file.truncate(4096)
        try:
            backup.copy_running(tmp_path, file.fileno(), UNATTENDED, "overlay")
        except SkinnyboxError as error:
            return error
    return None


RUNS, READY = {"status": "running"}, {"status": "ready"}


def test_it_is_whole_when_both_are_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu = Qemu(RUNS, RUNS, READY)
    assert copied(qemu, tmp_path, monkeypatch) is None
    assert qemu.nodes == set() and qemu.asked.count("block-job-cancel") == 1
    assert qemu.asked.index("job-dismiss") < qemu.asked.index("blockdev-del")


def test_what_qemu_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the disk, what the guest writes meanwhile in both before it goes on, and a job whose end is not
    gone before it was read. Holes stay holes; the lock is its machine's."""
    qemu = Qemu(READY)
    assert copied(qemu, tmp_path, monkeypatch) is None
    assert qemu.words["blockdev-mirror"] == {
        "job-id": OURS, "device": "overlay", "target": OURS, "sync": "full", "copy-mode": "write-blocking",
        "auto-dismiss": False,
    }  # fmt: skip
    holes = {"discard": "unmap", "detect-zeroes": "unmap"}
    file = {"driver": "file", "filename": "/dev/fdset/7", "locking": "off", "node-name": f"{OURS}-file"}
    assert qemu.words["blockdev-add"] == {
        "driver": "raw", "node-name": OURS, "file": {**file, **holes}, **holes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ([RUNS, None], "it gives no reason"),
        ([{"status": "concluded", "error": "No space left on device"}], "No space left on device"),
        ([RUNS, {"status": "aborting", "error": "Input/output error"}], "Input/output error"),
        ([RUNS, {"status": "null"}], "it gives no reason"),
        ([READY, {"status": "concluded", "error": "Input/output error"}], "Input/output error"),
    ],
)
def test_what_qemu_gives_up_is_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: list[dict[str, Any] | None], why: str
) -> None:
    """Not even where it was level a moment ago; and nothing of it is left there."""
    monkeypatch.setattr(backup, "_ENDING", 20.0)
    monkeypatch.setattr(backup, "_PATIENCE", 20.0)
    qemu = Qemu(*says)
    if says[0] is READY:  # it fails over the end of it
        really = qemu.execute

        def execute(command: str, **words: Any) -> Any:
            found = really(command, **words)
            if command == "block-job-cancel":
                qemu._says = iter([says[1]])
            return found

        monkeypatch.setattr(qemu, "execute", execute)
    error = copied(qemu, tmp_path, monkeypatch)
    assert isinstance(error, CommandFailed) and why in error.message, error
    assert qemu.nodes == set()


def test_one_that_never_gets_there_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "_PATIENCE", 0.05)
    qemu = Qemu(RUNS)
    error = copied(qemu, tmp_path, monkeypatch)
    assert isinstance(error, TimedOut) and qemu.nodes == set() and "block-job-cancel" in qemu.asked
