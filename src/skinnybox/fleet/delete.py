"""Removing machines: one process at a time for each, and finished by the next one when it is interrupted."""

import contextlib

from skinnybox.errors import Conflict, NoSpace, SkinnyboxError
from skinnybox.fleet import power
from skinnybox.fleet.catalog.catalog import Catalog, Phase, Row
from skinnybox.fleet.view import Machine
from skinnybox.hosts.base import Host
from skinnybox.model import Instance


def delete(host: Host, catalog: Catalog, machine: Machine, *, force: bool) -> None:
    """The machine and its overlay, for good. Refused, with nothing touched: Blocked while it runs (unless
    `force`), Conflict while a living process creates or deletes it or works on its overlay."""
    if not force:
        power.refuse_running(machine, "delete")
    instance = machine.instance
    before = _marked(catalog, instance, machine.phase)
    try:
        if force:
            host.power_off(instance)
    except BaseException:
        _let_go(catalog, instance, before)
        raise
    _finish(host, catalog, instance, before)


def finish_unfinished(host: Host, catalog: Catalog) -> list[Row]:
    """Undo what a killed process was creating and complete what it was deleting. Returns what was finished;
    what is in use just now stays as it is, for the next command."""
    finished = []
    for row in catalog.unfinished():
        with contextlib.suppress(SkinnyboxError):
            catalog.mark_deleting(row.instance)
            _finish(host, catalog, row.instance, Phase.DELETING)
            finished.append(row)
    return finished


def _marked(catalog: Catalog, instance: Instance, seen: Phase) -> Phase:
    """A full disk has no room for the mark either, and deleting is the cure."""
    try:
        return catalog.mark_deleting(instance)
    except NoSpace:
        return seen


def _finish(host: Host, catalog: Catalog, instance: Instance, before: Phase) -> None:
    """Refused because somebody uses it, it is as it was `before`, and nobody deletes it later."""
    try:
        host.delete(instance)
    except BaseException as error:
        _let_go(catalog, instance, before if isinstance(error, Conflict) else Phase.DELETING)
        raise
    catalog.forget([instance])


def _let_go(catalog: Catalog, instance: Instance, phase: Phase) -> None:
    """What stopped us is what the user must hear, not that this could not be written down as well."""
    with contextlib.suppress(SkinnyboxError):
        catalog.release(instance, phase)
