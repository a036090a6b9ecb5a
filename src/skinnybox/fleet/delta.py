"""What machines made their own: read from their overlays, or thrown away with them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from skinnybox.delta.changes import seed_paths
from skinnybox.delta.listing import listed
from skinnybox.delta.reset import Fresh, fresh_contents
from skinnybox.errors import Corrupt
from skinnybox.hosts.base import Contents, Host
from skinnybox.masters.catalogue import INDEX
from skinnybox.model import Change, Instance
from skinnybox.operation import Operation
from skinnybox.overlays.look import is_clean, read_identity
from skinnybox.overlays.settle import replay, settled


@contextmanager
def changes_of(
    host: Host, instance: Instance, sealed: Path, *, include_seed: bool, operation: Operation
) -> Iterator[Iterator[Change]]:
    """Its changes against the master in `sealed`, in path order; nobody else may use it meanwhile."""
    marks = seed_paths(instance.seed)
    with (
        host.open_overlay(instance, operation) as overlay,
        settled(overlay) as image,
        listed(image, sealed / INDEX, include_seed=include_seed, from_seed=marks) as found,
    ):
        yield _attended(found, operation)


@contextmanager
def changes_of_copy(
    host: Host, instance: Instance, sealed: Path, scratch: Path, *, include_seed: bool, operation: Operation
) -> Iterator[Iterator[Change]]:
    """The same of a machine that may run: of a copy of one point in time, made in `scratch` for the block."""
    with TemporaryDirectory(dir=scratch, prefix=".copy-", suffix=".new") as folder:
        copy = Path(folder, "overlay.img")
        host.copy_overlay(instance, copy, operation)
        if not is_clean(copy):
            replay(copy)
        marks = seed_paths(instance.seed)
        with listed(copy, sealed / INDEX, include_seed=include_seed, from_seed=marks) as found:
            yield _attended(found, operation)


def _attended(found: Iterator[Change], operation: Operation) -> Iterator[Change]:
    for change in found:
        operation.check("changes")
        yield change


def renew(host: Host, instance: Instance, operation: Operation) -> tuple[Instance, bool]:
    """A fresh overlay in place of the old one. Returns the instance as it is recorded then, and whether it
    kept its identity."""
    fresh = _fresh(host, instance, operation)
    contents = Contents(base=fresh.base, seed=fresh.seed, identity=fresh.identity)
    # Overlay first: killed before the record follows, the guest has a newer seed than recorded: that is well.
    host.replace_overlay(fresh.instance, contents, operation)
    host.define(fresh.instance)
    return fresh.instance, bool(fresh.identity)


def _fresh(host: Host, instance: Instance, operation: Operation) -> Fresh:
    """A damaged overlay costs the machine its ssh host keys, never the reset."""
    with host.open_overlay(instance, operation) as overlay:
        try:
            with settled(overlay) as image:
                return fresh_contents(instance, read_identity(image, instance.uuid))
        except Corrupt:
            return fresh_contents(instance, b"")
