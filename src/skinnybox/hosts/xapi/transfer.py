"""A disk's bytes over HTTP: PUT /import_raw_vdi and GET /export_raw_vdi, raw, each with a task of ours.

The pool answers an upload before it has read it, so only the task tells how it ended.
"""

import contextlib
import http.client
import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPMessage
from io import BufferedReader
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from skinnybox.errors import Corrupt, SkinnyboxError
from skinnybox.hosts.xapi import tasks
from skinnybox.hosts.xapi.session import Lost, Sessions
from skinnybox.hosts.xapi.tasks import Share, quiet
from skinnybox.overlays.space import data_ranges
from skinnybox.sizes import MIB

_PIECE = MIB
_BLOCK = 4096
_ZEROS = bytes(_BLOCK)
_ANSWER = 10.0
"""Seconds to wait for an answer before the bytes are sent anyway."""
_LAST_WORD = 3.0
"""Seconds in which the pool says why it sent too little, or took no more."""
_MOST_HOPS = 3


def upload(sessions: Sessions, vdi: str, file: Path, share: Share = quiet) -> None:
    """The file's bytes into a fresh disk, which reads as zeros behind its last data."""
    with file.open("rb", buffering=0) as source:
        length = _end_of_data(source.fileno())
        if not length:
            return
        with _task(sessions, f"Skinnybox: upload of {file.name}") as task:
            try:
                with _asked(sessions, "PUT", "import_raw_vdi", vdi, task, length) as (link, _):
                    _send(link, source.fileno(), length, share)
            except (OSError, http.client.HTTPException) as error:
                _told_by(sessions, task, error)
            tasks.wait(sessions, task)


def download(sessions: Sessions, vdi: str, target: int, size: int, share: Share = quiet) -> None:
    """A disk's `size` bytes into an open file that reads as zeros; its holes stay holes."""
    with _task(sessions, "Skinnybox: download of a disk") as task:
        try:
            with _asked(sessions, "GET", "export_raw_vdi", vdi, task, None) as (_, reader):
                count = _receive(reader, target, size, share)
        except (OSError, http.client.HTTPException) as error:
            _told_by(sessions, task, error)
        if count == size or _has_ended(sessions, task):
            tasks.wait(sessions, task)
    if count != size:
        raise Corrupt(f"the pool sent {count} of a disk's {size} bytes", hint="try again")


@contextmanager
def _task(sessions: Sessions, label: str) -> Iterator[str]:
    with tasks.made(sessions, sessions.call("task.create", label, "")) as task:
        yield task


def _told_by(sessions: Sessions, task: str, error: Exception) -> None:
    """Raises what the pool says of a broken transfer, which it may take a moment to say, or that it broke."""
    if _has_ended(sessions, task):
        tasks.wait(sessions, task)
    raise Lost(f"the transfer broke: {error or type(error).__name__}", hint="try again") from error


def _has_ended(sessions: Sessions, task: str) -> bool:
    """Soon: that of a host which died goes on for ever."""
    deadline = time.monotonic() + _LAST_WORD
    while sessions.call("task.get_status", task) == "pending":
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@contextmanager
def _asked(
    sessions: Sessions, method: str, name: str, vdi: str, task: str, length: int | None
) -> Iterator[tuple[socket.socket, BufferedReader]]:
    """The connection after a friendly answer, and what is read from it; redirections followed."""
    query = urlencode({"session_id": sessions.handle(), "vdi": vdi, "format": "raw", "task_id": task})
    host, path = sessions.host, f"/{name}?{query}"
    for _ in range(_MOST_HOPS):
        link = sessions.connect(host)
        link.connect()
        with contextlib.closing(link), link.sock.makefile("rb") as reader:
            status, headers = _answer(link.sock, reader, _request(method, path, host, length), length)
            if status not in (301, 302, 307, 308):
                if status != 200:
                    said = reader.read(2000).decode("utf-8", "replace")
                    raise http.client.HTTPException(f"{name}: HTTP {status} {said}")
                yield link.sock, reader
                return
            parts = urlsplit(headers.get("Location", ""))
            host, path = parts.netloc, f"{parts.path}?{parts.query}"
            if parts.scheme != sessions.scheme:
                raise SkinnyboxError(f"the pool redirects a transfer to {parts.scheme or 'nowhere'}://{host}")
    raise http.client.HTTPException(f"{name}: redirected too often")


def _request(method: str, path: str, host: str, length: int | None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "User-Agent: skinnybox", "Connection: close"]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _answer(
    link: socket.socket, reader: BufferedReader, request: bytes, length: int | None
) -> tuple[int, HTTPMessage]:
    """Status and headers; an upload that is not answered in time is taken to be welcome."""
    link.sendall(request)
    if length is not None and not select.select([link], [], [], _ANSWER)[0]:
        return 200, HTTPMessage()
    line = reader.readline(_PIECE).decode("latin-1").split(None, 2)
    if len(line) < 2 or not line[1].isdecimal():
        raise http.client.BadStatusLine(" ".join(line))
    return int(line[1]), http.client.parse_headers(reader)


def _send(link: socket.socket, source: int, length: int, share: Share) -> None:
    for offset in range(0, length, _PIECE):
        piece = os.pread(source, min(_PIECE, length - offset), offset)
        link.sendall(piece.ljust(min(_PIECE, length - offset), b"\0"))
        share(min(1.0, (offset + _PIECE) / length))


def _receive(reader: BufferedReader, target: int, size: int, share: Share) -> int:
    """Never more than `size`, whatever is sent. Returns how much came."""
    offset = 0
    while offset < size and (piece := reader.read(min(_PIECE, size - offset))):
        for start in range(0, len(piece), _BLOCK):
            block = piece[start : start + _BLOCK]
            if block != _ZEROS[: len(block)]:
                os.pwrite(target, block, offset + start)
        offset += len(piece)
        share(offset / size)
    return offset


def _end_of_data(descriptor: int) -> int:
    """Behind the last byte that is not in a hole, up to the end of its block."""
    return max((end for _, end in data_ranges(descriptor)), default=0)
