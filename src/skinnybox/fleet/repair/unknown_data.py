"""A data disk that lies with a machine whose record knows of none: what a command left that was killed when
it gave the machine one; or the machine's data, where an older record was put back. Only of what nobody ever
mounted it is sure that it is the first."""

from functools import partial
from pathlib import Path

from skinnybox.errors import SkinnyboxError
from skinnybox.fleet import data_disk
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.rows import Doing, RawRow
from skinnybox.fleet.lease import leased
from skinnybox.hosts.base import Host
from skinnybox.issues import Deed, Finding
from skinnybox.model import DiskKind, Instance
from skinnybox.operation import UNATTENDED
from skinnybox.overlays import inspect
from skinnybox.sizes import format_size


def judged(
    host: Host, catalog: Catalog | None, instance: Instance, size: int, file: Path, row: RawRow | None
) -> Finding:
    """Of one of `size` bytes. Without a row nobody can be kept from the machine, and it stays."""
    if catalog is not None and row is not None and _is_unused(host, file, instance):
        what = f"a data disk of {format_size(size)} that it was to be given when a command was killed"
        said = f"{instance.name}: {what}; nothing was ever on it"
        return Finding(path=file, what=said, deed=Deed.REMOVE, act=partial(_discard, host, catalog, instance))
    takes = f"skinnybox set {instance.name} --data {size} takes this one"
    what = f"{instance.name}: its record knows of no data disk; {takes}"
    return Finding(path=file, what=what, deed=Deed.KEEP)


def _is_unused(host: Host, file: Path, instance: Instance) -> bool:
    """False also when that cannot be known now, or only by fetching all of it. One that the machine's overlay
    may have been told of already is what the machine waits for at its next start."""
    if not file.is_file():
        return False
    try:
        with host.open_overlay(instance, UNATTENDED, DiskKind.OVERLAY) as overlay:
            if inspect.read_generation(overlay) > instance.seed.generation:
                return False
        return data_disk.is_unused(host, instance, UNATTENDED)
    except SkinnyboxError:
        return False


def _discard(host: Host, catalog: Catalog, instance: Instance) -> None:
    """Take it away, as nobody else is at the machine, and if all is as it was seen."""
    with leased(host, catalog, instance, Doing.REPAIR) as held:
        if held.instance.data is None and data_disk.is_unused(host, held.instance, UNATTENDED):
            host.discard_data(held.instance)
