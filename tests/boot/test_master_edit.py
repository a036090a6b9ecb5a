"""`master edit` by a person at a terminal: at the serial console, and by ssh. What is typed is sealed."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.masters.system import image
from tests.boot.conftest import CACHE
from tests.pace import within

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]
SECONDS = 300.0
PROMPT = rb"# \Z|# \x1b\[[^\n]*\Z"
MARK = "echo ma''rked-$?\r"


class Terminal:
    """Of a person who runs one command: what it shows is read as far as was waited for."""

    def __init__(self, descriptor: int, child: "subprocess.Popen[bytes]") -> None:
        self._descriptor, self._child = descriptor, child
        self.shown = b""
        self._read = 0

    def types(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def sees(self, pattern: str, seconds: float = SECONDS) -> re.Match[bytes]:
        deadline = time.monotonic() + within(seconds)
        while True:
            if found := re.search(pattern.encode(), self.shown[self._read :]):
                self._read += found.end()
                return found
            if time.monotonic() > deadline or not self._more():
                pytest.fail(f"{pattern} was not shown: {self.shown.decode(errors='replace')}")

    def does(self, *lines: str) -> None:
        """In a shell: each ends well."""
        for line in lines:
            self.types(f"{line}; {MARK}")
            assert self.sees(r"marked-(\d+)")[1] == b"0", self.shown.decode(errors="replace")

    def ended(self) -> int:
        while self._more():
            pass
        return self._child.wait(within(SECONDS))

    def _more(self) -> bool:
        readable, _, _ = select.select([self._descriptor], [], [], 1)
        if not readable:
            return self._child.poll() is None
        try:
            piece = os.read(self._descriptor, 65536)
        except OSError:  # EIO: the other side is closed
            return False
        self.shown += piece
        return bool(piece)


@contextmanager
def terminal(*words: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "skinnybox", "--state", str(CACHE), *words]
    environment = {**os.environ, "TERM": "vt100"}
    with subprocess.Popen(
        argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=environment,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # it is the session's own
    ) as child:  # fmt: skip
        os.close(theirs)
        try:
            yield Terminal(ours, child)
        finally:
            if child.poll() is None:
                child.terminate()
            os.close(ours)


def is_sealed(fleet: Fleet, before: str, after: str) -> None:
    """What was done is there, and no way in that the machine had."""
    assert fleet.names() == []
    assert content(fleet, after, "srv/edited") == b"by hand\n"
    assert passwords(fleet, after) == passwords(fleet, before)
    assert content(fleet, after, "root/.ssh/authorized_keys") is None
    assert content(fleet, after, "root/.bash_history") is None


def passwords(fleet: Fleet, reference: str) -> list[list[bytes]]:
    lines = (content(fleet, reference, "etc/shadow") or b"").splitlines()
    return [line.split(b":")[:2] for line in lines]


def content(fleet: Fleet, reference: str, path: str) -> bytes | None:
    master = fleet.masters.find(reference)
    with (fleet.masters.folder(master) / master.images[0].file).open("rb") as opened:
        return image.opened(opened.fileno()).read(path, 1 << 20)


@pytest.mark.usefixtures("masters")
def test_at_the_console(fleet: Fleet, master: str) -> None:
    with terminal("master", "edit", master, "--as", "promoted:console", "--console") as person:
        password = person.sees(r"with the password ([0-9a-f]+)")[1].decode()
        person.sees("attached to")
        time.sleep(2)  # what was typed before its terminal is a raw one is thrown away
        person.types("\r")
        person.sees("login: ")
        person.types("root\r")
        person.sees("Password: ")
        person.types(f"{password}\r")
        person.sees("# ")
        person.does("echo by hand >/srv/edited", "test $(id -u) = 0", "sync")
        person.types("\x1d")
        person.sees(r"About to shut edit-promoted-console down and seal it as promoted:console. Go on\?")
        person.types("y\r")
        person.sees("promoted:console: sealed")
        assert person.ended() == 0
    print(person.shown.decode(errors="replace"))
    is_sealed(fleet, master, "promoted:console")


@pytest.mark.usefixtures("masters")
def test_by_ssh(fleet: Fleet, master: str) -> None:
    with terminal("master", "edit", master, "--as", "promoted:ssh") as person:
        person.sees("`exit` ends it")
        person.sees("# ")
        person.does("echo by hand >/srv/edited", "test $(id -u) = 0", "sync")
        person.types("exit\r")
        person.sees(r"otherwise edit-promoted-ssh is deleted, with what was done in it")
        person.sees(r"Go on\?")
        person.types("y\r")
        person.sees("promoted:ssh: sealed")
        assert person.ended() == 0
    print(person.shown.decode(errors="replace"))
    is_sealed(fleet, master, "promoted:ssh")
