"""A form of somebody who may send files: its fields, which come first, at once; its files as they come, for a
job. A browser's and a program's are the same."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends
from starlette.requests import ClientDisconnect, Request

from skinnybox.errors import Cancelled, UsageError
from skinnybox.gate import limits
from skinnybox.gate.multipart import MULTIPART, Begin, End, Event, Parts
from skinnybox.printable import quoted

_PLAIN = "application/x-www-form-urlencoded"
_PART = 64
"""What a part costs beside its text."""
_MANY = f"the fields of this form are more than {limits.BODY} bytes"


class Form:
    """Until `files` is asked for, nothing of a file was read but that one begins, and no more than fields
    take: perhaps nobody knows yet who sends it. `fields` have several values where a name stands there
    several times."""

    def __init__(self, request: Request) -> None:
        self.fields: dict[str, list[str]] = {}
        self._request = request
        self._events = self._read_events()
        self._first: Begin | None = None

    @property
    def has_files(self) -> bool:
        return self._first is not None

    def refuse_others(self, name: str) -> None:
        """UsageError where its first file is none of this name."""
        if self._first is None:
            raise UsageError(f"no file was sent as {name}", hint="send multipart/form-data, its fields first")
        _called(self._first, name)

    def text(self, name: str) -> str:
        """A field's text, without room around it; "" for one that is not there."""
        return self.fields.get(name, [""])[-1].strip()

    async def read_fields(self) -> None:
        """UsageError for more of them than a form has. What is no form has none."""
        kind = self._request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == _PLAIN:
            text = b"".join([piece async for piece in self._pieces()])
            if len(text) > limits.BODY:
                raise UsageError(_MANY)
            for key, value in parse_qsl(_text(text), keep_blank_values=True):
                self.fields.setdefault(key, []).append(value)
        elif kind == MULTIPART:
            await self._read_parts()

    async def _read_parts(self) -> None:
        part, text, room = Begin(name="", file=None), bytearray(), limits.BODY
        async for event in self._events:
            match event:
                case Begin():
                    part, text = event, bytearray()
                    if part.file:
                        self._first = part
                        return
                case End() if part.file is None:
                    self.fields.setdefault(part.name, []).append(_text(text))
                case bytes():
                    _refuse_nameless(part, event)
                    text += event
            room -= len(event) if isinstance(event, bytes) else _PART
            if room < 0:
                raise UsageError(_MANY)

    async def _read_events(self) -> AsyncGenerator[Event]:
        parts = Parts(self._request.headers.get("content-type", ""))
        async for piece in self._pieces():
            for event in parts.take(piece):
                yield event
        parts.finish()

    async def _pieces(self) -> AsyncGenerator[bytes]:
        taken = 0
        try:
            async for piece in self._request.stream():
                if taken > limits.BODY and self._first is None:
                    raise UsageError(_MANY)
                taken += len(piece)
                yield piece
        except ClientDisconnect as error:
            raise Cancelled("whoever sent it has gone away") from error

    async def files(self, name: str, most: int) -> AsyncGenerator[str | bytes | None]:
        """Of each file what it is called, its pieces, and None. UsageError for one of another name, for more
        of them, for a field that comes behind them, and for what is cut off; Cancelled when whoever sends it
        has gone away."""
        if self._first is None:
            return
        part, count = self._first, 1
        async with aclosing(self._events):
            yield _called(part, name)
            async for event in self._events:
                match event:
                    case Begin():
                        part, count = event, count + bool(event.file)
                        if count > most:
                            raise UsageError(f"more files than are asked for: {most} at the most")
                        if called := _called(part, name):
                            yield called
                    case End() if part.file:
                        yield None
                    case bytes() if event:
                        _refuse_nameless(part, event)
                        yield event


def _text(found: bytes | bytearray) -> str:
    try:
        return found.decode()
    except UnicodeDecodeError as error:
        raise UsageError("a field of this form is no text") from error


def _refuse_nameless(part: Begin, piece: bytes) -> None:
    """A browser sends a nameless empty file where none was chosen."""
    if part.file == "" and piece:
        raise UsageError(f"the file {quoted(part.name)} has no name")


def _called(part: Begin, name: str) -> str:
    """What a file is called."""
    if part.file is None:
        raise UsageError(
            f"the field {quoted(part.name)} stands behind a file", hint="fields come first, files last"
        )
    if part.name != name:
        raise UsageError(f"no file {quoted(part.name)} is asked for", hint=f"its name in the form is {name}")
    return part.file


async def sent(request: Request) -> Form:
    found = Form(request)
    await found.read_fields()
    return found


Sent = Annotated[Form, Depends(sent)]
