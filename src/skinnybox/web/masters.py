"""Masters: which there are, what each consists of and who needs it, and making and removing them."""

import re
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import SkinnyboxError, UsageError
from skinnybox.fleet import present_systems
from skinnybox.fleet.editing import specification_of
from skinnybox.fleet.present import Record
from skinnybox.gate import limits, places, reach
from skinnybox.gate.principal import Principal, Viewer, WholeAdmin, WholeOperator
from skinnybox.gate.served import fleet_of
from skinnybox.model import Master
from skinnybox.operation import Operation
from skinnybox.web import render
from skinnybox.web.begun import begun
from skinnybox.web.forms import Posted, text

router = APIRouter(max_body_size=limits.DOCUMENT_BODY)
LIST, ONE, NEW = "masters.html", "master.html", "new_master.html"


@router.get("/masters")
def masters(request: Request, who: Viewer) -> Response:
    """The newest first, those of one name together."""
    fleet = fleet_of(request)
    found = sorted(fleet.masters.all(), key=lambda each: each.created, reverse=True)
    newest = list(dict.fromkeys(each.name for each in found))
    found.sort(key=lambda each: newest.index(each.name))
    theirs = {master.id: _dependants(request, who, master) for master in found}
    return render.page(request, LIST, masters=found, dependants=theirs, successors=fleet.masters.successors())


@router.get("/masters/new")
def ask(request: Request, who: WholeAdmin) -> Response:
    return render.page(request, NEW, said={}, wrong=None)


@router.post("/masters/build")
def build(request: Request, form: Posted, who: WholeAdmin) -> Response:
    """From a recipe, or from the packages of the server's own distribution."""
    reference = text(form, "reference")
    packages = tuple(word for word in re.split(r"[\s,]+", text(form, "packages")) if word)
    suite, dax = text(form, "suite") or None, form.get("dax") is not None
    recipe = text(form, "recipe").replace("\r\n", "\n") or None

    def act(operation: Operation) -> object:
        return fleet_of(request).masters.build(
            reference, text=recipe, suite=suite, packages=packages, dax=dax, operation=operation
        )

    return begun(request, who, "master build", [reference], act)


@router.post("/masters/import")
def import_tree(request: Request, form: Posted, who: WholeAdmin) -> Response:
    """Of a folder or a file that lies on the server: admins may say where."""
    reference, source = text(form, "reference"), text(form, "source")
    as_is, dax = form.get("as_is") is not None, form.get("dax") is not None

    def act(operation: Operation) -> object:
        if not source.startswith("/"):
            raise UsageError("what is imported is told by its whole path on the server")
        return fleet_of(request).masters.import_tree(
            Path(source), reference, as_is=as_is, dax=dax, operation=operation
        )

    return begun(request, who, "master import", [reference], act)


@router.get("/masters/diff")
def differences(request: Request, who: Viewer, one: str = "", other: str = "") -> Response:
    """What the later one has otherwise, by kind of thing."""
    fleet, found, wrong = fleet_of(request), None, None
    if one and other:
        try:
            found = [present_systems.difference(each) for each in fleet.masters.differences(one, other)]
        except SkinnyboxError as error:
            wrong = places.error(request, error)
    kinds = list(dict.fromkeys(each["what"] for each in found or ()))
    tables = {kind: [each for each in found or () if each["what"] == kind] for kind in kinds}
    masters = [master.reference for master in fleet.masters.all()]
    return render.page(
        request, "master_diff.html", one=one, other=other, masters=masters, compared=found is not None,
        tables=tables, wrong=wrong,
    )  # fmt: skip


@router.get("/masters/{reference}")
def one(request: Request, reference: str, who: Viewer) -> Response:
    fleet = fleet_of(request)
    master = fleet.masters.find(reference)
    versions = [each for each in fleet.masters.all() if each.name == master.name and each.id != master.id]
    return render.page(
        request, ONE, master=master, dependants=_dependants(request, who, master), versions=versions,
        system=_consists_of(request, master), heavy=fleet.masters.heavy(master),
        successor=fleet.masters.successors().get(master.id),
    )  # fmt: skip


@router.get("/masters/{reference}/packages")
def packages(request: Request, reference: str, who: Viewer, q: str = "") -> Response:
    fleet = fleet_of(request)
    master = fleet.masters.find(reference)
    every = present_systems.packages(fleet.masters.system(reference)) or []
    found = [each for each in every if q.strip().casefold() in each["package"].casefold()]
    return render.page(request, "packages.html", master=master, packages=found, count=len(every), q=q)


@router.post("/masters/{reference}/verify")
def verify(request: Request, reference: str, form: Posted, who: WholeOperator) -> Response:

    def act(operation: Operation) -> object:
        return fleet_of(request).masters.verify(reference, operation)

    return begun(request, who, "master verify", [reference], act)


@router.get("/masters/{reference}/edit")
def ask_to_edit(request: Request, reference: str, who: WholeAdmin) -> Response:
    return render.page(request, "edit_master.html", master=fleet_of(request).masters.find(reference))


@router.post("/masters/{reference}/edit")
def edit(request: Request, reference: str, form: Posted, who: WholeAdmin) -> Response:
    """By a script, in a machine that is made for that."""
    new, script = text(form, "new"), text(form, "script").replace("\r\n", "\n")
    keep = form.get("keep") is not None

    def act(operation: Operation) -> object:
        if not script:
            raise UsageError("there is no script")
        return fleet_of(request).master_edits.run(
            reference, new, script, specification_of(), operation, keep=keep
        )

    return begun(request, who, "master edit", [new], act)


@router.get("/masters/{reference}/remove")
def ask_to_remove(request: Request, reference: str, who: WholeAdmin) -> Response:
    master = fleet_of(request).masters.find(reference)
    return render.page(
        request, "remove_master.html", master=master, dependants=_dependants(request, who, master)
    )


@router.post("/masters/{reference}/remove")
def remove(request: Request, reference: str, form: Posted, who: WholeAdmin) -> Response:
    def act(operation: Operation) -> object:
        return fleet_of(request).masters.remove(reference)

    return begun(request, who, "master remove", [reference], act)


def _dependants(request: Request, who: Principal, master: Master) -> list[str]:
    """Those that they reach."""
    fleet = fleet_of(request)
    found = fleet.masters.dependants(master)
    if who.fleet is None:
        return found
    theirs = set(reach.names(fleet, who))
    return [name for name in found if name in theirs]


def _consists_of(request: Request, master: Master) -> Record:
    """Only why that is unknown, where it is: what else is known of a master is still worth showing."""
    try:
        return present_systems.system(fleet_of(request).masters.system(master.id.removeprefix("sha256:")))
    except SkinnyboxError as error:
        return {"packages": None, "trouble": [places.error(request, error).message]}
