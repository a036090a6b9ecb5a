"""system.jsonl.gz of a master: written when it is sealed, made from its image where it is missing or damaged.

It is derived, and no part of the content id: it may be deleted, and the next who asks makes it again. Its
form is the index's, with all in one file: the files of each package are nine tenths of it, and who does not
ask for them unpacks their lines, for the digest, but does not parse them.
"""

import contextlib
import os
from pathlib import Path

from skinnybox.durable import sync
from skinnybox.errors import Corrupt, NotFound, SkinnyboxError, Unsupported
from skinnybox.layout import MASTER, SYSTEM, parts
from skinnybox.masters.catalogue import folder
from skinnybox.masters.system.gather import gather
from skinnybox.masters.system.record import LONGEST, files_in, packed, system_in, to_text, unpacked
from skinnybox.masters.system.source import Tree
from skinnybox.masters.system.values import Files, System
from skinnybox.masters.workspace import workspace
from skinnybox.model import Master
from skinnybox.sandbox.confinement import Bounds

_MODE = next(part.mode for part in parts(MASTER) if part.name == SYSTEM)
_BOUNDS = Bounds(memory=4 << 30, cpu_seconds=120, output=LONGEST)
_READER = "skinnybox.masters.system.reader"


def system_of(store: Path, master: Master) -> System:
    """What is known of it, within some milliseconds; of a master that lacks it after some seconds, and then
    it is kept, where that is possible. Do not hold the catalogue's `locked`.

    Raises Corrupt when the image cannot be read, Unsupported when it is of a form that is not read here,
    NotFound when the master was removed meanwhile.
    """
    return _found(store, master)[0]


def with_files(store: Path, master: Master) -> tuple[System, Files]:
    """The same, and the files of each package."""
    system, text = _found(store, master)
    return system, files_in(text, _what(store, master))


def text_of(store: Path, master: Master) -> bytes:
    """The same as it is written down (see record), for who hands it on."""
    return _found(store, master)[1]


def write(tree: Path, place: Path) -> None:
    """While a tree is sealed: into the folder of the master that is being made."""
    (place / SYSTEM).write_bytes(packed(to_text(*gather(Tree(tree)))))


def renew(store: Path, master: Master) -> bool:
    """Read the image again, and put right what is kept and does not say the same; whether it had to. What
    cannot be found out leaves all as it is. Do not hold `locked`; nobody removes the master meanwhile."""
    file = folder(store, master) / SYSTEM
    if not file.exists():
        return False
    try:
        text = _read_image(store, master)
        system_in(text, _what(store, master))
    except (NotFound, Unsupported):
        return False
    with contextlib.suppress(Corrupt):
        if unpacked(file) == text:
            return False
    _keep(store, master, text)
    return True


def _found(store: Path, master: Master) -> tuple[System, bytes]:
    file, later = folder(store, master) / SYSTEM, False
    try:
        text = unpacked(file)
        return system_in(text, str(file)), text
    except Corrupt:  # or missing
        pass
    except Unsupported:  # a later Skinnybox made it: it stays as it is
        later = True
    text = _read_image(store, master)
    if not later:
        _keep(store, master, text)
    return system_in(text, str(file)), text


def _read_image(store: Path, master: Master) -> bytes:
    """By a confined reader, since a stranger arranged what is there; its answer is checked like the file."""
    from skinnybox.sandbox import reader

    image = folder(store, master) / master.images[0].file
    try:
        descriptor = os.open(image, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"{image} is missing, or {master.reference} was removed meanwhile") from error
    try:
        with reader.stream(
            _READER, [str(descriptor)], subject=str(image), bounds=_BOUNDS, pass_fds=[descriptor]
        ) as pieces:
            text = b"".join(pieces)
    finally:
        os.close(descriptor)
    return text


def _keep(store: Path, master: Master, text: bytes) -> None:
    """By one rename, from a folder that is swept when we die. Who may not write there, or has no room, has
    read it for himself alone."""
    with contextlib.suppress(OSError, SkinnyboxError), workspace(store, "sealing") as work:
        new = work / SYSTEM
        new.write_bytes(packed(text))
        new.chmod(_MODE)
        sync(new)
        new.rename(folder(store, master) / SYSTEM)


def _what(store: Path, master: Master) -> str:
    return str(folder(store, master) / SYSTEM)
