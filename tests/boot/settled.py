"""What a machine that powered off has left."""

from skinnybox.ext4 import open_volume
from skinnybox.fleet.service import Fleet
from skinnybox.operation import Operation


def overlay_is_clean(fleet: Fleet, name: str) -> None:
    """What its init runs last did run: a disk that this did not settle has a journal to be replayed. Each
    init, and each release of one, looks for that somewhere else."""
    with (
        fleet._host.open_overlay(fleet.machine(name).instance, Operation()) as path,
        open_volume(path) as volume,
    ):
        assert volume.superblock.clean
