"""What can be done with machines whose overlays are encrypted, and what cannot: the host has no way to read
them, so whatever would is refused by name, with how it is done from within."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.errors import Blocked, Unsupported
from skinnybox.hosts.base import Features
from skinnybox.model import DiskKind, Encryption, Instance
from skinnybox.operation import Operation
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from skinnybox.fleet.catalog.catalog import Catalog

AT_ITS_NEXT_START = "its overlay is encrypted, and its guest takes what it has more at its next start"
GROWTH = 8
"""Digits by which a generation may grow."""
_WITHIN = {"changes": "skinnybox-guest changes", "usage": "skinnybox-guest usage"}


def refuse_host(encryption: Encryption | None, features: Features) -> None:
    """Unsupported where a key would have to lie in a machine's record, or on a disk beside the other."""
    if encryption is not None and not features.encrypts:
        raise Unsupported(
            "this host cannot hand a machine a key that is kept nowhere, so no overlay is encrypted there",
            hint="of a pool, encrypt the storage; on QEMU machines are encrypted by themselves",
        )


def check_keys(encryption: Mapping[str, Encryption | None], state: Path) -> None:
    """What `start` would say of the keys of machines, by their names, beforehand."""
    for name, each in encryption.items():
        if each is not None:
            from skinnybox.overlays.encryption import key_of

            key_of(each, name, state)


def refuse_reading(instance: Instance, what: str) -> None:
    """Unsupported for what the host would have to read."""
    if instance.encrypt is not None:
        within = _WITHIN.get(what, "tar -C / --one-file-system -c . >FILE")
        raise Unsupported(
            f"the overlay of {instance.name} is encrypted: {what} would have to read it",
            hint=f"while it runs, from within: skinnybox exec {instance.name} -- {within}",
        )


def refuse_longer(wanted: Instance, place: int) -> None:
    """Blocked for a seed that its overlay may have no place for: its guest keeps there what it is told, and
    would not start. The host can only say how much `place` it is sure to have."""
    from skinnybox.overlays.seed import seed_message

    if is_opaque(wanted) and len(seed_message(wanted)) + GROWTH > place:
        raise Blocked(
            f"{wanted.name}: its overlay is encrypted, and is sure to have room for a seed of"
            f" {format_size(place)} only",
            hint="--reset gives it an overlay with more; its delta is lost",
        )


def refuse_telling(instance: Instance) -> None:
    """Unsupported for a disk that tells a machine who it is: that would have to tell it the key as well."""
    if instance.encrypt is not None:
        raise Unsupported(
            f"the overlay of {instance.name} is encrypted: its key would lie on the seed disk, beside it",
            hint="without --encrypt; encrypt the storage there",
        )


def refuse_forgotten(instance: Instance, what: str) -> None:
    """Unsupported for what is of no use without a key that nobody has any more."""
    if is_forgotten(instance):
        raise Unsupported(
            f"{instance.name} has a new key at each start: {what} could never be opened",
            hint="a machine that keeps what it wrote: create --encrypt KEYFILE",
        )


def is_forgotten(instance: Instance) -> bool:
    """Whether it begins anew at each start, with other ssh host keys as well."""
    return instance.encrypt is not None and instance.encrypt.key_file is None


def forget_keys(catalog: "Catalog", instance: Instance) -> None:
    """After its start: the host keys of its last one are nobody's any more."""
    if is_forgotten(instance):
        catalog.unpin_host_keys(instance.uuid)


def is_opaque(instance: Instance, disk: DiskKind = DiskKind.OVERLAY) -> bool:
    """Whether the host cannot look into that disk of it."""
    return instance.encrypt is not None and disk is DiskKind.OVERLAY


def usable(instance: Instance, disk: DiskKind, size: int) -> int:
    """Bytes that its guest sees of a disk of that size."""
    from skinnybox.overlays.encryption import HEADER

    return size - HEADER if is_opaque(instance, disk) else size


def is_openable(disk: Path, instance: Instance) -> bool:
    """Whether it is one that the machine would open or encrypt; of what is in there nobody knows here."""
    from skinnybox.overlays.encryption import is_of

    with disk.open("rb", buffering=0) as file:
        return is_of(file.fileno(), instance.uuid)


def copied(old: Path, new: Path, operation: Operation) -> None:
    """Fill `new`, a blank file of the same size or a larger one, with `old` as it is; the guest makes use of
    what is more."""
    from skinnybox.overlays.copy import copy_data

    with old.open("rb", buffering=0) as source, new.open("r+b", buffering=0) as target:
        copy_data(source.fileno(), target.fileno(), operation)
