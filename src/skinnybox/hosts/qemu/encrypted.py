"""What a machine with an encrypted overlay is started with beside the rest: the archive that opens it, and,
in firmware, the key and what the host cannot write to its disk. A key is only ever in memory here: in a file
without a name, which its QEMU inherits."""

import base64
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from skinnybox.errors import Conflict
from skinnybox.hosts.qemu.command_line import Descriptors
from skinnybox.model import Instance, Master
from skinnybox.overlays.encryption import VOLUME_KEY, blank_again, key_of, to_be_formatted
from skinnybox.overlays.seed import base_message, seed_message

_READ_ONLY = 0o444
"""QEMU opens it anew, as a user of its own, by what it was handed; nobody else gets there."""


def added(
    files: ExitStack, descriptors: Descriptors, instance: Instance, master: Master, sealed: Path, state: Path
) -> Descriptors:
    """For who has the overlay. Raises what overlays.encryption says of a key, and Unsupported where what
    opens the overlay cannot be made."""
    from skinnybox.masters.initramfs.encryption import initrd

    if instance.encrypt is None:
        return descriptors
    key = key_of(instance.encrypt, instance.name, state)
    archive = initrd(sealed.parent, master, sealed)
    if instance.encrypt.key_file is None:
        # Nobody knows what opened it: what is in there is noise by now.
        blank_again(descriptors.overlay, instance.overlay.allocation)
    opened = _opened(files, archive)
    said = tuple((name, _file(files, data)) for name, data in _said(instance, key, descriptors.overlay))
    return replace(descriptors, initrd=opened, firmware=said)


def _said(instance: Instance, key: bytes, overlay: int) -> Iterator[tuple[str, bytes]]:
    yield "key", key
    for name, message in (("base", base_message(instance)), ("seed", seed_message(instance))):
        yield name, b"1"
        yield f"{name}-0", base64.b64encode(message)
    if to_be_formatted(overlay):
        yield "format", str(instance.uuid).encode()
        yield "volume-key", secrets.token_bytes(VOLUME_KEY)


def _opened(files: ExitStack, archive: Path) -> int:
    try:
        descriptor = os.open(archive, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        hint = "start it again; several versions of Skinnybox at once take it from each other"
        raise Conflict(f"{archive} was made anew meanwhile", hint=hint) from error
    files.callback(os.close, descriptor)
    return descriptor


def _file(files: ExitStack, data: bytes) -> int:
    descriptor = os.memfd_create("skinnybox", os.MFD_CLOEXEC)
    files.callback(os.close, descriptor)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.fchmod(descriptor, _READ_ONLY)
    return descriptor
