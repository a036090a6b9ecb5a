"""What cannot be done with machines that throw away what they wrote: it is said, and nothing is half done."""

from skinnybox.errors import Unsupported
from skinnybox.model import Instance, Thrown


def refuse_in_memory(instance: Instance, what: str) -> None:
    """Unsupported for one whose disk has nothing of what it wrote."""
    if instance.throw_away is not None and instance.throw_away.kind is Thrown.MEMORY:
        raise Unsupported(
            f"{instance.name} keeps what it writes in its memory: {what} would find nothing on its disk",
            hint=f"while it runs: skinnybox exec {instance.name} -- find / -xdev -newer /proc/1",
        )


def refuse_kept(instance: Instance, what: str) -> None:
    """Unsupported for one that would throw it away at its next start."""
    if instance.throw_away is not None:
        raise Unsupported(
            f"{instance.name} throws away what it wrote at each start, and {what} with it",
            hint=f"skinnybox set {instance.name} --throw-away none, first",
        )
