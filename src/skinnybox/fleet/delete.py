"""Removing machines: one process at a time for each, and finished by the next one when it is interrupted."""

import contextlib

from skinnybox.errors import Conflict, NoSpace, SkinnyboxError
from skinnybox.fleet import power
from skinnybox.fleet.state import Phase, Row, State
from skinnybox.fleet.view import Machine
from skinnybox.hosts.base import Host
from skinnybox.model import Instance


def delete(host: Host, state: State, machine: Machine, *, force: bool) -> None:
    """The machine and its overlay, for good. Refused, with nothing touched: Blocked while it runs (unless
    `force`), Conflict while a living process creates or deletes it or works on its overlay."""
    if not force:
        power.refuse_running(machine, "delete")
    instance = machine.instance
    before = _marked(state, instance, machine.phase)
    try:
        if force:
            host.power_off(instance)
    except BaseException:
        _let_go(state, instance, before)
        raise
    _finish(host, state, instance, before)


def finish_unfinished(host: Host, state: State) -> list[Row]:
    """Undo what a killed process was creating and complete what it was deleting. Returns what was finished;
    what is in use just now stays as it is, for the next command."""
    finished = []
    for row in state.unfinished():
        with contextlib.suppress(SkinnyboxError):
            state.mark_deleting(row.instance)
            _finish(host, state, row.instance, Phase.DELETING)
            finished.append(row)
    return finished


def _marked(state: State, instance: Instance, seen: Phase) -> Phase:
    """A full disk has no room for the mark either, and deleting is the cure."""
    try:
        return state.mark_deleting(instance)
    except NoSpace:
        return seen


def _finish(host: Host, state: State, instance: Instance, before: Phase) -> None:
    """Refused because somebody uses it, it is as it was `before`, and nobody deletes it later."""
    try:
        host.delete(instance)
    except BaseException as error:
        _let_go(state, instance, before if isinstance(error, Conflict) else Phase.DELETING)
        raise
    state.forget([instance])


def _let_go(state: State, instance: Instance, phase: Phase) -> None:
    """What stopped us is what the user must hear, not that this could not be written down as well."""
    with contextlib.suppress(SkinnyboxError):
        state.release(instance, phase)
