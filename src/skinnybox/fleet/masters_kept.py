"""Masters that no machine boots from, and that what is kept of machines needs: snapshots, and what they were
before a rebase."""

from collections.abc import Iterator
from dataclasses import dataclass

from skinnybox.errors import Blocked
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.trial_left import is_expired
from skinnybox.hosts.base import Host
from skinnybox.model import Instance, Master


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """A snapshot, or, where the label is that of a trial, the way back: and the id of its master."""

    name: str
    label: str
    master: str
    is_way_back: bool


def needed(host: Host, catalog: Catalog) -> Iterator[Needed]:
    """Of all machines: what boots from another master than they do now. What need not be kept any longer is
    left out. Corrupt where a snapshot cannot be read: nobody knows then what it needs."""
    for row in catalog.rows():
        yield from _of(host, row.instance)


def _of(host: Host, instance: Instance) -> Iterator[Needed]:
    trial, given_up = instance.trial, is_expired(instance)
    if trial is not None and not given_up:
        yield Needed(name=instance.name, label=trial.kept, master=trial.before.master, is_way_back=True)
    for kept in host.snapshots(instance):
        way_back = trial is not None and kept.label == trial.kept
        if not way_back and kept.instance.stack.master != instance.stack.master:
            master = kept.instance.stack.master
            yield Needed(name=instance.name, label=kept.label, master=master, is_way_back=False)


def refuse(master: Master, found: Iterator[Needed]) -> None:
    """Blocked where one of them needs it."""
    of = [each for each in found if each.master == master.id]
    if not of:
        return
    first = of[0]
    more = f" and {len(of) - 1} more" if len(of) > 1 else ""
    hint = f"skinnybox snapshot delete {first.label} {first.name}"
    if first.is_way_back:
        hint = f"`skinnybox rebase {first.name} --commit` gives it up"
    raise Blocked(
        f"{master.reference} is the master of the snapshot {first.label!r} of {first.name}{more}", hint=hint
    )
