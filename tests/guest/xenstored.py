"""Xen's store daemon as the kernel's device shows it: a terminal in raw mode that answers as xenbus does.

The wire format is Xen's public one (xen/include/public/io/xs_wire.h).
"""

import errno
import os
import struct
import threading
import tty
from pathlib import Path
from types import TracebackType
from typing import Self

READ, WRITE, REMOVE, ERROR = 2, 11, 13, 16
_HEADER = struct.Struct("<IIII")
_MOST = 4096


class Xenstored:
    """Serves `tree` at `device` until it is left. `refused` are paths that this guest may not write."""

    def __init__(self, device: Path, tree: dict[str, str], refused: tuple[str, ...] = ()) -> None:
        self.tree, self._refused = tree, refused
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        device.parent.mkdir(parents=True, exist_ok=True)
        device.symlink_to(os.ttyname(self._theirs))
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._theirs)
        self._thread.join()
        os.close(self._ours)

    def _serve(self) -> None:
        buffer = b""
        while piece := self._more():
            buffer += piece
            while len(buffer) >= _HEADER.size:
                kind, request, transaction, length = _HEADER.unpack_from(buffer)
                assert (request, transaction) == (0, 0) and length <= _MOST
                if len(buffer) < _HEADER.size + length:
                    break
                body, buffer = buffer[_HEADER.size : _HEADER.size + length], buffer[_HEADER.size + length :]
                kind, answer = self._answer(kind, body)
                os.write(self._ours, _HEADER.pack(kind, 0, 0, len(answer)) + answer)

    def _more(self) -> bytes:
        try:
            return os.read(self._ours, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # nobody has the other end any more
                raise
            return b""

    def _answer(self, kind: int, body: bytes) -> tuple[int, bytes]:
        path, _, value = body.partition(b"\0")
        name = path.decode()
        below = [key for key in self.tree if key == name or key.startswith(f"{name}/")]
        if kind == READ:
            return (READ, self.tree[name].encode()) if name in self.tree else (ERROR, b"ENOENT\0")
        if name.startswith(self._refused or "\0"):
            return ERROR, b"EACCES\0"
        if kind == WRITE:
            self.tree[name] = value.decode()
            return WRITE, b"OK\0"
        assert kind == REMOVE and value == b""
        for key in below:
            del self.tree[key]
        return (REMOVE, b"OK\0") if below else (ERROR, b"ENOENT\0")
