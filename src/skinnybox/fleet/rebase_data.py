"""What a rebase means for a machine's data disk: nobody looks into it, nobody rolls it back, and its guest
gives the files there to the numbers of the system that starts (guest/lib/owners.sh)."""

from collections.abc import Iterator

from skinnybox.delta.rebase.values import Decision, Fate, Standing, Subject
from skinnybox.errors import Blocked
from skinnybox.model import Instance, Master

KNOWS_OWNERS = 5
"""The protocol of guest parts from which on they do that."""
KIND = "data disk"
_ACCOUNTS = (Subject.USER, Subject.GROUP)
_AGAIN = "Build or import it again"


def told(found: Iterator[Decision], instance: Instance, masters: tuple[Master, Master]) -> Iterator[Decision]:
    """With what follows from accounts that get other numbers; `masters` are the old one and the new."""
    moved = False
    for each in found:
        yield each
        if instance.data is None or each.subject not in _ACCOUNTS or each.fate is not Fate.RENUMBER:
            continue
        moved = True
        yield Decision(
            subject=each.subject,
            kind=KIND,
            fate=Fate.REPORT,
            name=each.name,
            detail=f"files on its data disk ({', '.join(instance.data.folders)}) are renumbered too, at its "
            f"first start, and back by a rollback: {each.detail}; not in what container engines keep",
        )
    why = _unknown(instance, masters) if moved else None
    if why is not None:
        yield Decision(
            subject=Subject.PACKAGE,
            kind=KIND,
            fate=Fate.ASK,
            name="skinnybox-guest",
            detail=why,
            standing=Standing.BLOCKED,
        )


def refuse(instance: Instance, masters: tuple[Master, Master]) -> None:
    """Blocked, where accounts get other numbers and files on its data disk could not follow, or not come
    back."""
    why = _unknown(instance, masters)
    if why is not None:
        raise Blocked(f"{instance.name} has a data disk, and accounts get other numbers: {why}")


def _unknown(instance: Instance, masters: tuple[Master, Master]) -> str | None:
    old, new = masters
    if instance.data is None or min(old.guest_protocol, new.guest_protocol) >= KNOWS_OWNERS:
        return None
    which, cannot = (
        (new, "cannot renumber files on the data disk")
        if new.guest_protocol < KNOWS_OWNERS
        else (old, "could not take it back, after a rollback, that files on the data disk were renumbered")
    )
    then = _AGAIN if which is new else f"{_AGAIN}, with the same accounts, and rebase onto that first"
    return (
        f"the guest part of {which.reference} {cannot}: it speaks protocol {which.guest_protocol}, and that"
        f" is known from {KNOWS_OWNERS} on. {then}"
    )
