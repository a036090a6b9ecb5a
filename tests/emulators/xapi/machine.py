"""One running QEMU: its thread starts it, listens to its monitor and its report port, and reaps it."""

import contextlib
import json
import selectors
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skinnybox import run
from tests.emulators.xapi import qemu_words
from tests.emulators.xapi.guests import Reports
from tests.emulators.xapi.qemu_words import Board

_UP_SECONDS = 30.0


class Machine:
    """`on_report` gets each report, `on_end` why it ended (QEMU's SHUTDOWN reason, or `crashed`); both are
    called from the machine's own thread, `on_end` exactly once and last.

    `claimed`: a call has asked it to end and sees to the records itself; under the pool's lock, as `ended`.
    """

    def __init__(
        self, board: Board, log: Path, on_report: Callable[[str], None], on_end: Callable[[str], None]
    ) -> None:
        self.board = board
        self._log, self._on_report, self._on_end = log, on_report, on_end
        self._ready = threading.Event()
        self.reason = ""
        self.ended = self.claimed = False
        self._monitor, self._their_monitor = socket.socketpair()
        self._report, self._their_report = socket.socketpair()
        self._thread = threading.Thread(target=self._live, name="xapi-emulator-machine")

    def start(self) -> bool:
        """Whether QEMU runs."""
        self._thread.start()
        return self._ready.wait(_UP_SECONDS) and not self.reason

    def tell(self, command: str) -> None:
        """One QMP command, its answer ignored; nothing when the machine is gone."""
        with contextlib.suppress(OSError):
            self._monitor.sendall(json.dumps({"execute": command}).encode() + b"\n")

    def kill(self) -> None:
        """Pull the plug."""
        self.tell("quit")

    def join(self) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _live(self) -> None:
        theirs = (self._their_monitor, self._their_report)
        numbers = [each.fileno() for each in theirs]
        words = qemu_words.argv(self.board, monitor=numbers[0], report=numbers[1])
        try:
            with (
                self._log.open("wb") as log,
                run.start(words, stdout=log, stderr=log, pass_fds=numbers) as child,
            ):
                for each in theirs:
                    each.close()
                self.tell("qmp_capabilities")
                self._listen()
                child.wait()
        finally:
            for each in (*theirs, self._monitor, self._report):
                each.close()
            self.reason = self.reason or "crashed"
            self._ready.set()
            self._on_end(self.reason)

    def _listen(self) -> None:
        """Until QEMU closes its monitor, that is ends."""
        events, reports = b"", Reports()
        with selectors.DefaultSelector() as selector:
            selector.register(self._monitor, selectors.EVENT_READ)
            selector.register(self._report, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    piece = _received(key.fileobj)
                    if key.fileobj is self._report:
                        self._heard(reports.feed(piece))
                        if not piece:
                            selector.unregister(self._report)
                    elif not piece:
                        return
                    else:
                        *lines, events = (events + piece).split(b"\n")
                        for line in lines:
                            self._event(json.loads(line))

    def _heard(self, messages: list[str]) -> None:
        for message in messages:
            self._on_report(message)

    def _event(self, message: dict[str, Any]) -> None:
        if "return" in message:
            self._ready.set()
        if message.get("event") == "SHUTDOWN":
            self.reason = message["data"]["reason"]


def _received(file: Any) -> bytes:
    try:
        piece: bytes = file.recv(65536)
    except ConnectionError:
        return b""
    return piece
