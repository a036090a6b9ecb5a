"""Which accounts a rebase gives other numbers, for the machine's data disk: a file in its overlay.

    skinnybox-owners 1
    move 3f1c09a2
    from sha256:6d0c...
    onto sha256:91aa...
    leave /var/lib/docker
    user 105 107
    user 107 1895825515
    user 1895825515 105
    end

A data disk is never rolled back, so each start makes good what its disk has had less of these, or more
(guest/lib/owners.sh). What is undone has to be as it was: so a move is a permutation. 105 -> 107 alone would
make one of two. Files of 107 were no account's then, or that would move as well: they are parked, where
nobody is; and what a new account of 105 writes is parked by the way back.
"""

from collections.abc import Iterator, Mapping, Sequence

from skinnybox.delta.rebase.accounts import Ownership
from skinnybox.delta.rebase.containers import FOLDERS
from skinnybox.errors import Unsupported

PATH = "var/lib/skinnybox/owners"
PARKED = 0x71000000
"""And the numbers after it: systemd gives its containers less."""
_END = 1 << 24
"""The guest has places for numbers below it."""


def closed(moved: Mapping[int, int]) -> dict[int, int]:
    """The same as a permutation. No two of `moved` may become one. Unsupported for numbers from 2^24 on."""
    if moved and max(*moved, *moved.values()) >= _END:
        raise Unsupported(
            f"an account with a number of {_END} or more is to get another, which a data disk cannot follow",
            hint="give it one below in the machine",
        )
    before = {after: number for number, after in moved.items()}
    found = dict(moved)
    for end in [after for after in before if after not in moved]:
        start = end
        while start in before:
            start = before[start]
        found |= {end: PARKED + end, PARKED + end: start}
    return found


def text(identifier: str, images: tuple[Sequence[str], Sequence[str]], owners: Ownership) -> bytes:
    """The whole file. `images` are the old stack's and the new one's; the identifier is the rebase's own."""
    return "".join(f"{line}\n" for line in _lines(identifier, images, owners)).encode()


def _lines(identifier: str, images: tuple[Sequence[str], Sequence[str]], owners: Ownership) -> Iterator[str]:
    yield "skinnybox-owners 1"
    yield f"move {identifier}"
    yield f"from {','.join(images[0])}"
    yield f"onto {','.join(images[1])}"
    yield from (f"leave {folder}" for folder in FOLDERS)
    for kind, numbers in (("user", owners.users), ("group", owners.groups)):
        for number, other in sorted(closed(numbers.moved).items()):
            yield f"{kind} {number} {other}"
    yield "end"
