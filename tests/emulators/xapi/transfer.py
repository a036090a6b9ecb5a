"""A disk's bytes over HTTP: PUT /import_raw_vdi and GET /export_raw_vdi, raw only, each with its task.

As xapi does it, the answer to an import goes out before the data is read: only the task tells how it ended.
"""

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from tests.emulators.xapi import disks, sessions, srs, tasks, vdis
from tests.emulators.xapi.call_log import Entry
from tests.emulators.xapi.context import Call
from tests.emulators.xapi.failure import Dropped, Failure

if TYPE_CHECKING:
    from tests.emulators.xapi.http_server import Handler

_PIECE = 1 << 20
_ROLES = "VDI.create"
_TASK_LABELS = {"import_raw_vdi": "VDI.import", "export_raw_vdi": "VDI.export"}


@dataclass(slots=True, kw_only=True)
class Transfer:
    """One request; `owned`: we made its session (HTTP Basic) and end it."""

    handler: "Handler"
    query: dict[str, str]
    call: Call
    entry: Entry
    owned: bool


def receive(handler: "Handler") -> None:
    with _transfer(handler) as transfer:
        if "chunked" in handler.headers.get("Transfer-Encoding", "").lower() or "chunked" in transfer.query:
            raise Failure("INTERNAL_ERROR", "Cannot handle encoding: chunked")
        _assert_raw(transfer)
        length = handler.headers.get("Content-Length")
        vdi = _target(transfer, None if length is None else int(length))
        if vdi is None or _redirected(transfer, vdi):
            return
        _begin(handler, transfer.call.task)
        _receive(transfer, vdi, -1 if length is None else int(length))


def send(handler: "Handler") -> None:
    with _transfer(handler) as transfer:
        _assert_raw(transfer)
        vdi = _of_query(transfer)
        if vdi is None:
            raise Failure("VDI_MISSING", "", "")
        if not _redirected(transfer, vdi):
            _begin(handler, transfer.call.task)
            _send(transfer, vdi)


@contextmanager
def _transfer(handler: "Handler") -> Iterator[Transfer]:
    """Session, task and log; a Failure in the block fails the task, and is answered where nothing was yet."""
    xapi, parts = handler.server.xapi, urlsplit(handler.path)
    query, name = dict(parse_qsl(parts.query)), parts.path.strip("/")
    meeting = xapi.faults.meeting(name)
    entry = xapi.log.add(Entry(method=name, params=[{k: v for k, v in query.items() if k != "session_id"}]))
    transfer = None
    try:
        with xapi.changed:
            session, owned = _session(handler, query)
            call = Call(xapi=xapi, name=name, session=session, meeting=meeting)
            entry.originator = xapi.sessions[session].originator
            given = query.get("task_id", "")
            known = xapi.database.valid("task", given)
            call.task = given if known else tasks.begin(xapi, _TASK_LABELS[name], session)
            transfer = Transfer(handler=handler, query=query, call=call, entry=entry, owned=owned)
        meeting.before("VDI", query.get("vdi", ""))
        yield transfer
    except (Failure, Dropped, OSError) as error:
        _failed(handler, transfer, entry, error)
    finally:
        with xapi.changed:
            if transfer and transfer.owned:
                sessions.end(xapi, transfer.call.session)
            xapi.changed.notify_all()


def _failed(handler: "Handler", transfer: Transfer | None, entry: Entry, error: Exception) -> None:
    failure = error if isinstance(error, Failure) else Failure("VDI_IO_ERROR", "Device I/O errors")
    entry.failure = failure.code
    if transfer:
        with transfer.call.xapi.changed:
            tasks.fail(transfer.call.xapi, transfer.call.task, failure)
    if isinstance(error, Failure) and not handler.begun:
        status = 401 if failure.code.startswith("SESSION_") else 403 if "DENIED" in failure.code else 500
        handler.reply(status, " ".join(failure.details).encode())
        handler.drain()


def _session(handler: "Handler", query: dict[str, str]) -> tuple[str, bool]:
    """Of `session_id`, a cookie or HTTP Basic, allowed to make disks; and whether it is ours to end."""
    xapi, owned = handler.server.xapi, False
    cookies = dict(parse_qsl(handler.headers.get("Cookie", "").replace("; ", "&")))
    session = query.get("session_id") or cookies.get("session_id", "")
    basic = handler.headers.get("Authorization", "")
    if not session and basic.startswith("Basic "):
        name, _, password = base64.b64decode(basic[6:]).decode().partition(":")
        session, owned = sessions.login(xapi, xapi.master, name, password, "http"), True
    message = xapi.model.message(_ROLES)
    assert message is not None
    sessions.authorise(sessions.check(xapi, xapi.master, session), message)
    return session, owned


def _assert_raw(transfer: Transfer) -> None:
    form = transfer.query.get("format", "raw")
    if form != "raw":
        raise Failure("INTERNAL_ERROR", f"the emulator takes and gives raw disks only, not {form}")


def _of_query(transfer: Transfer) -> str | None:
    given, database = transfer.query.get("vdi"), transfer.call.database
    if given is None or database.valid("VDI", given):
        return given
    with transfer.call.xapi.changed:
        return database.by_uuid("VDI", given)


