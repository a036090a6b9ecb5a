"""Removing machines: one process at a time for each, and gone on with by the next one when it is killed."""

import contextlib

from skinnybox.errors import Conflict, NoSpace, SkinnyboxError
from skinnybox.fleet import asked
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.leases import Lease
from skinnybox.fleet.catalog.rows import Doing, Phase
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.model import Instance


def delete(host: Host, catalog: Catalog, machine: MachineView, *, force: bool) -> None:
    """The machine and its overlay, for good. Refused, with nothing touched: Blocked while it is protected or,
    without `force`, runs; Conflict while a living process creates, changes or deletes it or works on its
    overlay."""
    asked.deletable(machine, force=force)
    complete(host, catalog, machine.instance, force=force)


def complete(host: Host, catalog: Catalog, instance: Instance, *, force: bool) -> None:
    """Delete it, or go on with that. Killed at any moment, the next command does so, with `force` when it was
    said. Refused because somebody uses it, it is as it was before, and nobody deletes it later."""
    lease = _taken(catalog, instance, Doing.DELETE_FORCED if force else Doing.DELETE)
    if lease and lease.instance and lease.phase is Phase.DEFINED and lease.instance.protected:
        _let_go(catalog, lease, begun=False)  # somebody was quicker
        asked.refuse_protected(lease.instance)
    if force:
        try:
            host.power_off(instance)
        except BaseException:
            _let_go(catalog, lease, begun=False)
            raise
    finish(host, catalog, instance, lease)


def finish(host: Host, catalog: Catalog, instance: Instance, lease: Lease | None) -> None:
    """The same of one that is taken for that already."""
    try:
        host.delete(instance)
    except BaseException as error:
        _let_go(catalog, lease, begun=not isinstance(error, Conflict))
        raise
    catalog.forget([instance])


def _taken(catalog: Catalog, instance: Instance, doing: Doing) -> Lease | None:
    """A full disk has no room for the mark either, and deleting is the cure."""
    try:
        return catalog.take(instance.uuid, instance.name, doing)
    except NoSpace:
        return None


def _let_go(catalog: Catalog, lease: Lease | None, *, begun: bool) -> None:
    """Once begun it is gone on with; before, it is as it was when we took it. What stopped us is what the
    user must hear, not that this could not be written down as well."""
    if lease is not None:
        with contextlib.suppress(SkinnyboxError):
            catalog.release(lease, Phase.DELETING if begun else lease.phase)
