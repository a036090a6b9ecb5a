"""What `move` of another computer asks for here, one request at a time, and is answered.

Who sends may do as its user all that the user may; but what comes is checked as if a stranger had sent it,
since it may be damaged, or of another version.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from skinnybox import __version__, private, run
from skinnybox.delta.archive import exported
from skinnybox.errors import Conflict, NotFound, UsageError
from skinnybox.fleet import power
from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.change import Changes
from skinnybox.fleet.context import Context
from skinnybox.fleet.elsewhere import form
from skinnybox.fleet.repair import unfinished
from skinnybox.fleet.restoring import Restore
from skinnybox.fleet.scratch_copy import readable
from skinnybox.masters import bringing
from skinnybox.masters.plain_disk import need
from skinnybox.model import Instance, Network
from skinnybox.operation import Operation

Answer = dict[str, Any]
Restored = Callable[[str, Restore, Operation], Instance]


def receive(context: Context, restore: Restored, source: int, operation: Operation) -> Answer:
    """Do what the request says that comes from the descriptor `source`. UsageError for what is none."""
    request = form.read_request(source)
    if request["skinnybox"] != form.PROTOCOL:
        return _who()
    match request.get("ask"):
        case "about":
            return _about(context, request)
        case "sealed":
            return _sealed(context, request, source, operation)
        case "machine":
            return _machine(restore, request, source, operation)
        case "settle":
            return _settle(context, request, operation)
    raise UsageError("that is nothing that this version knows", hint="use the same version on both computers")


def _who() -> Answer:
    return {"version": __version__, "protocol": form.PROTOCOL}


def _about(context: Context, request: Answer) -> Answer:
    """What is missing for a machine. Conflict for what would be in its way: all before anything is sent."""
    private.make_folder(context.folder)
    unfinished.finish(context.host, context.catalog)
    known = _known(context, _uuid(request))
    name = form.value(request, "name", str)
    if known is None and context.catalog.taken([name]):
        raise Conflict(f"there is a machine {name} already", hint="rename one of them")
    master, layers = _pair(request.get("master")), form.value(request, "layers", list)
    needs = [] if bringing.has_master(context.folder / "masters", *master) else [master[0]]
    for layer in map(_pair, layers):
        if not bringing.has_layer(context.folder / "layers", *layer):
            needs.append(layer[0])
    return {**_who(), "known": known and known.name, "needs": needs}


def _pair(found: object) -> tuple[str, str]:
    """An id, and what that is called."""
    match found:
        case [str(identity), str(reference)]:
            return identity, reference
    raise UsageError("that is no request of `skinnybox move`: ids")


def _uuid(request: Answer) -> UUID:
    try:
        return UUID(form.value(request, "uuid", str))
    except ValueError as error:
        raise UsageError("that is no request of `skinnybox move`: uuid") from error


def _known(context: Context, uuid: UUID) -> Instance | None:
    """It, where it is here. Conflict while it is being made, by who was asked before."""
    for row in context.catalog.rows():
        if row.instance.uuid == uuid and row.phase is Phase.DEFINED:
            return row.instance
        if row.instance.uuid == uuid and row.is_held:
            raise Conflict(
                f"{row.instance.name} {row.work or 'is at work'}".replace(" it is ", " is "),
                hint="wait until that command ends, and give the same again",
            )
    return None


def _sealed(context: Context, request: Answer, source: int, operation: Operation) -> Answer:
    noun, manifest = form.value(request, "noun", str), form.value(request, "manifest", str)
    if noun not in ("master", "layer"):
        raise UsageError("that is no request of `skinnybox move`: noun")
    files = _files(request)

    def fill(work: Path) -> None:
        for name, size in files.items():
            need(work, size)
            _written(work / name, size, source)

    store = context.folder / f"{noun}s"
    bringing.receive(store, noun, manifest.encode(), fill, operation)
    return _who()


def _files(request: Answer) -> dict[str, int]:
    """Each lies in the folder that is made, and nowhere else."""
    found = dict[str, int]()
    for each in form.value(request, "files", list):
        match each:
            case [str(name), int(size)] if bringing.may_be_called(name) and size >= 0 and name not in found:
                found[name] = size
            case _:
                raise UsageError("that is no request of `skinnybox move`: files")
    return found


def _written(file: Path, size: int, source: int) -> None:
    """With holes where there is nothing but zeros."""
    with file.open("xb", buffering=0) as target:
        target.truncate(size)
        for piece in form.pieces(source, size):
            if any(piece):
                target.write(piece)
            else:
                target.seek(len(piece), os.SEEK_CUR)


def _machine(restore: Restored, request: Answer, source: int, operation: Operation) -> Answer:
    notes = list[str]()
    changes, key = Changes(), request.get("key_of")
    asked = form.value(request, "changes", dict)
    if "network" in asked:
        changes["network"] = _network(form.value(asked, "network", str))
    if "bridge" in asked:
        changes["bridge"] = form.value(asked, "bridge", str)
    wanted = Restore(sources=(source,), changes=changes, key_of=key if isinstance(key, str) else None)
    heard = Operation(operation.report, notes.append, parent=operation)
    made = restore(form.value(request, "name", str), wanted, heard)
    return {**_who(), "name": made.name, "notes": notes}


def _network(word: str) -> Network:
    try:
        return Network(word)
    except ValueError as error:
        raise UsageError("that is no request of `skinnybox move`: network") from error


def _settle(context: Context, request: Answer, operation: Operation) -> Answer:
    """On the disk, held to the host keys that it was known by, and what it is: one digest of all its disks
    hold. Conflict for one that runs."""
    uuid, keys = _uuid(request), form.texts(request, "host_keys")
    found = _known(context, uuid)
    if found is None:
        raise NotFound("the machine is gone again", hint="look what became of it before you try again")
    machine = context.queries.view(found)
    if power.running(machine):
        raise Conflict(f"{found.name} runs already", hint="look which one you want, and delete the other")
    has_data = found.data is not None
    with readable(context.host, machine, context.folder, operation, data=has_data) as disks:
        total = exported.index_sum(disks, found.name)
    if keys:
        context.catalog.pin_host_keys(uuid, keys)
    run.run(["sync", "-f", context.folder])
    return {**_who(), "name": found.name, "sum": total}
