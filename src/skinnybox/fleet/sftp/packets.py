"""Packets of the SFTP protocol's version 3 (draft-ietf-secsh-filexfer-02), and a connection for them.

The other side is a guest. Every length is checked before anything of that length is kept.
"""

import select
import socket
import stat
import struct
import time
from dataclasses import dataclass
from itertools import count
from typing import NoReturn

from skinnybox.errors import GuestFailed, NotReached, TimedOut
from skinnybox.operation import Operation

VERSION = 3
INIT, SAYS_VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, SETSTAT = 1, 2, 3, 4, 5, 6, 7, 9
OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, REALPATH, STAT = 11, 12, 13, 14, 15, 16, 17
RENAME, READLINK, SYMLINK = 18, 19, 20
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED = 101, 102, 103, 104, 105, 200
OK, END, NO_FILE, DENIED, UNKNOWN = 0, 1, 2, 3, 8
_OF_SIZE, _OF_OWNER, _OF_MODE, _OF_TIMES, _OF_MORE = 1, 2, 4, 8, 1 << 31
MOST_PACKET = 256 << 10
_MOST_MESSAGE = 200
_WATCH = 0.1
SILENT = 300.0
"""Seconds after which who neither says nor takes anything counts as one that has stopped: a machine that
hangs holds its connection open. Who confirms the use of a key has to find the time for that, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """As the other side says; `mode` with the kind of file in it, 0 when it does not say. `stored` of `size`
    bytes are in no hole, where somebody knows."""

    size: int | None = None
    mode: int = 0
    stored: int | None = None

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


class Refused(Exception):
    """A status that is not OK, before it is known of which path it speaks."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message


def nonsense(what: str) -> NoReturn:
    raise GuestFailed(f"its sftp server sent {what}")


class Packet:
    """What came, read from its beginning to its end and never beyond."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def take(self, length: int) -> bytes:
        if length > len(self._content) - self._at:
            nonsense("a packet that ends too early")
        self._at += length
        return self._content[self._at - length : self._at]

    def number(self) -> int:
        found: int = struct.unpack(">I", self.take(4))[0]
        return found

    def text(self, most: int = MOST_PACKET) -> bytes:
        length = self.number()
        if length > most:
            nonsense("a text that is too long")
        return self.take(length)

    def attributes(self) -> Attributes:
        flags = self.number()
        size = struct.unpack(">Q", self.take(8))[0] if flags & _OF_SIZE else None
        self.take(8 if flags & _OF_OWNER else 0)
        mode = self.number() if flags & _OF_MODE else 0
        self.take(8 if flags & _OF_TIMES else 0)
        for _ in range(2 * self.number() if flags & _OF_MORE else 0):
            self.text()
        return Attributes(size=size, mode=mode)


def text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def with_mode(mode: int) -> bytes:
    """Attributes of nothing but permissions."""
    return struct.pack(">II", _OF_MODE, stat.S_IMODE(mode))


WITH_NOTHING = struct.pack(">I", 0)


class Connection:
    """Requests out, answers in, each awaited in the order of the requests. For one thread."""

    def __init__(self, name: str, stream: socket.socket, operation: Operation) -> None:
        """`name` is the machine's. Raises what `answer` does."""
        self._name, self._socket, self._operation = name, stream, operation
        self._until: float | None = None
        self._came = bytearray()
        self._numbers = count(1)
        self._early: dict[int, tuple[int, Packet]] = {}
        self._due: set[int] = set()
        stream.setblocking(False)
        self._send(INIT, struct.pack(">I", VERSION))
        kind, packet = self._packet()
        if kind != SAYS_VERSION or packet.number() < VERSION:
            nonsense("no version that we know")

    def begin(self, kind: int, content: bytes) -> int:
        """Send a request; its number."""
        request = next(self._numbers) & 0xFFFFFFFF
        self._due.add(request)
        self._send(kind, struct.pack(">I", request) + content)
        return request

    def answer(self, request: int, expected: int) -> Packet:
        """Refused for a status that is not OK, GuestFailed for what is no answer, NotReached when the
        connection has ended, TimedOut when it is silent for too long, Cancelled."""
        while request not in self._early:
            kind, packet = self._packet()
            number = packet.number()
            if number not in self._due:
                nonsense("an answer to what was not asked")
            self._due.remove(number)
            self._early[number] = kind, packet
        kind, packet = self._early.pop(request)
        if kind == STATUS and ((code := packet.number()) != OK or expected != STATUS):
            message = packet.text()[:_MOST_MESSAGE].decode("utf-8", "replace") if code != OK else ""
            raise Refused(code, message)
        if kind != expected:
            nonsense("an answer of the wrong kind")
        return packet

    def last_words(self, seconds: float) -> None:
        """What is still to be said, cancelled or not, takes so long at most."""
        self._operation, self._until = Operation(), time.monotonic() + seconds

    def _send(self, kind: int, content: bytes) -> None:
        left = memoryview(struct.pack(">IB", len(content) + 1, kind) + content)
        while left:
            self._ready(select.POLLOUT)
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._ended() from error

    def _packet(self) -> tuple[int, Packet]:
        length: int = struct.unpack(">I", self._bytes(4))[0]
        if not 1 <= length <= MOST_PACKET:
            nonsense("a packet of an impossible length")
        content = self._bytes(length)
        return content[0], Packet(content[1:])

    def _bytes(self, length: int) -> bytes:
        while len(self._came) < length:
            self._ready(select.POLLIN)
            try:
                piece = self._socket.recv(MOST_PACKET)
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._ended() from error
            if not piece:
                raise self._ended()
            self._came += piece
        found = bytes(self._came[:length])
        del self._came[:length]
        return found

    def _ready(self, event: int) -> None:
        """Until something can be sent or read, or it is not wanted any more. The end of our last words is
        looked at first: who answers at once, and makes up more to clear away, would never let us come to it.
        """
        waiting = select.poll()
        waiting.register(self._socket, event)
        silent = time.monotonic() + SILENT
        while True:
            self._operation.check()
            if self._until is not None and time.monotonic() > self._until:
                raise self._ended()
            if waiting.poll(_WATCH * 1000):
                return
            if time.monotonic() > silent:
                raise TimedOut(
                    f"{self._name}: its sftp server has said nothing for {SILENT:g} s",
                    hint=f"skinnybox show {self._name}",
                )

    def _ended(self) -> NotReached:
        return NotReached(f"the connection to {self._name} ended", hint=f"skinnybox show {self._name}")
