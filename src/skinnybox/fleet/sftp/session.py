"""What can be done with files in a machine: looked at, read, made.

The way there is OpenSSH's; only the packets are ours. Its own sftp(1) and scp(1) cannot be asked, in one
connection, whether a target is a folder; they write under the final name from the first byte on, pass over in
silence what is no file, and keep in memory as many names as the other side cares to send.
"""

import os
import struct
from collections import deque
from collections.abc import Iterable, Iterator

from skinnybox.errors import Conflict, GuestFailed, NotFound, SkinnyboxError
from skinnybox.fleet.sftp import packets
from skinnybox.fleet.sftp.packets import Attributes, Connection, Packet, Refused, nonsense, text, with_mode
from skinnybox.printable import printable

PIECE = 32 << 10
"""Bytes asked for or sent at once: what every server has to take."""
_AT_ONCE = 32
"""Requests under way: so much of the way's time is not waited for."""
_MOST_HANDLE, _MOST_NAME, _MOST_PATH = 256, 255, 4096
_MOST_ITSELF = 100
"""Of `.` and `..` in one folder, which nobody else counts."""
_READING, _WRITING, _CREATING, _EXCLUSIVE = 1, 2, 8, 32
_POSIX_RENAME = b"posix-rename@openssh.com"


class Session:
    """Over one connection. What a method raises names the path: NotFound, Conflict, GuestFailed; and what
    Connection.answer raises."""

    def __init__(self, name: str, connection: Connection) -> None:
        self.name, self._connection = name, connection

    def look(self, path: bytes, *, follow: bool = True) -> Attributes | None:
        """None: there is nothing."""
        kind = packets.STAT if follow else packets.LSTAT
        try:
            return self._call(packets.ATTRS, kind, text(path)).attributes()
        except Refused as refused:
            if refused.code == packets.NO_FILE:
                return None
            raise self._told(refused, path) from None

    def names(self, path: bytes) -> Iterator[tuple[bytes, Attributes]]:
        """What is in a folder, without `.` and `..`. GuestFailed for a name that no file can have: whoever
        joined it to a path of his own would leave that."""
        handle = self._handle(path, packets.OPENDIR, text(path))
        itself = 0
        while (packet := self._more_names(handle, path)) is not None:
            for _ in range(packet.number() or nonsense("a list of no names")):
                name, _long, found = packet.text(_MOST_PATH), packet.text(), packet.attributes()
                if name in (b".", b".."):
                    itself += 1
                    if itself > _MOST_ITSELF:
                        nonsense("a folder that holds itself again and again")
                    continue
                if not name or len(name) > _MOST_NAME or b"/" in name or b"\0" in name:
                    nonsense(f"a name that is none: {printable(os.fsdecode(name[:80]))!r}")
                yield name, found
        self._do(path, packets.CLOSE, text(handle))

    def _more_names(self, handle: bytes, path: bytes) -> Packet | None:
        try:
            return self._call(packets.NAME, packets.READDIR, text(handle))
        except Refused as refused:
            if refused.code == packets.END:
                return None
            raise self._told(refused, path) from None

    def target(self, path: bytes) -> bytes:
        """Of a symbolic link."""
        return self._one_name(packets.READLINK, path)

    def real(self, path: bytes) -> bytes:
        """The path that all links in this one lead to."""
        return self._one_name(packets.REALPATH, path)

    def last_words(self, seconds: float) -> None:
        """What is still to be said, cancelled or not, takes so long at most."""
        self._connection.last_words(seconds)

    def _one_name(self, kind: int, path: bytes) -> bytes:
        try:
            packet = self._call(packets.NAME, kind, text(path))
        except Refused as refused:
            raise self._told(refused, path) from None
        if packet.number() != 1:
            nonsense("several paths where one was due")
        found = packet.text(_MOST_PATH)
        if not found or b"\0" in found:
            nonsense("a path that is none")
        return found

    def read(self, path: bytes, most: int, *, ahead: bool = True) -> Iterator[bytes]:
        """The first `most` bytes, or all when it has fewer; with `ahead` asked for before they are due."""
        flags = struct.pack(">I", _READING) + packets.WITH_NOTHING
        handle = self._handle(path, packets.OPEN, text(path) + flags)
        asked: deque[tuple[int, int, int]] = deque()  # request, offset, length
        offset, at_once = 0, _AT_ONCE if ahead else 1
        while asked or offset < most:
            while len(asked) < at_once and offset < most:
                length = min(PIECE, most - offset)
                content = text(handle) + struct.pack(">QI", offset, length)
                asked.append((self._connection.begin(packets.READ, content), offset, length))
                offset += length
            request, begin, length = asked.popleft()
            piece = self._piece(request, path, length)
            if piece:
                yield piece
            if len(piece) < length:  # the end, or less than was asked for: it goes on behind that
                for late, _, size in asked:
                    self._piece(late, path, size)
                asked.clear()
                offset, at_once = (begin + len(piece), 1) if piece else (most, 1)
        self._do(path, packets.CLOSE, text(handle))

    def _piece(self, request: int, path: bytes, length: int) -> bytes:
        """Empty at the end of the file."""
        try:
            found = self._connection.answer(request, packets.DATA).text(length)
        except Refused as refused:
            if refused.code == packets.END:
                return b""
            raise self._told(refused, path) from None
        return found or nonsense("nothing where a piece of a file was due")

    def write(self, path: bytes, mode: int, pieces: Iterable[bytes]) -> None:
        """A new file; it has this mode when it is whole."""
        flags = struct.pack(">I", _WRITING | _CREATING | _EXCLUSIVE) + with_mode(0o600)
        handle = self._handle(path, packets.OPEN, text(path) + flags)
        sent: deque[int] = deque()
        offset = 0
        for piece in pieces:
            content = text(handle) + struct.pack(">Q", offset) + text(piece)
            sent.append(self._connection.begin(packets.WRITE, content))
            offset += len(piece)
            if len(sent) >= _AT_ONCE:
                self._done(sent.popleft(), path)
        while sent:
            self._done(sent.popleft(), path)
        self._do(path, packets.CLOSE, text(handle))
        self.set_mode(path, mode)

    def make_folder(self, path: bytes) -> None:
        """Nobody else's, until its mode is set."""
        self._do(path, packets.MKDIR, text(path) + with_mode(0o700))

    def make_link(self, path: bytes, target: bytes) -> None:
        # OpenSSH's server takes the two the other way round than the draft says, and says that it stays so.
        self._do(path, packets.SYMLINK, text(target) + text(path))

    def set_mode(self, path: bytes, mode: int) -> None:
        self._do(path, packets.SETSTAT, text(path) + with_mode(mode))

    def rename(self, path: bytes, to: bytes) -> None:
        """In place of a file that has that name; where the server knows no such way, Conflict."""
        try:
            self._call(packets.STATUS, packets.EXTENDED, text(_POSIX_RENAME) + text(path) + text(to))
        except Refused as refused:
            if refused.code != packets.UNKNOWN:
                raise self._told(refused, to) from None
            self._do(to, packets.RENAME, text(path) + text(to))

    def remove(self, path: bytes) -> None:
        self._do(path, packets.REMOVE, text(path))

    def remove_folder(self, path: bytes) -> None:
        self._do(path, packets.RMDIR, text(path))

    def _do(self, path: bytes, kind: int, content: bytes) -> None:
        self._done(self._connection.begin(kind, content), path)

    def _done(self, request: int, path: bytes) -> None:
        try:
            self._connection.answer(request, packets.STATUS)
        except Refused as refused:
            raise self._told(refused, path) from None

    def _handle(self, path: bytes, kind: int, content: bytes) -> bytes:
        try:
            return self._call(packets.HANDLE, kind, content).text(_MOST_HANDLE)
        except Refused as refused:
            raise self._told(refused, path) from None

    def _call(self, expected: int, kind: int, content: bytes) -> Packet:
        return self._connection.answer(self._connection.begin(kind, content), expected)

    def _told(self, refused: Refused, path: bytes) -> SkinnyboxError:
        where = f"{self.name}:{printable(os.fsdecode(path))}"
        if refused.code == packets.NO_FILE:
            return NotFound(f"{where}: no such file")
        if refused.code == packets.DENIED:
            return Conflict(f"{where}: permission denied", hint="--user logs in as somebody else")
        return GuestFailed(f"{where}: the machine says: {printable(refused.message) or 'no'}")
