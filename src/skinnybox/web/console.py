"""The serial console of a machine: a terminal where there are scripts, and what was printed as text
everywhere.

Whoever may change machines may type. Several may look on at once, as far as the host lets them; what one of
them types everybody sees.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from skinnybox.errors import SkinnyboxError
from skinnybox.fleet.jobs import on_behalf_of
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role, lives
from skinnybox.gate.principal import NotAllowed, Operator, Principal, principal
from skinnybox.gate.served import fleet_of
from skinnybox.printable import printable
from skinnybox.web import render
from skinnybox.web.changes import tabs
from skinnybox.web.console_bytes import Tame, as_text
from skinnybox.web.machine import head
from skinnybox.web.one import one

router, sockets = APIRouter(), APIRouter()
LOG = 64 << 10
"""Bytes of what was printed that a page shows."""
_BEFORE = 4 << 10
_PIECE = 16 << 10
_MOST_TYPED = 4 << 10
_LOOK_AGAIN = 5.0
"""Seconds after which a token that was revoked ends what it opened."""
_REFUSED, _TOO_MUCH, _ENDED = 1008, 1009, 1000


@router.get("/machines/{name}/console")
def console(request: Request, who: Operator, name: str) -> Response:
    found = one(request, who, name)
    log, why = _log(fleet_of(request), name)
    values: dict[str, Any] = {"log": as_text(log[-LOG:]), "why": why, "cut": len(log) > LOG}
    if render.is_part(request, "log"):
        return render.part(request, "console.html", "log", machine=found, **values)
    return render.page(request, "console.html", **values, **head(request, found), **tabs("console"))


def _log(fleet: Fleet, name: str) -> tuple[bytes, str | None]:
    try:
        return fleet.console_log(name), None
    except SkinnyboxError as error:
        return b"", error.message


@sockets.websocket("/machines/{name}/console/socket")
async def line(websocket: WebSocket, name: str) -> None:
    """Both directions, bytes as they come; what is wrong comes as text. That it comes from a page of ours is
    seen to at the door (gate/origin.py)."""
    try:
        who = await run_in_threadpool(_operator, websocket, name)
    except SkinnyboxError:
        await websocket.close(_REFUSED)
        return
    await websocket.accept()
    try:
        fleet = fleet_of(websocket)
        async with _opened(fleet, who, name) as opened:
            log, _ = await run_in_threadpool(_log, fleet, name)
            tame = Tame()
            await websocket.send_bytes(tame(log[-_BEFORE:]))
            await _first(_told(websocket, opened, tame), _typed(websocket, opened), _while_known(fleet, who))
    except SkinnyboxError as error:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await websocket.send_text(printable(error.message))
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await websocket.close(_ENDED)


def _operator(websocket: WebSocket, name: str) -> Principal:
    who = principal(websocket)
    if who.role < Role.OPERATOR:
        raise NotAllowed(f"this needs the role {Role.OPERATOR}")
    one(websocket, who, name)
    return who


@contextlib.asynccontextmanager
async def _opened(fleet: Fleet, who: Principal, name: str) -> AsyncIterator[socket.socket]:
    """To open and to close it blocks."""
    with on_behalf_of(who.actor):
        context = await run_in_threadpool(fleet.console, name)
    opened = await run_in_threadpool(context.__enter__)
    opened.setblocking(False)
    try:
        yield opened
    finally:
        await run_in_threadpool(context.__exit__, None, None, None)


async def _first(*parts: Coroutine[Any, Any, None]) -> None:
    """Until one of them ends; the others are ended then."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _told(websocket: WebSocket, opened: socket.socket, tame: Tame) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError, WebSocketDisconnect):
        while piece := await loop.sock_recv(opened, _PIECE):
            if shown := tame(piece):
                await websocket.send_bytes(shown)


async def _typed(websocket: WebSocket, opened: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError, WebSocketDisconnect):
        while (message := await websocket.receive())["type"] == "websocket.receive":
            typed = message.get("bytes") or (message.get("text") or "").encode()
            if len(typed) > _MOST_TYPED:
                await websocket.close(_TOO_MUCH)
                return
            await loop.sock_sendall(opened, typed)


async def _while_known(fleet: Fleet, who: Principal) -> None:
    """Ends when their token does."""
    while await run_in_threadpool(_is_known, fleet, who):
        await asyncio.sleep(_LOOK_AGAIN)


def _is_known(fleet: Fleet, who: Principal) -> bool:
    if who.token is None:
        return True
    try:
        return lives(fleet.tokens.one(who.token))
    except SkinnyboxError:
        return False
