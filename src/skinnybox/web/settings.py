"""What of a machine can be changed while it exists. Two who change it at once lose nothing: the form holds
the revision that it was made of, and what was changed since is told."""

from typing import Any

from fastapi import APIRouter
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import SkinnyboxError, UsageError
from skinnybox.fleet.change import Changes
from skinnybox.fleet.jobs import on_behalf_of
from skinnybox.fleet.revision import revision
from skinnybox.fleet.view import MachineView
from skinnybox.gate.principal import Operator
from skinnybox.gate.served import fleet_of
from skinnybox.model.labels import labels_of
from skinnybox.sizes import parse_size
from skinnybox.web import render
from skinnybox.web.changes import tabs
from skinnybox.web.forms import Posted, listed, text
from skinnybox.web.machine import head
from skinnybox.web.one import one
from skinnybox.web.words import typed_size

router = APIRouter()


@router.get("/machines/{name}/settings")
def settings(request: Request, who: Operator, name: str) -> Response:
    found = one(request, who, name)
    return _form(request, found, _as_typed(found), None)


@router.post("/machines/{name}/settings")
def change(request: Request, who: Operator, name: str, form: Posted) -> Response:
    found = one(request, who, name)
    try:
        with on_behalf_of(who.actor):
            [done] = fleet_of(request).set([name], changes_of(form), expect=text(form, "revision"))
        if done.error:
            raise done.error
    except SkinnyboxError as error:
        return _form(request, one(request, who, name), _typed(form), error)
    runs = found.status is not None and found.status.pid is not None
    said = "Changed. It counts from its next start." if runs else "Changed."
    return render.moved(request, f"/machines/{name}/settings", said)


def changes_of(form: FormData) -> Changes:
    """UsageError for what is none."""
    cpus = text(form, "cpus")
    if not (cpus.isascii() and cpus.isdigit() and len(cpus) < 6):
        raise UsageError(f"{cpus!r:.20} is no number of processors", hint="a whole number: 2")
    return Changes(
        memory=parse_size(text(form, "memory")),
        cpus=int(cpus),
        autostart=bool(text(form, "autostart")),
        protected=bool(text(form, "protected")),
        labels=labels_of(_labels(form)),
    )


def _labels(form: FormData) -> dict[str, str]:
    found = {}
    for line in listed(form, "labels"):
        key, sign, value = line.partition("=")
        if not sign:
            raise UsageError(f"{line!r:.60} is no label", hint="one on each line: role=web")
        found[key.strip()] = value.strip()
    return found


def _as_typed(machine: MachineView) -> dict[str, Any]:
    instance = machine.instance
    return {
        "memory": typed_size(instance.memory),
        "cpus": str(instance.cpus),
        "labels": "\n".join(f"{key}={value}" for key, value in instance.labels),
        "autostart": instance.autostart,
        "protected": instance.protected,
    }


def _typed(form: FormData) -> dict[str, Any]:
    """What somebody typed, so that they need not do it again."""
    texts = {key: str(form.get(key, ""))[:10_000] for key in ("memory", "cpus", "labels")}
    return {**texts, **{key: bool(text(form, key)) for key in ("autostart", "protected")}}


def _form(
    request: Request, found: MachineView, typed: dict[str, Any], error: SkinnyboxError | None
) -> Response:
    """With the revision as it is now: whoever sends it again has seen what is told here."""
    now = _as_typed(found)
    differs = [key for key in now if now[key] != typed[key]] if error else []
    return render.page(
        request, "settings.html", status=error.http_status if error else 200, typed=typed, error=error,
        now=now, differs=differs, revision=revision(found.instance), **head(request, found),
        **tabs("settings"),
    )  # fmt: skip
