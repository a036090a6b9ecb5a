"""What a machine's own lies above: its master and the layers between, opened for the confined reader."""

from dataclasses import dataclass

from skinnybox.delta.rebase.masters import Files


@dataclass(frozen=True, slots=True, kw_only=True)
class Lower:
    """`tree_size` bytes and `entries` names are in all of its trees, also where one hides another's."""

    files: Files
    tree_size: int
    entries: int