def _target(transfer: Transfer, length: int | None) -> str | None:
    """The disk to write: a named one, or a new one of `length` bytes on a named SR."""
    found, call, query = _of_query(transfer), transfer.call, transfer.query
    if found is not None:
        return found
    with call.xapi.changed:
        sr = query.get("sr_id") or call.database.by_uuid("SR", query.get("sr_uuid", ""))
        if length is None:
            raise Failure("INTERNAL_ERROR", "Not enough info supplied to import")
        values = {"name_label": "Imported VDI", "SR": sr, "virtual_size": length, "type": "user"}
        flags = {"sharable": False, "read_only": False, "other_config": {}, "sm_config": {}}
        made: str = vdis.create(call, values | flags)
        return made


def _redirected(transfer: Transfer, vdi: str) -> bool:
    """Sent to a host that sees the disk's SR, when this one does not."""
    handler, xapi = transfer.handler, transfer.call.xapi
    with xapi.changed:
        hosts = srs.hosts_of(xapi, xapi.database.get("VDI", vdi, "SR"))
        if not hosts:
            raise Failure("SR_NO_PBDS", xapi.database.get("VDI", vdi, "SR"))
        address = xapi.database.get("host", hosts[0], "address")
    if handler.server.host in hosts:
        return False
    scheme = "https" if handler.server.tls else "http"
    handler.reply(302, b"", Location=f"{scheme}://{address}:{handler.server.port}{handler.path}")
    handler.drain()
    return True


def _begin(handler: "Handler", task: str) -> None:
    handler.begun = True
    handler.wfile.write(
        f"HTTP/1.1 200 OK\r\nconnection: close\r\ncache-control: no-cache, no-store\r\n"
        f"task-id: {task}\r\ncontent-type: application/octet-stream\r\n\r\n".encode()
    )
    handler.wfile.flush()


@contextmanager
def _attached(transfer: Transfer, vdi: str, mode: str) -> Iterator[None]:
    """dom0 has the disk attached meanwhile, as its own VBD: nobody else may write it."""
    call = transfer.call
    with call.xapi.changed:
        vdis.check(call.xapi, vdi, "copy" if mode == "RO" else "import")
        if mode == "RW" and call.database.get("VDI", vdi, "read_only"):
            raise Failure("VDI_READONLY", vdi)
        call.database.put("VDI", vdi, "current_operations", call.operation_id, "blocked")
    try:
        yield
    finally:
        with call.xapi.changed:
            if call.database.valid("VDI", vdi):
                call.database.put("VDI", vdi, "current_operations", call.operation_id, None)
                srs.account(call.xapi, call.database.get("VDI", vdi, "SR"), vdi)
                vdis.refresh(call.xapi, vdi)


def _receive(transfer: Transfer, vdi: str, length: int) -> None:
    call, size = transfer.call, transfer.call.database.get("VDI", vdi, "virtual_size")
    if length > size:
        raise Failure("VDI_IO_ERROR", "Device I/O errors")
    with _attached(transfer, vdi, "RW"), srs.path(call.xapi, vdi).open("r+b") as file:
        done = 0
        while length < 0 or done < length:
            piece = transfer.handler.rfile.read(_PIECE if length < 0 else min(_PIECE, length - done))
            if not piece:
                break
            _take_room(call, vdi, piece)
            _write(file.fileno(), piece, done)
            done += len(piece)
            _advance(call, done / max(size, 1))
        if done < length:
            raise Failure("VDI_IO_ERROR", "Device I/O errors")
    call.meeting.after()
    with call.xapi.changed:
        tasks.succeed(call.xapi, call.task, call.xapi.model.message("VDI.create"), vdi)


def _take_room(call: Call, vdi: str, piece: bytes) -> None:
    """A thin SR spends what is written, and may be full in the middle."""
    sr = call.database.get("VDI", vdi, "SR")
    if piece.strip(b"\0") and not srs.storage(call.xapi, sr).lvm:
        with call.xapi.changed:
            srs.take(call.xapi, sr, len(piece))


def _write(descriptor: int, piece: bytes, offset: int) -> None:
    """Holes stay holes, also over what was there."""
    if piece.strip(b"\0") or _has_data(descriptor, offset, len(piece)):
        while piece:
            count = os.pwrite(descriptor, piece, offset)
            piece, offset = piece[count:], offset + count


def _has_data(descriptor: int, offset: int, length: int) -> bool:
    return any(start < offset + length and end > offset for start, end in disks.extents(descriptor))


def _advance(call: Call, share: float) -> None:
    call.meeting.drop("before")
    with call.xapi.changed:
        call.progress(share)
        if call.cancelled():
            raise Failure("TASK_CANCELLED", call.task)
        if call.meeting.seconds:
            call.xapi.wait(call.cancelled, call.meeting.seconds)


def _send(transfer: Transfer, vdi: str) -> None:
    call, size = transfer.call, transfer.call.database.get("VDI", vdi, "virtual_size")
    with _attached(transfer, vdi, "RO"), srs.path(call.xapi, vdi).open("rb") as file:
        done = 0
        while done < size:
            piece = file.read(min(_PIECE, size - done))
            transfer.handler.wfile.write(piece)
            done += len(piece)
            _advance(call, done / size)
    transfer.handler.wfile.flush()
    with call.xapi.changed:
        tasks.succeed(call.xapi, call.task, None, None)
