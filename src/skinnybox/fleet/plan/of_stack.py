"""What becomes of what machines boot from by a plan: nothing, but by a rebase or in one made anew. Pure."""

from collections.abc import Sequence

from skinnybox.fleet.plan.compare import Difference
from skinnybox.model import Stack

MASTER = "master"
REBASE = "--rebase puts it on that master, and keeps what is its own"
TRIAL = "on trial, with the way back"


def refused(
    has: Stack, wanted: Stack, *, pinned: bool, dax: bool | None, layers: Sequence[str] = ()
) -> tuple[Difference, str] | None:
    """What no plan does, and why. Without a version in the file any of that master or layer will do, and
    without a word of DAX either way."""
    same = has.master == wanted.master if pinned else _name(has) == _name(wanted)
    if not same:
        change = Difference(what=MASTER, before=has.reference, after=wanted.reference)
        return change, "a machine stays on the master it was made from"
    if dax not in (None, has.dax):
        change = Difference(what="dax", before=has.dax, after=dax)
        return change, "its overlay belongs to the image it was made from"
    if not _same_layers(has.layers, layers):
        change = Difference(what="layers", before=_named(has.layers), after=_named(layers))
        return change, "its overlay belongs to the layers it was made with"
    return None


def _same_layers(has: Sequence[str], said: Sequence[str]) -> bool:
    """`said` as NAME or NAME:VERSION."""
    pairs = zip(has, said, strict=False)
    return len(has) == len(said) and all(word in (one, one.partition(":")[0]) for one, word in pairs)


def _named(layers: Sequence[str]) -> str | None:
    return ", ".join(layers) or None


def _name(stack: Stack) -> str:
    return stack.reference.partition(":")[0]
