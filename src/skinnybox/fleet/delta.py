"""What stopped machines made their own: read from their overlays, or thrown away with them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skinnybox.delta.changes import changes, seed_paths
from skinnybox.delta.reset import Fresh, fresh_contents
from skinnybox.errors import Corrupt
from skinnybox.hosts.base import Contents, Host
from skinnybox.masters.catalogue import INDEX
from skinnybox.masters.index import read_index
from skinnybox.model import Change, Instance
from skinnybox.overlays.ext4 import open_volume
from skinnybox.overlays.settle import settled


@contextmanager
def changes_of(
    host: Host, instance: Instance, sealed: Path, *, include_seed: bool
) -> Iterator[Iterator[Change]]:
    """Its changes against the master in `sealed`, in path order; nobody else may use it meanwhile."""
    with (
        host.open_overlay(instance) as overlay,
        settled(overlay) as image,
        open_volume(image) as volume,
    ):
        marks = seed_paths(instance.seed)
        yield changes(volume, read_index(sealed / INDEX), include_seed=include_seed, from_seed=marks)


def renew(host: Host, instance: Instance) -> tuple[Instance, bool]:
    """A fresh overlay in place of the old one. Returns the instance as it is recorded then, and whether it
    kept its identity."""
    fresh = _fresh(host, instance)
    contents = Contents(base=fresh.base, seed=fresh.seed, identity=fresh.identity)
    # Overlay first: killed before the record follows, the guest has a newer seed than recorded: that is well.
    host.replace_overlay(fresh.instance, contents)
    host.define(fresh.instance)
    return fresh.instance, bool(fresh.identity)


def _fresh(host: Host, instance: Instance) -> Fresh:
    """A damaged overlay costs the machine its ssh host keys, never the reset."""
    with host.open_overlay(instance) as overlay:
        try:
            with settled(overlay) as image, open_volume(image) as volume:
                return fresh_contents(instance, volume)
        except Corrupt:
            return fresh_contents(instance, None)
