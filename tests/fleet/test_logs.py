"""The console of a machine, as far as it is kept, and on from there."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skinnybox.cli import logs
from skinnybox.errors import Conflict
from skinnybox.fleet.service import Fleet
from skinnybox.hosts.fake.host import FakeHost
from tests.fleet import on_a_terminal
from tests.fleet.conftest import SPARSE, said


@pytest.fixture(autouse=True)
def _machines(fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")
    fleet.create(["a", "off"], "tiny", SPARSE)
    fleet.start(["a"])


def test_what_was_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeHost, "console_log", lambda *_: b"one\r\ntwo\r\nthree\x1b[2J\r\n")
    assert said(capsys, "logs", "a").out == "one\r\ntwo\r\nthree\x1b[2J\r\n"
    assert said(capsys, "logs", "a", "-n", "2").out == "two\r\nthree\x1b[2J\r\n"
    assert said(capsys, "logs", "-n", "0", "a").out == ""
    assert said(capsys, "logs", "a", "--lines", "99").out.startswith("one")
    assert said(capsys, "logs", "nobody").code == 3


def test_a_machine_that_is_off_has_a_log_and_nothing_follows(capsys: pytest.CaptureFixture[str]) -> None:
    heard = said(capsys, "logs", "-f", "off")
    assert heard.code == 0 and "nothing follows" in heard.err
    assert said(capsys, "logs", "-q", "-f", "off") == (0, "", "")


class Machine:
    """A console with `printed` in its log, of which the last bytes also come to whoever is attached; then it
    prints `more`, and goes off."""

    def __init__(self, printed: bytes, both: int, more: list[bytes]) -> None:
        self.printed, self.both, self.more = printed, both, more

    def console_log(self, *_: object) -> bytes:
        return self.printed

    @contextmanager
    def console(self, *_: object) -> Iterator[socket.socket]:
        ours, guest = socket.socketpair()
        printing = threading.Thread(target=self._print, args=(guest,))
        printing.start()
        with ours:
            yield ours
        printing.join()

    def _print(self, guest: socket.socket) -> None:
        with guest:
            guest.sendall(self.printed[len(self.printed) - self.both :])
            for piece in self.more:
                threading.Event().wait(2 * logs._SETTLE)
                guest.sendall(piece)


@pytest.mark.parametrize("both", [0, 1, 9, 18])
def test_following_loses_nothing_and_says_nothing_twice(
    both: int, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(b"kernel\r\ninit\r\nup\r\n", both, [b"lo", b"gin: ", b"\xff"])
    monkeypatch.setattr(FakeHost, "console_log", machine.console_log)
    monkeypatch.setattr(FakeHost, "console", machine.console)
    from skinnybox.cli.main import run_command

    assert run_command(["logs", "--follow", "a"]) == 0
    assert capsysbinary.readouterr().out == b"kernel\r\ninit\r\nup\r\nlogin: \xff"


def test_a_terminal_is_not_moved(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    write = logs._writer()
    monkeypatch.setattr(sys.stdout, "write", written.append)
    for piece in (b"one\r", b"\ntw\xc3", b"\xa9\x1b[2J\x07", b"\rthree"):
        write(piece)
    assert "".join(written) == "one\ntw\\xe9\\x1b[2J\\x07\\rthree".replace("\\xe9", "é")


def test_ctrl_c_ends_it(state: Path) -> None:
    code, text = on_a_terminal.shown(state, "logs", "-f", "a", until=lambda text: "guest ready" in text)
    assert code == 0 and "Traceback" not in text and "interrupted" not in text


def test_a_machine_that_goes_off_in_between(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(*_: object) -> None:
        raise Conflict("the machine is off: it has no console")

    monkeypatch.setattr(FakeHost, "console", off)
    assert "guest ready" in said(capsys, "logs", "-f", "a").out
