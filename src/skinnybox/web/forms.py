"""What forms send. Each form of a session says its word (gate/session.py), which is looked at wherever what
was sent asks who sent it."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends
from starlette.datastructures import FormData
from starlette.requests import Request

from skinnybox.gate import forms as gate_forms
from skinnybox.gate import session
from skinnybox.gate.forms import Form
from skinnybox.gate.origin import SAFE
from skinnybox.web import looking


async def posted(request: Request) -> AsyncIterator[FormData]:
    """The form, and its word put where gate/principal.py looks for it. Nothing, for what has none. Files that
    were sent are closed with the request."""
    if request.method in SAFE:
        yield FormData()
        return
    looking.looks(request).forget()
    async with request.form() as form:
        request.scope["state"]["csrf"] = form.get(session.CSRF_FIELD)
        yield form


Posted = Annotated[FormData, Depends(posted)]


async def sent(request: Request) -> Form:
    """The same of a form with files, of which none is read yet."""
    looking.looks(request).forget()
    form = await gate_forms.sent(request)
    request.scope["state"]["csrf"] = form.text(session.CSRF_FIELD)
    return form


Sent = Annotated[Form, Depends(sent)]


def text(form: FormData, key: str, default: str = "") -> str:
    """A field's text, without room around it; what is a file is no text."""
    said = form.get(key, default)
    return said.strip() if isinstance(said, str) else default


def listed(form: FormData, key: str) -> list[str]:
    """All values of a field that stands there several times, or has a line for each; each once, in order."""
    lines = (
        line.strip() for said in form.getlist(key) if isinstance(said, str) for line in said.splitlines()
    )
    return list(dict.fromkeys(line for line in lines if line))


def back(address: str) -> str:
    """An address of ours; the first page for any other: nobody is led elsewhere by a link to us."""
    ours = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if ours and "\\" not in address else "/"
