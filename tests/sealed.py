"""Masters of a few files: sealed once in a run of the tests, and written out again for every other test.

Sealing starts half a dozen programs, in a fifth of a second, and a thousand tests begin with it: a third of
all that those take. What it does is looked at in tests/image and tests/faults, where nothing is kept.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from skinnybox import private
from skinnybox.masters import catalogue, manifest
from skinnybox.masters.index import file_digest
from skinnybox.model import Master


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sealed:
    """All files of its folder but the manifest, which says when it was made: mode and bytes of each."""

    master: Master
    mode: int
    files: dict[str, tuple[int, bytes]]
    manifest_mode: int


_KNOWN: dict[Hashable, _Sealed] = {}


def sealed_once(store: Path, key: Hashable, make: Callable[[], Master]) -> Master:
    """What `make` seals in the store; `key` says which. From the second time on the files are those of the
    first, the master's age is not. One that the store has, or would refuse, is left to `make`."""
    known = _KNOWN.get(key)
    if known is None:
        master = make()
        _KNOWN[key] = _read(catalogue.folder(store, master), master)
        return master
    if any(_meets(known.master, other) for other in catalogue.masters(store)):
        return make()
    return _written(store, known)


def _meets(one: Master, other: Master) -> bool:
    return one.id == other.id or one.name == other.name


def _read(folder: Path, master: Master) -> _Sealed:
    files = {file.name: (file.stat().st_mode & 0o777, file.read_bytes()) for file in folder.iterdir()}
    manifest_mode, _ = files.pop(manifest.FILE)
    return _Sealed(
        master=master, mode=folder.stat().st_mode & 0o777, files=files, manifest_mode=manifest_mode
    )


def _written(store: Path, known: _Sealed) -> Master:
    """Not by a rename: nobody else looks into the state folder of a test that is being set up."""
    master = replace(known.master, created=datetime.now(UTC))
    private.make_folder(store.parent)
    with catalogue.locked(store, exclusive=True):
        folder = catalogue.folder(store, master)
        folder.mkdir()
        for name, (mode, content) in known.files.items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(mode)
        index = file_digest(folder / catalogue.INDEX)
        (folder / manifest.FILE).write_bytes(manifest.to_manifest(master, index=index))
        (folder / manifest.FILE).chmod(known.manifest_mode)
        folder.chmod(known.mode)
    return master
