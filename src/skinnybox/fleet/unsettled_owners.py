"""Machines whose data disk has files by the numbers of another system than the one that they have now, as
after a rollback: their next start makes that good (docs/explanation/rebase.md). Who takes both disks as they
are would take files of other accounts."""

from pathlib import Path

from skinnybox.errors import Blocked
from skinnybox.model import Instance


def refuse(instance: Instance, overlay: Path, data: Path) -> None:
    """Blocked for such a machine. Both are clean images. Corrupt for one made to hurt."""
    from skinnybox.delta.data_owners import unsettled  # that reads disks: no command's start needs it

    if unsettled(overlay, data, instance.stack.images):
        raise Blocked(
            f"files on the data disk of {instance.name} have the numbers that their accounts had in another "
            "system of it: it was rebased or rolled back, and not started since",
            hint=f"`skinnybox start {instance.name}` gives them to their accounts",
        )
